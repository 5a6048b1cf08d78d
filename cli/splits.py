"""`perp-dex trade split`, `splits`, `split-cancel` and `route`: orders that name no account."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.connection import RETRY_WITHIN_S, ask, connected
from cli.exit_codes import ExitCode
from cli.options import Json, Key, OrderId, Timeout
from cli.output import print_json, print_table, say
from cli.routing_output import print_routing, print_split, split_json
from cli.usage import one_of
from cli.waiting import order_id_of

if TYPE_CHECKING:
    from perp_dex_client import OrderRequest, Split

SplitId = Annotated[str, typer.Argument(metavar="SPLIT_ID", help="As printed when placed.")]
SplitIt = Annotated[
    bool,
    typer.Option("--split", help="Over several of your accounts, where that costs less."),
]

_COLUMNS: Final = ("created", "split id", "symbol", "side", "quantity", "filled", "status", "legs")
_PLACE_WAIT_S: Final = 5.0


def place_split_and_report(
    wanted: OrderRequest, *, wait_fill: bool, timeout_s: float, as_json: bool
) -> ExitCode:
    """Place a split order, with `wait_fill` wait for its end, print it; return the exit code."""
    split_id = order_id_of(wanted)
    say(f"split order {split_id}")
    try:
        found = asyncio.run(_place(wanted, timeout_s if wait_fill else None))
    except KeyboardInterrupt:
        say(
            f"interrupted; split order {split_id} is still working if it was placed. `perp-dex "
            f"trade split {split_id}` tells, `perp-dex trade split-cancel {split_id}` stops it"
        )
        return ExitCode.INTERRUPTED
    print_split(found, as_json=as_json)
    if wait_fill:
        return code_of_wait(found)
    if found.is_decided:
        return ExitCode.DONE
    say(f"not decided yet; follow it with `perp-dex trade split {split_id}`")
    return ExitCode.UNKNOWN


async def _place(wanted: OrderRequest, timeout_s: float | None) -> Split:
    began = time.monotonic()
    async with connected(retry_within_s=RETRY_WITHIN_S) as client:
        found = await client.splits.place(wanted, wait_s=_PLACE_WAIT_S)
        if timeout_s is None or found.is_terminal:
            return found
        say(f"{found.status}; waiting for the fills (Ctrl-C leaves the orders working)")
        left_s = max(timeout_s - (time.monotonic() - began), 0.0)
        return await client.splits.wait(found.split_id, timeout_s=left_s)


def code_of_wait(found: Split) -> ExitCode:
    """Return what a split order's state at the end of a wait for its fills means."""
    if found.status == "FILLED":
        return ExitCode.DONE
    if found.is_terminal:
        return ExitCode.PARTLY_DONE if found.filled_quantity > 0 else ExitCode.REFUSED
    return ExitCode.STILL_LIVE if found.is_decided else ExitCode.UNKNOWN


def split(
    split_id: SplitId,
    live: Annotated[bool, typer.Option("--live", help="Ask the running workflow.")] = False,
    wait_fill: Annotated[bool, typer.Option("--wait-fill", help="Wait until it ended.")] = False,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> int:
    """Show a split order with its children, or wait for its end again."""
    if wait_fill:
        found = ask(lambda client: client.splits.wait(split_id, timeout_s=timeout))
        print_split(found, as_json=as_json)
        return code_of_wait(found)
    found = ask(lambda client: client.splits.get(split_id, live=live))
    print_split(found, as_json=as_json)
    return ExitCode.DONE


def split_cancel(
    split_id: SplitId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False,
    timeout: Timeout = 60.0,
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Cancel every order of a split order. Exit code 5 if it had ended, 7 while that is unknown."""
    found = ask(lambda client: client.splits.cancel(split_id, key=key))
    if not found.is_terminal and wait:
        found = ask(lambda client: client.splits.wait(split_id, timeout_s=timeout))
    print_split(found, as_json=as_json)
    if found.is_terminal:
        return ExitCode.DONE
    say("the cancel is on its way; the end is not known yet")
    return ExitCode.STILL_LIVE


def splits(
    status: Annotated[str, typer.Option("--status", help="open, closed or all.")] = "open",
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    as_json: Json = False,
) -> int:
    """List split orders, newest first; open ones unless --status says otherwise."""
    status = one_of("--status", status, ("open", "closed", "all"))
    found = ask(lambda client: client.splits.page(status=status, symbol=symbol))
    if as_json:
        print_json([split_json(each) for each in found])
        return ExitCode.DONE
    rows = [
        (
            each.created_at,
            each.split_id,
            each.symbol,
            each.side,
            each.quantity,
            each.filled_quantity,
            each.status,
            len(each.legs),
        )
        for each in found
    ]
    print_table(_COLUMNS, rows, right=("quantity", "filled", "legs"), whole=("split id",))
    return ExitCode.DONE


def route(order_id: OrderId, as_json: Json = False) -> int:
    """Show why an order, or a split order, went where it went."""
    print_routing(ask(lambda client: client.routing(order_id)), as_json=as_json)
    return ExitCode.DONE


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex trade`."""
    app.command("split")(split)
    app.command("splits")(splits)
    app.command("split-cancel")(split_cancel)
    app.command("route")(route)
