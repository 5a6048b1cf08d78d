"""A worker's floor without Temporal: simulated exchange, real connector, real SQLite, real keys.

Everything that activities are given is the product's own; tests only break the venue, move its
clock, or take the database away for a moment.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.access import CommandParts
from activities.accounts import AccountActivities
from activities.contracts import (
    CancelTask,
    CommandResult,
    OrderTask,
    PlaceTask,
    ResolveTask,
    Settlement,
)
from activities.orders import OrderActivities
from activities.resolution import ResolutionActivities
from domain.accounts import Account, AccountState, Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import Unavailable
from domain.identifiers import order_id_for
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow
from domain.orders import Concern, Order, OrderType, TimeInForce
from domain.outcomes import Outcome
from domain.ports import IntentLedger
from sealing.box import BoxLabel, CredentialPart, seal
from sealing.keys import PrivateKey
from storage.access import SealedTradingAccess
from storage.opening import Storage, open_storage
from venues.connector import Connector
from venues.simulation import operations
from venues.simulation.faults import FaultKind
from venues.simulation.records import Order as VenueRecord
from venues.simulation.server import RunningSimulator, running_simulator
from venues.started import Connectors

ACCOUNT_ID = "11111111-1111-4111-8111-111111111111"
BELOW = Decimal(60_000)
"""A price at which a buy rests."""
ABOVE = Decimal(66_000)
"""A price at which a buy takes."""

_keys = itertools.count(1)


@dataclass
class Points:
    """Checkpoints at which a test does something, once for each action given."""

    actions: dict[str, list[Callable[[], object]]] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)

    def reached(self, point: str) -> None:
        self.passed.append(point)
        waiting = self.actions.get(point)
        if waiting:
            waiting.pop(0)()


@dataclass
class Floor:
    """The parts, and what tests do with them."""

    venue: RunningSimulator
    storage: Storage
    access: SealedTradingAccess
    connectors: Connectors
    points: Points
    opened: dict[str, str]
    key: PrivateKey
    home: Path
    monkeypatch: pytest.MonkeyPatch
    environment: ActivityEnvironment = field(default_factory=ActivityEnvironment)
    heartbeats: list[str] = field(default_factory=list)

    def parts(self, **changes: Any) -> CommandParts:
        parts = CommandParts(
            ledger=self.storage.ledger,
            orders=self.storage.orders,
            access=self.access,
            connectors=self.connectors,
            checkpoints=self.points,
            now=now,
            blocks=self.storage.halts,
        )
        return replace(parts, **changes)

    @property
    def orders(self) -> OrderActivities:
        return OrderActivities(self.parts())

    @property
    def resolution(self) -> ResolutionActivities:
        return ResolutionActivities(self.parts())

    @property
    def accounts(self) -> AccountActivities:
        return AccountActivities(
            accounts=self.storage.accounts,
            access=self.access,
            connectors=self.connectors,
            rights=self.connectors.rights,
        )

    async def connector(self) -> Connector:
        return await self.connectors.connector("hyperliquid", Network.PAPER)

    async def opened_access(self) -> TradingAccess:
        return await self.access.open(ACCOUNT_ID)

    # Activities, run as Temporal would.

    async def place(self, order: Order, *, revision: int = 0, **changes: Any) -> CommandResult:
        task = place_task(order, revision=revision, **changes)
        return await self.environment.run(self.orders.place, task)

    async def cancel(self, order: Order, *, number: int = 0, **changes: Any) -> CommandResult:
        task = CancelTask(
            order_id=order.order_id, number=number, revision=0, concern=Concern.PENDING_CANCEL
        )
        return await self.environment.run(self.orders.cancel, replace(task, **changes))

    async def resolve(
        self, order: Order, command: CommandKind = CommandKind.PLACE
    ) -> CommandResult:
        self.environment.on_heartbeat = lambda *seen: self.heartbeats.append(*seen)
        key = CommandKey(order_id=order.order_id, command=command, revision=0)
        return await self.environment.run(self.resolution.resolve, ResolveTask(key=key))

    async def settle(self, order: Order) -> Settlement:
        return await self.environment.run(self.orders.settle, OrderTask(order_id=order.order_id))

    # What is kept, and what the exchange knows.

    async def row(
        self, order: Order, command: CommandKind = CommandKind.PLACE, revision: int = 0
    ) -> CommandRow:
        key = CommandKey(order_id=order.order_id, command=command, revision=revision)
        row = await self.storage.ledger.read(key)
        assert row is not None
        return row

    async def stored(self, order: Order) -> Order:
        kept = await self.storage.orders.get(order.order_id)
        assert kept is not None
        return kept

    async def timeline(self, order: Order) -> list[str]:
        return [event.text for event in await self.storage.orders.timeline(order.order_id)]

    def at_venue(self) -> list[VenueRecord]:
        """Return every order that this floor's account ever had at the exchange."""
        return [
            order
            for order in self.venue.exchange.tables.orders.values()
            if order.account == self.opened["address"]
        ]

    def one_at_venue(self) -> VenueRecord:
        (order,) = self.at_venue()
        return order

    def fault(self, kind: FaultKind, action: str | None = "order", **more: Any) -> None:
        self.venue.faults.add(kind, action=action, **more)

    def fill(self, quantity: str | None = None) -> None:
        """Have the house fill the newest resting order, wholly or so much of it."""
        resting = [order for order in self.at_venue() if order.remaining and not order.reason]
        wanted = None if quantity is None else Decimal(quantity)
        operations.fill_order(self.venue.exchange, resting[-1], wanted, None)

    def shift_venue_clock(self, seconds: float) -> None:
        self.venue.exchange.shift_clock(int(seconds * 1000))

    def past_admission(self) -> None:
        """Move the venue's clock past the admission and the visibility delay."""
        self.shift_venue_clock(30)

    def hide_orders(self, *, fills_too: bool = False) -> None:
        """Have the venue forget the account's orders, as it does after two thousand newer ones."""
        tables, address = self.venue.exchange.tables, self.opened["address"]
        tables.orders_of.pop(address, None)
        tables.live_orders.pop(address, None)
        for key in [key for key in tables.by_client_id if key[0] == address]:
            for order_id in tables.by_client_id.pop(key):
                tables.orders.pop(order_id)
        if fills_too:
            tables.fills_of.pop(address, None)

    async def book_fills(self) -> None:
        """Book what the venue lists, as streaming does."""
        connector = await self.connector()
        account = (await self.opened_access()).account
        since = now() - timedelta(hours=1)
        await self.storage.orders.book(await connector.fills(account, since=since))

    @contextmanager
    def busy_database(self) -> Iterator[None]:
        """Have another process write for so long that ours have to wait."""
        other = sqlite3.connect(self.home / "perp-dex.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            yield
        finally:
            other.close()

    async def close_venue(self) -> None:
        """Make the venue answer nothing at all."""
        self.venue.faults.add(FaultKind.MAINTENANCE, count=None)

    async def forget_rate_limit(self) -> None:
        """Let the pause after a 429 be over."""
        connector: Any = await self.connector()
        connector._rest._budget._closed_until = 0.0

    def venue_is_back(self) -> None:
        self.venue.faults.clear()


def now() -> datetime:
    return datetime.now(UTC)


def an_order(**changes: Any) -> Order:
    """Return a buy that rests, of an id of its own."""
    key = f"order-{next(_keys)}-{now().timestamp()}"
    created = now()
    order = Order(
        order_id=order_id_for("local", key),
        owner="local",
        account_id=ACCOUNT_ID,
        venue="hyperliquid",
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        time_in_force=TimeInForce.GTC,
        created_at=created,
        place_by=created + timedelta(seconds=15),
        price=BELOW,
        fingerprint=f"fingerprint of {key}",
        idempotency_key=key,
    )
    return replace(order, **changes)


def place_task(order: Order, **changes: Any) -> PlaceTask:
    """Return the task of placing the whole order."""
    task = PlaceTask(
        order=order,
        revision=0,
        quantity=order.quantity,
        price=order.price,
        not_after=order.place_by,
    )
    return replace(task, **changes)


TAKING: dict[str, Any] = {"price": ABOVE, "time_in_force": TimeInForce.IOC}
MARKET: dict[str, Any] = {
    "price": None,
    "order_type": OrderType.MARKET,
    "time_in_force": TimeInForce.IOC,
}


async def until(look: Callable[[], Any], *, what: str, within_s: float = 20.0) -> Any:
    """Look (a function, or a coroutine function) until what is seen is true, and return it."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        seen = look()
        if asyncio.iscoroutine(seen):
            seen = await seen
        if seen:
            return seen
        assert asyncio.get_running_loop().time() < deadline, f"expected {what} in {within_s} s"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def open_floor(
    template: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Floor]:
    """Open a floor of its own: exchange, database and keys that nobody else has."""
    # A busy test machine may stand still for a second between the ledger and the first byte.
    for module in ("activities.orders", "activities.resolution", "activities.joint_placing"):
        monkeypatch.setattr(f"{module}.SEND_WITHIN_S", 10.0)
    shutil.copyfile(template, home / "perp-dex.db")
    async with running_simulator() as venue:
        monkeypatch.setenv("HYPERLIQUID_PAPER_URL", venue.url)
        opened = await venue.simulator.open_account(Decimal(1_000_000), "floor")
        storage = await open_storage("", home)
        key = PrivateKey.generate()
        connectors = Connectors(frozenset({"hyperliquid"}))
        floor = Floor(
            venue=venue,
            storage=storage,
            access=storage.access(key),
            connectors=connectors,
            points=Points(),
            opened=opened,
            key=key,
            home=home,
            monkeypatch=monkeypatch,
        )
        try:
            await add_account(floor)
            await storage.accounts.set_state(
                ACCOUNT_ID, AccountState.ACTIVE, reason=None, signer=opened["agent_address"]
            )
            await floor.connector()
            yield floor
        finally:
            await connectors.close()
            await storage.close()


async def add_account(
    floor: Floor, account_id: str = ACCOUNT_ID, *, secret: str | None = None, **changes: Any
) -> Account:
    """Register an account of the floor's address, PENDING, its credential sealed."""
    account = Account(
        account_id=account_id,
        owner="local",
        venue="hyperliquid",
        label=account_id[:4],
        network=Network.PAPER,
        address=floor.opened["address"],
        signer="",
        state=AccountState.PENDING,
        created_at=now(),
    )
    account = replace(account, **changes)
    label = BoxLabel(account_id=account_id, venue=account.venue, part=CredentialPart.TRADING)
    sealed = seal((secret or floor.opened["private_key"]).encode(), floor.key.public, label)
    return await floor.storage.accounts.add(account, trading=sealed, feed=None)


class Altered:
    """The real connector with some attributes replaced; also the source that hands it out."""

    def __init__(self, connector: Connector, **attributes: Any) -> None:
        self._connector = connector
        vars(self).update(attributes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connector, name)

    async def connector(self, _venue: str, _network: Network) -> Any:
        return self

    def clock_refusal(self, _venue: str, _network: Network) -> str | None:
        return None

    def opening_refusal(self, _venue: str, _network: Network) -> str | None:
        return None

    def note_outcome(self, _venue: str, _network: Network, _outcome: Outcome) -> None:
        return None


class AwayLedger:
    """The real ledger behind a database that is away for the next `away` decisions."""

    def __init__(self, ledger: IntentLedger, *, away: int) -> None:
        self._ledger = ledger
        self.away = away
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def decide(self, *arguments: Any, **more: Any) -> Order:
        self.asked += 1
        if self.asked <= self.away:
            raise Unavailable("the database does not answer")
        return await self._ledger.decide(*arguments, **more)
