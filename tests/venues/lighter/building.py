"""Small builders for Lighter's tests: keys, accounts, a desk, and where recorded payloads are."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from domain.accounts import Account, AccountState, Network, SecretText, TradingAccess
from domain.commands import Command, CommandKind, PlaceOrder
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderType
from domain.outcomes import Outcome, SendResult
from venues.lighter.connector import LighterConnector
from venues.lighter.credential import read_credential
from venues.lighter.limits import RequestBudget, Tier
from venues.lighter.proofs import ADMISSION_WINDOW_S
from venues.lighter.simulator_signature import fresh_key
from venues.simulation.server import RunningSimulator, running_simulator

NOW = datetime(2026, 10, 5, 12, 0, 0, tzinfo=UTC)
CHAIN_ID = 304


def credential(index: int = 100_001, *keys: int) -> SecretText:
    """Return a credential with the simulator's keys of an account."""
    private = {str(key): fresh_key(0, index, key)[0] for key in keys or (4, 5, 6)}
    return SecretText(json.dumps({"account_index": index, "api_private_keys": private}))


def account(*, address: str = "100001", network: Network = Network.PAPER) -> Account:
    return Account(
        account_id="acc",
        owner="local",
        venue="lighter",
        label="main",
        network=network,
        address=address,
        signer="",
        state=AccountState.ACTIVE,
        created_at=NOW,
    )


def place(**changes: Any) -> PlaceOrder:
    order = PlaceOrder(
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal(60_000),
    )
    return replace(order, **changes)


@dataclass
class Desk:
    """One funded account with its connector, and what a ledger would do for it."""

    venue: RunningSimulator
    connector: LighterConnector
    account: Account
    secret: SecretText = field(repr=False)
    numbers: count[int] = field(default_factory=lambda: count(1))
    nonces: dict[str, int] = field(default_factory=dict)

    @property
    def access(self) -> TradingAccess:
        return TradingAccess(account=self.account, credential=self.secret)

    async def open(self, account: Account) -> SecretText:
        return self.secret

    async def reserve(
        self, command: Command, lane: str | None = None, **changes: Any
    ) -> CommandRow:
        """Return a signed row with the lane's next nonce."""
        kind = CommandKind(command.kind)
        lane = lane or ("5" if kind is CommandKind.PLACE else "6")
        nonce = changes.pop("nonce", None)
        if nonce is None:
            nonce = self.nonces.get(lane, 0)
            self.nonces[lane] = nonce + 1
        now = datetime.now(UTC)
        order_id = f"00000000-0000-4000-8000-{next(self.numbers):012d}"
        client_order_id = getattr(command, "client_order_id", None)
        slot = CommandSlot(
            client_order_id=client_order_id or self.connector.client_order_id(order_id, 0, 0),
            nonce=nonce,
            admitted_until=now + timedelta(seconds=ADMISSION_WINDOW_S),
        )
        message = (await self.connector.compose(command))(slot)
        row = CommandRow(
            key=CommandKey(order_id=order_id, command=kind, revision=0),
            account_id=self.account.account_id,
            venue="lighter",
            network=Network.PAPER,
            symbol="BTC-PERP",
            signer=self.account.signer,
            lane=lane,
            target_revision=0,
            client_order_id=slot.client_order_id,
            nonce=nonce,
            admitted_until=slot.admitted_until,
            message=message,
            inserted_at=now,
            send_by=now + timedelta(seconds=5),
            signed=self.connector.message_signer(self.access, lane)(slot, message),
        )
        return replace(row, **changes)

    async def result(self, command: Command, **how: Any) -> tuple[CommandRow, SendResult]:
        row = await self.reserve(command, **how)
        return row, await self.connector.send(row, self.access)

    async def send(self, command: Command, **how: Any) -> tuple[CommandRow, Outcome]:
        row, result = await self.result(command, **how)
        return row, result.outcome

    def at_venue(self, row: CommandRow) -> list[Any]:
        orders = self.venue.exchange.tables.orders.values()
        return [order for order in orders if order.client_order_id == row.client_order_id]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_simulator(venue="lighter") as venue:
        opened = await venue.simulator.open_account(Decimal(1_000_000), "desk")
        secret = SecretText(opened["private_key"])
        connector = LighterConnector(
            Network.PAPER, venue.url, CHAIN_ID, budget=RequestBudget(tier=Tier.BUILDER)
        )
        await connector.start()
        signer = read_credential(secret).signer
        made = Desk(
            venue=venue,
            connector=connector,
            account=replace(account(address=opened["address"]), signer=signer),
            secret=secret,
        )
        connector.use_credentials(made)
        try:
            yield made
        finally:
            await connector.close()


def samples() -> Path | None:
    """Return the folder of recorded payloads, where this machine has one."""
    named = os.environ.get("PERP_DEX_SAMPLES")
    root = Path(named) if named else Path(__file__).parents[4] / "shared" / "venues" / "samples"
    found = root / "lighter"
    return found if found.is_dir() else None


def sample(name: str) -> Any:
    """Return one recorded payload, or None where this machine has none."""
    root = samples()
    return None if root is None else json.loads((root / name).read_text())
