"""Where an order goes: the account whose venue executes it best, of those that can take it. Pure.

A candidate is left out for one stated reason, or has figures. The best figures win: what the whole
quantity would cost after fees, of equal ones the better terms for what rests, then the account
whose scarcest room stays widest. Knows no venue, clock or storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Context, Decimal, localcontext
from typing import Final

from domain.account_terms import AccountTerms
from domain.errors import InvalidInput
from domain.execution_cost import Taken, burden, opposite_levels, take
from domain.instruments import Instrument, OrderSide
from domain.market_data import OrderBook
from domain.numbers import plain
from domain.orders import TimeInForce
from domain.route_places import Exclusion, OrderAsk, Place, Why, barred, limit_of, opposite_held

EXACT: Final = Context(prec=200)
"""Wide enough for products of what `domain.numbers` lets in: nothing is rounded away."""
WAITING_COSTS: Final = Decimal("0.001")
"""What it is worth to have a unit executed now rather than waiting at its limit: 0.1 % of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What makes places comparable: what does not execute now counts as traded at this price.

    `price` is the limit, of a market order the worst bound of all places; `fee` the highest fee of
    all and `WAITING_COSTS`. So a fill in hand loses to no hope of the same price, and hopes are
    told apart by maker fees.
    """

    price: Decimal
    fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a quantity would be in one place. Money is in quote units.

    `executable` of it trades at once, at `average_price`; the rest waits, or is not filled. `cost`
    is what a buy pays after fees, or what a sell brings, below zero; of a rest by the yardstick.
    `load` is the fullest of the account's rooms afterwards: margin, open orders, requests.
    """

    account_id: str
    account: str
    venue: str
    quantity: Decimal
    executable: Decimal
    average_price: Decimal | None
    resting: Decimal
    limit: Decimal
    taker_fee: Decimal
    maker_fee: Decimal
    cost: Decimal
    margin_needed: Decimal
    margin_available: Decimal
    load: Decimal
    book_age_s: Decimal | None = None

    @property
    def order(self) -> tuple[Decimal, Decimal, Decimal, Decimal, str]:
        """The best figures have the smallest; no two places have the same."""
        rest_fee = self.maker_fee if self.resting else Decimal(0)
        return (self.cost, self.resting, rest_fee, self.load, self.account_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Every place with its figures, best first, and every other one with its reason."""

    candidates: tuple[Figures, ...]
    exclusions: tuple[Exclusion, ...]

    @property
    def best(self) -> Figures | None:
        """The place that the order goes to, or None: nowhere."""
        return self.candidates[0] if self.candidates else None


def terms_of(place: Place) -> AccountTerms:
    """Return the terms of a place that is not barred."""
    assert place.terms is not None  # noqa: S101 - barred otherwise
    return place.terms


def market_of(place: Place) -> Instrument:
    """Return the market of a place that is not barred."""
    assert place.instrument is not None  # noqa: S101 - barred otherwise
    return place.instrument


def choose(ask: OrderAsk, places: Iterable[Place], now: datetime) -> Choice:
    """Return where the order goes, and why not elsewhere; the order of `places` means nothing."""
    with localcontext(EXACT):
        open_places, exclusions = sifted(ask, places, now)
        if not open_places:
            return Choice(candidates=(), exclusions=exclusions)
        yardstick = yardstick_of(ask, open_places)
        candidates: list[Figures] = []
        unfits: list[Exclusion] = []
        for place in open_places:
            figures = figures_of(ask, place, ask.quantity, yardstick, now)
            reason = unfit(ask, place, figures)
            if reason is None:
                candidates.append(figures)
            else:
                unfits.append(reason)
        return Choice(
            candidates=tuple(sorted(candidates, key=lambda each: each.order)),
            exclusions=(*exclusions, *unfits),
        )


def sifted(
    ask: OrderAsk, places: Iterable[Place], now: datetime
) -> tuple[list[Place], tuple[Exclusion, ...]]:
    """Return the places that are not barred, by account id, and the others with their reasons."""
    open_places: list[Place] = []
    exclusions: list[Exclusion] = []
    for place in sorted(places, key=lambda each: each.account_id):
        reason = barred(ask, place, now)
        if reason is None:
            open_places.append(place)
        else:
            exclusions.append(reason)
    return open_places, tuple(exclusions)


def yardstick_of(ask: OrderAsk, places: Sequence[Place]) -> Yardstick:
    """Return by what the places (one at least, none barred) are compared."""
    limits = [limit_of(ask, place) for place in places]
    is_buy = ask.side is OrderSide.BUY
    fees = [terms_of(place).fees for place in places]
    return Yardstick(
        price=max(limits) if is_buy else min(limits),
        fee=max(max(each.taker, each.maker) for each in fees) + WAITING_COSTS,
    )


def figures_of(
    ask: OrderAsk,
    place: Place,
    quantity: Decimal,
    yardstick: Yardstick,
    now: datetime,
    *,
    book: OrderBook | None = None,
) -> Figures:
    """Return what `quantity` would be in a place that is not barred.

    `book` is what others leave of the place's book, where they take from it before.
    """
    terms, limit = terms_of(place), limit_of(ask, place)
    taken = Taken(quantity=Decimal(0), value=Decimal(0))
    book = book or place.book
    if book is not None and not ask.rests_whole:
        taken = take(book, ask.side, quantity, limit)
    rest = quantity - taken.quantity
    needed = margin_needed(ask, place, quantity)
    waits_as_taker = ask.order_type.is_market
    return Figures(
        account_id=place.account_id,
        account=place.account,
        venue=place.venue,
        quantity=quantity,
        executable=taken.quantity,
        average_price=taken.average_price,
        resting=rest,
        limit=limit,
        taker_fee=terms.fees.taker,
        maker_fee=terms.fees.taker if waits_as_taker else terms.fees.maker,
        cost=burden(ask.side, taken.value, terms.fees.taker)
        + burden(ask.side, rest * yardstick.price, yardstick.fee),
        margin_needed=needed,
        margin_available=terms.available,
        load=_load(place, terms, needed),
        book_age_s=_age(place, now),
    )


def margin_needed(ask: OrderAsk, place: Place, quantity: Decimal) -> Decimal:
    """Return the free margin that `quantity` takes: what grows the position, and the dearest fee.

    Measured at the order's limit, which is the worst that can happen of a buy; a sell below the
    present price is measured at the best bid, where it trades.
    """
    shrinks, grows = unit_margin(ask, place)
    held = opposite_held(ask, place)
    return min(quantity, held) * shrinks + max(quantity - held, Decimal(0)) * grows


def unit_margin(ask: OrderAsk, place: Place) -> tuple[Decimal, Decimal]:
    """Return the free margin per unit of what shrinks a position, and of what grows one."""
    terms, price = terms_of(place), _worth(ask, place)
    fee = price * max(terms.fees.taker, terms.fees.maker, Decimal(0))
    return fee, fee + price / max(terms.leverage, Decimal(1))


def _worth(ask: OrderAsk, place: Place) -> Decimal:
    limit = limit_of(ask, place)
    if ask.side is OrderSide.BUY or place.book is None or ask.rests_whole:
        return limit
    levels = opposite_levels(place.book, ask.side)
    return max(limit, levels[0].price) if levels else limit


def _load(place: Place, terms: AccountTerms, needed: Decimal) -> Decimal:
    most = terms.room.open_orders_max
    shares = [terms.room.requests_used_share]
    if terms.available > 0:
        shares.append(needed / terms.available)
    elif needed > 0:
        shares.append(Decimal(1))
    if most:
        shares.append(Decimal(place.open_orders + 1) / most)
    return max(shares)


def _age(place: Place, now: datetime) -> Decimal | None:
    if place.book is None:
        return None
    return Decimal(f"{max((now - place.book.received_time).total_seconds(), 0.0):.3f}")


def unfit(ask: OrderAsk, place: Place, figures: Figures) -> Exclusion | None:
    """Return why a place that is not barred cannot take this quantity, or None."""
    if place.violation is not None and not ask.reduce_only:
        return place.without(Why.RISK_LIMIT, place.violation)
    for check in (_unfit_size, _unfit_money, _unfit_fill):
        found = check(ask, place, figures)
        if found is not None:
            return place.without(*found)
    return None


def _unfit_size(ask: OrderAsk, place: Place, figures: Figures) -> tuple[Why, str] | None:
    market = market_of(place)
    try:
        market.check_quantity("quantity", figures.quantity)
    except InvalidInput as error:
        return Why.STEPS, error.message
    except ArithmeticError:
        return Why.STEPS, "the quantity has more digits than this market can count"
    small = too_small(ask, place, figures.quantity)
    return None if small is None else (Why.TOO_SMALL, small)


def too_small(ask: OrderAsk, place: Place, quantity: Decimal) -> str | None:
    """Return in words that a quantity is less, or worth less, than its market takes; or None.

    What closes a whole position is taken by some venues all the same.
    """
    closes_whole = ask.reduce_only and quantity == opposite_held(ask, place)
    if closes_whole and place.sheet is not None and place.sheet.closes_below_minimum:
        return None
    try:
        market_of(place).check_notional(quantity, _least_worth(ask, place))
    except InvalidInput as error:
        return error.message
    return None


def _least_worth(ask: OrderAsk, place: Place) -> Decimal:
    """Return the lowest price that a venue may value the order by when it asks for its minimum."""
    limit = limit_of(ask, place)
    if ask.price is not None or place.book is None:
        return limit
    levels = opposite_levels(place.book, ask.side)
    return min(limit, levels[0].price) if levels else limit


def _unfit_money(ask: OrderAsk, place: Place, figures: Figures) -> tuple[Why, str] | None:
    if ask.reduce_only:
        held = opposite_held(ask, place)
        if held < figures.quantity:
            return Why.NO_POSITION, (
                f"it holds {plain(held)} that a {ask.side} would reduce, of "
                f"{plain(figures.quantity)} asked"
            )
        return None
    if figures.margin_needed > figures.margin_available:
        return Why.NO_MARGIN, (
            f"it needs {_money(figures.margin_needed)} of free margin and has "
            f"{_money(figures.margin_available)}"
        )
    return None


def _unfit_fill(ask: OrderAsk, place: Place, figures: Figures) -> tuple[Why, str] | None:
    if ask.time_in_force is TimeInForce.FOK and figures.resting:
        return Why.NOT_FILLED, (
            f"only {plain(figures.executable)} of {plain(figures.quantity)} would fill within "
            f"{plain(figures.limit)}"
        )
    if ask.time_in_force is TimeInForce.IOC and not figures.executable and place.book is not None:
        levels = opposite_levels(place.book, ask.side)
        best = f"the best is {plain(levels[0].price)}" if levels else "its book is empty"
        return Why.NO_LIQUIDITY, f"nothing fills within {plain(figures.limit)}: {best}"
    return None


def _money(amount: Decimal) -> str:
    return plain(amount.quantize(Decimal("0.01"), context=EXACT))


def in_words(choice: Choice) -> str:
    """Return in one line why the best place is the best."""
    best = choice.best
    if best is None:
        return "no account can take it"
    count, left_out = len(choice.candidates), len(choice.exclusions)
    among = f"best of {count}" if count > 1 else "the only one"
    return f"{figures_in_words(best)}; {among}, {left_out} left out"


def figures_in_words(figures: Figures) -> str:
    """Return in one line what a quantity is in a place."""
    parts = [f"{figures.venue}/{figures.account}"]
    if figures.average_price is not None:
        price = plain(figures.average_price.quantize(Decimal("0.00000001"), context=EXACT))
        fee = _rate(figures.taker_fee)
        parts.append(f"{plain(figures.executable)} executes at {price}, taker fee {fee}")
    if figures.resting:
        parts.append(f"{plain(figures.resting)} waits, fee {_rate(figures.maker_fee)}")
    return "; ".join(parts)


def _rate(rate: Decimal) -> str:
    return f"{plain(rate * 100)} %"
