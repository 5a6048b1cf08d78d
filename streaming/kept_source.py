"""A source of market events that is run anew whenever it fails, after jittered pauses.

A loss becomes an event like any other. Knows no wishes and no venue.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from domain.errors import InvalidInput, PerpDexError
from streaming.market_sources import Deliver, MarketSource, Place, SourceFactory, pause_s
from venues.connector import FeedState, MarketChannel, MarketEvent

_log = logging.getLogger(__name__)


class KeptSource:
    """Implements `MarketSource` around one that may fail; its `run` does not end by itself.

    `label` names the source in the loss it tells of. `refused` hears that the source cannot carry
    any more what it carried.
    """

    def __init__(
        self,
        place: Place,
        make: SourceFactory,
        deliver: Deliver,
        label: str,
        refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._place = place
        self._deliver = deliver
        self._label = label
        self._refused = refused
        self._is_wanted = False
        self._failures = 0
        self._source: MarketSource = make(place, self._take)

    async def follow(self, channels: frozenset[MarketChannel]) -> None:
        """Set the channels to deliver. Raises as the Protocol says."""
        await self._source.follow(channels)
        self._is_wanted = bool(channels)

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            reason = await self._run_once()
            at = datetime.now(UTC)
            state = FeedState(account_id=None, live=False, reason=reason, at=at)
            self._deliver(self._place, state, self._label)
            if self._is_wanted:
                self._failures += 1
                await asyncio.sleep(pause_s(self._failures))

    async def close(self) -> None:
        """Close the source."""
        self._is_wanted = False
        await self._source.close()

    async def _run_once(self) -> str:
        try:
            await self._source.run()
        except PerpDexError as error:
            if isinstance(error, InvalidInput):
                self._refused()
            if self._failures == 0:
                _log.warning("a market feed failed: %s", error)
            return str(error)
        except Exception:  # noqa: BLE001 - whatever a feed does, it is followed anew
            _log.exception("a market feed failed, following it anew")
            return "it failed"
        return "it ended"

    def _take(self, place: Place, event: MarketEvent, source: str) -> None:
        if isinstance(event, FeedState) and event.live:
            self._failures = 0
        self._deliver(place, event, source)
