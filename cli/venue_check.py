"""`perp-dex venue check`: does what exchanges send still look as we read it?"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_json, print_table, say

_SIMULATOR: Final = "sim-"
_KINDS: Final = ("unknown", "vanished", "unseen")

Venues = Annotated[
    list[str] | None, typer.Argument(metavar="[VENUE]...", help="Such as hyperliquid; none: all.")
]
Live = Annotated[
    bool, typer.Option("--live", help="What the exchange sends now, public data only.")
]
OnNetwork = Annotated[
    str, typer.Option("--network", help="With --live: mainnet, testnet or paper.")
]
Listened = Annotated[
    float, typer.Option("--seconds", min=0.0, max=600.0, help="With --live: listen so long.")
]


def check(
    venues: Venues = None,
    live: Live = False,
    network: OnNetwork = "mainnet",
    seconds: Listened = 10.0,
    as_json: Json = False,
) -> int:
    """Hold payloads against what we read of them: perp-dex venue check hyperliquid --live

    Without --live the samples that come with this version. Reports fields that we do not know
    (unknown), that we need and miss (vanished), and that no payload had (unseen, no difference).
    Exit codes: 0 nothing differs, 8 something does, 10 an exchange could not be asked.
    """
    options = ["--live", "--network", network, "--seconds", str(seconds)] if live else []
    document = _looked([*options, "--", *(venues or ())])
    if as_json:
        print_json(document)
    else:
        for found in document["venues"]:
            _print(found)
    if any(found["error"] for found in document["venues"]):
        return ExitCode.UNREACHABLE
    is_clean = all(found["clean"] for found in document["venues"])
    return ExitCode.DONE if is_clean else ExitCode.PARTLY_DONE


def _looked(arguments: list[str]) -> dict[str, Any]:
    """Run `python -m venues.check` and return its document."""
    from stack import lifecycle
    from stack.table import own_command, with_our_rooms

    status = lifecycle.status()
    simulated = {
        f"{one.name.removeprefix(_SIMULATOR).upper()}_PAPER_URL": one.endpoint
        for one in status.processes
        if one.name.startswith(_SIMULATOR) and one.endpoint and one.pid is not None
    }
    done = subprocess.run(
        own_command("venues.check", *arguments),
        # What the environment names counts before the running stack's simulators.
        env={**simulated, **with_our_rooms(os.environ)},
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode == ExitCode.USAGE:
        raise typer.BadParameter(done.stderr.strip().rpartition("\n")[2])
    if done.returncode != 0:
        raise RuntimeError(f"venues.check ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _print(found: dict[str, Any]) -> None:
    venue, where = found["venue"], found["network"] or "its samples"
    if not found["offered"]:
        say(f"{venue}: lists no payloads, so there is nothing to compare")
        return
    if found["error"]:
        say(f"{venue} ({where}): {found['error']}")
        return
    # The samples leave out what rarely comes; of what comes now it is worth knowing.
    kinds = ("unknown", "vanished") if found["network"] is None else _KINDS
    rows = [row for channel in found["channels"] for row in _rows(channel, kinds)]
    looked = sum(channel["payloads"] for channel in found["channels"])
    heard = sum(1 for channel in found["channels"] if channel["payloads"])
    word = "nothing differs" if found["clean"] else "differs"
    say(
        f"{venue} ({where}): {looked} payloads of {heard} of {len(found['channels'])} kinds, {word}"
    )
    for missed in found["missed"]:
        say(f"  not asked: {missed}")
    if rows:
        print_table(
            ("venue", "channel", "difference", "field"),
            [(venue, *row) for row in rows],
            whole=("venue", "difference"),
        )


def _rows(channel: dict[str, Any], kinds: Sequence[str]) -> list[tuple[str, str, str]]:
    name = channel["channel"]
    rows = [(name, kind, path) for kind in kinds for path in channel[kind]]
    if channel["unreadable"]:
        rows.append((name, "unreadable", channel["unreadable"]))
    return rows
