"""A funded account at the simulated exchange, and what a ledger would do for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import Command, CommandKind
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderReport, OrderType, TimeInForce
from domain.outcomes import Accepted, Outcome
from tests.venues.pacifica.building import account, place
from venues.connector import VenueOrder
from venues.pacifica.connector import PacificaConnector
from venues.pacifica.proofs import ADMISSION_WINDOW_S
from venues.simulation.server import RunningSimulator, running_simulator


@dataclass
class Desk:
    """One funded account with its connector, and what a ledger would do for it."""

    venue: RunningSimulator
    connector: PacificaConnector
    account: Account
    key: str = field(repr=False)
    master_key: str = field(repr=False)
    numbers: count[int]

    @property
    def access(self) -> TradingAccess:
        return TradingAccess(account=self.account, credential=SecretText(self.key))

    def slot(self) -> CommandSlot:
        order_id = f"00000000-0000-4000-8000-{next(self.numbers):012d}"
        return CommandSlot(
            client_order_id=self.connector.client_order_id(order_id, 0, 0),
            nonce=None,
            admitted_until=datetime.now(UTC) + timedelta(seconds=ADMISSION_WINDOW_S),
        )

    def row(self, kind: CommandKind, message: str, slot: CommandSlot) -> CommandRow:
        now = datetime.now(UTC)
        return CommandRow(
            key=CommandKey(order_id="order", command=kind, revision=0),
            account_id=self.account.account_id,
            venue="pacifica",
            network=Network.PAPER,
            symbol="",
            signer=self.account.signer,
            lane="",
            target_revision=0,
            client_order_id=slot.client_order_id,
            nonce=None,
            admitted_until=slot.admitted_until,
            message=message,
            inserted_at=now,
            send_by=now + timedelta(seconds=5),
        )

    async def reserve(self, command: Command) -> CommandRow:
        slot = self.slot()
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


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_simulator(venue="pacifica") as venue:
        opened = await venue.simulator.open_account(Decimal(100_000), "desk")
        connector = PacificaConnector(Network.PAPER, venue.url)
        await connector.start()
        try:
            yield Desk(
                venue=venue,
                connector=connector,
                account=replace(account(address=opened["address"]), signer=opened["agent_address"]),
                key=opened["private_key"],
                master_key=opened["master_private_key"],
                numbers=count(1),
            )
        finally:
            await connector.close()


RESTING = place(quantity=Decimal("0.01"), price=Decimal(60000))
TAKING = place(quantity=Decimal("0.01"), price=Decimal(66000), time_in_force=TimeInForce.IOC)
MARKET = replace(TAKING, order_type=OrderType.MARKET)


def report_of(outcome: Outcome) -> OrderReport:
    assert isinstance(outcome, Accepted), outcome
    assert outcome.report is not None
    return outcome.report
