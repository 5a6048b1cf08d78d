"""Asking a venue everything that is public, once, and listening to its public channels a while.

What comes is kept by the tap; what cannot be asked is told in words. Sends no command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain.accounts import Network
from domain.errors import PerpDexError
from domain.instruments import Instrument
from venues import wire_tap
from venues.connector import Connector, MarketChannel, MarketChannelKind, VenueSpec
from venues.shapes import Shape
from venues.wire_tap import Kept, Tap

_BUSIEST: Final = "BTC-PERP"
_CANDLES: Final = "1m"
_KEPT_MAX: Final = 5_000


async def live_payloads(
    spec: VenueSpec, network: Network, shapes: tuple[Shape, ...], listen_s: float
) -> tuple[tuple[Kept, ...], tuple[str, ...]]:
    """Return the payloads that came, and what could not be asked or heard.

    Raises:
        VenueUnavailable, VenueRefused: the venue does not even tell its markets.
        InvalidInput: it is not set up on that network.
    """
    tap = Tap((shape.kind for shape in shapes), one_in=1, kept_max=_KEPT_MAX)
    wire_tap.install(tap)
    connector = spec.connect(network)
    try:
        await connector.start()
        markets = await connector.instruments(refresh=True)
        market = _busiest(markets)
        missed = [*await _asked(connector, market.symbol)]
        missed += await _heard(spec, network, market, listen_s)
    finally:
        wire_tap.install(None)
        await connector.close()
    return tap.take(), tuple(missed)


def _busiest(markets: tuple[Instrument, ...]) -> Instrument:
    return next((market for market in markets if market.symbol == _BUSIEST), markets[0])


async def _asked(connector: Connector, symbol: str) -> list[str]:
    now = datetime.now(UTC)
    questions: dict[str, Callable[[], Awaitable[Any]]] = {
        "tickers": connector.tickers,
        "order book": lambda: connector.order_book(symbol),
        "trades": lambda: connector.recent_trades(symbol),
        "candles": lambda: connector.candles(
            symbol, _CANDLES, start=now - timedelta(hours=1), end=now
        ),
        "funding rates": lambda: connector.funding_rates(symbol, since=now - timedelta(days=1)),
    }
    missed = []
    for name, ask in questions.items():
        try:
            await ask()
        except PerpDexError as error:
            missed.append(f"{name}: {error}")
    return missed


async def _heard(
    spec: VenueSpec, network: Network, market: Instrument, listen_s: float
) -> list[str]:
    feed = spec.market_feed(network, (market,))
    missed = []
    carried: list[MarketChannel] = []
    try:
        for kind in MarketChannelKind:
            interval = _CANDLES if kind is MarketChannelKind.CANDLES else None
            channel = MarketChannel(kind=kind, symbol=market.symbol, interval=interval)
            try:
                await feed.subscribe([*carried, channel])
            except PerpDexError as error:
                missed.append(f"channel {kind.value}: {error}")
                continue
            carried.append(channel)
        try:
            async with asyncio.timeout(listen_s):
                async for _ in feed.events():
                    pass
        except TimeoutError:
            pass
    finally:
        await feed.close()
    return missed
