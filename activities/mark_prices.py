"""Mark prices for risk limits: asked of the venue only where a limit is measured by one.

The ledger says when it needs one; then it is read, for some seconds for all who ask, and the
command reserved again. Knows no limit.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypeVar

from domain.accounts import Network
from domain.errors import MarkPriceNeeded, VenueUnavailable
from domain.ledger import CommandDraft, CommandSlot, Reservation
from domain.ports import IntentLedger
from venues.connector import Connector

T = TypeVar("T")

FRESH = timedelta(seconds=5)
"""How long marks are kept. All of a venue's cost much of its rate budget (Hyperliquid: a 60th)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    marks: Mapping[str, Decimal]
    at: datetime


@dataclass
class MarkPrices:
    """The marks of every market, at most five seconds old; one question at a time per venue."""

    now: Callable[[], datetime]
    _seen: dict[tuple[str, Network], _Seen] = field(default_factory=dict)
    _asking: defaultdict[tuple[str, Network], asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    async def of(self, connector: Connector, symbol: str) -> Decimal:
        """Return a market's mark price.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
        """
        mark = (await self.all(connector)).get(symbol)
        if mark is None:
            raise VenueUnavailable(f"expected a mark price of {symbol}, the venue says none")
        return mark

    async def all(self, connector: Connector) -> Mapping[str, Decimal]:
        """Return the mark price of every market that has one."""
        place = (connector.venue, connector.network)
        async with self._asking[place]:
            seen = self._seen.get(place)
            if seen is None or self.now() - seen.at > FRESH:
                tickers = await connector.tickers()
                marks = {t.symbol: t.mark_price for t in tickers if t.mark_price is not None}
                seen = self._seen[place] = _Seen(marks=marks, at=self.now())
        return seen.marks


async def reserve_measured(
    ledger: IntentLedger,
    marks: MarkPrices,
    connector: Connector,
    draft: CommandDraft,
    *,
    spell_client_order_id: Callable[[int], str],
    compose: Callable[[CommandSlot], str],
) -> Reservation:
    """Reserve a command, with its market's mark price where a limit turns out to need it.

    Raises what `IntentLedger.reserve` raises, and:
        VenueUnavailable, VenueRefused: a limit needs the mark price, and the venue does not say.
    """
    return await measured(
        marks,
        connector,
        draft,
        lambda measured_draft: ledger.reserve(
            measured_draft, spell_client_order_id=spell_client_order_id, compose=compose
        ),
    )


async def measured(
    marks: MarkPrices,
    connector: Connector,
    draft: CommandDraft,
    reserve: Callable[[CommandDraft], Awaitable[T]],
) -> T:
    """Reserve by `reserve`, again with the market's mark price where a limit needs that."""
    try:
        return await reserve(draft)
    except MarkPriceNeeded:
        return await reserve(replace(draft, mark_price=await marks.of(connector, draft.symbol)))
