"""A venue's markets, loaded once and again when an unknown symbol is asked for. Knows no venue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from domain.errors import InvalidInput
from domain.instruments import Instrument

#: Metadata older than this is read again by `all`; a listing appears within that time by itself.
_STALE_S: Final = 900.0
#: An unknown symbol makes us look again, but not more often than this.
_UNKNOWN_RETRY_S: Final = 30.0


#: Reads every market from the venue; raises VenueUnavailable or VenueRefused.
ReadMarkets = Callable[[], Awaitable[Iterable[Instrument]]]


class Markets:
    """Every market of a venue by symbol."""

    def __init__(
        self, venue: str, read: ReadMarkets, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._venue = venue
        self._read = read
        self._monotonic = monotonic
        self._by_symbol: dict[str, Instrument] = {}
        self._loaded_at = float("-inf")
        self._loading = asyncio.Lock()

    async def all(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every market, delisted ones included.

        Raises:
            VenueUnavailable, VenueRefused: they could not be read.
        """
        await self._load(older_than_s=0.0 if refresh else _STALE_S)
        return tuple(self._by_symbol.values())

    async def one(self, symbol: str) -> Instrument:
        """Return one market.

        Raises:
            InvalidInput: there is none of that symbol.
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        if symbol not in self._by_symbol:
            await self._load(older_than_s=_UNKNOWN_RETRY_S)
        found = self._by_symbol.get(symbol)
        if found is None:
            raise InvalidInput(
                "symbol",
                f"expected one of {self._venue}'s {len(self._by_symbol)} markets such as BTC-PERP, "
                f"found {symbol[:64]!r}",
            )
        return found

    async def _load(self, *, older_than_s: float) -> None:
        asked_at = self._monotonic()
        async with self._loading:
            # Whoever waited for a load that began after the question has its answer.
            if self._loaded_at > asked_at or asked_at - self._loaded_at < older_than_s:
                return
            self._by_symbol = {found.symbol: found for found in await self._read()}
            self._loaded_at = self._monotonic()
