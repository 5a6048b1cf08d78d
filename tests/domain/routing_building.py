"""Places and orders to route, built short; and strategies that make any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.account_terms import AccountTerms
from domain.accounts import FeeRates
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.market_data import BookLevel, OrderBook
from domain.orders import OrderType, TimeInForce
from domain.route_places import OrderAsk, Place
from venues import registry
from venues.sheets import sheet_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
BTC = Instrument(
    venue="alpha",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.001"),
    price_rule=PriceRule(tick_size=Decimal("0.5")),
    min_notional=Decimal(10),
    max_leverage=20,
)
_SPEC = registry.load("hyperliquid")
SHEET = replace(
    sheet_of("alpha", _SPEC.capabilities, _SPEC.proofs),
    order_types=tuple(OrderType),
    times_in_force=("GTC", "IOC", "FOK"),
    post_only=True,
    reduce_only=True,
    joint_exits=True,
    closes_below_minimum=True,
    experimental=False,
)
TERMS = AccountTerms(
    account_id="a1",
    symbol="BTC-PERP",
    available=Decimal(100_000),
    position=Decimal(0),
    fees=FeeRates(maker=Decimal("0.0001"), taker=Decimal("0.0005")),
    leverage=Decimal(10),
    seen_at=NOW,
)


def side_of(levels: Sequence[tuple[Any, Any]]) -> tuple[BookLevel, ...]:
    return tuple(BookLevel(price=Decimal(p), quantity=Decimal(q)) for p, q in levels)


def a_book(
    asks: Sequence[tuple[Any, Any]] = ((100, 1),),
    bids: Sequence[tuple[Any, Any]] = ((99, 1),),
    *,
    age_s: float = 0.1,
    **changes: Any,
) -> OrderBook:
    at = NOW - timedelta(seconds=age_s)
    book = OrderBook(
        venue="alpha",
        symbol="BTC-PERP",
        bids=side_of(bids),
        asks=side_of(asks),
        event_time=at,
        received_time=at,
    )
    return replace(book, **changes)


def a_place(
    account_id: str = "a1",
    venue: str = "alpha",
    *,
    fees: tuple[Any, Any] | None = None,
    terms: dict[str, Any] | None = None,
    market: dict[str, Any] | None = None,
    sheet: dict[str, Any] | None = None,
    served: bool = True,
    **changes: Any,
) -> Place:
    """Return a place that can take nearly anything, changed as asked; `fees` are maker, taker."""
    its_terms = replace(TERMS, account_id=account_id, **(terms or {}))
    if fees is not None:
        rates = FeeRates(maker=Decimal(fees[0]), taker=Decimal(fees[1]))
        its_terms = replace(its_terms, fees=rates)
    place = Place(
        account_id=account_id,
        account=f"label-{account_id}",
        venue=venue,
        instrument=replace(BTC, venue=venue, **(market or {})),
        sheet=replace(SHEET, venue=venue, **(sheet or {})) if served else None,
        connected=True,
        book=a_book(),
        terms=its_terms,
    )
    return replace(place, **changes)


def an_ask(quantity: Any = "0.5", price: Any = 100, **changes: Any) -> OrderAsk:
    ask = OrderAsk(
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        price=None if price is None else Decimal(price),
    )
    return replace(ask, **changes)


def a_market_ask(quantity: Any = "0.5", **changes: Any) -> OrderAsk:
    market = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.IOC}
    return an_ask(quantity, None, **{**market, **changes})


# Strategies

LOTS = (Decimal("0.001"), Decimal("0.01"), Decimal("0.003"))
_rates = st.integers(-2, 9).map(lambda n: Decimal(n) / 10_000)


@st.composite
def _fees(draw: st.DrawFn) -> FeeRates:
    maker = draw(_rates)
    return FeeRates(maker=maker, taker=max(maker, draw(_rates)))


@st.composite
def _levels(draw: st.DrawFn, start: int, step: int) -> tuple[BookLevel, ...]:
    gaps = draw(st.lists(st.integers(1, 4), max_size=5))
    quantities = st.integers(1, 2_000).map(lambda n: Decimal(n) / 1000)
    levels, price = [], Decimal(start)
    for gap in gaps:
        price += Decimal(step * gap) / 2
        levels.append(BookLevel(price=price, quantity=draw(quantities)))
    return tuple(levels)


@st.composite
def places(draw: st.DrawFn, *, at_most: int = 5) -> list[Place]:
    """Draw places at a few venues; accounts at one venue see one book and one market."""
    venues = ["alpha", "beta", "gamma"][: draw(st.integers(1, 3))]
    books = {
        venue: a_book(
            venue=venue, asks=(), bids=(), age_s=draw(st.sampled_from([0.1, 0.1, 0.1, 60.0]))
        )
        for venue in venues
    }
    markets = {}
    for venue in venues:
        middle = draw(st.integers(96, 104))
        books[venue] = replace(
            books[venue],
            asks=draw(_levels(middle, 1)),
            bids=draw(_levels(middle, -1)),
        )
        lots, minimum = draw(st.sampled_from(LOTS)), draw(st.sampled_from([0, 10, 60]))
        markets[venue] = {"lot_size": lots, "min_notional": Decimal(minimum)}
    found = []
    for number in range(draw(st.integers(1, at_most))):
        venue = draw(st.sampled_from(venues))
        terms = {
            "available": Decimal(draw(st.integers(-5, 60))),
            "position": Decimal(draw(st.integers(-2_000, 2_000))) / 1000,
            "leverage": Decimal(draw(st.sampled_from([1, 3, 10]))),
            "fees": draw(_fees()),
        }
        found.append(
            a_place(f"a{number}", venue, market=markets[venue], terms=terms, book=books[venue])
        )
    return found


@st.composite
def asks(draw: st.DrawFn, *, markets: bool = True) -> OrderAsk:
    """Draw limit and (with `markets`) market orders of either side."""
    side = draw(st.sampled_from(list(OrderSide)))
    quantity = Decimal(draw(st.integers(1, 4_000))) / 1000
    reduce_only = draw(st.booleans())
    if markets and draw(st.booleans()):
        return a_market_ask(quantity, side=side, reduce_only=reduce_only)
    price = Decimal(draw(st.integers(180, 220))) / 2
    lifetime = draw(st.sampled_from([TimeInForce.GTC, TimeInForce.IOC]))
    post_only = lifetime is TimeInForce.GTC and draw(st.booleans())
    return an_ask(
        quantity,
        price,
        side=side,
        time_in_force=lifetime,
        post_only=post_only,
        reduce_only=reduce_only,
    )
