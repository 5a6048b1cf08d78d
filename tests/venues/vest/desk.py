"""A desk at the simulated Vest: one funded account, and what a ledger would do for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import CancelOrder, Command, CommandKind, PlaceOrder
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderType, TimeInForce
from domain.outcomes import Outcome
from tests.venues.desk import Milliseconds
from tests.venues.vest.building import account
from venues.simulation.server import RunningSimulator, running_simulator
from venues.vest.connector import VestConnector
from venues.vest.proofs import ADMISSION_WINDOW_S


class Kept:
    """What a process may open of an account."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    async def open(self, account: Account) -> SecretText | None:
        return None if self.text is None else SecretText(self.text)


@dataclass
class Desk:
    """One account with its connector; `opened` is what the simulator gave."""

    venue: RunningSimulator
    connector: VestConnector
    account: Account
    opened: dict[str, str] = field(repr=False)
    nonces: Milliseconds = field(default_factory=Milliseconds)

    @property
    def quirks(self) -> Any:
        simulator: Any = self.venue.simulator
        return simulator.quirks

    @property
    def access(self) -> TradingAccess:
        return self.with_key(self.opened["private_key"])

    def with_key(self, text: str) -> TradingAccess:
        return TradingAccess(account=self.account, credential=SecretText(text))

    def credential(self, **changes: Any) -> str:
        return json.dumps({**json.loads(self.opened["private_key"]), **changes})

    async def reserve(self, command: Command) -> CommandRow:
        now = datetime.now(UTC)
        nonce = self.nonces()
        named = command.client_order_id if isinstance(command, CancelOrder) else str(nonce)
        slot = CommandSlot(
            client_order_id=named,
            nonce=nonce,
            admitted_until=now + timedelta(seconds=ADMISSION_WINDOW_S),
        )
        return CommandRow(
            key=CommandKey(order_id="order", command=CommandKind(command.kind), revision=0),
            account_id=self.account.account_id,
            venue="vest",
            network=Network.PAPER,
            symbol="BTC-PERP",
            signer=self.account.signer,
            lane="",
            target_revision=0,
            client_order_id=slot.client_order_id,
            nonce=nonce,
            admitted_until=slot.admitted_until,
            message=(await self.connector.compose(command))(slot),
            inserted_at=now,
            send_by=now + timedelta(seconds=5),
        )

    async def send(self, command: Command) -> tuple[CommandRow, Outcome]:
        row = await self.reserve(command)
        return row, (await self.connector.send(row, self.access)).outcome


@asynccontextmanager
async def open_desk(url: str | None = None) -> AsyncIterator[Desk]:
    async with running_simulator(venue="vest") as venue:
        opened = await venue.simulator.open_account(Decimal(100_000), "desk")
        connector = VestConnector(Network.PAPER, url or venue.url)
        connector.use_credentials(Kept(opened["private_key"]))
        await connector.start()
        own = replace(account(), address=opened["address"], signer=opened["signing_address"])
        try:
            yield Desk(venue, connector, own, opened)
        finally:
            await connector.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as made:
        yield made


RESTING = PlaceOrder(
    symbol="BTC-PERP",
    side=OrderSide.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal("0.01"),
    price=Decimal(60000),
)
TAKING = replace(RESTING, price=Decimal(66000), time_in_force=TimeInForce.FOK)
MARKET = replace(TAKING, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)
