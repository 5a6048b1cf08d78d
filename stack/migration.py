"""Bring the database up to date before anything starts, by the command of the storage room."""

from typing import Final

from stack.errors import ChildFailed, StackConfigurationError
from stack.logfile import append_lines, printable
from stack.paths import StackPaths
from stack.ports import StackPorts
from stack.probes import run_command
from stack.process import leashed
from stack.settings import StackSettings
from stack.state import Durability
from stack.table import own_command, own_environment

_TIMEOUT_S: Final = 120.0
_LINES_SHOWN: Final = 20

#: `storage.migrate paper-only` exits with this when an account exists that is not paper.
EXIT_NOT_PAPER: Final = 3


async def prepare_database(
    settings: StackSettings, ports: StackPorts, paths: StackPaths, durability: Durability
) -> None:
    """Migrate, and for `--durability process` make sure that only paper accounts exist.

    Raises `ChildFailed` if the command fails, `StackConfigurationError` for a real account.
    """
    environment = own_environment(settings, ports, paths)
    code, lines = await _run("upgrade", environment, paths)
    if code != 0:
        raise ChildFailed("migrate", f"database migration ended with exit code {code}", lines)
    if durability is Durability.POWER:
        return
    code, lines = await _run("paper-only", environment, paths)
    if code == EXIT_NOT_PAPER:
        raise StackConfigurationError(
            "--durability process: expected only paper accounts, found one that trades on a real "
            "network; acknowledged work could be lost at a power failure. Start without "
            "--durability, or remove that account"
        )
    if code != 0:
        raise ChildFailed("migrate", f"the check for paper accounts ended with {code}", lines)


async def _run(
    action: str, environment: dict[str, str], paths: StackPaths
) -> tuple[int, tuple[str, ...]]:
    command = leashed(own_command("storage.migrate", action))
    try:
        code, output = await run_command(command, environment, _TIMEOUT_S)
    except TimeoutError:
        raise ChildFailed(
            "migrate", f"`{action}` took longer than {_TIMEOUT_S:g} s; is the database reachable?"
        ) from None
    lines = tuple(printable(line) for line in output.splitlines())
    append_lines(paths.log_file("migrate"), lines)
    return code, lines[-_LINES_SHOWN:]
