"""`perp-dex account group`: names under which several accounts are looked at together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from perp_dex_client import AccountGroup, PerpDexClient

app = typer.Typer(no_args_is_help=True, help="Group accounts, to look at them together.")

Name = Annotated[str, typer.Argument(metavar="GROUP", help="a-z, 0-9, '.', '_', '-'.")]
Members = Annotated[list[str], typer.Argument(metavar="ACCOUNT...", help="Labels or ids.")]


@app.command("list")
def list_groups(as_json: Json = False) -> int:
    """List groups and their accounts."""
    found = ask(lambda client: client.groups.all())
    if as_json:
        print_json({"groups": found})
    else:
        _print(found)
    return ExitCode.DONE


@app.command("show")
def show(group: Name, as_json: Json = False) -> int:
    """Show a group."""
    return _tell(ask(lambda client: client.groups.get(group)), as_json=as_json)


@app.command("set")
def set_group(group: Name, accounts: Members, as_json: Json = False) -> int:
    """Make a group of these accounts and no others: perp-dex account group set majors main desk"""
    return _tell(ask(lambda client: client.groups.set(group, tuple(accounts))), as_json=as_json)


@app.command("add")
def add(group: Name, accounts: Members, as_json: Json = False) -> int:
    """Add accounts to a group, which is made where there is none."""

    async def work(client: PerpDexClient) -> AccountGroup:
        for account in accounts[:-1]:
            await client.groups.add(group, account)
        return await client.groups.add(group, accounts[-1])

    return _tell(ask(work), as_json=as_json)


@app.command("remove")
def remove(group: Name, accounts: Members, as_json: Json = False) -> int:
    """Take accounts out of a group; the last one takes the group with it."""

    async def work(client: PerpDexClient) -> AccountGroup:
        for account in accounts[:-1]:
            await client.groups.drop(group, account)
        return await client.groups.drop(group, accounts[-1])

    return _tell(ask(work), as_json=as_json)


@app.command("delete")
def delete(group: Name, as_json: Json = False) -> int:
    """Take a group apart; its accounts stay as they are."""
    return _tell(ask(lambda client: client.groups.delete(group)), as_json=as_json)


def _tell(group: AccountGroup, *, as_json: bool) -> int:
    if as_json:
        print_json(group)
    elif group.accounts:
        _print([group])
    else:
        say(f"{group.name} has no accounts, so it is no group any more")
    return ExitCode.DONE


def _print(groups: Sequence[AccountGroup]) -> None:
    rows = [
        (group.name, each.account, each.venue, each.network, each.state, each.account_id)
        for group in groups
        for each in group.accounts
    ]
    print_table(
        ("group", "account", "venue", "network", "state", "account id"), rows, whole=("account id",)
    )
