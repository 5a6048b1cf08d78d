"""The supervisor as a process of its own, started by `up --detach`: `python -m stack`."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from stack.errors import StackConfigurationError, StackError
from stack.foreground import run_stack
from stack.paths import StackPaths
from stack.ports import PortChoice
from stack.settings import StackSettings
from stack.spec import Pace
from stack.state import Durability

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2


def main() -> int:
    """Run until a stop signal; 2 for a wrong configuration, 1 for any other failure."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--ports", type=PortChoice, choices=list(PortChoice), required=True)
    parser.add_argument("--durability", type=Durability, choices=list(Durability), required=True)
    arguments = parser.parse_args()
    os.umask(0o077)
    try:
        settings = StackSettings.load(arguments.home)
        paths = StackPaths(settings.perp_dex_home)
        paths.create()
        asyncio.run(
            run_stack(
                settings,
                paths,
                choice=arguments.ports,
                durability=arguments.durability,
                pace=Pace(start_timeout_s=settings.stack_start_timeout_s),
                # The log has every line already; stderr is the same file.
                progress=lambda _line: None,
            )
        )
    except StackConfigurationError:
        return EXIT_CONFIGURATION
    except StackError:
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
