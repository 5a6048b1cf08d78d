"""`perp-dex halt | resume | halts`: the kill switch from the terminal, and its progress.

The halt is in force when the command returns, and the kill switch goes on alone: interrupting this
only stops looking.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ask, connected
from cli.exit_codes import ExitCode
from cli.options import Json, Timeout
from cli.output import json_ready, print_json, print_table, safe, say

if TYPE_CHECKING:
    from perp_dex_client.halts import HaltInForce, KillSwitch

_REATTACH_WITHIN_S = 30.0
_EMERGENCY = (
    "without the API: `python -m worker emergency cancel-all --all` on the worker's machine"
)

AccountScope = Annotated[str | None, typer.Option("--account", help="Only this one, by label.")]
VenueScope = Annotated[
    str | None, typer.Option("--venue", "--dex", help="Only accounts at this exchange.")
]
GroupScope = Annotated[
    str | None, typer.Option("--group", help="Each account that is in this group now.")
]
AllScope = Annotated[bool, typer.Option("--all", help="Everything.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept for ever.")]


def halt(
    account: AccountScope = None,
    venue: VenueScope = None,
    group: GroupScope = None,
    everything: AllScope = False,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="Close every position too, at the market.")
    ] = False,
    reason: Reason = "by hand",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, with progress.")] = False,
    timeout: Timeout = 300.0,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Stop: refuse new exposure, cancel every order, and with --flatten close every position.

    perp-dex halt --all --flatten --wait. Without --yes it asks on a terminal. Exit codes: 0 halted
    (with --wait: and the venue shows nothing open), 5 stopped by a forced resume, 7 still at it
    when the time is over, 10 nothing halted, 130 interrupted (the kill switch goes on).
    """
    scope = _scope(account, venue, group, everything)
    what = "cancel every order and close every position" if flatten else "cancel every order"
    if not _is_meant(f"Halt {scope} and {what}?", yes):
        return ExitCode.REFUSED
    answer = ask(
        lambda client: client.halts.halt(
            reason, account=account, venue=venue, group=group, flatten=flatten
        )
    )
    states = (answer.kill_switch, *answer.more)
    say(f"{scope} is halted; kill switch {', '.join(each.kill_switch_id for each in states)}")
    if answer.note is not None:
        say(answer.note)
    if not wait:
        _print_switches(states, as_json=as_json)
        return ExitCode.DONE
    try:
        states = asyncio.run(_wait(tuple(each.kill_switch_id for each in states), timeout))
    except KeyboardInterrupt:
        say(f"interrupted; the kill switch goes on. `perp-dex halts` tells how far. {_EMERGENCY}")
        return ExitCode.INTERRUPTED
    _print_switches(states, as_json=as_json)
    return max(_code_of(each) for each in states)


def resume(
    account: AccountScope = None,
    venue: VenueScope = None,
    group: GroupScope = None,
    everything: AllScope = False,
    reason: Reason = "by hand",
    force: Annotated[
        bool, typer.Option("--force", help="Stop the kill switch that runs, unfinished.")
    ] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Lift a halt: perp-dex resume --all. Exit code 5 while its kill switch runs, or none is."""
    scope = _scope(account, venue, group, everything)
    if not _is_meant(f"Allow new exposure again: {scope}?", yes):
        return ExitCode.REFUSED
    answer = ask(
        lambda client: client.halts.resume(
            reason, account=account, venue=venue, group=group, force=force
        )
    )
    if as_json:
        print_json(answer)
        return ExitCode.DONE
    for stopped in (answer.stopped, *answer.more):
        if stopped is not None:
            say(f"stopped the kill switch {stopped.kill_switch_id}; what is open stays open")
    say(f"the halt of {scope} is lifted")
    for left in answer.halts:
        say(f"still halted: {_name(left)} ({left.reason})")
    return ExitCode.DONE


def halts(as_json: Json = False) -> int:
    """Show the halts in force, and the newest kill switches with their stages."""
    found = ask(lambda client: client.halts.all())
    if as_json:
        print_json(found)
        return ExitCode.DONE
    print_table(
        ("halted", "since", "by", "reason"),
        [(_name(each), each.set_at, each.set_by, each.reason) for each in found.halts],
        whole=("halted",),
    )
    _print_switches(found.kill_switches, as_json=False)
    return ExitCode.DONE


async def _wait(kill_switch_ids: tuple[str, ...], timeout_s: float) -> tuple[KillSwitch, ...]:
    async with connected(retry_within_s=_REATTACH_WITHIN_S) as client:
        waits = (
            client.halts.wait(each, timeout_s=timeout_s, changed=_tell) for each in kill_switch_ids
        )
        return tuple(await asyncio.gather(*waits))


def _tell(state: KillSwitch) -> None:
    """Say how far each account is."""
    say(f"{state.stage}" + ("" if state.accounts else ": no account looked at yet"))
    for each in state.accounts:
        say(
            f"  {each.label} ({each.venue}): {each.stage}, {each.open_orders} orders and "
            f"{each.open_positions} positions open"
        )
        if each.needs_attention:
            for name in each.still_open:
                say(f"    still open: {name}")


def _code_of(state: KillSwitch) -> ExitCode:
    if state.stage == "HALTED":
        return ExitCode.DONE
    if state.stage == "STOPPED":
        say("a forced resume stopped it; what is open stays open")
        return ExitCode.REFUSED
    say("still at it; `perp-dex halts` tells how far")
    return ExitCode.STILL_LIVE


def _print_switches(switches: tuple[KillSwitch, ...], *, as_json: bool) -> None:
    if as_json:
        documents = [json_ready(each) for each in switches]
        print_json(documents[0] if len(documents) == 1 else documents)
        return
    rows = [
        (
            state.requested_at,
            state.kill_switch_id,
            state.scope if state.name is None else f"{state.scope} {state.name}",
            state.stage,
            state.flatten,
            each.label if each is not None else None,
            each.stage if each is not None else None,
            each.open_orders if each is not None else None,
            each.open_positions if each is not None else None,
            state.reason,
        )
        for state in switches
        for each in (state.accounts or (None,))
    ]
    print_table(
        (
            "asked",
            "kill switch",
            "scope",
            "stage",
            "flatten",
            "account",
            "its stage",
            "orders",
            "positions",
            "reason",
        ),
        rows,
        right=("orders", "positions"),
        whole=("kill switch", "stage", "its stage"),
    )


def _scope(account: str | None, venue: str | None, group: str | None, everything: bool) -> str:
    """Return what was named, in words; exactly one has to be."""
    named = [name for name in (account, venue, group) if name is not None]
    if len(named) + everything != 1:
        raise typer.BadParameter("expected one of --all, --venue, --account and --group NAME")
    if account is not None:
        return f"account {safe(account)}"
    if group is not None:
        return f"group {safe(group)}"
    return "everything" if venue is None else f"venue {safe(venue)}"


def _name(halted: HaltInForce) -> str:
    return "everything" if halted.name is None else f"{halted.scope} {halted.name}"


def _is_meant(question: str, yes: bool) -> bool:
    """Ask on a terminal; a script that halts is not kept waiting."""
    if yes or not sys.stdin.isatty() or typer.confirm(safe(question), err=True):
        return True
    say("not confirmed; nothing was done")
    return False


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (halt, resume, halts):
        app.command()(command)
