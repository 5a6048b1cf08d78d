"""The books of several venues as one: best prices, and who has how much at each. Pure.

Whoever calls gives fresh books only. Bids of one venue may be above asks of another: both are
true, nothing is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from domain.market_data import BookLevel, OrderBook


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLevel:
    """One price over all venues; `venues` names who has how much of `quantity`, most first."""

    price: Decimal
    quantity: Decimal
    venues: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsolidatedBook:
    """One symbol's book over all venues that were given; bids descend, asks ascend."""

    symbol: str
    bids: tuple[SharedLevel, ...]
    asks: tuple[SharedLevel, ...]
    venues: tuple[str, ...]

    @property
    def best_bid(self) -> SharedLevel | None:
        """The highest bid of any venue."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> SharedLevel | None:
        """The lowest ask of any venue."""
        return self.asks[0] if self.asks else None


def consolidate(symbol: str, books: Mapping[str, OrderBook], *, depth: int) -> ConsolidatedBook:
    """Return the books of `symbol` by venue as one, at most `depth` levels a side.

    A venue that shows fewer levels than another has no quantity beyond them: what is there is
    what is shown, not what rests.
    """
    return ConsolidatedBook(
        symbol=symbol,
        bids=_side({venue: book.bids for venue, book in books.items()}, depth, descending=True),
        asks=_side({venue: book.asks for venue, book in books.items()}, depth, descending=False),
        venues=tuple(sorted(books)),
    )


def _side(
    sides: Mapping[str, tuple[BookLevel, ...]], depth: int, *, descending: bool
) -> tuple[SharedLevel, ...]:
    at: dict[Decimal, dict[str, Decimal]] = {}
    for venue, levels in sides.items():
        for level in levels[:depth]:
            of_price = at.setdefault(level.price, {})
            of_price[venue] = of_price.get(venue, Decimal(0)) + level.quantity
    return tuple(
        SharedLevel(
            price=price,
            quantity=sum(at[price].values(), Decimal(0)),
            venues=tuple(sorted(at[price].items(), key=lambda item: (-item[1], item[0]))),
        )
        for price in sorted(at, reverse=descending)[:depth]
    )
