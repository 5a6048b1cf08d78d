"""Looking at an account at its venue: one read for all who ask, kept, or a plain failure."""

from __future__ import annotations

import asyncio

import pytest

from domain.errors import Unavailable, VenueUnavailable
from tests.activities.floor import ACCOUNT_ID
from tests.workflows.stage import KEYS, NAMESPACE, Stage
from workflows import ids
from workflows.account_read_client import AccountReads
from workflows.client import connect


async def test_what_the_venue_says_is_returned_and_kept(stage: Stage) -> None:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    reads = AccountReads(stage.client)
    first, second = await asyncio.gather(
        reads.read(account, wait_s=10), reads.read(account, wait_s=10)
    )
    assert first is not None
    assert first.summary.account_id == ACCOUNT_ID
    assert first.summary.equity > 0
    assert second is not None
    kept = await stage.floor.storage.positions.summary(ACCOUNT_ID)
    assert kept is not None
    assert kept.summary.equity == first.summary.equity
    stage.kept_ids.add(ids.account_read_workflow_id(ACCOUNT_ID))


async def test_nobody_answers_in_time(stage: Stage) -> None:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    await stage.stop_worker()
    assert await AccountReads(stage.client).read(account, wait_s=0.3) is None
    stage.kept_ids.add(ids.account_read_workflow_id(ACCOUNT_ID))


async def test_a_venue_that_cannot_be_asked_says_so(stage: Stage) -> None:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    await stage.floor.close_venue()
    with pytest.raises(VenueUnavailable, match="hyperliquid could not be asked"):
        await AccountReads(stage.client).read(account, wait_s=20)
    stage.kept_ids.add(ids.account_read_workflow_id(ACCOUNT_ID))


async def test_temporal_that_cannot_be_reached_says_so(stage: Stage) -> None:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    nowhere = await connect("127.0.0.1:1", NAMESPACE, KEYS)
    with pytest.raises(Unavailable):
        await AccountReads(nowhere).read(account, wait_s=20)
