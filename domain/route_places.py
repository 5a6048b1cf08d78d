"""What routing asks of an order and knows of a place for it, and why a place is left out. Pure.

A place is one account of the caller at one venue, with everything that was found out about both.
What could not be found out leaves the place out; nothing is ever guessed. Knows no venue by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from domain.account_terms import AccountTerms
from domain.errors import InvalidInput
from domain.execution_cost import is_within, opposite_levels
from domain.instruments import Instrument, OrderSide
from domain.market_data import OrderBook
from domain.numbers import plain
from domain.orders import OrderType, TimeInForce
from domain.venue_sheets import VenueSheet

BOOK_FRESH: Final = timedelta(seconds=3)
"""A book that we received longer ago than this chooses nothing."""
BOOK_LAG_MAX: Final = timedelta(seconds=30)
"""A book whose venue stamped it so much earlier than we received it is one that stands still."""
TERMS_FRESH: Final = timedelta(seconds=10)


class Why(StrEnum):
    """Why a place is left out."""

    NO_MARKET = "no_market"
    MARKET_CLOSED = "market_closed"
    NOT_SERVED = "not_served"
    EXPERIMENTAL = "experimental"
    CIRCUIT_OPEN = "circuit_open"
    NOT_OFFERED = "not_offered"
    HALTED = "halted"
    BLOCKED = "blocked"
    RISK_LIMIT = "risk_limit"
    STEPS = "steps"
    TOO_SMALL = "too_small"
    NO_BOOK = "no_book"
    STALE_BOOK = "stale_book"
    WOULD_TAKE = "would_take"
    NO_TERMS = "no_terms"
    NO_POSITION = "no_position"
    NO_MARGIN = "no_margin"
    NO_ROOM = "no_room"
    NOT_FILLED = "not_filled"
    NO_LIQUIDITY = "no_liquidity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A place that cannot take the order, and why in words."""

    account_id: str
    account: str
    venue: str
    why: Why
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderAsk:
    """An order that nobody has given an account yet. `native_exits`: its exits leave with it."""

    symbol: str
    side: OrderSide
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    post_only: bool = False
    reduce_only: bool = False
    max_slippage_bps: int = 500
    native_exits: bool = False

    @property
    def needs_book(self) -> bool:
        """Whether a present book tells anything: a trigger order acts on a later one."""
        return not self.order_type.is_trigger

    @property
    def rests_whole(self) -> bool:
        """Whether nothing of it may execute when it is placed."""
        return self.post_only or self.order_type.is_trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One account with what is known of it and its venue; None is "not known", `trouble` says why.

    `connected`: a worker serves the venue on this network. `circuit_open`: it sends nothing there
    that raises exposure. `halt`, `blocked` and `violation` (of a risk limit) are our own reasons
    against it, `misfit` is why its market takes the exits not, all in words. `open_orders` counts
    ours. `named`: whoever asks named the venue, or a group with this account in it.
    """

    account_id: str
    account: str
    venue: str
    instrument: Instrument | None
    sheet: VenueSheet | None
    connected: bool
    book: OrderBook | None = None
    book_trouble: str = ""
    terms: AccountTerms | None = None
    terms_trouble: str = ""
    circuit_open: bool = False
    halt: str | None = None
    blocked: str | None = None
    violation: str | None = None
    misfit: str | None = None
    open_orders: int = 0
    named: bool = False

    def without(self, why: Why, reason: str) -> Exclusion:
        """Return that this place is left out."""
        return Exclusion(
            account_id=self.account_id,
            account=self.account,
            venue=self.venue,
            why=why,
            reason=reason,
        )


def limit_of(ask: OrderAsk, place: Place) -> Decimal:
    """Return the worst price that the order may trade at in a place.

    Of a market order that is the bound which its connector will take from the present book.

    Raises:
        InvalidInput: a market order, and there is nothing to trade with.
    """
    if ask.price is not None:
        return ask.price
    if ask.order_type.is_trigger and ask.trigger_price is not None:
        return ask.trigger_price
    assert place.book is not None and place.instrument is not None  # noqa: S101 - barred
    levels = opposite_levels(place.book, ask.side)
    if not levels:
        raise InvalidInput("book", f"there is nothing to {ask.side} {ask.symbol} from")
    reference = place.book.mid_price or levels[0].price
    return place.instrument.worst_price(ask.side, reference, ask.max_slippage_bps)


def opposite_held(ask: OrderAsk, place: Place) -> Decimal:
    """Return how much of the order would only shrink what the account holds."""
    held = Decimal(0) if place.terms is None else place.terms.position
    return max(held if ask.side is OrderSide.SELL else -held, Decimal(0))


def barred(ask: OrderAsk, place: Place, now: datetime) -> Exclusion | None:
    """Return why a place can take nothing of the order whatever its quantity, or None."""
    for check in (_market, _offer, _ours, _terms, _book):
        found = check(ask, place, now)
        if found is not None:
            return place.without(*found)
    return None


_Found = tuple[Why, str] | None


def _market(ask: OrderAsk, place: Place, _now: datetime) -> _Found:
    instrument = place.instrument
    if instrument is None:
        return Why.NO_MARKET, f"{place.venue} has no market {ask.symbol}, or it is not known yet"
    try:
        instrument.check_open(reduce_only=ask.reduce_only)
    except InvalidInput as error:
        return Why.MARKET_CLOSED, error.message
    try:
        for field, price in (("price", ask.price), ("trigger_price", ask.trigger_price)):
            if price is not None:
                instrument.check_price(field, price)
    except InvalidInput as error:
        return Why.STEPS, f"{error.field}: {error.message}"
    except ArithmeticError:
        return Why.STEPS, "the price has more digits than this market can count"
    return None if place.misfit is None else (Why.STEPS, place.misfit)


def _offer(ask: OrderAsk, place: Place, _now: datetime) -> _Found:
    """Check what the venue offers, and whether anybody can send there now."""
    sheet = place.sheet
    if sheet is None or not place.connected:
        return Why.NOT_SERVED, f"no worker is connected to {place.venue} now"
    if ask.order_type.value not in sheet.order_types:
        return Why.NOT_OFFERED, f"{place.venue} has no {ask.order_type} orders"
    if ask.time_in_force.value not in sheet.times_in_force:
        return Why.NOT_OFFERED, f"{place.venue} has no time in force {ask.time_in_force}"
    if ask.post_only and not sheet.post_only:
        return Why.NOT_OFFERED, f"{place.venue} has no post-only orders"
    if ask.reduce_only and not sheet.reduce_only:
        return Why.NOT_OFFERED, f"{place.venue} has no reduce-only orders"
    if ask.native_exits and not sheet.joint_exits:
        return Why.NOT_OFFERED, f"{place.venue} takes no exits in the entry's request"
    if sheet.experimental and not place.named and not ask.reduce_only:
        return Why.EXPERIMENTAL, f"{place.venue} is experimental here; name it to trade there"
    if place.circuit_open and not ask.reduce_only:
        return Why.CIRCUIT_OPEN, f"{place.venue} gives no verdicts now; its circuit is open"
    return None


def _ours(ask: OrderAsk, place: Place, _now: datetime) -> _Found:
    """Check what we have against it; what only reduces passes, as it does in the ledger."""
    if ask.reduce_only:
        return None
    if place.halt is not None:
        return Why.HALTED, place.halt
    if place.blocked is not None:
        return Why.BLOCKED, place.blocked
    return None


def _book(ask: OrderAsk, place: Place, now: datetime) -> _Found:
    if not ask.needs_book:
        return None
    book = place.book
    if book is None:
        return Why.NO_BOOK, place.book_trouble or "its book is not known"
    age = now - book.received_time
    if age > BOOK_FRESH:
        return Why.STALE_BOOK, (
            f"its book is {age.total_seconds():.1f} s old; expected at most "
            f"{BOOK_FRESH.total_seconds():g} s"
        )
    lag = book.received_time - book.event_time
    if lag > BOOK_LAG_MAX:
        return Why.STALE_BOOK, (
            f"{place.venue} stamped its book {lag.total_seconds():.0f} s before it came; it seems "
            "to stand still"
        )
    levels = opposite_levels(book, ask.side)
    if ask.post_only and ask.price is not None and levels:
        best = levels[0].price
        if is_within(ask.side, best, ask.price):
            return (
                Why.WOULD_TAKE,
                f"a post-only order at {plain(ask.price)} would take {plain(best)}",
            )
    if ask.order_type is OrderType.MARKET and not levels:
        return Why.NO_LIQUIDITY, f"there is nothing to {ask.side} {ask.symbol} from"
    return None


def _terms(ask: OrderAsk, place: Place, now: datetime) -> _Found:
    terms = place.terms
    if terms is None:
        return (
            Why.NO_TERMS,
            place.terms_trouble or f"{place.venue} has not told the account's terms",
        )
    age = now - terms.seen_at
    if age > TERMS_FRESH:
        return Why.NO_TERMS, f"the account's terms are {age.total_seconds():.1f} s old"
    if ask.reduce_only and not opposite_held(ask, place):
        return Why.NO_POSITION, f"it holds no position that a {ask.side} would reduce"
    most = terms.room.open_orders_max
    if most is not None and place.open_orders >= most:
        return Why.NO_ROOM, f"{place.open_orders} orders are open; {place.venue} takes {most}"
    if terms.room.requests_left is not None and terms.room.requests_left < 1:
        return Why.NO_ROOM, "its budget of requests is used up"
    return None
