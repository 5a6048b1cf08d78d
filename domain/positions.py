"""Open positions as they are shown: the venue's word, our fills and the present mark together.

The quantity is the venue's unless our own books moved since it was asked; figures that only the
venue knows (liquidation price, margin) are as old as its word. Knows no storage and no venue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.accounts import Account, AccountSummary, MarginMode, Position, PositionSide
from domain.errors import InvalidInput
from domain.net_positions import EXACT, NetPosition
from domain.pnl import MarketPnl


class Protection(StrEnum):
    """Who would close a position when it goes wrong."""

    NONE = "NONE"
    VENUE = "VENUE"
    GUARD = "GUARD"
    BOTH = "BOTH"


class PositionSource(StrEnum):
    """Whose word a position's quantity is."""

    VENUE = "VENUE"
    FILLS = "FILLS"


def position_id_of(account_id: str, symbol: str) -> str:
    """Return the id of an account's position in a market: `<account id>:<symbol>`."""
    return f"{account_id}:{symbol}"


def split_position_id(text: str) -> tuple[str | None, str]:
    """Return the account (id or label; None where only a symbol was given) and the symbol.

    Raises:
        InvalidInput: the text names no position.
    """
    account, separator, symbol = text.partition(":")
    if not separator:
        account, symbol = "", text
    if not symbol or (separator and not account) or len(text) > 128 or not text.isprintable():
        raise InvalidInput(
            "position_id",
            f"expected a symbol such as BTC-PERP or <account>:<symbol>, found {text[:64]!a}",
        )
    return account or None, symbol


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkPrice:
    """A market's mark price and when it was seen, by our clock."""

    price: Decimal
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSummary:
    """A venue's word on an account: when it was heard by our clock, and how (`source`)."""

    summary: AccountSummary
    seen_at: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """An open position with its profit and loss, in quote units.

    `quantity` is above zero, `side` tells the direction. `realized_pnl`, `fees` (paid) and
    `funding` (received) are since the position was opened at `opened_at`; `net_pnl` is all of them
    with `unrealized_pnl`. `as_of` is when the venue was heard, `mark_at` when the mark was seen;
    None is what nobody has said.
    """

    account_id: str
    venue: str
    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    mark_price: Decimal | None
    mark_at: datetime | None
    notional: Decimal | None
    unrealized_pnl: Decimal | None
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    liquidation_price: Decimal | None
    leverage: Decimal | None
    margin_mode: MarginMode | None
    initial_margin: Decimal | None
    opened_at: datetime | None
    source: PositionSource
    as_of: datetime | None
    protection: Protection = Protection.NONE

    @property
    def position_id(self) -> str:
        """The position's id."""
        return position_id_of(self.account_id, self.symbol)

    @property
    def signed_quantity(self) -> Decimal:
        """The quantity, below zero for a short."""
        return -self.quantity if self.side is PositionSide.SHORT else self.quantity

    @property
    def net_pnl(self) -> Decimal | None:
        """Unrealised and realised, less fees, with funding; None while there is no mark."""
        if self.unrealized_pnl is None:
            return None
        net = EXACT.add(self.unrealized_pnl, self.realized_pnl)
        return EXACT.add(EXACT.subtract(net, self.fees), self.funding)

    @property
    def liquidation_distance(self) -> Decimal | None:
        """How far the mark is from liquidation, as a fraction of the mark."""
        if self.liquidation_price is None or not self.mark_price:
            return None
        return abs(self.mark_price - self.liquidation_price) / self.mark_price


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBooks:
    """What our side knows of one account: counts, sums of fills, funding since opened, marks."""

    account: Account
    seen: SeenSummary | None
    net_positions: tuple[NetPosition, ...] = ()
    markets: tuple[MarketPnl, ...] = ()
    funding: Mapping[str, Decimal]
    marks: Mapping[str, MarkPrice]
    protection: Mapping[str, Protection] = field(default_factory=dict)


def open_positions(books: AccountBooks) -> tuple[OpenPosition, ...]:
    """Return an account's open positions, by symbol."""
    said = {} if books.seen is None else {p.symbol: p for p in books.seen.summary.positions}
    counted = {net.symbol: net for net in books.net_positions}
    sums = {market.symbol: market for market in books.markets}
    found = []
    for symbol in sorted({*said, *counted}):
        position = _one(books, symbol, said.get(symbol), counted.get(symbol), sums.get(symbol))
        if position is not None:
            found.append(position)
    return tuple(found)


def _one(
    books: AccountBooks,
    symbol: str,
    said: Position | None,
    counted: NetPosition | None,
    market: MarketPnl | None,
) -> OpenPosition | None:
    quantity, source = _quantity(books, said, counted)
    if not quantity:
        return None
    entry = _entry(quantity, said, market)
    mark = _mark(books, symbol, said)
    worth = None if mark is None else EXACT.multiply(quantity, mark.price)
    is_same = said is not None and _signed(said) == quantity
    opened = None if market is None or market.total.quantity != quantity else market
    return OpenPosition(
        account_id=books.account.account_id,
        venue=books.account.venue,
        symbol=symbol,
        side=PositionSide.LONG if quantity > 0 else PositionSide.SHORT,
        quantity=abs(quantity),
        entry_price=None if entry is None else entry.price,
        mark_price=None if mark is None else mark.price,
        mark_at=None if mark is None else mark.seen_at,
        notional=None if worth is None else abs(worth),
        unrealized_pnl=(
            None if worth is None or entry is None else EXACT.subtract(worth, entry.notional)
        ),
        realized_pnl=Decimal(0) if opened is None else opened.opened.realized_pnl,
        fees=Decimal(0) if opened is None else opened.opened.fees,
        funding=books.funding.get(symbol, Decimal(0)),
        liquidation_price=said.liquidation_price if said is not None and is_same else None,
        leverage=None if said is None else said.leverage,
        margin_mode=None if said is None else said.margin_mode,
        initial_margin=said.initial_margin if said is not None and is_same else None,
        opened_at=None if opened is None else opened.opened_at,
        source=source,
        as_of=None if books.seen is None else books.seen.seen_at,
        protection=books.protection.get(symbol, Protection.NONE),
    )


def _quantity(
    books: AccountBooks, said: Position | None, counted: NetPosition | None
) -> tuple[Decimal, PositionSource]:
    """Return the signed quantity: the venue's, unless our books moved after it was heard."""
    from_venue = Decimal(0) if said is None else _signed(said)
    if counted is not None and (books.seen is None or counted.updated_at > books.seen.seen_at):
        source = PositionSource.VENUE if counted.quantity == from_venue else PositionSource.FILLS
        return counted.quantity, source
    return from_venue, PositionSource.VENUE


@dataclass(frozen=True, slots=True)
class _Entry:
    price: Decimal
    notional: Decimal


def _entry(quantity: Decimal, said: Position | None, market: MarketPnl | None) -> _Entry | None:
    """Return the entry of our fills where they make up the position, else the venue's price."""
    if market is not None and market.total.quantity == quantity:
        price = market.entry_price
        if price is not None:
            return _Entry(price, market.entry_notional)
    if said is not None and said.entry_price is not None and _signed(said) == quantity:
        return _Entry(said.entry_price, EXACT.multiply(quantity, said.entry_price))
    return None


def _mark(books: AccountBooks, symbol: str, said: Position | None) -> MarkPrice | None:
    """Return the newest mark known, that in the venue's word included."""
    known = books.marks.get(symbol)
    if said is None or books.seen is None or not said.quantity:
        return known
    if known is not None and known.seen_at >= books.seen.seen_at:
        return known
    return MarkPrice(price=said.notional / said.quantity, seen_at=books.seen.seen_at)


def _signed(position: Position) -> Decimal:
    return -position.quantity if position.side is PositionSide.SHORT else position.quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What positions of one key (a symbol, venue or account) come to, in quote units.

    `unpriced` counts positions without a mark, which are in no sum.
    """

    key: str
    long: Decimal
    short: Decimal
    unrealized_pnl: Decimal
    initial_margin: Decimal
    unpriced: int = 0

    @property
    def gross(self) -> Decimal:
        """Long and short together."""
        return EXACT.add(self.long, self.short)

    @property
    def net(self) -> Decimal:
        """Long less short."""
        return EXACT.subtract(self.long, self.short)


def exposed(key: str, positions: Iterable[OpenPosition]) -> Exposed:
    """Return what positions come to together."""
    long = short = profit = margin = Decimal(0)
    unpriced = 0
    for position in positions:
        if position.notional is None:
            unpriced += 1
        elif position.side is PositionSide.LONG:
            long = EXACT.add(long, position.notional)
        else:
            short = EXACT.add(short, position.notional)
        profit = EXACT.add(profit, position.unrealized_pnl or Decimal(0))
        margin = EXACT.add(margin, position.initial_margin or Decimal(0))
    return Exposed(
        key=key,
        long=long,
        short=short,
        unrealized_pnl=profit,
        initial_margin=margin,
        unpriced=unpriced,
    )


def exposed_by(positions: Iterable[OpenPosition], by: str) -> tuple[Exposed, ...]:
    """Return what positions come to by `symbol`, `venue` or `account_id`, by that key."""
    groups: dict[str, list[OpenPosition]] = {}
    for position in positions:
        groups.setdefault(getattr(position, by), []).append(position)
    return tuple(exposed(key, groups[key]) for key in sorted(groups))
