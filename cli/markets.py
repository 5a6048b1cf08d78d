"""`perp-dex market`: what can be traded over all venues, present books and prices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated

import typer

from cli import market_past, market_watch
from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.market_past import ALL, percent
from cli.options import Json, NetworkName, Symbol, Venue
from cli.output import print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from perp_dex_client import Market

app = typer.Typer(no_args_is_help=True, help="Look at markets.")
app.command("watch")(market_watch.watch)
app.command("trades")(market_past.trades)
app.command("funding")(market_past.funding)
app.command("candles")(market_past.candles)


@app.command("list")
def list_markets(
    venue: Venue = None,
    network: NetworkName = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    as_json: Json = False,
) -> int:
    """List the markets of all venues: perp-dex market list --symbol BTC-PERP"""
    found = ask(lambda client: client.markets(venue=venue, network=network, symbol=symbol))
    if as_json:
        print_json({"markets": found})
    else:
        _print_markets(found)
    return ExitCode.DONE


def _print_markets(found: Sequence[Market]) -> None:
    """Print markets in a table: our spelling, and each venue's own beside it."""
    numbers = ("tick", "lot", "min quantity", "min value", "max leverage", "maker %", "taker %")
    print_table(
        ("symbol", "venue", "there", *numbers, "state"),
        [
            (
                m.symbol,
                f"{m.venue} ({m.network}{', experimental' if m.experimental else ''})",
                m.venue_symbol,
                _tick(m),
                m.lot_size,
                m.min_quantity,
                m.min_notional,
                m.max_leverage,
                percent(m.maker_fee),
                percent(m.taker_fee),
                m.state,
            )
            for m in found
        ],
        right=numbers,
        whole=("symbol",),
    )


def _tick(market: Market) -> object:
    if market.tick_size is not None or market.price_significant_figures is None:
        return market.tick_size
    return f"{market.price_significant_figures} figures"


@app.command("info")
def info(
    symbol: Symbol, venue: Venue = None, network: NetworkName = None, as_json: Json = False
) -> int:
    """Show one market; with --venue all, of every venue beside the others."""
    if venue == ALL:
        return _info_of_all(symbol, network, as_json=as_json)
    market = ask(lambda client: client.market(symbol, venue=venue, network=network))
    if as_json:
        print_json(market)
    else:
        fields = ((name, getattr(market, name)) for name in market.__struct_fields__)
        print_fields((name.replace("_", " "), value) for name, value in fields)
    return ExitCode.DONE


def _info_of_all(symbol: str, network: str | None, *, as_json: bool) -> int:
    found = ask(lambda client: client.markets(symbol=symbol, network=network))
    if as_json:
        print_json({"symbol": symbol, "venues": found})
    elif found:
        _print_markets(found)
    if not found:
        say(f"no venue has a market {symbol}; see `perp-dex market list`")
        return ExitCode.NOT_FOUND
    return ExitCode.DONE


@app.command("orderbook")
def orderbook(
    symbol: Symbol,
    depth: Annotated[int, typer.Option("--depth", min=1, max=100, help="Levels a side.")] = 20,
    venue: Venue = None,
    network: NetworkName = None,
    as_json: Json = False,
) -> int:
    """Show a market's present book: perp-dex market orderbook BTC-PERP --depth 5"""
    book = ask(lambda client: client.order_book(symbol, depth=depth, venue=venue, network=network))
    if as_json:
        print_json(book)
        return ExitCode.DONE
    print_fields(
        (
            ("market", f"{book.venue} {book.symbol}"),
            ("mid price", book.mid_price),
            ("at", book.event_time),
        )
    )
    rows = [
        (
            bid.quantity if bid else "",
            bid.price if bid else "",
            ask_.price if ask_ else "",
            ask_.quantity if ask_ else "",
        )
        for bid, ask_ in zip_longest(book.bids, book.asks)
    ]
    columns = ("bid quantity", "bid", "ask", "ask quantity")
    print_table(columns, rows, right=columns)
    return ExitCode.DONE


@app.command("ticker")
def ticker(
    symbol: Symbol, venue: Venue = None, network: NetworkName = None, as_json: Json = False
) -> int:
    """Show a market's present prices: perp-dex market ticker BTC-PERP"""
    found = ask(lambda client: client.ticker(symbol, venue=venue, network=network))
    if as_json:
        print_json(found)
        return ExitCode.DONE
    print_fields(
        (
            ("market", f"{found.venue} {found.symbol} ({found.network})"),
            ("mark price", found.mark_price),
            ("index price", found.index_price),
            ("mid price", found.mid_price),
            ("best bid", found.best_bid),
            ("best ask", found.best_ask),
            ("as of", f"{found.age_ms} ms ago, by {found.source}"),
        )
    )
    return ExitCode.DONE
