"""`perp-dex account dead-man`: have what rests canceled when we fall silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_fields, print_json, say
from domain.dead_man import AFTER_S_LEAST, AFTER_S_MOST

if TYPE_CHECKING:
    from perp_dex_client.dead_man import DeadMan


def dead_man(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Label or id.")],
    after: Annotated[
        int | None,
        typer.Option(
            "--after", min=AFTER_S_LEAST, max=AFTER_S_MOST, help="Seconds of silence, 10 or more."
        ),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Disarm it.")] = False,
    as_json: Json = False,
) -> int:
    """Show, arm or disarm the dead man's switch: perp-dex account dead-man main --after 60

    While a worker lives it is renewed; when none does, the venue cancels the account's open orders,
    or our watchdog where the venue has no switch. What becomes of protective stops is in `effect`;
    positions stay open. Exit codes: 0 in force (or shown), 5 refused and not armed, 6 not confirmed
    yet.
    """
    if after is not None and off:
        raise typer.BadParameter("expected --after or --off, found both")
    if after is None and not off:
        _print(ask(lambda client: client.dead_man.get(account)), as_json=as_json)
        return ExitCode.DONE
    found = ask(lambda client: client.dead_man.want(account, after))
    _print(found, as_json=as_json)
    if after is not None:
        say(f"note: {found.effect}")
    if found.state == ("OFF" if off else "ARMED"):
        return ExitCode.DONE
    say("not confirmed yet; run it again without options to see")
    return ExitCode.UNKNOWN


def _print(found: DeadMan, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_fields(
        (
            ("state", found.state),
            ("armed", found.armed),
            ("goes off after", None if found.after_s is None else f"{found.after_s} s of silence"),
            ("armed until", found.armed_until),
            ("kept by", found.kept_by),
            ("went off today", _counted(found)),
            ("reason", found.reason),
            ("effect", found.effect),
        )
    )


def _counted(found: DeadMan) -> str:
    most = found.triggers_most
    return f"{found.triggers_today}" + ("" if most is None else f" of at most {most}")


def register(app: typer.Typer) -> None:
    """Add the command to `perp-dex account`."""
    app.command("dead-man")(dead_man)
