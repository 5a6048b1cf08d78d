"""`perp-dex account`: registering and listing; the rest is in its other files.

A key is never an argument of a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import account_changes, account_groups, reconciliation, trading_setup
from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.key_input import read_key
from cli.options import Group, Json, Venue
from cli.output import print_fields, print_json, print_table, say
from cli.usage import one_of

if TYPE_CHECKING:
    from perp_dex_client import Account

app = typer.Typer(no_args_is_help=True, help="Register and look at accounts.")
account_changes.register(app)
trading_setup.register(app)
reconciliation.register(app)
app.add_typer(account_groups.app, name="group")

VenueName = Annotated[str, typer.Option("--venue", "--dex", help="Name of the exchange.")]


@app.command("list")
def list_accounts(venue: Venue = None, group: Group = None, as_json: Json = False) -> int:
    """List accounts, oldest first."""
    found = ask(lambda client: client.account_details.of(venue=venue, group=group))
    if as_json:
        print_json({"accounts": found})
    else:
        print_table(
            ("account id", "label", "venue", "network", "address", "state", "default", "reason"),
            [
                (
                    a.account_id,
                    a.label,
                    a.venue,
                    a.network,
                    a.address,
                    a.state,
                    a.is_default,
                    a.state_reason,
                )
                for a in found
            ],
            whole=("account id", "label", "state"),
        )
    return ExitCode.DONE


@app.command("add")
def add(
    venue: VenueName,
    label: Annotated[str | None, typer.Option("--label", help="Your name for it.")] = None,
    network: Annotated[
        str | None, typer.Option("--network", help="mainnet, testnet or paper; fixed for ever.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="The account itself at the venue; no secret.")
    ] = None,
    key_file: Annotated[
        str | None,
        typer.Option("--key-file", help="File with the signing key, '-' for stdin; else a prompt."),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Make a funded account at the local simulator.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Register an account: perp-dex account add --dex hyperliquid --paper

    The key is never an argument: it would stay in the shell's history. It is sealed as soon as it
    arrives and never shown again.
    """
    if paper:
        for option, value in (("--address", address), ("--key-file", key_file)):
            if value is not None:
                raise typer.BadParameter(f"{option}: expected none with --paper")
        one_of("--network", network or "paper", ("paper",))
        return _add_paper(venue, label or "paper", as_json=as_json)
    if address is None:
        raise typer.BadParameter("--address: expected the account's address at the venue")
    if network is None:
        raise typer.BadParameter("--network: expected mainnet, testnet or paper")
    one_of("--network", network, ("mainnet", "testnet", "paper"))
    return _register(venue, label or "main", network, address, read_key(key_file), as_json=as_json)


def _add_paper(venue: str, label: str, *, as_json: bool) -> int:
    from cli.simulator import new_account

    made = new_account(venue)
    say(f"made a funded account {made.address} at the simulator")
    return _register(venue, label, "paper", made.address, made.private_key, as_json=as_json)


def _register(
    venue: str, label: str, network: str, address: str, private_key: str, *, as_json: bool
) -> int:
    account = ask(
        lambda client: client.add_account(
            venue=venue,
            label=label,
            network=network,
            address=address,
            private_key=private_key,
        )
    )
    _print(account, as_json=as_json)
    if account.state == "ACTIVE":
        return ExitCode.DONE
    say(f"the credential is still being checked; see `perp-dex account info {account.label}`")
    return ExitCode.STILL_LIVE


def _print(account: Account, *, as_json: bool) -> None:
    if as_json:
        print_json(account)
        return
    print_fields(
        (
            ("account", account.account_id),
            ("label", account.label),
            ("venue", f"{account.venue} ({account.network})"),
            ("address", account.address),
            ("signer", account.signer),
            ("state", account.state),
            ("reason", account.state_reason),
            ("default", account.is_default),
            ("halted", account.halted),
        )
    )
