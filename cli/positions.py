"""`perp-dex position`: looking at positions, closing them, and closing them on conditions."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from cli import position_close, position_watch
from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Account, Group, Json, Venue
from cli.output import print_fields, print_json, print_table, say
from domain.positions import Protection

if TYPE_CHECKING:
    from perp_dex_client import Exposure, Position, Positions

app = typer.Typer(no_args_is_help=True, help="Look at positions and close them.")
position_close.register(app)
position_watch.register(app)

_STALE_S = 60.0

Live = Annotated[bool, typer.Option("--live", help="Ask the exchanges first.")]


@app.command("list")
def list_positions(
    venue: Venue = None,
    account: Account = None,
    group: Group = None,
    live: Live = False,
    as_json: Json = False,
) -> int:
    """List open positions: perp-dex position list --dex hyperliquid"""
    found = ask(
        lambda client: client.positions.all(venue=venue, account=account, group=group, live=live)
    )
    if as_json:
        print_json(found)
    else:
        _print_positions(found.positions)
        _warn(found)
    return ExitCode.DONE


@app.command("info")
def info(
    position: Annotated[
        str, typer.Argument(metavar="SYMBOL", help="A symbol, or account:symbol for one account.")
    ],
    live: Live = False,
    as_json: Json = False,
) -> int:
    """Show a market's positions, each and together: perp-dex position info BTC-PERP"""
    found = ask(lambda client: client.positions.of(position, live=live))
    if as_json:
        print_json(found)
        return ExitCode.DONE
    if not found.positions:
        say(f"no open position in {position}")
    for number, each in enumerate(found.positions):
        if number:
            print_fields((("", ""),))
        print_fields(_fields(each))
    if len(found.positions) > 1:
        print_fields((("", ""),))
        _print_exposure([found.total])
    _warn(found)
    return ExitCode.DONE


@app.command("pnl")
def pnl(
    unrealized: Annotated[
        bool, typer.Option("--unrealized", help="Only of what is open now.")
    ] = False,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=3_650, help="Of the last so many days.")
    ] = None,
    venue: Venue = None,
    account: Account = None,
    group: Group = None,
    as_json: Json = False,
) -> int:
    """Show profit and loss, fees and funding apart: perp-dex position pnl --days 7"""
    if unrealized:
        if days is not None:
            raise typer.BadParameter("--days: what is unrealised is of now; expected none")
        return _print_unrealized(venue, account, group, as_json=as_json)
    found = ask(
        lambda client: client.positions.pnl(days=days, venue=venue, account=account, group=group)
    )
    if as_json:
        print_json(found)
        return ExitCode.DONE
    columns = ("account", "symbol", "realized", "fees", "funding", "net", "volume", "fills")
    rows: list[tuple[object, ...]] = [
        (
            row.account,
            row.symbol,
            row.realized_pnl,
            row.fees,
            row.funding,
            row.net_pnl,
            row.volume,
            row.fill_count,
        )
        for row in found.rows
    ]
    rows.append(("total", "", found.realized_pnl, found.fees, found.funding, found.net_pnl, "", ""))
    print_table(columns, rows, right=columns[2:])
    print_fields((("unrealized now", found.unrealized_pnl),))
    return ExitCode.DONE


@app.command("risk")
def risk(
    venue: Venue = None,
    account: Account = None,
    group: Group = None,
    live: Live = False,
    as_json: Json = False,
) -> int:
    """Show exposure, margin, and how far each position is from liquidation, nearest first."""
    found = ask(
        lambda client: client.positions.all(venue=venue, account=account, group=group, live=live)
    )
    nearest = sorted(
        found.positions,
        key=lambda p: Decimal(1_000) if p.liquidation_distance is None else p.liquidation_distance,
    )
    if as_json:
        print_json(
            {
                "positions": nearest,
                "total": found.total,
                "by_symbol": found.by_symbol,
                "by_venue": found.by_venue,
                "by_account": found.by_account,
            }
        )
        return ExitCode.DONE
    columns = (
        "position",
        "side",
        "notional",
        "share",
        "leverage",
        "margin",
        "mark",
        "liquidation",
        "distance",
        "protected by",
    )
    print_table(
        columns,
        [
            (
                f"{p.account}:{p.symbol}",
                p.side,
                p.notional,
                _share(p.notional, found.total.gross),
                p.leverage,
                p.initial_margin,
                p.mark_price,
                p.liquidation_price,
                _percent(p.liquidation_distance),
                _protection(p),
            )
            for p in nearest
        ],
        right=columns[2:9],
        whole=("position",),
    )
    for title, rows in (
        ("by symbol", found.by_symbol),
        ("by venue", found.by_venue),
        ("by account", found.by_account),
    ):
        print_fields((("", ""), (title, "")))
        _print_exposure(rows)
    print_fields((("", ""),))
    _print_exposure([found.total])
    _warn(found)
    return ExitCode.DONE


def _print_unrealized(
    venue: str | None, account: str | None, group: str | None, *, as_json: bool
) -> int:
    found = ask(lambda client: client.positions.all(venue=venue, account=account, group=group))
    if as_json:
        print_json({"positions": found.positions, "total": found.total})
        return ExitCode.DONE
    columns = ("position", "side", "quantity", "entry", "mark", "unrealized", "net")
    rows: list[tuple[object, ...]] = [
        (
            f"{p.account}:{p.symbol}",
            p.side,
            p.quantity,
            p.entry_price,
            p.mark_price,
            p.unrealized_pnl,
            p.net_pnl,
        )
        for p in found.positions
    ]
    rows.append(("total", "", "", "", "", found.total.unrealized_pnl, ""))
    print_table(columns, rows, right=columns[2:], whole=("position",))
    _warn(found)
    return ExitCode.DONE


def _print_positions(positions: Sequence[Position]) -> None:
    columns = (
        "position",
        "venue",
        "side",
        "quantity",
        "entry",
        "mark",
        "unrealized",
        "realized",
        "fees",
        "funding",
        "liquidation",
        "protected by",
    )
    print_table(
        columns,
        [
            (
                f"{p.account}:{p.symbol}",
                p.venue,
                p.side,
                p.quantity,
                p.entry_price,
                p.mark_price,
                p.unrealized_pnl,
                p.realized_pnl,
                p.fees,
                p.funding,
                p.liquidation_price,
                _protection(p),
            )
            for p in positions
        ],
        right=columns[3:11],
        whole=("position",),
    )


def _print_exposure(rows: Sequence[Exposure]) -> None:
    columns = ("", "long", "short", "gross", "net", "unrealized", "margin")
    print_table(
        columns,
        [
            (
                row.key,
                row.long,
                row.short,
                row.gross,
                row.net,
                row.unrealized_pnl,
                row.initial_margin,
            )
            for row in rows
        ],
        right=columns[1:],
    )


def _fields(p: Position) -> tuple[tuple[str, object], ...]:
    return (
        ("position", f"{p.account}:{p.symbol}"),
        ("position id", p.position_id),
        ("venue", p.venue),
        ("side", p.side),
        ("quantity", p.quantity),
        ("notional", p.notional),
        ("entry price", p.entry_price),
        ("mark price", p.mark_price),
        ("mark seen at", p.mark_at),
        ("unrealized", p.unrealized_pnl),
        ("realized", p.realized_pnl),
        ("fees", p.fees),
        ("funding", p.funding),
        ("net", p.net_pnl),
        ("liquidation price", p.liquidation_price),
        ("liquidation distance", _percent(p.liquidation_distance)),
        ("leverage", p.leverage),
        ("margin mode", p.margin_mode),
        ("initial margin", p.initial_margin),
        ("opened at", p.opened_at),
        ("protected by", _protection(p)),
        ("quantity is", "the venue's word" if p.source == "VENUE" else "counted from fills"),
        ("venue heard at", p.as_of),
    )


def _warn(found: Positions) -> None:
    for label in found.unread:
        say(f"account {label} could not be asked just now; what is shown is the last word of it")
    old = sorted({p.account for p in found.positions if p.age_s is None or p.age_s > _STALE_S})
    if old:
        say(f"the exchange was last heard over {_STALE_S:g} s ago on: {', '.join(old)}")


def _protection(position: Position) -> str:
    return "nobody" if position.protection == Protection.NONE else position.protection.lower()


def _share(part: Decimal | None, whole: Decimal) -> str:
    return "–" if part is None or not whole else f"{part / whole:.1%}"


def _percent(fraction: Decimal | None) -> str:
    return "–" if fraction is None else f"{fraction:.2%}"
