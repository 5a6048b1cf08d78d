"""Nonces of commands without a row: one sequence with those of orders, never twice."""

from __future__ import annotations

import asyncio

from domain.accounts import Network
from domain.ledger import Inserted
from storage.clock import milliseconds
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.signer_nonces import SqlSignerNonces
from tests.storage.builders import a_placement, an_order, reserve
from tests.storage.conftest import Clock


async def test_they_go_on_from_the_orders_and_orders_from_them(
    database: Database, ledger: SqlIntentLedger, clock: Clock
) -> None:
    nonces = SqlSignerNonces(database, now=clock)
    draft = a_placement(an_order())
    place = (draft.venue, draft.network, draft.signer)
    first = await nonces.take(*place)
    assert first == milliseconds(clock())
    reserved = await reserve(ledger, draft)
    assert isinstance(reserved, Inserted)
    assert reserved.row.nonce == first + 1
    assert await nonces.take(*place) == first + 2
    clock.advance(seconds=5)
    assert await nonces.take(*place) == first + 5_000


async def test_signers_and_lanes_count_apart(database: Database, clock: Clock) -> None:
    nonces = SqlSignerNonces(database, now=clock)
    first = await nonces.take("hyperliquid", Network.PAPER, "one")
    assert await nonces.take("hyperliquid", Network.PAPER, "two") == first
    assert await nonces.take("hyperliquid", Network.MAINNET, "one") == first
    assert await nonces.take("hyperliquid", Network.PAPER, "one", lane="cancels") == first


async def test_many_at_once_get_one_each(database: Database, clock: Clock) -> None:
    nonces = SqlSignerNonces(database, now=clock)
    taken = await asyncio.gather(
        *(nonces.take("hyperliquid", Network.PAPER, "one") for _ in range(20))
    )
    assert len(set(taken)) == 20
