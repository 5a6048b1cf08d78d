"""`perp-dex trade bracket`, `brackets` and `bracket-end`: entries with a target and a stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Account, Json, Key
from cli.output import json_ready, print_fields, print_json, print_table, safe, say
from cli.usage import one_of, positive

if TYPE_CHECKING:
    from perp_dex_client import Bracket, Exit

BracketId = Annotated[
    str, typer.Argument(metavar="ORDER_ID", help="The entry's id, which is its bracket's.")
]
TakeProfit = Annotated[
    str | None,
    typer.Option("--take-profit", help="Exit what fills with this profit: a price, or 10%."),
]
StopLoss = Annotated[
    str | None,
    typer.Option("--stop-loss", help="Exit what fills with this loss: a price, or 5%."),
]
OnFailure = Annotated[
    str | None,
    typer.Option(
        "--on-protection-failure", help="When the venue keeps no exit: close (default) or alert."
    ),
]
Native = Annotated[
    bool,
    typer.Option("--native", help="Exits in the entry's own request, kept by the exchange."),
]

_COLUMNS: Final = ("bracket id", "account", "symbol", "entered", "open", "status", "reason")


def exit_of(name: str, text: str | None) -> Exit | None:
    """Return where an exit was typed to be: a price, or so many percent from the entry's."""
    from perp_dex_client import Exit

    if text is None:
        return None
    if text.endswith("%"):
        return Exit(percent=positive(name, text.removesuffix("%")))
    return Exit(price=positive(name, text))


def policy_of(text: str | None, *, has_exits: bool) -> str:
    """Return what is to follow when a protective order cannot be kept."""
    if text is None:
        return "close"
    if not has_exits:
        raise typer.BadParameter(
            "--on-protection-failure: expected with --take-profit or --stop-loss"
        )
    return one_of("--on-protection-failure", text, ("close", "alert"))


def bracket(bracket_id: BracketId, as_json: Json = False) -> int:
    """Show a bracket: what is entered, and what protects it."""
    print_bracket(ask(lambda client: client.brackets.get(bracket_id)), as_json=as_json)
    return ExitCode.DONE


def bracket_end(bracket_id: BracketId, key: Key = None, as_json: Json = False) -> int:
    """Cancel a bracket's entry and exits. What was entered stays open, without protection."""
    found = ask(lambda client: client.brackets.end(bracket_id, key=key))
    print_bracket(found, as_json=as_json)
    if not found.is_terminal:
        say("the end is on its way; it is not known yet")
        return ExitCode.STILL_LIVE
    if found.open_quantity:
        say(f"{safe(found.open_quantity)} {found.symbol} stays open, without protection")
    return ExitCode.DONE


def brackets(
    status: Annotated[str, typer.Option("--status", help="open, closed or all.")] = "open",
    account: Account = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    as_json: Json = False,
) -> int:
    """List brackets, newest first; open ones unless --status says otherwise."""
    status = one_of("--status", status, ("open", "closed", "all"))
    found = ask(lambda client: client.brackets.page(status=status, account=account, symbol=symbol))
    if as_json:
        print_json([_json(each) for each in found])
        return ExitCode.DONE
    rows = [
        (
            each.bracket_id,
            each.account,
            each.symbol,
            each.entered_quantity,
            each.open_quantity,
            each.status,
            each.reason or each.last_answer,
        )
        for each in found
    ]
    print_table(_COLUMNS, rows, right=("entered", "open"), whole=("bracket id",))
    return ExitCode.DONE


def print_bracket(found: Bracket, *, as_json: bool) -> None:
    """Print one bracket."""
    if as_json:
        print_json(_json(found))
        return
    entry = found.entry
    print_fields(
        (
            ("bracket", found.bracket_id),
            ("entry", f"{entry.side} {safe(entry.quantity)} {found.symbol}: {entry.status}"),
            ("account", f"{found.venue}/{found.account}"),
            ("status", found.status),
            ("reason", found.reason),
            ("entered", found.entered_quantity),
            ("open", found.open_quantity),
            ("protected by", found.protected_by),
            ("attention", found.last_answer if found.needs_attention else None),
            *(
                (
                    each.kind.lower().replace("_", " "),
                    f"{safe(each.quantity)} @ {safe(each.trigger_price)}: {each.status}",
                )
                for each in found.exits
            ),
        )
    )


def _json(found: Bracket) -> dict[str, object]:
    return {**json_ready(found), "is_terminal": found.is_terminal}


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex trade`."""
    app.command("bracket")(bracket)
    app.command("bracket-end")(bracket_end)
    app.command("brackets")(brackets)
