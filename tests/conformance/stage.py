"""One venue on stage: its simulator, its connector, and what a worker puts around a connector.

The ledger, the sealed credentials and the activities are the product's own. Tests break the venue,
move its clock, or look into the exchange's tables. Knows a venue by its rig and its capabilities.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.access import CommandParts, NoCheckpoints
from activities.contracts import ResolveTask
from activities.lanes import LaneKeeper
from activities.orders import OrderActivities
from activities.resolution import ResolutionActivities
from domain.accounts import Account, AccountState, Network, TradingAccess
from domain.commands import CancelOrder, Command, CommandKind, PlaceOrder
from domain.feed_credentials import TradingSecrets
from domain.identifiers import order_id_for
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandDraft, CommandKey, CommandRow, Inserted
from domain.orders import Order, OrderReport, OrderType, TimeInForce, Verdict
from domain.outcomes import Accepted, Outcome
from sealing.box import BoxLabel, CredentialPart, seal
from sealing.keys import PrivateKey
from storage.access import SealedTradingAccess
from storage.opening import Storage, open_storage
from tests.conformance.rig import Opened, VenueRig
from venues.connector import Connector, VenueOrder
from venues.simulation import operations
from venues.simulation.faults import FaultKind
from venues.simulation.records import Order as Record
from venues.simulation.server import RunningSimulator, running_simulator
from venues.started import Connectors

_keys = itertools.count(1)
SEND_WITHIN_S = 10.0
"""A busy test machine may stand still for a second between the ledger and the first byte."""
WITHIN_S = 8.0
"""So long a venue may take to show what it has taken."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Prices:
    """Where orders rest and take in the present book, and how much they are for."""

    below: Decimal
    above: Decimal
    best_bid: Decimal
    best_ask: Decimal
    mark: Decimal
    quantity: Decimal


@dataclass
class Stage:
    """The parts, and what tests do with them. `accounts` holds what was opened at the exchange."""

    rig: VenueRig
    running: RunningSimulator
    storage: Storage
    access: SealedTradingAccess
    connectors: Connectors
    connector: Connector
    key: PrivateKey
    accounts: list[tuple[Account, Opened]] = field(default_factory=list, repr=False)
    environment: ActivityEnvironment = field(default_factory=ActivityEnvironment)
    seen_by_resolve: list[str] = field(default_factory=list)
    _lanes: LaneKeeper | None = None

    # Accounts

    @property
    def account(self) -> Account:
        return self.accounts[0][0]

    @property
    def opened(self) -> Opened:
        return self.accounts[0][1]

    async def trading(self, account: Account | None = None) -> TradingAccess:
        return await self.access.open((account or self.account).account_id)

    async def open_account(self, *, balance: int = 1_000_000) -> Account:
        """Open a funded account at the exchange and register it here, its credential sealed."""
        number = len(self.accounts)
        opened = await self.running.simulator.open_account(Decimal(balance), f"account {number}")
        account = Account(
            account_id=f"{number:08d}-1111-4111-8111-111111111111",
            owner="local",
            venue=self.rig.venue,
            label=f"account-{number}",
            network=Network.PAPER,
            address=self.rig.address(opened),
            signer=self.rig.signer(opened),
            state=AccountState.PENDING,
            created_at=now(),
        )
        label = BoxLabel(
            account_id=account.account_id, venue=account.venue, part=CredentialPart.TRADING
        )
        sealed = seal(self.rig.credential(opened).encode(), self.key.public, label)
        await self.storage.accounts.add(account, trading=sealed, feed=None)
        kept = await self.storage.accounts.set_state(
            account.account_id, AccountState.ACTIVE, reason=None, signer=account.signer
        )
        self.accounts.append((kept, opened))
        return kept

    # Markets

    async def instrument(self) -> Instrument:
        return await self.connector.instrument(self.rig.symbol)

    async def prices(self) -> Prices:
        """Look at the book, and choose prices ten percent away from it and a little through it."""
        market = await self.instrument()
        book = await self.connector.order_book(market.symbol, depth=1)
        bid, ask = book.bids[0].price, book.asks[0].price
        rule = market.price_rule
        below = rule.floor(bid * Decimal("0.9"))
        return Prices(
            below=below,
            above=rule.ceiling(ask * Decimal("1.005")),
            best_bid=bid,
            best_ask=ask,
            mark=self.mark(),
            quantity=_worth(market, below, 5 * (market.min_notional or Decimal(10))),
        )

    def mark(self) -> Decimal:
        return self.running.exchange.tables.markets[self.venue_symbol].mark_price

    @property
    def venue_symbol(self) -> str:
        return self.running.simulator.venue_symbol(self.rig.symbol)

    async def move_mark(self, price: Decimal) -> None:
        """Have the market trade at a price."""
        exchange = self.running.exchange
        await exchange.durable(operations.set_price(exchange, self.venue_symbol, price))

    async def resting(self, **changes: Any) -> PlaceOrder:
        """Return a buy that rests far below the book."""
        prices = await self.prices()
        return self.order(prices.quantity, prices.below, **changes)

    @property
    def immediate(self) -> TimeInForce:
        """The time in force of what takes at once or goes: not every venue has both."""
        declared = self.connector.capabilities.times_in_force
        return TimeInForce.IOC if TimeInForce.IOC in declared else TimeInForce.FOK

    async def taking(self, **changes: Any) -> PlaceOrder:
        """Return a buy that takes at once, whole."""
        prices = await self.prices()
        changes.setdefault("time_in_force", self.immediate)
        return self.order(prices.quantity, prices.above, **changes)

    async def waiting(self, kind: OrderType, **changes: Any) -> PlaceOrder:
        """Return a sell that waits: a stop below the mark, or a target above it."""
        prices = await self.prices()
        rule = (await self.instrument()).price_rule
        is_stop = kind in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
        touched = rule.floor(prices.mark * (Decimal("0.95") if is_stop else Decimal("1.05")))
        limit = rule.floor(touched * Decimal("0.95"))
        fields = {"side": OrderSide.SELL, "order_type": kind, "trigger_price": touched}
        quantity = changes.pop("quantity", prices.quantity)
        return self.order(quantity, limit, **{**fields, **changes})

    def order(self, quantity: Decimal, price: Decimal, **changes: Any) -> PlaceOrder:
        fields: dict[str, Any] = {
            "symbol": self.rig.symbol,
            "side": OrderSide.BUY,
            "order_type": OrderType.LIMIT,
            "quantity": quantity,
            "price": price,
        }
        return PlaceOrder(**{**fields, **changes})

    # Commands, as a worker gives them

    async def reserve(self, command: PlaceOrder, account: Account | None = None) -> CommandRow:
        """Write a placement into the ledger and return its row; nothing is sent yet."""
        account = account or self.account
        created = now()
        # Of several processes that write into one ledger at the same moment, too.
        key = f"order-{os.getpid()}-{next(_keys)}-{created.timestamp()}"
        order = Order(
            order_id=order_id_for("local", key),
            owner="local",
            account_id=account.account_id,
            venue=self.rig.venue,
            symbol=command.symbol,
            side=command.side,
            order_type=command.order_type,
            quantity=command.quantity,
            time_in_force=command.time_in_force,
            created_at=created,
            place_by=created + timedelta(seconds=30),
            price=command.price,
            trigger_price=command.trigger_price,
            post_only=command.post_only,
            reduce_only=command.reduce_only,
            fingerprint=key,
            idempotency_key=key,
        )
        name = CommandKey(order_id=order.order_id, command=CommandKind.PLACE, revision=0)
        return await self._reserve(name, command, account, order=order)

    async def reserve_cancel(
        self, placed: CommandRow, *, venue_order_id: str | None = None, number: int = 0
    ) -> CommandRow:
        """Write a cancel of a placement into the ledger, by the venue's id where given."""
        command = CancelOrder(
            symbol=placed.symbol,
            client_order_id=placed.client_order_id,
            venue_order_id=venue_order_id,
        )
        name = CommandKey(order_id=placed.key.order_id, command=CommandKind.CANCEL, revision=number)
        account = next(one for one, _ in self.accounts if one.account_id == placed.account_id)
        return await self._reserve(name, command, account, spelled=placed.client_order_id)

    async def _reserve(
        self,
        key: CommandKey,
        command: Command,
        account: Account,
        *,
        order: Order | None = None,
        spelled: str | None = None,
    ) -> CommandRow:
        async with self._lane(key, command, account, order=order) as draft:
            return await self._reserved(draft, spelled=spelled)

    def _lane(
        self, key: CommandKey, command: Command, account: Account, *, order: Order | None
    ) -> AbstractAsyncContextManager[CommandDraft]:
        """Hold the lane of a command, at a venue that has lanes; yield its draft."""
        connector = self.connector
        draft = CommandDraft(
            key=key,
            account_id=account.account_id,
            venue=self.rig.venue,
            network=Network.PAPER,
            symbol=self.rig.symbol,
            signer=account.signer,
            command=command,
            target_revision=0,
            raises_exposure=isinstance(command, PlaceOrder) and not command.reduce_only,
            nonce_rule=connector.capabilities.nonce_rule,
            send_within_s=SEND_WITHIN_S,
            admission_window_s=connector.proofs.admission_window_s,
            order=order,
        )
        return _turn(self, draft, account)

    async def _reserved(self, draft: CommandDraft, *, spelled: str | None) -> CommandRow:
        connector, key = self.connector, draft.key
        reservation = await self.storage.ledger.reserve(
            draft,
            spell_client_order_id=lambda collision: (
                spelled or connector.client_order_id(key.order_id, key.revision, collision)
            ),
            compose=await connector.compose(draft.command),
        )
        assert isinstance(reservation, Inserted), reservation
        return reservation.row

    async def carry_out(self, row: CommandRow) -> Outcome:
        """Send a row for the first time and write down what came of it."""
        result = await self.connector.send(row, await self.access.open(row.account_id))
        await self.storage.ledger.decide(row.key, result)
        return result.outcome

    async def resend(self, row: CommandRow) -> Outcome:
        return (await self.connector.resend(row, await self.access.open(row.account_id))).outcome

    async def send(
        self, command: PlaceOrder, account: Account | None = None
    ) -> tuple[CommandRow, Outcome]:
        row = await self.reserve(command, account)
        return row, await self.carry_out(row)

    async def accepted(
        self, command: PlaceOrder, account: Account | None = None
    ) -> tuple[CommandRow, OrderReport]:
        """Send a placement that has to be taken, and return what the venue said of it."""
        row, outcome = await self.send(command, account)
        return row, report_in(outcome)

    async def cancel(self, placed: CommandRow, **how: Any) -> Outcome:
        return await self.carry_out(await self.reserve_cancel(placed, **how))

    async def position(self, command: PlaceOrder | None = None) -> Decimal:
        """Open a long position and return how much of it there is."""
        row, _ = await self.accepted(command or await self.taking())
        (record,) = self.at_venue(row)
        return record.filled

    async def restart(self) -> None:
        """Go on with a connector that knows nothing of before, as after a worker's end."""
        await self.connectors.close()
        self.connectors = Connectors(frozenset({self.rig.venue}), TradingSecrets(self.access))
        self.connector = await self.connectors.connector(self.rig.venue, Network.PAPER)

    # Finding out

    def parts(self) -> CommandParts:
        return CommandParts(
            ledger=self.storage.ledger,
            orders=self.storage.orders,
            access=self.access,
            connectors=self.connectors,
            checkpoints=NoCheckpoints(),
            now=now,
            lanes=self.lanes,
            blocks=self.storage.halts,
        )

    @property
    def lanes(self) -> LaneKeeper:
        """What gives commands their lanes, at venues that count nonces for each key."""
        if self._lanes is None:
            self._lanes = lane_keeper(self)
        return self._lanes

    async def settle_lanes(self) -> None:
        """Close what was left open on any lane, so that the next command finds none."""
        for account, _ in self.accounts:
            await self.lanes.clear(self.connector, await self.trading(account))

    @property
    def orders(self) -> OrderActivities:
        return OrderActivities(self.parts())

    async def resolve(self, row: CommandRow) -> Outcome:
        """Have the worker's own search find out what became of a command.

        Between two looks the venue's clock goes on to where its proof table says that nothing of
        the command can arrive any more.
        """
        proofs = self.connector.proofs
        searching = ResolutionActivities(self.parts())
        self.environment.on_heartbeat = lambda *seen: self.seen_by_resolve.append(str(seen))
        # Where nothing closes, a look after the visibility delay is all that can be hoped for.
        for _ in range(3 if proofs.fences else 2):
            task = ResolveTask(key=row.key)
            result = await self.environment.run(searching.resolve, task)
            if result.definite:
                break
            wait_s = (proofs.admission_window_s or 0.0) + proofs.visibility_delay_s + 1.0
            self.advance_venue(wait_s)
        kept = await self.storage.ledger.read(row.key)
        assert kept is not None and kept.outcome is not None
        return kept.outcome

    def advance_venue(self, seconds: float) -> None:
        """Let time pass at the venue, and not here."""
        clock = self.running.exchange.clock
        self.running.exchange.shift_clock(clock.offset_ms + int(seconds * 1000))

    def set_venue_right(self) -> None:
        """Let the venue's clock be ours again."""
        self.running.exchange.shift_clock(0)

    async def find(self, row: CommandRow) -> VenueOrder | None:
        """Look an order up by the client order id alone."""
        account = next(one for one, _ in self.accounts if one.account_id == row.account_id)
        found = await self.connector.find_order(
            account, symbol=row.symbol, client_order_id=row.client_order_id
        )
        return found.order

    async def seen(self, row: CommandRow) -> VenueOrder:
        found = await self.find(row)
        assert found is not None
        return found

    async def until(self, row: CommandRow, *verdicts: Verdict) -> VenueOrder:
        """Look an order up until it is in one of these states: an answer may come before them."""
        return await self._until_in(row, verdicts)

    async def ended(self, row: CommandRow) -> VenueOrder:
        return await self._until_in(row, [verdict for verdict in Verdict if verdict.is_terminal])

    async def _until_in(self, row: CommandRow, verdicts: Collection[Verdict]) -> VenueOrder:
        seen: VenueOrder | None = None
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while seen is None or seen.verdict not in verdicts:
            assert asyncio.get_running_loop().time() < deadline, (
                f"expected one of {[verdict.value for verdict in verdicts]}, found {seen}"
            )
            seen = await self.find(row)
            if seen is None or seen.verdict not in verdicts:
                await asyncio.sleep(0.05)
        return seen

    # The exchange's own book-keeping

    def at_venue(self, row: CommandRow) -> list[Record]:
        """Return every order the exchange has with the row's client order id."""
        return [one for one in self.records() if one.client_order_id == row.client_order_id]

    def one_at_venue(self, row: CommandRow) -> Record:
        (record,) = self.at_venue(row)
        return record

    def id_of(self, record: Record) -> str:
        """Return the venue's id of an order, as the venue spells it."""
        return self.rig.venue_order_id(record.venue_order_id)

    def records(self) -> list[Record]:
        return list(self.running.exchange.tables.orders.values())

    def held(self, account: Account | None = None) -> Decimal:
        """Return an account's position, signed."""
        address = (account or self.account).address
        return self.running.exchange.tables.position(address, self.venue_symbol).quantity

    def fault(self, kind: FaultKind, command: CommandKind | None = None, **more: Any) -> None:
        action = None if command is None else self.rig.actions[command]
        self.running.faults.add(kind, action=action, **more)

    def fill(self, row: CommandRow, quantity: Decimal | None = None) -> None:
        """Have somebody trade with a resting order, wholly or so much of it."""
        operations.fill_order(self.running.exchange, self.one_at_venue(row), quantity, None)


@asynccontextmanager
async def _turn(stage: Stage, draft: CommandDraft, account: Account) -> AsyncIterator[CommandDraft]:
    access = await stage.trading(account)
    async with stage.lanes.turn(stage.connector, access, draft) as taken:
        yield taken


def lane_keeper(stage: Stage) -> LaneKeeper:
    """Return what a worker has beside its activities where a venue has lanes."""
    return LaneKeeper(
        store=stage.storage.lanes,
        ledger=stage.storage.ledger,
        owner=f"stage-{next(_keys)}-{os.getpid()}",
        burn=lambda *burned: ResolutionActivities(stage.parts()).burn(*burned),
        now=now,
    )


def report_in(outcome: Outcome) -> OrderReport:
    """Return what an accepting answer says of the order."""
    assert isinstance(outcome, Accepted), outcome
    assert outcome.report is not None
    return outcome.report


def _worth(market: Instrument, price: Decimal, notional: Decimal) -> Decimal:
    """Return the least quantity that is worth so much at a price."""
    lots = (notional / price / market.lot_size).to_integral_value(rounding=ROUND_CEILING)
    return lots * market.lot_size


@asynccontextmanager
async def open_stage(
    rig: VenueRig,
    running: RunningSimulator,
    template: Path,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    url: str | None = None,
) -> AsyncIterator[Stage]:
    """Open a stage over a running simulator, reached at its own address or at `url`."""
    for module in ("activities.orders", "activities.resolution", "activities.joint_placing"):
        monkeypatch.setattr(f"{module}.SEND_WITHIN_S", SEND_WITHIN_S)
    monkeypatch.setattr("activities.resolution.LOOK_FOR_S", 0.2)
    monkeypatch.setenv(rig.paper_variable, url or running.url)
    shutil.copyfile(template, home / "perp-dex.db")
    storage = await open_storage("", home)
    key = PrivateKey.generate()
    access = storage.access(key)
    connectors = Connectors(frozenset({rig.venue}), TradingSecrets(access))
    stage: Stage | None = None
    try:
        stage = Stage(
            rig=rig,
            running=running,
            storage=storage,
            access=access,
            connectors=connectors,
            connector=await connectors.connector(rig.venue, Network.PAPER),
            key=key,
        )
        await stage.open_account()
        yield stage
    finally:
        await (connectors if stage is None else stage.connectors).close()
        await storage.close()


@asynccontextmanager
async def running(rig: VenueRig, **options: Any) -> AsyncIterator[RunningSimulator]:
    """Run a venue's simulator in this process, over real sockets."""
    async with running_simulator(venue=rig.venue, **options) as simulator:
        yield simulator
