"""A desk at the simulated Hyperliquid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from domain.orders import TimeInForce
from tests.venues import desk as desks
from tests.venues.hyperliquid.building import account, place
from venues.hyperliquid.connector import HyperliquidConnector
from venues.hyperliquid.proofs import ADMISSION_WINDOW_S

Desk = desks.Desk[HyperliquidConnector]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with desks.open_desk(
        account(),
        HyperliquidConnector,
        window_s=ADMISSION_WINDOW_S,
        next_nonce=desks.Milliseconds(),
    ) as made:
        yield made


RESTING = place(quantity=Decimal("0.01"), price=Decimal(60000))
TAKING = place(quantity=Decimal("0.01"), price=Decimal(66000), time_in_force=TimeInForce.IOC)
