"""`perp-dex db`: bring the database to this version's schema, by the storage room's command."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from cli.exit_codes import ExitCode

app = typer.Typer(no_args_is_help=True, help="Bring the database up to date.")


@app.command("upgrade")
def upgrade() -> int:
    """Migrate the database to the schema of this version."""
    return _migrate("upgrade")


@app.command("current")
def current() -> int:
    """Print the schema revision the database has."""
    return _migrate("current")


@app.command("check")
def check() -> int:
    """Say whether the database has the schema this version needs."""
    return _migrate("check")


@app.command("resume")
def resume() -> int:
    """Let trading go on after a ledger was found shorter, once you have compared with the venue."""
    return _migrate("resume")


def _migrate(action: str) -> int:
    """Run `python -m storage.migrate` with the stack's database where none is named."""
    from stack import lifecycle
    from stack.table import own_command, with_our_rooms

    environment = with_our_rooms(os.environ)
    environment.setdefault("PERP_DEX_HOME", lifecycle.status().home)
    sys.stdout.flush()
    done = subprocess.run(
        own_command("storage.migrate", action),
        env=environment,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return ExitCode.INTERRUPTED if done.returncode < 0 else done.returncode
