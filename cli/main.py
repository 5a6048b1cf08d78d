"""The entry point: one registry of commands, one place where errors become exit codes.

Imports nothing heavy; a command imports what it needs when it runs.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from cli import (
    accounts,
    database,
    dead_man,
    halts,
    help_topics,
    keys,
    markets,
    monitor,
    operators,
    positions,
    risk,
    sim,
    stack_commands,
    trade,
    venues,
)
from cli.exit_codes import ExitCode, explained
from cli.failures import report
from cli.output import say

PROGRAM = "perp-dex"

_EXIT_CODES = "Exit codes:\n\n\b\n" + explained()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit()


def build() -> typer.Typer:
    """Return the application with every command."""
    app = typer.Typer(
        name=PROGRAM,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="Durable trading on perpetual-futures exchanges. `perp-dex help exit-codes` says "
        "what scripts may conclude.",
        epilog=_EXIT_CODES,
    )

    @app.callback()
    def root(
        version: Annotated[
            bool, typer.Option("--version", callback=_version, is_eager=True, help="And exit.")
        ] = False,
    ) -> None:
        pass

    stack_commands.register(app)
    halts.register(app)
    dead_man.register(accounts.app)
    app.command("help")(help_topics.show_topic)
    for name, group in (
        ("account", accounts.app),
        ("trade", trade.app),
        ("position", positions.app),
        ("market", markets.app),
        ("venue", venues.app),
        ("monitor", monitor.app),
        ("order", operators.app),
        ("risk", risk.app),
        ("sim", sim.app),
        ("db", database.app),
        ("keys", keys.app),
    ):
        app.add_typer(group, name=name)
    return app


@functools.cache
def _program() -> Callable[..., Any]:
    """Return the command tree, made once: it takes longer than most commands."""
    return typer.main.get_command(build())


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; says what went wrong on stderr."""
    as_json = "--json" in arguments
    try:
        _refuse_other_encodings(arguments)
        result = _program()(arguments, prog_name=PROGRAM, standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        return ExitCode.CLOSED_OUTPUT
    except SystemExit as ended:
        # Typer ends so for two reasons: a broken pipe (1), or a shell that asked for completions.
        return ExitCode.CLOSED_OUTPUT if ended.code == 1 else int(ended.code or 0)
    except (KeyboardInterrupt, typer.Abort):
        with contextlib.suppress(OSError):
            say("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - every error becomes words and a code
        return report(error, as_json=as_json)
    return int(result) if result is not None else ExitCode.DONE


def _refuse_other_encodings(arguments: list[str]) -> None:
    for argument in arguments:
        if any("\udc80" <= char <= "\udcff" for char in argument):
            raise typer.BadParameter("expected arguments in UTF-8, found other bytes")


def main() -> int:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # A terminal that lacks a letter gets its escape, not a traceback.
            reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:])
    if code == ExitCode.CLOSED_OUTPUT:
        # What is left in the buffer has nowhere to go; the interpreter must not complain of it.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
