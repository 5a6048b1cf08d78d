"""`perp-dex up | down | status | logs | ui`: the embedded stack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_fields, print_json, print_table, safe, say
from cli.usage import one_of

if TYPE_CHECKING:
    from stack.state import StackStatus


def register(app: typer.Typer) -> None:
    """Add the commands to the root."""
    for command in (up, down, status, logs, ui):
        app.command()(command)


def up(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when ready.")] = False,
    ports: Annotated[str, typer.Option("--ports", help="fixed, or auto for free ones.")] = "fixed",
    durability: Annotated[
        str, typer.Option("--durability", help="power, or process (paper accounts only).")
    ] = "power",
    as_json: Json = False,
) -> int:
    """Start everything: Temporal, Valkey, simulator, worker, API and streaming.

    In the foreground it runs until Ctrl-C; with --detach it returns when all is ready.
    """
    from stack import lifecycle
    from stack.ports import PortChoice
    from stack.state import Durability

    options = lifecycle.UpOptions(
        detach=detach,
        ports=PortChoice(one_of("--ports", ports, ("fixed", "auto"))),
        durability=Durability(one_of("--durability", durability, ("power", "process"))),
    )
    asyncio.run(
        lifecycle.up(
            options, progress=say, on_ready=lambda found: _print_status(found, as_json=as_json)
        )
    )
    return ExitCode.DONE


def down(as_json: Json = False) -> int:
    """Stop the stack in order; one that does not run is fine."""
    from stack import lifecycle

    result = asyncio.run(lifecycle.down(progress=say))
    if as_json:
        print_json({"was_running": result.was_running, "killed": result.killed})
    elif not result.was_running:
        say("no stack was running")
    return ExitCode.DONE


def status(as_json: Json = False) -> int:
    """Show every process and address. Exit code 10 while one of them is not ready."""
    from stack import lifecycle

    found = lifecycle.status()
    _print_status(found, as_json=as_json)
    return ExitCode.DONE if found.is_whole else ExitCode.UNREACHABLE


def logs(
    name: Annotated[str | None, typer.Argument(metavar="PROCESS", help="Else all.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=100_000)] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines.")] = False,
) -> int:
    """Print the last lines of the logs."""
    from stack import lifecycle

    if name is not None:
        one_of("PROCESS", name, tuple(lifecycle.LOG_NAMES))

    async def show() -> None:
        async for line in lifecycle.logs(name, lines=lines, follow=follow):
            print(safe(line.text) if name is not None else f"{line.name}: {safe(line.text)}")

    try:
        asyncio.run(show())
    except KeyboardInterrupt:
        # How one ends following; nothing else was under way.
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def ui(
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the address instead of opening it.")
    ] = False,
) -> int:
    """Open the operator's view of workflows, with the right to read them, in a browser.

    The address works once, within a minute.
    """
    ticket = ask(lambda client: client.operator_ticket())
    if not only_print:
        import webbrowser

        if webbrowser.open(ticket.url):
            return ExitCode.DONE
        say("no browser could be opened; open this address within a minute:")
    print(ticket.url)
    return ExitCode.DONE


def _print_status(found: StackStatus, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_json())
        return
    print_fields(
        (
            ("stack", found.phase.value),
            ("home", found.home),
            ("API", found.api_url),
            ("streaming", found.ws_url),
            ("Temporal UI", found.temporal_ui_url),
            ("durability", found.durability.value),
            *((("failure", found.failure),) if found.failure else ()),
        )
    )
    print_table(
        ("process", "state", "pid", "restarts", "endpoint", "last end"),
        [
            (each.name, each.state.value, each.pid, each.restarts, each.endpoint, each.last_end)
            for each in found.processes
        ],
        right=("pid", "restarts"),
    )
