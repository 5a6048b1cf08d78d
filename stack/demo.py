"""The main job, shown from nothing: `python -m stack.demo [--act 1|2|3]`.

Starts a stack of its own and trades on it through the `perp-dex` command like anybody else, while
answers are lost and processes are killed; fails when the exchange's own ledger disagrees.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from stack.demo_conditions import ConditionsAct
from stack.demo_orders import OrdersAct
from stack.demo_stage import DemoFailed, DemoStage
from stack.demo_venues import VenuesAct

ACTS: dict[int, type[OrdersAct | ConditionsAct | VenuesAct]] = {
    1: OrdersAct,
    2: ConditionsAct,
    3: VenuesAct,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the acts; 0 when all ended, or rests, exactly once."""
    parser = argparse.ArgumentParser(prog="python -m stack.demo", description=__doc__)
    parser.add_argument("--act", type=int, choices=sorted(ACTS), help="this act only")
    only = parser.parse_args(arguments).act
    console = Console(width=None if sys.stdout.isatty() else 140)
    home = Path(os.environ.get("PERP_DEX_HOME", ".demo")).absolute()
    began = time.monotonic()
    stage = DemoStage(home, console)
    try:
        stage.start()
        for number, act in ACTS.items():
            if only in (None, number):
                act(stage).run()
        stage.show_where()
    except DemoFailed as error:
        console.print(f"[red]failed:[/red] {escape(str(error))}")
        return 1
    console.print(f"done in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
