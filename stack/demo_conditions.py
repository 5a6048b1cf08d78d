"""The demo's second act: a position whose exit outlives everything.

A conditional close at profit is set, worker, streaming, API and Temporal are killed, the price
moves while they are down and after: closed exactly once, flat in the exchange's own ledger.
"""

from decimal import Decimal

from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from stack.demo_stage import SYMBOL, VENUE, DemoFailed, DemoStage, Json

LABEL = "guarded"
KILLED = ("worker", "streaming", "api", "temporal")


class ConditionsAct:
    """One position, one condition, one close."""

    def __init__(self, stage: DemoStage) -> None:
        self._stage = stage
        self._address = ""

    def run(self) -> None:
        """Show everything; raises `DemoFailed` when something is not as it should be."""
        self._stage.title("A position is closed at profit, whatever dies meanwhile")
        self._address = self._stage.add_account(LABEL)["address"]
        entry = self._open()
        condition_id = self._watch()
        for name in KILLED:
            self._stage.kill(name)
        self._move(entry * Decimal("1.12"), "12 % up while all of them are down")
        self._stage.until_ready()
        ended = self._until(condition_id, "CLOSED")
        self._move(entry * Decimal("1.20"), "further up, after")
        self._move(entry * Decimal("1.15"), "and down again")
        self._show(ended)
        self._compare()

    def _open(self) -> Decimal:
        """Open a position; return its entry price."""
        order = self._stage.json(
            *("trade", "buy", SYMBOL, "0.05", "--market", "--wait-fill"),
            *("--account", LABEL, "--key", "demo-position"),
        )
        held = self._positions()
        if len(held) != 1 or Decimal(held[0]["quantity"]) != Decimal("0.05"):
            raise DemoFailed(f"expected a position of 0.05, the exchange has {held}")
        entry = Decimal(held[0]["entry_price"])
        self._stage.say(f"bought {order['filled_quantity']} {SYMBOL} at {entry:.1f}")
        return entry

    def _watch(self) -> str:
        """Set the condition, and wait until the streaming process proves that it watches."""
        condition = self._stage.json(
            *("position", "watch", f"{LABEL}:{SYMBOL}", "--close-at-profit", "10%"),
            *("--key", "demo-condition"),
        )
        condition_id = str(condition["condition_id"])
        price = condition["thresholds"][0]["price"]
        self._stage.say(f"condition {condition_id}: closes at {price}, 10 % above the entry")

        def is_watched() -> bool:
            watched = self._condition(condition_id)["watched"]
            return watched is not None and bool(watched["is_fresh"])

        self._stage.poll(is_watched, "the condition to be watched on fresh marks")
        return condition_id

    def _move(self, price: Decimal, why: str) -> None:
        spelled = str(price.quantize(Decimal(1)))
        self._stage.json("sim", "price", VENUE, SYMBOL, spelled)
        self._stage.say(f"the market trades at {spelled}: {why}")

    def _until(self, condition_id: str, status: str) -> Json:
        def look() -> Json | None:
            try:
                condition = self._condition(condition_id)
            except DemoFailed:
                return None
            return condition if condition["status"] == status else None

        found: Json = self._stage.poll(look, f"condition {condition_id} to be {status}")
        return found

    def _condition(self, condition_id: str) -> Json:
        return self._stage.json("position", "condition-show", condition_id)

    # The exchange's own ledger

    def _rows(self, kind: str) -> list[Json]:
        rows = self._stage.json("sim", "ledger", VENUE)[kind]
        return [row for row in rows if row["account"] == self._address]

    def _positions(self) -> list[Json]:
        return [row for row in self._rows("positions") if Decimal(row["quantity"])]

    def _show(self, condition: Json) -> None:
        table = Table(box=None)
        for column in ("order at the exchange", "side", "reduce-only", "status", "filled"):
            table.add_column(column)
        for row in self._rows("orders"):
            filled = f"{row['filled_quantity']} of {row['quantity']}"
            table.add_row(
                row["venue_order_id"],
                row["side"],
                "yes" if row["reduce_only"] else "no",
                row["status"],
                filled,
            )
        title = f"{condition['status']}: {escape(str(condition['reason']))}"
        self._stage.console.print(Panel(table, title=title))

    def _compare(self) -> None:
        closing = [row for row in self._rows("orders") if row["reduce_only"]]
        sold = [fill for fill in self._rows("fills") if fill["side"].lower().startswith("s")]
        quantity = sum((Decimal(fill["quantity"]) for fill in sold), Decimal(0))
        if len(closing) != 1 or quantity != Decimal("0.05"):
            raise DemoFailed(f"expected one close of 0.05, the exchange has {closing}, {sold}")
        if self._positions():
            raise DemoFailed(f"expected no position, the exchange has {self._positions()}")
        self._stage.say("exactly once: 1 closing order, flat in the exchange's ledger")
