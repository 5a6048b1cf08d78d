"""A funded account at a venue's simulated exchange, and what a ledger would do for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Generic, TypeVar

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import BurnNonce, Command, CommandKind
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderReport
from domain.outcomes import Accepted, Outcome
from venues.connector import Connector, VenueOrder
from venues.simulation.server import RunningSimulator, running_simulator

C = TypeVar("C", bound=Connector)


@dataclass(kw_only=True)
class Desk(Generic[C]):
    """One funded account with its connector, and what a ledger would do for it.

    `next_nonce` numbers commands where the venue's carry a number of ours.
    """

    venue: RunningSimulator
    connector: C
    account: Account
    key: str = field(repr=False)
    master_key: str = field(repr=False)
    window_s: float
    next_nonce: Callable[[], int | None]
    numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def access(self) -> TradingAccess:
        return TradingAccess(account=self.account, credential=SecretText(self.key))

    def slot(self) -> CommandSlot:
        order_id = f"00000000-0000-4000-8000-{next(self.numbers):012d}"
        return CommandSlot(
            client_order_id=self.connector.client_order_id(order_id, 0, 0),
            nonce=self.next_nonce(),
            admitted_until=datetime.now(UTC) + timedelta(seconds=self.window_s),
        )

    def row(self, kind: CommandKind, message: str, slot: CommandSlot) -> CommandRow:
        now = datetime.now(UTC)
        return CommandRow(
            key=CommandKey(order_id="order", command=kind, revision=0),
            account_id=self.account.account_id,
            venue=self.account.venue,
            network=Network.PAPER,
            symbol="",
            signer=self.account.signer,
            lane="",
            target_revision=0,
            client_order_id=slot.client_order_id,
            nonce=slot.nonce,
            admitted_until=slot.admitted_until,
            message=message,
            inserted_at=now,
            send_by=now + timedelta(seconds=5),
        )

    async def reserve(self, command: Command) -> CommandRow:
        slot = self.slot()
        if isinstance(command, BurnNonce):
            slot = replace(slot, nonce=command.nonce)
        compose = await self.connector.compose(command)
        return self.row(CommandKind(command.kind), compose(slot), slot)

    async def send(self, command: Command) -> tuple[CommandRow, Outcome]:
        row = await self.reserve(command)
        return row, (await self.connector.send(row, self.access)).outcome

    async def accepted(self, command: Command) -> tuple[CommandRow, VenueOrder]:
        """Send a placement that has to be taken, and look it up."""
        row, outcome = await self.send(command)
        assert isinstance(outcome, Accepted), outcome
        return row, await self.find(row)

    async def find(self, row: CommandRow) -> VenueOrder:
        found = await self.connector.find_order(
            self.account, symbol="", client_order_id=row.client_order_id
        )
        assert found.order is not None
        return found.order

    def at_venue(self, row: CommandRow) -> list[Any]:
        """Return every order of the exchange's own ledger with the row's client order id."""
        orders = self.venue.exchange.tables.orders.values()
        return [order for order in orders if order.client_order_id == row.client_order_id]


@asynccontextmanager
async def open_desk(
    account: Account,
    connect: Callable[[Network, str], C],
    *,
    window_s: float,
    next_nonce: Callable[[], int | None] = lambda: None,
) -> AsyncIterator[Desk[C]]:
    """Run the simulator of an account's venue; the account gets the address that it opened."""
    async with running_simulator(venue=account.venue) as venue:
        opened = await venue.simulator.open_account(Decimal(100_000), "desk")
        connector = connect(Network.PAPER, venue.url)
        await connector.start()
        try:
            yield Desk(
                venue=venue,
                connector=connector,
                account=replace(account, address=opened["address"], signer=opened["agent_address"]),
                key=opened["private_key"],
                master_key=opened["master_private_key"],
                window_s=window_s,
                next_nonce=next_nonce,
            )
        finally:
            await connector.close()


def report_of(outcome: Outcome) -> OrderReport:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.report is not None
    return outcome.report


class Milliseconds:
    """Nonces as a venue with nonces of time wants them: our clock's, and always rising."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(int(datetime.now(UTC).timestamp() * 1000), self._last + 1)
        return self._last
