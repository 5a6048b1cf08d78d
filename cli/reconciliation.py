"""`perp-dex account reconcile` and `account findings`: compare with the venue, see differences."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from perp_dex_client import PerpDexClient, Reconciliation, Reconciliations

_WAIT_S: Final = 5.0
_LONG_WAIT_S: Final = 25.0
_WAIT_MAX_S: Final = 600.0
_LOOKED_AT: Final = 200
_CODES: Final = {
    "PASSED": ExitCode.DONE,
    "INCOMPLETE": ExitCode.PARTLY_DONE,
    "FAILED": ExitCode.UNREACHABLE,
}

AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Label or id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended, ten minutes at most.")]
Full = Annotated[bool, typer.Option("--full", help="Read every fill since the account was added.")]
Shown = Annotated[
    int, typer.Option("--limit", min=1, max=100, help="So many reconciliations with findings.")
]


def reconcile(
    account: AccountName, wait: Wait = False, full: Full = False, as_json: Json = False
) -> int:
    """Compare an account with its venue now: perp-dex account reconcile main --wait

    Missing fills are booked, ended orders ended, orders made elsewhere labelled; nothing is sent
    to the venue and nothing canceled.
    """
    key = str(uuid.uuid4())

    async def work(client: PerpDexClient) -> Reconciliation | None:
        give_up_at = time.monotonic() + (_WAIT_MAX_S if wait else 0.0)
        while True:
            done = await client.reconciliations.reconcile(
                account, full=full, key=key, wait_s=_LONG_WAIT_S if wait else _WAIT_S
            )
            if done is not None or time.monotonic() >= give_up_at:
                return done

    done = ask(work)
    if done is None:
        say(f"still under way; `perp-dex account findings {account}` shows what it finds")
        if as_json:
            print_json({"account": account, "status": "RUNNING"})
        return ExitCode.STILL_LIVE
    if as_json:
        print_json(done)
    else:
        _print(done)
    return _CODES.get(done.status, ExitCode.STILL_LIVE)


def findings(account: AccountName, limit: Shown = 5, as_json: Json = False) -> int:
    """Show what the newest reconciliations of an account found, and whether it is due."""

    async def work(client: PerpDexClient) -> tuple[Reconciliations, list[Reconciliation]]:
        listed = await client.reconciliations.of_account(account, limit=_LOOKED_AT)
        told = [each for each in listed.reconciliations if each.found][:limit]
        return listed, [
            await client.reconciliations.get(account, each.reconciliation_id) for each in told
        ]

    listed, told = ask(work)
    if as_json:
        print_json(
            {
                "account": listed.account,
                "account_id": listed.account_id,
                "due_since": listed.due_since,
                "newest": listed.reconciliations[0] if listed.reconciliations else None,
                "reconciliations": told,
            }
        )
        return ExitCode.DONE
    if listed.due_since is not None:
        say(f"due since {listed.due_since}: no new exposure before a reconciliation has passed")
    if not listed.reconciliations:
        say("this account was not reconciled yet")
    elif not told:
        newest = listed.reconciliations[0]
        say(f"no findings; the newest reconciliation, of {newest.started_at}: {newest.status}")
    for each in told:
        _print(each)
    return ExitCode.DONE


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex account`."""
    app.command("reconcile")(reconcile)
    app.command("findings")(findings)


def _print(done: Reconciliation) -> None:
    counts = done.counts
    print_fields(
        (
            ("reconciliation", done.reconciliation_id),
            ("status", done.status),
            ("began", f"{done.started_at} ({done.reason})"),
            ("ended", done.ended_at),
            ("read", f"{counts.orders_seen} orders, {counts.fills_seen} fills"),
            ("repaired", f"{counts.fills_booked} fills booked, {counts.orders_folded} folded"),
            ("error", done.error),
        )
    )
    if done.findings:
        print_table(
            ("kind", "state", "symbol", "what differed"),
            [(each.kind, each.state, each.symbol, each.text) for each in done.findings],
            whole=("kind", "state"),
        )
    else:
        say("no differences")
