"""A desk at the simulated Extended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.accounts import Account, Network, SecretText
from domain.orders import OrderType, TimeInForce
from tests.venues import desk as desks
from tests.venues.extended.building import account, place
from venues.extended.connector import ExtendedConnector
from venues.simulation.server import running_simulator

Desk = desks.Desk[ExtendedConnector]


class Secrets:
    """Opens the one credential that there is, and counts how often."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.opened = 0

    async def open(self, account: Account) -> SecretText | None:
        self.opened += 1
        return SecretText(self.text) if self.text else None


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_simulator(venue="extended") as venue:
        opened = await venue.simulator.open_account(Decimal(100_000), "desk")
        connector = ExtendedConnector(Network.PAPER, venue.url)
        connector.use_credentials(Secrets(opened["private_key"]))
        await connector.start()
        try:
            yield Desk(
                venue=venue,
                connector=connector,
                account=replace(account(address=opened["address"]), signer=opened["public_key"]),
                key=opened["private_key"],
                master_key="",
                window_s=0.0,
                next_nonce=lambda: None,
            )
        finally:
            await connector.close()


RESTING = place(quantity=Decimal("0.01"), price=Decimal(60000))
TAKING = place(quantity=Decimal("0.01"), price=Decimal(66000), time_in_force=TimeInForce.IOC)
MARKET = replace(TAKING, order_type=OrderType.MARKET)
