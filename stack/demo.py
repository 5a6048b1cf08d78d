"""The main job, shown from nothing: `python -m stack.demo`.

Starts a stack of its own and trades on it through the `perp-dex` command like anybody else, while
answers are lost and processes are killed. For each order it prints the timeline beside the
exchange's own ledger, and fails when the two disagree. Knows nothing but the command line.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.columns import Columns
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

VENUE: Final = "hyperliquid"
SYMBOL: Final = "BTC-PERP"
WAIT_S: Final = 60.0
COMMAND_TIMEOUT_S: Final = 90.0

Json = dict[str, Any]


class DemoFailed(Exception):
    """What the demo showed is not what the exchange says."""


class Demo:
    """A stack in a home of its own, and what was done on it."""

    def __init__(self, home: Path, console: Console) -> None:
        self._home = home
        self._console = console
        self._environment = {**os.environ, "PERP_DEX_HOME": str(home)}
        self._command = str(Path(sys.executable).with_name("perp-dex"))

    def run(self) -> None:
        """Show everything; raises `DemoFailed` when something is not as it should be."""
        self._say(
            "Starting the stack: Temporal, Valkey, a simulated exchange, worker, API, streams"
        )
        self._cli("down", check=False)
        shutil.rmtree(self._home, ignore_errors=True)
        self._cli("up", "--detach", "--ports", "auto", quiet=False)
        account = self._json("account", "add", "--venue", VENUE, "--paper", "--label", "demo")
        self._say(f"Paper account {account['label']} at {VENUE}, address {account['address']}")
        self._rests_and_fills()
        self._answer_is_lost()
        self._worker_is_killed()
        self._everything_is_killed()
        self._show_where()

    def _rests_and_fills(self) -> None:
        self._title("An order rests and is filled")
        order = self._buy("0.010", "20000")
        self._expect(order, "ACCEPTED")
        self._json("sim", "fill", VENUE, order["order_id"])
        self._show(self._until(order["order_id"], "FILLED"))

    def _answer_is_lost(self) -> None:
        self._title("The answer is lost after the order reached the book")
        self._json("sim", "fault", VENUE, "drop-after-apply", "--count", "1", "--action", "order")
        order = self._buy("0.011", "20001", wait_s=1)
        self._say(f"told at first: {order['status']}, outcome {order['outcome']}")
        self._show(self._until(order["order_id"], "ACCEPTED"))

    def _worker_is_killed(self) -> None:
        self._title("The worker is killed with -9 while the order is placed")
        # The exchange holds the answer back, so that the worker dies in the middle.
        self._json(
            *("sim", "fault", VENUE, "delay-answer", "--delay-ms", "3000"),
            *("--count", "1", "--action", "order"),
        )
        placing = self._start_buying("0.012", "20002")
        time.sleep(1.0)
        self._kill("worker")
        order = self._finish(placing)
        self._show(self._until(order["order_id"], "ACCEPTED"))

    def _everything_is_killed(self) -> None:
        self._title("An order rests while worker, API, streaming and Temporal are killed in turn")
        order = self._buy("0.013", "20003")
        self._expect(order, "ACCEPTED")
        for name in ("worker", "api", "streaming", "temporal"):
            self._kill(name)
            self._until_ready()
        self._json("sim", "fill", VENUE, order["order_id"])
        self._show(self._until(order["order_id"], "FILLED"))

    def _show_where(self) -> None:
        status = self._json("status")
        self._console.rule("all orders ended, or rest, exactly once")
        self._console.print(f"Web UI of these workflows: {status['temporal_ui_url']}")
        self._console.print(f"  readable text there:     PERP_DEX_HOME={self._home} perp-dex ui")
        self._console.print(f"The stack goes on running: PERP_DEX_HOME={self._home} perp-dex down")

    # Trading

    def _buy(self, quantity: str, price: str, *, wait_s: float = 10) -> Json:
        return self._json(
            *("trade", "buy", SYMBOL, quantity, "--price", price),
            *("--key", f"demo-{price}", "--timeout", str(wait_s)),
            expected=(0, 6, 7),
        )

    def _start_buying(self, quantity: str, price: str) -> subprocess.Popen[str]:
        arguments = ("trade", "buy", SYMBOL, quantity, "--price", price)
        return subprocess.Popen(
            [self._command, *arguments, "--key", f"demo-{price}", "--timeout", "30", "--json"],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _finish(self, placing: subprocess.Popen[str]) -> Json:
        out, _ = placing.communicate(timeout=COMMAND_TIMEOUT_S)
        return _object(out)

    def _until(self, order_id: str, status: str) -> Json:
        def look() -> Json | None:
            order = self._order(order_id)
            return order if order is not None and order["status"] == status else None

        found: Json = self._poll(look, f"order {order_id} to be {status}")
        return found

    def _order(self, order_id: str) -> Json | None:
        try:
            return self._json("trade", "show", order_id)
        except DemoFailed:
            return None

    def _expect(self, order: Json, status: str) -> None:
        if order["status"] != status:
            raise DemoFailed(f"expected {status}, found {order['status']}: {order}")

    # Killing

    def _kill(self, name: str) -> None:
        pid = next(p["pid"] for p in self._json("status")["processes"] if p["name"] == name)
        self._say(f"kill -9 {name} (pid {pid})")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.3)

    def _until_ready(self) -> None:
        def look() -> bool:
            states = {p["state"] for p in self._json("status")["processes"]}
            return states <= {"ready", "external"}

        self._poll(look, "every process to be ready again")

    # Showing

    def _show(self, order: Json) -> None:
        """Print an order's timeline beside the exchange's ledger, and compare the two."""
        history = self._json("trade", "show", order["order_id"], "--history")
        ledger = self._json("sim", "ledger", VENUE)
        ids = {order["client_order_id"], *_client_ids(history)}
        rows = [row for row in ledger["orders"] if row["client_order_id"] in ids]
        fills = [row for row in ledger["fills"] if row["client_order_id"] in ids]
        ours, theirs = Table(box=None), Table(box=None)
        for column in ("time", "what happened"):
            ours.add_column(column, overflow="fold")
        for event in history["events"]:
            ours.add_row(event["at"][11:23], escape(event["text"]))
        for column in ("venue order", "status", "filled"):
            theirs.add_column(column, overflow="fold")
        for row in rows:
            filled = f"{row['filled_quantity']} of {row['quantity']}"
            theirs.add_row(row["venue_order_id"], row["status"], filled)
        for fill in fills:
            theirs.add_row(f"fill {fill['trade_id']}", fill["price"], fill["quantity"])
        title = f"{order['order_id']}: {order['status']}"
        self._console.print(
            Columns([Panel(ours, title=title), Panel(theirs, title="the exchange's own ledger")])
        )
        self._compare(order, rows, fills)

    def _compare(self, order: Json, rows: list[Json], fills: list[Json]) -> None:
        taken = [row for row in rows if "reject" not in row["status"].lower()]
        if len(taken) != 1:
            raise DemoFailed(f"expected one venue order, the exchange has {taken}")
        if float(taken[0]["filled_quantity"]) != float(order["filled_quantity"]):
            raise DemoFailed(f"we say {order}, the exchange {taken}")
        if (taken[0]["status"] == "open") != (order["status"] == "ACCEPTED"):
            raise DemoFailed(f"we say {order['status']}, the exchange {taken[0]['status']}")
        self._say(f"exactly once: 1 venue order, {len(fills)} fill(s), as we say")

    def _title(self, text: str) -> None:
        self._console.rule(text, align="left")

    def _say(self, text: str) -> None:
        self._console.print(f"→ {escape(text)}")

    # The command line

    def _json(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> Json:
        return _object(self._cli(*arguments, "--json", expected=expected))

    def _cli(
        self,
        *arguments: str,
        check: bool = True,
        quiet: bool = True,
        expected: tuple[int, ...] = (0,),
    ) -> str:
        done = subprocess.run(
            [self._command, *arguments],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        if check and done.returncode not in expected:
            raise DemoFailed(
                f"perp-dex {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
            )
        return done.stdout

    def _poll(self, look: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + WAIT_S
        while True:
            seen = look()
            if seen:
                return seen
            if time.monotonic() > deadline:
                raise DemoFailed(f"expected {what} within {WAIT_S:g} s")
            time.sleep(0.2)


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError:
        raise DemoFailed(f"expected a JSON object, found {text[:200]!r}") from None
    if not isinstance(value, dict):
        raise DemoFailed(f"expected a JSON object, found {text[:200]!r}")
    return value


def _client_ids(history: Json) -> set[str]:
    return {str(r["client_order_id"]) for r in history.get("revisions", [])}


def main() -> int:
    """Run the demo; 0 when all orders ended, or rest, exactly once."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    home = Path(os.environ.get("PERP_DEX_HOME", ".demo")).absolute()
    began = time.monotonic()
    try:
        Demo(home, console).run()
    except DemoFailed as error:
        console.print(f"[red]failed:[/red] {escape(str(error))}")
        return 1
    console.print(f"done in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
