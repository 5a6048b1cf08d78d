"""The chain of a book's changes, as the simulated venue numbers them: each begins where one ended.

One chain for each channel, so that whoever comes later gets what everybody has. Levels that leave
the window are taken away like others. Knows no socket.

Source: recorded on production 2026-09-28 (`startVersion` is the previous `endVersion`).
"""

from __future__ import annotations

import random
from typing import Any, Final

from venues.edgex.simulator_markets import CONTRACT_IDS, name_of
from venues.edgex.simulator_quotes import depth_levels
from venues.simulation.exchange import Exchange

Json = dict[str, Any]
_FIRST_VERSION: Final = 2_070_263_027
_STEP_MAX: Final = 200


class DepthChain:
    """One channel's book as it was told last."""

    def __init__(self, exchange: Exchange, symbol: str, level: int) -> None:
        self._exchange = exchange
        self._symbol = symbol
        self._level = level
        self._random = random.Random(f"{exchange.seed}/{symbol}/{level}")
        self._start, self._end = _FIRST_VERSION, _FIRST_VERSION + 1
        self._bids, self._asks = self._present()

    def snapshot(self) -> Json:
        """Return the book as it was told last."""
        return self._depth("SNAPSHOT", _rows(self._bids), _rows(self._asks))

    def change(self) -> Json | None:
        """Return what changed since, None for nothing; the chain goes on with it."""
        bids, asks = self._present()
        gone = (_difference(self._bids, bids), _difference(self._asks, asks))
        if not gone[0] and not gone[1]:
            return None
        self._bids, self._asks = bids, asks
        self._start, self._end = self._end, self._end + self._random.randint(1, _STEP_MAX)
        return self._depth("CHANGED", *gone)

    def skip(self) -> None:
        """Lose a change: what is told next does not follow what was told last."""
        self._end += 1000

    def _present(self) -> tuple[dict[str, str], dict[str, str]]:
        bids, asks = depth_levels(self._exchange, self._symbol, self._level)
        return (
            {row["price"]: row["size"] for row in bids},
            {row["price"]: row["size"] for row in asks},
        )

    def _depth(self, kind: str, bids: list[Json], asks: list[Json]) -> Json:
        return {
            "startVersion": str(self._start),
            "endVersion": str(self._end),
            "level": self._level,
            "contractId": CONTRACT_IDS[self._symbol],
            "contractName": name_of(self._symbol),
            "asks": asks,
            "bids": bids,
            "depthType": kind,
        }


def _rows(levels: dict[str, str]) -> list[Json]:
    return [{"price": price, "size": size} for price, size in levels.items()]


def _difference(before: dict[str, str], after: dict[str, str]) -> list[Json]:
    gone = [{"price": price, "size": "0"} for price in before if price not in after]
    changed = _rows({price: size for price, size in after.items() if before.get(price) != size})
    return gone + changed
