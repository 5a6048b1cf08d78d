"""A desk at the simulated EdgeX, whose connector has the account's credential to ask with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import Account, Network, SecretText
from domain.orders import OrderType, TimeInForce
from tests.venues import desk as desks
from tests.venues.edgex.building import account, place
from venues.edgex.budget import RequestBudget
from venues.edgex.connector import EdgexConnector
from venues.simulation.server import running_simulator

Desk = desks.Desk[EdgexConnector]


class Held:
    """A source of credentials that were given to it."""

    def __init__(self, credential: str) -> None:
        self.credential = credential

    async def open(self, account: Account) -> SecretText | None:
        return SecretText(self.credential) if self.credential else None


def connect(url: str, credential: str, **changes: Any) -> EdgexConnector:
    connector = EdgexConnector(Network.PAPER, url, budget=RequestBudget(per_second=500), **changes)
    connector.use_credentials(Held(credential))
    return connector


@asynccontextmanager
async def open_desk(**changes: Any) -> AsyncIterator[Desk]:
    async with running_simulator(venue="edgex") as venue:
        opened = await venue.simulator.open_account(Decimal(100_000), "desk")
        connector = connect(venue.url, opened["private_key"], **changes)
        await connector.start()
        try:
            yield Desk(
                venue=venue,
                connector=connector,
                account=replace(
                    account(), address=opened["address"], signer=opened["agent_address"]
                ),
                key=opened["private_key"],
                master_key=opened["master_private_key"],
                window_s=60,
                next_nonce=lambda: None,
            )
        finally:
            await connector.close()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with open_desk() as made:
        yield made


RESTING = place(quantity=Decimal("0.01"), price=Decimal(60000))
TAKING = place(quantity=Decimal("0.01"), price=Decimal(66000), time_in_force=TimeInForce.IOC)
MARKET = replace(TAKING, order_type=OrderType.MARKET)
