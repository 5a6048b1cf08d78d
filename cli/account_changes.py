"""`perp-dex account rename|switch|remove|balance`: changing accounts, and the money in one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.account_session import session_fields
from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import json_ready, print_fields, print_json, print_table, safe, say

if TYPE_CHECKING:
    from perp_dex_client import AccountDetail, DeadMan, Holdings, PerpDexClient

AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Label or id.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex account`."""
    app.command("info")(info)
    app.command("balance")(balance)
    app.command("switch")(switch)
    app.command("rename")(rename)
    app.command("remove")(remove)


def info(account: AccountName, as_json: Json = False) -> int:
    """Show one account: its key, groups, limits, dead man's switch, what is open, its session."""

    async def work(client: PerpDexClient) -> tuple[AccountDetail, DeadMan]:
        return await client.account_details.get(account), await client.dead_man.get(account)

    detail, switch = ask(work)
    if as_json:
        print_json({**json_ready(detail), "dead_man": switch})
    else:
        _print(detail, _in_force(switch))
    return ExitCode.DONE


def balance(
    account: AccountName,
    last: Annotated[
        bool, typer.Option("--last", help="Do not ask the exchange; its last word.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Show an account's money by its exchange's word: perp-dex account balance main"""
    found = ask(lambda client: client.positions.balance(account, live=not last))
    if as_json:
        print_json(found)
        return ExitCode.DONE
    print_fields(
        (
            ("account", f"{safe(found.account)} ({safe(found.venue)})"),
            ("equity", found.equity),
            ("available", found.available),
            ("initial margin", found.initial_margin),
            ("maintenance margin", found.maintenance_margin),
            ("as of", f"{safe(found.as_of)} ({found.age_s:.0f} s ago, {safe(found.source)})"),
        )
    )
    if not last and found.source != "asked":
        say("the exchange did not answer in time; this is its last word")
    return ExitCode.DONE


def switch(account: AccountName, as_json: Json = False) -> int:
    """Make an account the default, used where none is named: perp-dex account switch main"""
    found = ask(lambda client: client.account_details.make_default(account))
    if as_json:
        print_json(found)
    else:
        say(f"{found.label} ({found.venue}, {found.network}) is the default account now")
    return ExitCode.DONE


def rename(
    account: AccountName,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="a-z, 0-9, '.', '_', '-'.")],
    as_json: Json = False,
) -> int:
    """Give an account another label; its id, orders and history stay."""
    found = ask(lambda client: client.account_details.rename(account, label))
    if as_json:
        print_json(found)
    else:
        say(f"{account} is {found.label} now")
    return ExitCode.DONE


def remove(
    account: AccountName,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also with orders or positions open, which then stay open."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Take an account out of use: perp-dex account remove main

    Nothing of it is canceled or closed. Refused (exit code 5) while orders or positions are open,
    unless forced. Its history stays readable.
    """
    from perp_dex_client import StateConflict
    from perp_dex_client.accounts import left_open

    if not yes and sys.stdin.isatty() and not _is_meant(account, force=force):
        say("not confirmed; nothing was done")
        return ExitCode.REFUSED
    try:
        removal = ask(lambda client: client.account_details.remove(account, force=force))
    except StateConflict as error:
        held = left_open(error)
        if held is not None and not as_json:
            _print_holdings(held)
        raise
    if as_json:
        print_json(removal)
        return ExitCode.DONE
    say(f"{removal.account.label} is out of use; its history stays")
    if not removal.left_open.is_empty:
        say(f"open at {removal.account.venue}, and looked after by nobody here:")
        _print_holdings(removal.left_open)
    return ExitCode.DONE


def _is_meant(account: str, *, force: bool) -> bool:
    found = ask(lambda client: client.account_details.get(account))
    open_ = "" if found.open.is_empty else f", {_in_words(found.open)} open"
    how = ", leaving open what is" if force else ""
    where = f"{found.label} at {found.venue} ({found.network}, {found.address}{open_})"
    return typer.confirm(safe(f"take {where} out of use{how}?"), err=True)


def _in_words(held: Holdings) -> str:
    counts = (
        (len(held.orders), "orders"),
        (len(held.positions), "positions"),
        (len(held.closes), "closes"),
        (len(held.brackets), "brackets"),
        (len(held.conditions), "conditional closes"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count)


def _print_holdings(held: Holdings) -> None:
    rows: list[tuple[str, str, object]] = [
        ("position", each.position_id, each.quantity) for each in held.positions
    ]
    for what, ids in (
        ("order", held.orders),
        ("close", held.closes),
        ("bracket", held.brackets),
        ("condition", held.conditions),
    ):
        rows += [(what, each, None) for each in ids]
    print_table(("what", "id", "quantity"), rows, right=("quantity",), whole=("id",))


def _in_force(switch: DeadMan) -> str:
    if switch.after_s is None:
        return "off"
    keeper = {"venue": "the venue's own", "watchdog": "our watchdog"}.get(switch.kept_by or "")
    return f"{switch.state}, {switch.after_s} s" + (f", {keeper}" if keeper else "")


def _print(account: AccountDetail, dead_man: str) -> None:
    expires = safe(account.credential_expires_at) if account.credential_expires_at else None
    limits = ", ".join(
        f"{name.replace('_', '-')} {safe(value)}"
        for name, value in account.risk_limits.items()
        if value is not None
    )
    print_fields(
        (
            ("account", account.account_id),
            ("label", account.label),
            ("venue", f"{account.venue} ({account.network})"),
            ("address", account.address),
            ("sub-account of", account.master_address),
            ("signer", account.signer),
            ("power", account.power),
            ("expires", f"{expires}, soon" if account.credential_expires_soon else expires),
            ("state", account.state),
            ("reason", account.state_reason),
            ("default", account.is_default),
            ("halted", account.halted),
            ("dead man's switch", dead_man),
            ("groups", ", ".join(account.groups) or None),
            ("limits", limits or None),
            ("open", _in_words(account.open) or "nothing"),
            *session_fields(account.session),
        )
    )
    if account.reconcile_due is not None:
        say(
            f"due to be reconciled since {safe(account.reconcile_due)}: no new exposure before that"
        )
