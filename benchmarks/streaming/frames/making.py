"""What all venues' frames are made with: markets, sizes, books that change, and how often each kind
of frame comes. Knows no venue."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from domain.instruments import Instrument, PriceRule

MARKETS: Final = 20
FRAMES: Final = 6_000
SEED: Final = 20261130
BEGAN_MS: Final = 1_790_000_000_000
#: How often books, best prices, trades and tickers come, of a dozen frames.
SHARES: Final = (4, 4, 3, 1)
#: Levels of a whole book that differ from the one before, of each side.
CHANGED: Final = 10

#: One level: price and quantity as the venue writes them, the quantity "0.000" where it is gone.
Level = tuple[str, str]
#: Writes a frame's content about a market, the so manyth frame of all; with it goes its updates.
Writer = Callable[[str, int, int], tuple[Any, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Frames of one venue: those of the `beginning` make books whole, and are not counted."""

    markets: tuple[Instrument, ...]
    beginning: list[bytes]
    frames: list[bytes]
    updates: int


def made(
    rng: random.Random,
    markets: Sequence[Instrument],
    kinds: Sequence[str],
    write: Writer,
    *,
    shares: Sequence[int] = SHARES,
    beginning: Sequence[Any] = (),
) -> Made:
    """Return frames about the markets in turn; `write` writes what each holds."""
    begun = [msgspec.json.encode(frame) for frame in beginning]
    frames: list[bytes] = []
    updates = 0
    for number in range(FRAMES):
        kind = rng.choices(kinds, shares)[0]
        frame, count = write(kind, number % len(markets), number)
        frames.append(msgspec.json.encode(frame))
        updates += count
    return Made(markets=tuple(markets), beginning=begun, frames=frames, updates=updates)


def market(
    venue: str, number: int, venue_symbol: str | None = None, asset_index: int | None = None
) -> Instrument:
    """Return one of the markets that frames are about."""
    return Instrument(
        venue=venue,
        symbol=f"COIN{number}-PERP",
        venue_symbol=venue_symbol or f"COIN{number}",
        asset_index=number if asset_index is None else asset_index,
        lot_size=Decimal("0.01"),
        price_rule=PriceRule(significant_figures=5, max_decimals=4),
        min_notional=Decimal(10),
        max_leverage=10,
    )


def size(rng: random.Random) -> str:
    """Return a quantity."""
    return f"{rng.randrange(1, 9_999_999) / 1000:.3f}"


class WholeBooks:
    """A book of each market that is told whole each time, some of its quantities changed."""

    def __init__(self, rng: random.Random, levels: int) -> None:
        self._rng = rng
        self._sizes = [[size(rng) for _ in range(2 * levels)] for _ in range(MARKETS)]

    def next(self, number: int) -> tuple[list[Level], list[Level], int]:
        """Change a market's book; return bids, asks, and how many levels differ from before."""
        sizes = self._sizes[number]
        count = min(2 * CHANGED, len(sizes))
        for place in self._rng.sample(range(len(sizes)), count):
            sizes[place] = size(self._rng)
        depth = len(sizes) // 2
        bids = [(f"{100 - (n + 1) * 0.01:.2f}", sizes[n]) for n in range(depth)]
        asks = [(f"{100 + (n + 1) * 0.01:.2f}", sizes[n + depth]) for n in range(depth)]
        return bids, asks, count


class ChangingBooks:
    """A book of each market that is told whole once, and then by what changes.

    `counts` are how many levels changes name, `ranks` how many prices from the best one a change is
    on average, and `gone` how often a level that is named is taken away. Of the prices of a side
    so many are there that as many levels come as go.
    """

    def __init__(
        self,
        rng: random.Random,
        *,
        prices: int,
        counts: Sequence[int],
        ranks: float,
        gone: float,
        tick: float = 0.1,
    ) -> None:
        self._rng = rng
        self._counts, self._ranks, self._gone = counts, ranks, gone
        share = 1 / (1 + gone)
        self._spelled = [
            [f"{10_000 + sign * (n + 1) * tick:.1f}" for n in range(prices)] for sign in (-1, 1)
        ]
        self._sides = [
            [[size(rng) if rng.random() < share else "" for _ in range(prices)] for _ in "ba"]
            for _ in range(MARKETS)
        ]

    def whole(self, number: int) -> tuple[list[Level], list[Level]]:
        """Return all of a market's book, bids first."""
        bids, asks = (
            [(price, has) for price, has in zip(prices, sizes, strict=True) if has]
            for prices, sizes in zip(self._spelled, self._sides[number], strict=True)
        )
        return bids, asks

    def change(self, number: int) -> tuple[list[Level], list[Level], int]:
        """Change a market's book; return the bids and asks that are named, and how many."""
        rng, count = self._rng, self._rng.choice(self._counts)
        named: list[dict[str, str]] = [{}, {}]
        while sum(map(len, named)) < count:
            side = rng.randrange(2)
            place = int(rng.expovariate(1 / self._ranks))
            sizes = self._sides[number][side]
            if place >= len(sizes) or self._spelled[side][place] in named[side]:
                continue
            is_gone = bool(sizes[place]) and rng.random() < self._gone
            sizes[place] = "" if is_gone else size(rng)
            named[side][self._spelled[side][place]] = sizes[place] or "0.000"
        bids, asks = (list(side.items()) for side in named)
        return bids, asks, count
