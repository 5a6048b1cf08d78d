"""Accounts: what a credential is, before it may trade."""

from __future__ import annotations

import pytest

from activities.contracts import AccountTask
from domain.accounts import Account, AccountState, Network
from domain.errors import NotFound, Unavailable
from tests.activities.floor import ACCOUNT_ID, Floor, add_account

SECOND = "22222222-2222-4222-8222-222222222222"


async def verify(floor: Floor, account_id: str = SECOND) -> Account:
    task = AccountTask(account_id=account_id)
    return await floor.environment.run(floor.accounts.verify, task)


@pytest.fixture
async def bare_floor(floor: Floor) -> Floor:
    """A floor whose first account is out of the way."""
    await floor.storage.accounts.set_state(
        ACCOUNT_ID, AccountState.REMOVED, reason=None, signer=None
    )
    return floor


async def test_an_agent_key_is_taken_and_named(bare_floor: Floor) -> None:
    await add_account(bare_floor, SECOND)

    account = await verify(bare_floor)

    assert account.state is AccountState.ACTIVE
    assert account.signer == bare_floor.opened["agent_address"]
    assert account.state_reason is not None
    assert "expires" in account.state_reason
    access = await bare_floor.access.open_signer(SECOND, account.signer)
    assert access.account.signer == account.signer
    proved = bare_floor.connectors.rights.of(SECOND)
    assert proved is not None
    assert (proved.signer, proved.refusal) == (account.signer, None)
    assert proved.expires_at is not None and "expires" in proved.power


async def test_a_master_key_is_refused_and_destroyed(bare_floor: Floor) -> None:
    await add_account(bare_floor, SECOND, secret=bare_floor.opened["master_private_key"])

    account = await verify(bare_floor)

    assert account.state is AccountState.REFUSED
    assert account.state_reason is not None
    assert "master wallet's key" in account.state_reason
    with pytest.raises(NotFound, match="no credential"):
        await bare_floor.access.open(SECOND)


async def test_what_is_no_key_is_refused(bare_floor: Floor) -> None:
    await add_account(bare_floor, SECOND, secret="not a key")

    account = await verify(bare_floor)

    assert account.state is AccountState.REFUSED
    assert account.state_reason is not None
    assert "not a key" not in account.state_reason


async def test_a_venue_that_no_worker_serves_is_refused(bare_floor: Floor) -> None:
    await add_account(bare_floor, SECOND, network=Network.PAPER, venue="lighter")

    account = await verify(bare_floor)

    assert account.state is AccountState.REFUSED
    assert account.state_reason is not None
    assert "does not serve" in account.state_reason


async def test_a_venue_that_is_down_leaves_the_account_pending(bare_floor: Floor) -> None:
    await add_account(bare_floor, SECOND)
    await bare_floor.close_venue()

    with pytest.raises(Unavailable):
        await verify(bare_floor)

    kept = await bare_floor.storage.accounts.get(SECOND)
    assert kept is not None
    assert kept.state is AccountState.PENDING
    bare_floor.venue_is_back()
    assert (await verify(bare_floor)).state is AccountState.ACTIVE


async def test_a_checked_account_is_not_checked_again(floor: Floor) -> None:
    await floor.close_venue()

    account = await verify(floor, ACCOUNT_ID)

    assert account.state is AccountState.ACTIVE


async def test_an_account_that_is_not_there_is_not_found(floor: Floor) -> None:
    with pytest.raises(NotFound, match=SECOND):
        await verify(floor)
