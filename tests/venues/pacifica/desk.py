"""A desk at the simulated Pacifica."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.orders import OrderType, TimeInForce
from tests.venues import desk as desks
from tests.venues.pacifica.building import account, place
from venues.pacifica.connector import PacificaConnector
from venues.pacifica.proofs import ADMISSION_WINDOW_S

Desk = desks.Desk[PacificaConnector]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with desks.open_desk(account(), PacificaConnector, window_s=ADMISSION_WINDOW_S) as made:
        yield made


RESTING = place(quantity=Decimal("0.01"), price=Decimal(60000))
TAKING = place(quantity=Decimal("0.01"), price=Decimal(66000), time_in_force=TimeInForce.IOC)
MARKET = replace(TAKING, order_type=OrderType.MARKET)
