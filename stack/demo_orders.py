"""The demo's first act: orders, while answers are lost and processes are killed.

For each it prints the timeline beside the exchange's own ledger, and fails when the two disagree.
"""

import subprocess
import time

from rich.columns import Columns
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from stack.demo_stage import (
    COMMAND_TIMEOUT_S,
    SYMBOL,
    VENUE,
    DemoFailed,
    DemoStage,
    Json,
    as_object,
)


class OrdersAct:
    """Orders that end, or rest, exactly once."""

    def __init__(self, stage: DemoStage) -> None:
        self._stage = stage

    def run(self) -> None:
        """Show everything; raises `DemoFailed` when something is not as it should be."""
        self._stage.add_account("demo")
        self._rests_and_fills()
        self._answer_is_lost()
        self._worker_is_killed()
        self._everything_is_killed()

    def _rests_and_fills(self) -> None:
        self._stage.title("An order rests and is filled")
        order = self._buy("0.010", "20000")
        self._expect(order, "ACCEPTED")
        self._stage.json("sim", "fill", VENUE, order["order_id"])
        self._show(self._until(order["order_id"], "FILLED"))

    def _answer_is_lost(self) -> None:
        self._stage.title("The answer is lost after the order reached the book")
        self._stage.json(
            "sim", "fault", VENUE, "drop-after-apply", "--count", "1", "--action", "order"
        )
        order = self._buy("0.011", "20001", wait_s=1)
        self._stage.say(f"told at first: {order['status']}, outcome {order['outcome']}")
        self._show(self._until(order["order_id"], "ACCEPTED"))

    def _worker_is_killed(self) -> None:
        self._stage.title("The worker is killed with -9 while the order is placed")
        # The exchange holds the answer back, so that the worker dies in the middle.
        self._stage.json(
            *("sim", "fault", VENUE, "delay-answer", "--delay-ms", "3000"),
            *("--count", "1", "--action", "order"),
        )
        placing = self._start_buying("0.012", "20002")
        time.sleep(1.0)
        self._stage.kill("worker")
        order = self._finish(placing)
        self._show(self._until(order["order_id"], "ACCEPTED"))

    def _everything_is_killed(self) -> None:
        self._stage.title(
            "An order rests while worker, API, streaming and Temporal are killed in turn"
        )
        order = self._buy("0.013", "20003")
        self._expect(order, "ACCEPTED")
        for name in ("worker", "api", "streaming", "temporal"):
            self._stage.kill(name)
            self._stage.until_ready()
        self._stage.json("sim", "fill", VENUE, order["order_id"])
        self._show(self._until(order["order_id"], "FILLED"))

    # Trading

    def _buy(self, quantity: str, price: str, *, wait_s: float = 10) -> Json:
        return self._stage.json(
            *("trade", "buy", SYMBOL, quantity, "--price", price),
            *("--key", f"demo-{price}", "--timeout", str(wait_s)),
            expected=(0, 6, 7),
        )

    def _start_buying(self, quantity: str, price: str) -> subprocess.Popen[str]:
        return self._stage.begin(
            *("trade", "buy", SYMBOL, quantity, "--price", price),
            *("--key", f"demo-{price}", "--timeout", "30", "--json"),
        )

    def _finish(self, placing: subprocess.Popen[str]) -> Json:
        out, _ = placing.communicate(timeout=COMMAND_TIMEOUT_S)
        return as_object(out)

    def _until(self, order_id: str, status: str) -> Json:
        def look() -> Json | None:
            order = self._order(order_id)
            return order if order is not None and order["status"] == status else None

        found: Json = self._stage.poll(look, f"order {order_id} to be {status}")
        return found

    def _order(self, order_id: str) -> Json | None:
        try:
            return self._stage.json("trade", "show", order_id)
        except DemoFailed:
            return None

    def _expect(self, order: Json, status: str) -> None:
        if order["status"] != status:
            raise DemoFailed(f"expected {status}, found {order['status']}: {order}")

    # Showing

    def _show(self, order: Json) -> None:
        """Print an order's timeline beside the exchange's ledger, and compare the two."""
        history = self._stage.json("trade", "show", order["order_id"], "--history")
        ledger = self._stage.json("sim", "ledger", VENUE)
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
        self._stage.console.print(
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
        self._stage.say(f"exactly once: 1 venue order, {len(fills)} fill(s), as we say")


def _client_ids(history: Json) -> set[str]:
    return {str(r["client_order_id"]) for r in history.get("revisions", [])}
