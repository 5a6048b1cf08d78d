"""`perp-dex sim`: move a simulated exchange, break it, and read what really happened there."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_fields, print_json, print_table
from cli.simulator import control, new_account
from cli.usage import optional_positive, positive

app = typer.Typer(no_args_is_help=True, help="Drive the local simulated exchange.")

Venue = Annotated[str, typer.Argument(metavar="VENUE", help="Such as hyperliquid.")]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC-PERP.")]


@app.command()
def price(
    venue: Venue,
    symbol: Symbol,
    new_price: Annotated[str, typer.Argument(metavar="PRICE")],
    as_json: Json = False,
) -> int:
    """Have the market trade at a price: perp-dex sim price hyperliquid BTC-PERP 44000"""
    body = {"symbol": symbol, "price": str(positive("PRICE", new_price))}
    return _show(control(venue, "POST", "/price", body=body), as_json)


@app.command()
def fill(
    venue: Venue,
    order: Annotated[
        str | None, typer.Argument(metavar="ORDER", help="Order id of ours or of the venue.")
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="Instead: its oldest resting order.")
    ] = None,
    quantity: Annotated[str | None, typer.Option("--quantity", help="Else all of it.")] = None,
    at: Annotated[str | None, typer.Option("--price", help="Else its own price.")] = None,
    as_json: Json = False,
) -> int:
    """Fill a resting order, wholly or partly."""
    if (order is None) == (symbol is None):
        raise typer.BadParameter("expected either ORDER or --symbol")
    wanted: dict[str, Any] = {"symbol": symbol} if order is None else _reference(order)
    for name, value in (("quantity", quantity), ("price", at)):
        number = optional_positive(f"--{name}", value)
        if number is not None:
            wanted[name] = str(number)
    return _show(control(venue, "POST", "/fill", body=wanted), as_json)


@app.command()
def fault(
    venue: Venue,
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND",
            help="drop-before-apply, drop-after-apply, delay, delay-answer, 429, 500-before, "
            "500-after, garble, duplicate, reorder, stall, maintenance, upgrade-gate.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", min=0, help="How often; 0: until cleared.")
    ] = None,
    delay_ms: Annotated[
        int | None, typer.Option("--delay-ms", min=1, help="For delay and delay-answer.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="Only for this action, such as order.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take back all faults.")] = False,
    as_json: Json = False,
) -> int:
    """Have the next requests go wrong: perp-dex sim fault hyperliquid drop-after-apply --count 1

    Without KIND, list the faults that are set.
    """
    if clear:
        if kind is not None:
            raise typer.BadParameter("expected KIND or --clear, found both")
        return _show(control(venue, "DELETE", "/faults"), as_json)
    if kind is None:
        return _show_rows(control(venue, "GET", "/faults"), "faults", as_json)
    given = {"kind": kind, "count": count, "delay_ms": delay_ms, "action": action}
    body = {name: value for name, value in given.items() if value is not None}
    return _show(control(venue, "POST", "/faults", body=body), as_json)


@app.command()
def book(venue: Venue, symbol: Symbol, as_json: Json = False) -> int:
    """Show the exchange's own book."""
    found = control(venue, "GET", "/book", query={"symbol": symbol})
    if as_json:
        return _show(found, as_json)
    print_fields((("mark price", found["mark_price"]),))
    for side in ("asks", "bids"):
        print_table((side, "quantity"), found[side], right=(side, "quantity"))
    return ExitCode.DONE


@app.command()
def ledger(
    venue: Venue,
    account: Annotated[str | None, typer.Option("--account", help="Only this address.")] = None,
    as_json: Json = False,
) -> int:
    """Show every order, fill and position as the exchange itself has them."""
    query = {"account": account} if account is not None else None
    found = control(venue, "GET", "/ledger", query=query)
    if as_json:
        return _show(found, as_json)
    for name in ("orders", "fills", "positions", "balances"):
        print_fields(((name, len(found.get(name, []))),))
        _show_rows(found, name, as_json)
    return ExitCode.DONE


@app.command("account")
def account_command(
    venue: Venue,
    new: Annotated[bool, typer.Option("--new", help="Make a funded account.")] = False,
    balance: Annotated[str | None, typer.Option("--balance", help="With --new.")] = None,
    name: Annotated[str, typer.Option("--name", help="With --new.")] = "",
    as_json: Json = False,
) -> int:
    """List accounts of the simulated exchange, or make one with its paper keys."""
    if not new:
        return _show_rows(control(venue, "GET", "/accounts"), "accounts", as_json)
    funds = optional_positive("--balance", balance)
    made = new_account(venue, balance=None if funds is None else str(funds), name=name)
    return _show(made.document, as_json)


def _reference(order: str) -> dict[str, Any]:
    if order.isascii() and order.isdigit():
        return {"venue_order_id": order}
    try:
        order_id = str(uuid.UUID(order))
    except ValueError:
        return {"client_order_id": order}
    # Which venue order stands for it now, a retry or a replacement perhaps, only the API knows.
    newest = ask(lambda client: client.order(order_id)).client_order_id
    if newest is None:
        raise typer.BadParameter(f"expected an order that reached the exchange, found {order_id}")
    return {"client_order_id": newest}


def _show(answer: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(answer)
    else:
        print_fields((name.replace("_", " "), value) for name, value in answer.items())
    return ExitCode.DONE


def _show_rows(answer: dict[str, Any], name: str, as_json: bool) -> int:
    if as_json:
        return _show(answer, as_json)
    rows: list[dict[str, Any]] = answer.get(name, [])
    if rows:
        columns = tuple(rows[0])
        print_table(columns, [[row.get(column) for column in columns] for row in rows])
    return ExitCode.DONE
