"""The database goes away under live orders, and comes back, once shorter than it was.

A real PostgreSQL that refuses connections for a while. Nothing is placed meanwhile; cancels go
out all the same and the ledger learns of them. The exchange's own ledger is the judge.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.orders import Order, OrderStatus, OrderType, Origin, TimeInForce
from sealing.choosing import file_keepers
from sealing.key_ring import ensure_key_ring
from stack.table import own_command
from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader
from tests.storage.postgres import RunningPostgres, name_of, start_postgres
from tests.workflows.stage import replayer_of
from workflows.client import OrderWorkflows, connect
from workflows.payloads import PayloadKeys

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUANTITY = "0.01"
#: A line without outcome is absorbed after 10 s, and the sweep leaves a row alone for as long.
RESOLVED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Stage:
    """A stack over a PostgreSQL database that can be taken away."""

    rig: Rig
    trader: Trader
    client: Client
    postgres: RunningPostgres
    database: str

    def take_away(self) -> None:
        """Refuse the database's connections, those there are and new ones."""
        self.postgres.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
        self.postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{self.database}'"
        )

    def bring_back(self) -> None:
        self.postgres.execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true")

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        return self.postgres.execute(statement, database=self.database)

    def cancels(self, order: dict[str, Any]) -> list[tuple[object, ...]]:
        return self.ask(
            "SELECT outcome_kind, reserved_by = 'journal' FROM commands WHERE command = 'cancel' "
            f"AND order_id = '{order['order_id']}' ORDER BY position"
        )

    async def request(self, method: str, path: str, **request: Any) -> httpx2.Response:
        """Ask the API once, whatever it answers."""
        return await self.trader._once(method, f"/api/v1{path}", **request)

    async def resting(self, price: str) -> dict[str, Any]:
        order = await self.trader.place(f"away-{price}", **limit(price))
        assert order["status"] == "ACCEPTED", order
        return order

    async def on_the_venue(self, price: str) -> list[str]:
        """Return the states of all orders that the exchange ever took at a price."""
        orders = (await self.rig.ledger())["orders"]
        return [order["status"] for order in orders if Decimal(order["price"]) == Decimal(price)]

    async def positions(self) -> list[dict[str, Any]]:
        """Return what the exchange says is held."""
        held = (await self.rig.ledger())["positions"]
        return [row for row in held if Decimal(row["quantity"])]

    async def workflow_client(self) -> Client:
        """Return a client that speaks our payloads."""
        return await connect(
            self.rig.temporal_address, "default", payload_keys(self.rig.home), lazy=False
        )

    async def until_workflow_ends(self, order: dict[str, Any]) -> None:
        handle = self.client.get_workflow_handle(f"order-{order['order_id']}")

        async def status() -> WorkflowExecutionStatus | None:
            return (await handle.describe()).status

        await eventually(
            status,
            within_s=RESOLVED_WITHIN_S,
            what="the workflow to end",
            until=lambda found: found is WorkflowExecutionStatus.COMPLETED,
        )

    async def until_absorbed(self) -> None:
        """Wait until the ledger has all that the journal holds."""

        async def absorbed() -> bool:
            lines = [json.loads(line) for line in self.journal.read_text().splitlines()]
            begun = {line["entry"] for line in lines if line["intent"] is not None}
            return begun == {line["entry"] for line in lines if line["absorbed"] is not None}

        await eventually(absorbed, within_s=RESOLVED_WITHIN_S, what="the journal to be absorbed")

    @property
    def journal(self) -> Path:
        return self.rig.home / "journal" / "commands.jsonl"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    home: Path = tmp_path_factory.mktemp("away") / "home"
    with start_postgres() as postgres, pytest.MonkeyPatch.context() as environment:
        url = postgres.create_database()
        environment.setenv("DATABASE_URL", url)
        environment.setenv("WORKER_SWEEP_EVERY_S", "1")
        async with Rig(home) as rig:
            trader = Trader(rig.api_url, rig.home / "api-token")
            await trader.open_account(await rig.control("POST", "/accounts", {}), "away")
            client = await Client.connect(rig.temporal_address)
            yield Stage(rig, trader, client, postgres, name_of(url))


async def test_with_the_database_away_orders_are_canceled_and_none_is_placed(
    stage: Stage,
) -> None:
    order = await stage.resting("21001")
    stage.take_away()
    try:
        refused = await stage.request(
            "POST",
            "/orders",
            json={"account": stage.trader.account_id, **limit("21002")},
            headers={"Idempotency-Key": "while-away"},
        )
        canceled = await stage.request(
            "DELETE",
            f"/orders/{order['order_id']}",
            headers={"Idempotency-Key": "cancel", "Prefer": "wait=15"},
        )
        at_venue = await stage.on_the_venue("21001")
    finally:
        stage.bring_back()

    assert refused.status_code == 503, refused.text
    assert refused.json()["code"] == "unavailable"
    assert canceled.status_code == 200, canceled.text
    assert canceled.json()["status"] == "CANCELED"
    assert at_venue == ["canceled"]

    await stage.trader.until(order["order_id"], ended, within_s=20)
    await stage.until_workflow_ends(order)
    await stage.until_absorbed()
    assert ("accepted", True) in stage.cancels(order)
    assert await stage.on_the_venue("21001") == ["canceled"]
    assert await stage.on_the_venue("21002") == []
    await replay(stage, order)


async def test_with_the_database_away_a_close_goes_out_once_and_the_ledger_learns_of_it(
    stage: Stage,
) -> None:
    opened = await stage.trader.place("opening", **market("BUY"))
    assert opened["status"] == "FILLED", opened
    order = a_close(stage)
    workflows = OrderWorkflows(await stage.workflow_client())
    stage.take_away()
    try:
        placed = await workflows.place(order, wait_s=20)
        assert placed.order is not None
        assert placed.order.status is OrderStatus.FILLED
    finally:
        stage.bring_back()

    await stage.until_absorbed()
    await stage.until_workflow_ends({"order_id": order.order_id})
    assert (await stage.trader.get(order.order_id))["status"] == "FILLED"
    rows = stage.ask(
        "SELECT command, revision, outcome_kind, reserved_by FROM commands "
        f"WHERE order_id = '{order.order_id}'"
    )
    assert rows == [("place", 0, "accepted", "journal")]
    assert await stage.positions() == []
    filled = stage.ask(f"SELECT quantity FROM fills WHERE order_id = '{order.order_id}'")
    assert [Decimal(str(row[0])) for row in filled] == [Decimal(QUANTITY)]


async def test_an_emergency_needs_neither_the_database_nor_temporal(stage: Stage) -> None:
    opened = await stage.trader.place("held", **market("SELL"))
    assert opened["status"] == "FILLED", opened
    order = await stage.resting("21010")
    kit = stage.rig.home / "journal" / "accounts.json"

    async def is_packed() -> bool:
        return stage.trader.account_id in kit.read_text()

    await eventually(is_packed, within_s=20, what="the account in the emergency kit")
    stage.rig.freeze("temporal")
    stage.take_away()
    try:
        run = await asyncio.to_thread(
            subprocess.run,
            own_command("worker", "emergency", "flatten", "--all", "--yes", "--timeout", "60"),
            env=stage.rig.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        at_venue = await stage.on_the_venue("21010")
        positions = await stage.positions()
    finally:
        stage.bring_back()
        stage.rig.resume("temporal")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "going on without it" in run.stdout
    assert (at_venue, positions) == (["canceled"], [])
    await stage.trader.until(order["order_id"], ended, within_s=RESOLVED_WITHIN_S)
    await stage.until_absorbed()
    assert ("accepted", True) in stage.cancels(order)
    kept = stage.ask("SELECT body FROM orders WHERE body LIKE '%KILL_SWITCH%'")
    assert len(kept) == 1


@pytest.mark.parametrize("point", ["cancel.journaled", "cancel.answer_read"])
async def test_killed_with_the_database_away_a_cancel_is_resolved(stage: Stage, point: str) -> None:
    price = {"cancel.journaled": "21003", "cancel.answer_read": "21004"}[point]
    order = await stage.resting(price)
    stage.rig.points.arm(point)
    stage.take_away()
    try:
        canceling = asyncio.create_task(
            stage.trader.cancel(order["order_id"], f"{price}-cancel", within_s=RESOLVED_WITHIN_S)
        )

        async def is_hit() -> bool:
            return stage.rig.points.is_hit(point)

        await eventually(is_hit, within_s=20, what=f"the worker at {point}")
        stage.rig.kill("worker")
        stage.rig.points.disarm()
    finally:
        stage.bring_back()
    await stage.rig.start("worker")

    assert (await canceling)["status"] == "CANCELED"
    await stage.until_absorbed()

    async def all_decided() -> bool:
        return all(kind in ("accepted", "rejected", "not_sent") for kind, _ in stage.cancels(order))

    await eventually(all_decided, within_s=RESOLVED_WITHIN_S, what="every cancel to be decided")
    assert any(from_journal for _, from_journal in stage.cancels(order))
    await stage.until_workflow_ends(order)
    assert (await stage.trader.get(order["order_id"]))["status"] == "CANCELED"
    assert await stage.on_the_venue(price) == ["canceled"]


async def test_a_ledger_that_comes_back_shorter_halts_new_exposure(stage: Stage) -> None:
    resting = await stage.resting("21005")
    newest = await stage.resting("21006")
    mark = stage.rig.home / "run" / "ledger-mark"

    async def marked() -> bool:
        return int(mark.read_text()) == stage.ask("SELECT max(position) FROM commands")[0][0]

    await eventually(marked, within_s=10, what="the mark to be at the ledger's end")
    stage.rig.kill("worker")
    # As a standby would that had not heard of it.
    stage.ask(f"DELETE FROM commands WHERE order_id = '{newest['order_id']}'")
    await stage.rig.start("worker")

    denied = await stage.request(
        "POST",
        "/orders",
        json={"account": stage.trader.account_id, **limit("21007")},
        headers={"Idempotency-Key": "while-halted"},
    )
    assert denied.status_code == 422, denied.text
    assert "perp-dex db resume" in denied.text
    assert await stage.on_the_venue("21007") == []
    assert "new exposure is halted" in stage.rig.log_tail("worker", lines=400)
    for each in (resting, newest):
        canceled = await stage.trader.cancel(each["order_id"], f"end-{each['order_id']}")
        assert canceled["status"] == "CANCELED"

    subprocess.run(
        own_command("storage.migrate", "resume"),
        env=stage.rig.environment,
        check=True,
        capture_output=True,
        timeout=60,
    )
    again = await stage.resting("21008")
    assert (await stage.trader.cancel(again["order_id"], "end-again"))["status"] == "CANCELED"


async def replay(stage: Stage, order: dict[str, Any]) -> None:
    """Replay the order's history: the code decides the same again."""
    replayer = replayer_of(payload_keys(stage.rig.home))
    handle = stage.client.get_workflow_handle(f"order-{order['order_id']}")
    await replayer.replay_workflow(await handle.fetch_history())


def limit(price: str) -> dict[str, Any]:
    return {"symbol": "BTC-PERP", "side": "BUY", "quantity": QUANTITY, "price": price}


def ended(order: dict[str, Any]) -> bool:
    return bool(order["status"] == "CANCELED")


def market(side: str) -> dict[str, Any]:
    order_type = {"order_type": "MARKET", "time_in_force": "IOC"}
    return {"symbol": "BTC-PERP", "side": side, "quantity": QUANTITY, **order_type}


def a_close(stage: Stage) -> Order:
    """Return an order that closes what is held, as a close gives it."""
    now = datetime.now(UTC)
    return Order(
        order_id=order_id_for("local", "closing while away"),
        owner="local",
        account_id=stage.trader.account_id,
        venue="hyperliquid",
        symbol="BTC-PERP",
        side=OrderSide.SELL,
        order_type=OrderType.MARKET,
        quantity=Decimal(QUANTITY),
        time_in_force=TimeInForce.IOC,
        created_at=now,
        place_by=now + timedelta(seconds=60),
        reduce_only=True,
        fingerprint="closing",
        idempotency_key="closing while away",
        origin=Origin.CLOSE,
    )


def payload_keys(home: Path) -> PayloadKeys:
    secrets = home / "secrets"
    ring = ensure_key_ring(secrets / "payload-keys", file_keepers(secrets))
    return PayloadKeys(ring.current, ring.keys)
