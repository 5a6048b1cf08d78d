"""The demo's third act: one order on each exchange, followed until it is filled.

On each, the exchange loses its answer after the order reached the book; the fill comes meanwhile.
Fails when an exchange has another number of orders or fills than one.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rich.markup import escape
from rich.table import Table

from stack.demo_stage import (
    COMMAND_TIMEOUT_S,
    SYMBOL,
    DemoFailed,
    DemoStage,
    Json,
    as_object,
)

PRICE: Final = "20004"
QUANTITY: Final = "0.01"


@dataclass
class _Followed:
    """An order being placed at one exchange, and the command that waits for its fill."""

    venue: str
    label: str
    waiting: subprocess.Popen[str]


@dataclass(frozen=True)
class _Ended:
    """What became of it: our order, and the exchange's own rows of it."""

    venue: str
    order: Json
    orders: list[Json]
    fills: list[Json]


class VenuesAct:
    """The same command line on every exchange that this stack simulates."""

    def __init__(self, stage: DemoStage) -> None:
        self._stage = stage

    def run(self) -> None:
        """Show everything; raises `DemoFailed` when something is not as it should be."""
        venues = self._stage.simulated_venues()
        self._stage.title(f"One order on each of {len(venues)} exchanges, each answer lost")
        for venue in venues:
            self._stage.add_account(f"on-{venue}", venue)
        followed = [self._begin(venue) for venue in venues]
        for one in followed:
            self._fill(one)
        self._show([self._finish(one) for one in followed])

    def _begin(self, venue: str) -> _Followed:
        """Place an order whose answer is lost, and go on while the command waits."""
        self._stage.json(
            "sim", "fault", venue, "drop-after-apply", "--count", "1", "--action", "order"
        )
        arguments = (
            *("trade", "buy", SYMBOL, QUANTITY, "--venue", venue, "--price", PRICE, "--wait-fill"),
            *("--account", f"on-{venue}", "--key", f"demo-on-{venue}"),
            *("--timeout", str(COMMAND_TIMEOUT_S - 10)),
        )
        self._stage.say(f"perp-dex {' '.join(arguments[:9])}")
        return _Followed(venue, f"on-{venue}", self._stage.begin(*arguments, "--json"))

    def _fill(self, one: _Followed) -> None:
        """Have somebody trade with the order as soon as we know it rests."""

        def look() -> Json | None:
            listed = self._stage.json("trade", "orders", "--account", one.label)["orders"]
            return next((order for order in listed if order["status"] == "ACCEPTED"), None)

        resting: Json = self._stage.poll(
            look, f"the order at {one.venue} to be found out as resting"
        )
        self._stage.json("sim", "fill", one.venue, resting["order_id"])

    def _finish(self, one: _Followed) -> _Ended:
        out, _ = one.waiting.communicate(timeout=COMMAND_TIMEOUT_S)
        order = as_object(out)
        if one.waiting.returncode != 0 or order["status"] != "FILLED":
            raise DemoFailed(
                f"expected a filled order at {one.venue} and exit code 0, found "
                f"{one.waiting.returncode} and {order['status']}"
            )
        ledger = self._stage.json("sim", "ledger", one.venue)
        known = str(order["client_order_id"])
        # Every order of that account, whatever id it bears: a second one would have another.
        accounts = {row["account"] for row in ledger["orders"] if row["client_order_id"] == known}
        orders = [row for row in ledger["orders"] if row["account"] in accounts]
        fills = [row for row in ledger["fills"] if row["account"] in accounts]
        filled = sum((Decimal(row["quantity"]) for row in fills), Decimal(0))
        if len(orders) != 1 or filled != Decimal(QUANTITY):
            raise DemoFailed(f"expected one order, filled once, {one.venue} has {orders}, {fills}")
        return _Ended(one.venue, order, orders, fills)

    def _show(self, ended: Sequence[_Ended]) -> None:
        table = Table(box=None)
        for column in ("exchange", "our order", "status", "its order", "its fills", "filled"):
            table.add_column(column, overflow="fold")
        for one in ended:
            its = one.orders[0]
            table.add_row(
                one.venue,
                str(one.order["order_id"]),
                str(one.order["status"]),
                escape(str(its["venue_order_id"])),
                str(len(one.fills)),
                f"{its['filled_quantity']} of {its['quantity']}",
            )
        self._stage.console.print(table)
        self._stage.say(f"exactly once on each: {len(ended)} orders, as we say")
