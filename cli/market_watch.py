"""Following markets: `perp-dex market watch SYMBOL…` and `perp-dex monitor market SYMBOL`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.connection import connected
from cli.exit_codes import ExitCode
from cli.following import Ending, follow
from cli.live_table import View
from cli.monitor_options import Count, For, JsonLines, Stream, find_stream
from cli.options import NetworkName, Symbol, Venue

if TYPE_CHECKING:
    from perp_dex_client import Market, MarketWanted

Symbols = Annotated[list[str], typer.Argument(metavar="SYMBOL…", help="Such as BTC-PERP ETH-PERP.")]
Best = Annotated[
    bool, typer.Option("--best", help="The best prices over all venues, instead of one venue's.")
]


def watch(
    symbols: Symbols,
    venue: Venue = None,
    network: NetworkName = None,
    best: Best = False,
    for_s: For = None,
    count: Count = None,
    as_json: JsonLines = False,
) -> int:
    """Follow prices of markets: perp-dex market watch BTC-PERP ETH-PERP

    It goes on through restarts of the server. Ctrl-C ends it with code 130.
    """
    from cli.market_views import MarketsView
    from perp_dex_client import MarketWanted

    if best and venue is not None:
        raise typer.BadParameter("--best: expected without --venue; it shows all venues together")
    ending = Ending(seconds=for_s, messages=count)

    async def run() -> ExitCode:
        markets = await _markets(symbols, venue, network)
        wanted: list[MarketWanted] = []
        for market in markets:
            of = {"symbol": market.symbol, "network": market.network}
            shown = None if best else market.venue
            wanted.append(MarketWanted(channel="top", venue=shown, **of))
            if not best:
                wanted.append(MarketWanted(channel="ticker", venue=market.venue, **of))
        view = MarketsView(time.monotonic)
        return await _followed(wanted, view, ending, as_json=as_json)

    return asyncio.run(run())


def monitor_market(
    symbol: Symbol,
    venue: Venue = None,
    network: NetworkName = None,
    depth: Annotated[int, typer.Option("--depth", min=1, max=100, help="Levels a side.")] = 10,
    for_s: For = None,
    count: Count = None,
    as_json: JsonLines = False,
) -> int:
    """Follow one market with its book and trades: perp-dex monitor market BTC-PERP

    It goes on through restarts of the server. Ctrl-C ends it with code 130.
    """
    from cli.market_views import OneMarketView
    from perp_dex_client import MarketWanted

    ending = Ending(seconds=for_s, messages=count)

    async def run() -> ExitCode:
        [market] = await _markets([symbol], venue, network)
        of = {"symbol": market.symbol, "venue": market.venue, "network": market.network}
        wanted = [
            MarketWanted(channel="ticker", **of),
            MarketWanted(channel="book", **of),
            MarketWanted(channel="trades", **of),
        ]
        title = f"{market.symbol} {market.venue} ({market.network})"
        view = OneMarketView(title, depth, time.monotonic)
        return await _followed(wanted, view, ending, as_json=as_json)

    return asyncio.run(run())


async def _markets(symbols: Sequence[str], venue: str | None, network: str | None) -> list[Market]:
    """Return the markets that were meant, each once, in the order asked."""
    async with connected() as client:
        return [
            await client.market(symbol, venue=venue, network=network)
            for symbol in dict.fromkeys(symbols)
        ]


async def _followed(
    wanted: Sequence[MarketWanted], view: View[Any], ending: Ending, *, as_json: bool
) -> ExitCode:
    from perp_dex_client import watch_markets

    stream: Stream = await find_stream(None)

    def events(on_connection: Callable[[bool, str], None]) -> AsyncGenerator[Any, None]:
        return watch_markets(stream.url, stream.token, wanted, on_connection=on_connection)

    return await follow(events, view, ending, as_json=as_json)
