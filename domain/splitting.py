"""One order over several places: how much each takes, so that all together cost least. Pure.

Every level of every book, after the fees of its place, from the best on; what does not execute goes
where it rests best. Quantities are whole lots, none below its market's minimum, and add up to what
was asked to the last digit, or nothing is split. By its own figures the split is never worse than
the best single place. Knows no venue, clock or storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Final

from domain.execution_cost import after_taking, burden, levels_within
from domain.market_data import OrderBook
from domain.numbers import plain
from domain.orders import TimeInForce
from domain.route_places import Exclusion, OrderAsk, Place, Why, limit_of, opposite_held
from domain.routing import (
    EXACT,
    Figures,
    Yardstick,
    choose,
    figures_of,
    margin_needed,
    market_of,
    sifted,
    terms_of,
    too_small,
    unit_margin,
    yardstick_of,
)

LEGS_MAX: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How an order is split. `shares` have the figures of their own quantities, the largest first.

    Empty `shares`: it cannot be placed whole; `unplaced` of it finds no place. `alternatives` are
    the accounts that could take it alone, best first.
    """

    shares: tuple[Figures, ...]
    exclusions: tuple[Exclusion, ...]
    unplaced: Decimal
    alternatives: tuple[Figures, ...] = ()

    @property
    def cost(self) -> Decimal:
        """What all shares cost together, as `Figures.cost`."""
        with localcontext(EXACT):
            return sum((share.cost for share in self.shares), Decimal(0))


def split(ask: OrderAsk, places: Iterable[Place], now: datetime) -> Split:
    """Return how the order is split; the order of `places` means nothing."""
    with localcontext(EXACT):
        usable, exclusions = sifted(ask, places, now)
        limited = [place for place in usable if place.violation is not None]
        usable = [place for place in usable if place.violation is None]
        exclusions += tuple(
            place.without(Why.RISK_LIMIT, place.violation or "") for place in limited
        )
        if not usable:
            return Split(shares=(), exclusions=exclusions, unplaced=ask.quantity)
        yardstick = yardstick_of(ask, usable)
        alone = choose(ask, usable, now).candidates
        shares, dropped, unplaced = _shares(ask, usable, yardstick, now)
        best = alone[:1]
        if best and (not shares or _outcome(best) <= _outcome(shares)):
            shares, unplaced = list(best), Decimal(0)
            dropped = [each for each in dropped if each.account_id != best[0].account_id]
        return Split(
            shares=tuple(sorted(shares, key=lambda each: (-each.quantity, each.account_id))),
            exclusions=(*exclusions, *dropped),
            unplaced=unplaced,
            alternatives=alone,
        )


def _outcome(shares: Sequence[Figures]) -> tuple[Decimal, Decimal, Decimal]:
    """Return what shares cost together, how much does not execute now, and the fees of that."""
    return (
        sum((share.cost for share in shares), Decimal(0)),
        sum((share.resting for share in shares), Decimal(0)),
        sum((share.resting * share.maker_fee for share in shares), Decimal(0)),
    )


def _shares(
    ask: OrderAsk, places: Sequence[Place], yardstick: Yardstick, now: datetime
) -> tuple[list[Figures], list[Exclusion], Decimal]:
    """Share the order out; a place whose share would be too small is left out, the least first."""
    usable, dropped = list(places), list[Exclusion]()
    short = ask.quantity
    while usable:
        quantities = _allotted(ask, usable)
        short = ask.quantity - sum(quantities.values(), Decimal(0))
        if short:
            break
        shares = _figures(ask, usable, quantities, yardstick, now)
        out = _to_drop(ask, usable, shares)
        if out is None:
            return shares, dropped, Decimal(0)
        usable = [place for place in usable if place.account_id != out.account_id]
        dropped.append(out)
    return [], dropped, short


def _figures(
    ask: OrderAsk,
    places: Sequence[Place],
    quantities: Mapping[str, Decimal],
    yardstick: Yardstick,
    now: datetime,
) -> list[Figures]:
    """Return the figures of each share; accounts at one venue take from one book, in turn."""
    books: dict[str, OrderBook | None] = {}
    shares: list[Figures] = []
    for place in places:
        quantity = quantities[place.account_id]
        if not quantity:
            continue
        book = books.get(place.venue, place.book)
        figures = figures_of(ask, place, quantity, yardstick, now, book=book)
        shares.append(figures)
        if book is not None:
            books[place.venue] = after_taking(book, ask.side, figures.executable)
    return shares


def _to_drop(ask: OrderAsk, places: Sequence[Place], shares: Sequence[Figures]) -> Exclusion | None:
    """Return the place with the smallest share if it is too small, or one too many; else None."""
    by_id = {place.account_id: place for place in places}
    least_first = sorted(shares, key=lambda each: (each.quantity * each.limit, each.account_id))
    for share in least_first:
        place = by_id[share.account_id]
        reason = too_small(ask, place, share.quantity)
        if reason is not None:
            return place.without(Why.TOO_SMALL, f"its share {plain(share.quantity)}: {reason}")
    if len(shares) > LEGS_MAX:
        place = by_id[least_first[0].account_id]
        return place.without(Why.TOO_SMALL, f"an order is split into at most {LEGS_MAX}")
    return None


def _allotted(ask: OrderAsk, places: Sequence[Place]) -> Mapping[str, Decimal]:
    """Return whole lots by account; their sum is what was asked, or less where there is no room."""
    room = {place.account_id: capacity(ask, place) for place in places}
    taken = dict.fromkeys(room, Decimal(0))
    left = ask.quantity
    for offer in _offers(ask, places):
        part = min(left, offer.quantity_left, room[offer.account_id] - taken[offer.account_id])
        offer.take(part)
        taken[offer.account_id] += part
        left -= part
    for place in _by_rest(ask, places, taken):
        part = min(left, room[place.account_id] - taken[place.account_id])
        taken[place.account_id] += part
        left -= part
    return _in_lots(ask, places, room, taken)


@dataclass(frozen=True, slots=True)
class _Offer:
    """One level of a book as one account can take it; accounts at one venue take from one level."""

    account_id: str
    level: list[Decimal]

    @property
    def quantity_left(self) -> Decimal:
        return self.level[0]

    def take(self, quantity: Decimal) -> None:
        self.level[0] -= quantity


def _offers(ask: OrderAsk, places: Sequence[Place]) -> list[_Offer]:
    """Return what the books of all places offer within the limit, the cheapest after fees first."""
    if ask.rests_whole:
        return []
    levels: dict[tuple[str, Decimal], list[Decimal]] = {}
    found: list[tuple[Decimal, str, _Offer]] = []
    for place in places:
        if place.book is None:
            continue
        fee = terms_of(place).fees.taker
        for level in levels_within(place.book, ask.side, limit_of(ask, place)):
            shared = levels.setdefault((place.venue, level.price), [level.quantity])
            offer = _Offer(place.account_id, shared)
            found.append((burden(ask.side, level.price, fee), place.account_id, offer))
    return [offer for _, _, offer in sorted(found, key=lambda each: each[:2])]


def _by_rest(ask: OrderAsk, places: Sequence[Place], taken: Mapping[str, Decimal]) -> list[Place]:
    """Return the places by where what does not execute now waits best.

    What may not wait is a hope that more comes: best where it trades already.
    """
    waits = ask.time_in_force is TimeInForce.GTC

    def key(place: Place) -> tuple[Decimal, bool, str]:
        maker = terms_of(place).fees.maker if waits else Decimal(0)
        return (maker, not taken[place.account_id], place.account_id)

    return sorted(places, key=key)


def _in_lots(
    ask: OrderAsk,
    places: Sequence[Place],
    room: Mapping[str, Decimal],
    taken: Mapping[str, Decimal],
) -> Mapping[str, Decimal]:
    """Round every share down to lots, and give what is cut off to who can take it in lots."""
    lots = {
        place.account_id: market_of(place).floor_quantity(taken[place.account_id])
        for place in places
    }
    left = ask.quantity - sum(lots.values(), Decimal(0))
    # First to those that have a share: a new one would be a crumb.
    for place in sorted(places, key=lambda each: (not lots[each.account_id], each.account_id)):
        spare = min(left, room[place.account_id] - lots[place.account_id])
        part = market_of(place).floor_quantity(spare)
        lots[place.account_id] += part
        left -= part
    return lots


def capacity(ask: OrderAsk, place: Place) -> Decimal:
    """Return how much of the order a place can take at most, in whole lots."""
    market, held = market_of(place), opposite_held(ask, place)
    if ask.reduce_only:
        return market.floor_quantity(min(held, ask.quantity))
    available = terms_of(place).available
    if available <= 0:
        return Decimal(0)
    shrinks, grows = unit_margin(ask, place)
    if available < held * shrinks:
        most = available / shrinks
    else:
        most = held + (available - held * shrinks) / grows
    lots = market.floor_quantity(min(most, ask.quantity))
    # A quotient is rounded, perhaps up by its last digit.
    if margin_needed(ask, place, lots) > available:
        lots = max(lots - market.lot_size, Decimal(0))
    return lots
