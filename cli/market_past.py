"""`perp-dex market trades|funding|candles`: a market's past, and how old the answer is."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json, NetworkName, Symbol, Venue
from cli.output import json_ready, print_fields, print_json, print_table, safe, say

if TYPE_CHECKING:
    from perp_dex_client import (
        FundingRate,
        MarketCandles,
        MarketFunding,
        MarketTrades,
        PerpDexClient,
    )

    Past = MarketTrades | MarketFunding | MarketCandles

#: Names every venue where one is expected.
ALL: Final = "all"

Limit = Annotated[int, typer.Option("--limit", min=1, max=500, help="So many of them at most.")]
Until = Annotated[
    str | None, typer.Option("--until", help="Where they end, such as 2026-01-31T12:00Z; else now.")
]


def trades(
    symbol: Symbol,
    limit: Limit = 20,
    venue: Venue = None,
    network: NetworkName = None,
    as_json: Json = False,
) -> int:
    """Show a market's last trades, newest first: perp-dex market trades BTC-PERP --limit 5"""
    found = ask(
        lambda client: client.market_data.trades(symbol, limit=limit, venue=venue, network=network)
    )
    if as_json:
        print_json(found)
        return ExitCode.DONE
    _print_head(found)
    print_table(
        ("time", "taker", "price", "quantity", "trade id"),
        [
            (each.event_time, each.aggressor_side or "-", each.price, each.quantity, each.trade_id)
            for each in found.trades
        ],
        right=("price", "quantity"),
        whole=("time",),
    )
    return ExitCode.DONE


def funding(
    symbol: Symbol,
    days: Annotated[
        int, typer.Option("--days", min=1, max=90, help="So many days back at most.")
    ] = 7,
    limit: Limit = 24,
    venue: Venue = None,
    network: NetworkName = None,
    as_json: Json = False,
) -> int:
    """Show a market's funding now and before; with --venue all, of every venue beside the others.

    perp-dex market funding BTC-PERP --venue all
    """
    # By whole minutes, so that equal questions are equal.
    minute = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    if venue == ALL:
        return _funding_of_all(symbol, network, as_json=as_json)
    found = ask(
        lambda client: client.market_data.funding(
            symbol, since=minute - timedelta(days=days), limit=limit, venue=venue, network=network
        )
    )
    if as_json:
        print_json(found)
        return ExitCode.DONE
    _print_head(found, (("now", _rate_text(found.present)),))
    print_table(
        ("time", "rate %", "every", "a year %"),
        [
            (each.event_time, percent(each.rate), _hours(each), percent(each.annual_rate))
            for each in found.rates
        ],
        right=("rate %", "a year %"),
        whole=("time",),
    )
    return ExitCode.DONE


def candles(
    symbol: Symbol,
    interval: Annotated[
        str, typer.Option("--interval", help="As the venue has them, such as 1m, 1h or 1d.")
    ] = "1h",
    limit: Limit = 24,
    until: Until = None,
    venue: Venue = None,
    network: NetworkName = None,
    as_json: Json = False,
) -> int:
    """Show a market's candles, oldest first: perp-dex market candles BTC-PERP --interval 5m"""
    ends = _moment(until)
    found = ask(
        lambda client: client.market_data.candles(
            symbol, interval, until=ends, limit=limit, venue=venue, network=network
        )
    )
    if as_json:
        print_json(found)
        return ExitCode.DONE
    _print_head(found, (("interval", found.interval),))
    numbers = ("open", "high", "low", "close", "volume")
    print_table(
        ("begins", *numbers, ""),
        [
            (
                each.open_time,
                *(each.open, each.high, each.low, each.close, each.volume),
                "" if each.closed else "goes on",
            )
            for each in found.candles
        ],
        right=numbers,
        whole=("begins",),
    )
    return ExitCode.DONE


def percent(fraction: Decimal | None) -> Decimal | None:
    """Return a fraction in percent."""
    return None if fraction is None else fraction * 100


def _funding_of_all(symbol: str, network: str | None, *, as_json: bool) -> int:
    found = ask(lambda client: _asked_of_all(client, symbol, network))
    if as_json:
        print_json({"symbol": symbol, "venues": [_document(*each) for each in found]})
    elif found:
        print_table(
            ("venue", "now %", "every", "a year %", "last applied", "last %", "as of"),
            [_row(*each) for each in found],
            right=("now %", "a year %", "last %"),
        )
    if not found:
        say(f"no venue has a market {symbol}; see `perp-dex market list`")
        return ExitCode.NOT_FOUND
    return ExitCode.DONE


async def _asked_of_all(
    client: PerpDexClient, symbol: str, network: str | None
) -> list[tuple[str, MarketFunding | None, str | None]]:
    """Return each venue with its funding, or with why there is none; one does not stop others."""
    from perp_dex_client import ApiError

    async def one(venue: str) -> tuple[str, MarketFunding | None, str | None]:
        try:
            asked = client.market_data.funding(symbol, limit=1, venue=venue, network=network)
            return venue, await asked, None
        except ApiError as error:
            return venue, None, str(error)

    markets = await client.markets(symbol=symbol, network=network)
    return list(await asyncio.gather(*(one(market.venue) for market in markets)))


def _row(venue: str, found: MarketFunding | None, problem: str | None) -> tuple[object, ...]:
    if found is None:
        return (venue, None, None, None, None, None, problem)
    now, last = found.present, found.rates[0] if found.rates else None
    return (
        venue,
        percent(now.rate) if now else None,
        _hours(now) if now else None,
        percent(now.annual_rate) if now else None,
        last.event_time if last else None,
        percent(last.rate) if last else None,
        _as_of(found),
    )


def _document(venue: str, found: MarketFunding | None, problem: str | None) -> dict[str, Any]:
    return {"venue": venue, "funding": json_ready(found), "problem": problem}


def _print_head(found: Past, further: tuple[tuple[str, object], ...] = ()) -> None:
    print_fields(
        (
            ("market", f"{found.venue} {found.symbol} ({found.network})"),
            *further,
            ("as of", _as_of(found)),
        )
    )


def _as_of(found: Past) -> str:
    old = ", an older answer: the venue does not answer now" if found.stale else ""
    return f"{found.age_ms} ms ago, by {safe(found.source)}{old}"


def _rate_text(rate: FundingRate | None) -> str | None:
    if rate is None:
        return None
    each, a_year = safe(percent(rate.rate)), safe(percent(rate.annual_rate))
    return f"{each} % every {_hours(rate)}, {a_year} % a year"


def _hours(rate: FundingRate) -> str:
    return f"{rate.interval_s / 3600:g} h"


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None:
        raise typer.BadParameter(
            f"--until: expected a time such as 2026-01-31T12:00Z, found {text[:40]!r}"
        )
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
