"""`perp-dex market`: what can be traded, and present books."""

from __future__ import annotations

from itertools import zip_longest
from typing import Annotated

import typer

from cli import market_watch
from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json, NetworkName, Symbol, Venue
from cli.output import print_fields, print_json, print_table

app = typer.Typer(no_args_is_help=True, help="Look at markets.")
app.command("watch")(market_watch.watch)


@app.command("list")
def list_markets(venue: Venue = None, network: NetworkName = None, as_json: Json = False) -> int:
    """List markets with their steps and minimums."""
    found = ask(lambda client: client.markets(venue=venue, network=network))
    if as_json:
        print_json({"markets": found})
    else:
        print_table(
            ("symbol", "venue", "lot", "min value", "max leverage", "state"),
            [
                (
                    m.symbol,
                    f"{m.venue} ({m.network})",
                    m.lot_size,
                    m.min_notional,
                    m.max_leverage,
                    m.state,
                )
                for m in found
            ],
            right=("lot", "min value", "max leverage"),
        )
    return ExitCode.DONE


@app.command("info")
def info(
    symbol: Symbol, venue: Venue = None, network: NetworkName = None, as_json: Json = False
) -> int:
    """Show one market."""
    market = ask(lambda client: client.market(symbol, venue=venue, network=network))
    if as_json:
        print_json(market)
    else:
        fields = ((name, getattr(market, name)) for name in market.__struct_fields__)
        print_fields((name.replace("_", " "), value) for name, value in fields)
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
