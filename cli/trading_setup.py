"""`perp-dex account leverage|rotate`: how an account trades. A key is never an argument."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.key_input import read_key
from cli.options import Json, Symbol
from cli.output import print_fields, print_json, say
from cli.usage import one_of

AccountName = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Label or id.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex account`."""
    app.command("leverage")(leverage)
    app.command("rotate")(rotate)


def leverage(
    account: AccountName,
    symbol: Symbol,
    value: Annotated[int, typer.Argument(metavar="LEVERAGE", min=1, max=1000)],
    margin: Annotated[str, typer.Option("--margin", help="cross or isolated.")] = "cross",
    as_json: Json = False,
) -> int:
    """Set a market's leverage: perp-dex account leverage main BTC-PERP 5 --margin isolated"""
    mode = one_of("--margin", margin.lower(), ("cross", "isolated")).upper()
    found = ask(lambda client: client.setup.set_leverage(account, symbol, value, margin_mode=mode))
    if as_json:
        print_json(found)
    else:
        print_fields(
            (
                ("account", found.account),
                ("symbol", found.symbol),
                ("leverage", f"{found.leverage}x"),
                ("margin", found.margin_mode.lower()),
            )
        )
    if found.decided:
        return ExitCode.DONE
    say("not decided yet; the same command again tells")
    return ExitCode.STILL_LIVE


def rotate(
    account: AccountName,
    key_file: Annotated[
        str | None,
        typer.Option("--key-file", help="File with the new key, '-' for stdin; else a prompt."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Give an account another signing key, while it trades: perp-dex account rotate main

    The present key is used until the new one has proven to sign for the same account.
    """
    before = ask(lambda client: client.account(account))
    key = read_key(key_file)
    changed = ask(lambda client: client.setup.rotate(account, key))
    if as_json:
        print_json(changed)
    else:
        print_fields(
            (("account", changed.label), ("signer", changed.signer), ("state", changed.state))
        )
    if changed.signer != before.signer:
        return ExitCode.DONE
    say("the new key is still being checked, or is the one in use; the account trades on")
    return ExitCode.STILL_LIVE
