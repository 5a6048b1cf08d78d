"""`perp-dex keys`: look at and change the keys of this home, by the storage room's command.

Works beside a running stack, and on the machine that has the key files. No key passes through here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from enum import StrEnum
from typing import Annotated

import typer

from cli.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, help="Look at keys and change them, while all runs.")


class KeyName(StrEnum):
    """Whose key: workers', the streaming process's, or that of workflow payloads."""

    WORKER = "worker"
    STREAMING = "streaming"
    PAYLOAD = "payload"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_keys(as_json: AsJson = False) -> int:
    """List the keys: since when, how many credentials are sealed for each, and who keeps them."""
    return _keys("list", *_json(as_json))


@app.command("rotate")
def rotate(
    name: Annotated[KeyName, typer.Argument(help="worker, streaming or payload.")] = KeyName.WORKER,
    as_json: AsJson = False,
) -> int:
    """Make a fresh key the current one; nothing is stopped, and nothing becomes unreadable.

    Credentials are sealed anew in the background; then, after a grace time, the former key is
    destroyed. A former payload key is kept as long as Temporal has a workflow that needs it.
    """
    return _keys("rotate", name.value, *_json(as_json))


@app.command("rewrap")
def rewrap() -> int:
    """Put the key files under PERP_DEX_KEY_KEEPER, or under the newest key of the same keeper."""
    return _keys("rewrap")


@app.command("accept")
def accept(
    name: Annotated[KeyName, typer.Argument(help="worker, streaming or payload.")],
) -> int:
    """Take an older key file, put back from a backup, for the newest one from now on."""
    return _keys("accept", name.value)


def _json(as_json: bool) -> tuple[str, ...]:
    return ("--json",) if as_json else ()


def _keys(*arguments: str) -> int:
    """Run `python -m storage.keys` on the stack's home where none is named."""
    from stack import lifecycle
    from stack.table import own_command, with_our_rooms

    environment = with_our_rooms(os.environ)
    environment.setdefault("PERP_DEX_HOME", lifecycle.status().home)
    sys.stdout.flush()
    done = subprocess.run(
        own_command("storage.keys", *arguments),
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return ExitCode.INTERRUPTED if done.returncode < 0 else done.returncode
