"""Accounts, their sealed credentials, and who can open them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain.accounts import AccountState, Network
from domain.errors import Conflict, NotFound
from sealing.box import BoxLabel, CredentialPart, seal
from sealing.errors import UnsealError
from sealing.keys import PrivateKey
from storage.access import SealedTradingAccess
from storage.accounts import SqlAccountStore
from storage.credentials import read_sealed
from storage.engine import Database
from storage.halts import HaltStore
from tests.storage.builders import CREATED_AT, an_account
from tests.storage.conftest import Clock

KEY = PrivateKey.generate()


@pytest.fixture
def store(database: Database, clock: Clock) -> SqlAccountStore:
    """An account store with nothing in it."""
    return SqlAccountStore(database, now=clock)


@pytest.fixture
def access(database: Database) -> SealedTradingAccess:
    return SealedTradingAccess(database, KEY)


def sealed(secret: str, account_id: str = "acc") -> bytes:
    label = BoxLabel(account_id=account_id, venue="hyperliquid", part=CredentialPart.TRADING)
    return seal(secret.encode(), KEY.public, label)


async def test_an_account_comes_back_as_it_was_added(store: SqlAccountStore) -> None:
    account = an_account(is_default=True, state_reason="fine", network=Network.TESTNET)
    assert await store.add(account, trading=b"t", feed=b"f") == account
    assert await store.get("acc") == account
    assert await store.get("none") is None


async def test_labels_and_addresses_are_an_owners_once(store: SqlAccountStore) -> None:
    await store.add(an_account("a"), trading=b"t", feed=None)
    with pytest.raises(Conflict, match="labelled 'label-a'"):
        await store.add(an_account("b", label="label-a"), trading=b"t", feed=None)
    with pytest.raises(Conflict, match="'0xa' at hyperliquid"):
        await store.add(an_account("b", address="0xa"), trading=b"t", feed=None)
    with pytest.raises(NotFound, match="no principal"):
        await store.add(an_account("b", owner="nobody"), trading=b"t", feed=None)
    other_network = an_account("b", address="0xa", network=Network.MAINNET)
    await store.add(other_network, trading=b"t", feed=None)
    assert await store.get("b") == other_network


@pytest.mark.parametrize("state", [AccountState.REFUSED, AccountState.REMOVED])
async def test_an_account_out_of_use_does_not_stand_in_the_way(
    store: SqlAccountStore, state: AccountState
) -> None:
    await store.add(an_account("a"), trading=b"t", feed=None)
    await store.set_state("a", state, reason="gone", signer=None)
    again = an_account("b", label="label-a", address="0xa")
    await store.add(again, trading=b"t", feed=None)
    assert await store.all_active() == (again,)


async def test_of_the_same_account_added_at_once_one_wins(store: SqlAccountStore) -> None:
    answers = await asyncio.gather(
        *(store.add(an_account(f"a{i}", label="x"), trading=b"t", feed=None) for i in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7


async def test_accounts_are_listed_oldest_first(store: SqlAccountStore) -> None:
    old = an_account("old", created_at=CREATED_AT - timedelta(days=1))
    new = an_account("new", state=AccountState.PENDING)
    await store.add(new, trading=b"t", feed=None)
    await store.add(old, trading=b"t", feed=None)
    assert await store.of_owner("local") == (old, new)
    assert await store.of_owner("another") == ()
    assert await store.all_active() == (old,)


async def test_a_check_names_the_signer_and_a_refusal_destroys_the_credential(
    database: Database, store: SqlAccountStore, access: SealedTradingAccess
) -> None:
    pending = an_account(state=AccountState.PENDING, signer="")
    await store.add(pending, trading=sealed("key"), feed=b"f")
    active = await store.set_state("acc", AccountState.ACTIVE, reason="agent", signer="0xagent")
    assert (active.state, active.signer, active.state_reason) == (
        AccountState.ACTIVE,
        "0xagent",
        "agent",
    )
    assert (await access.open_signer("acc", "0xagent")).credential.reveal() == "key"
    refused = await store.set_state("acc", AccountState.REFUSED, reason="master key", signer=None)
    assert refused.signer == "0xagent"
    with pytest.raises(NotFound, match="it is REFUSED"):
        await access.open("acc")
    for part in CredentialPart:
        assert await read_sealed(database, "acc", part) is None
    with pytest.raises(NotFound, match="no account"):
        await store.set_state("none", AccountState.ACTIVE, reason=None, signer=None)


async def test_credentials_open_for_their_account_and_key_only(
    database: Database, store: SqlAccountStore, access: SealedTradingAccess
) -> None:
    account = await store.add(an_account(), trading=sealed("canary"), feed=None)
    opened = await access.open("acc")
    assert (opened.account, opened.credential.reveal()) == (account, "canary")
    assert "canary" not in repr(opened)
    with pytest.raises(NotFound, match="no account"):
        await access.open("none")
    with pytest.raises(NotFound, match="no credential of signer 'other'"):
        await access.open_signer("acc", "other")
    with pytest.raises(UnsealError):
        await SealedTradingAccess(database, PrivateKey.generate()).open("acc")
    moved = an_account("two")
    await store.add(moved, trading=sealed("canary", account_id="acc"), feed=None)
    with pytest.raises(UnsealError, match="does not open"):
        await access.open("two")


async def test_removal_retires_the_credential(
    store: SqlAccountStore, access: SealedTradingAccess
) -> None:
    await store.add(an_account(), trading=sealed("key"), feed=None)
    await store.set_state("acc", AccountState.REMOVED, reason=None, signer=None)
    with pytest.raises(NotFound, match="it is REMOVED"):
        await access.open("acc")
    assert (await access.open_signer("acc", "signer-acc")).credential.reveal() == "key"


async def test_only_paper_looks_at_accounts_in_use(store: SqlAccountStore) -> None:
    assert await store.only_paper()
    await store.add(an_account("p"), trading=b"t", feed=None)
    assert await store.only_paper()
    await store.add(an_account("m", network=Network.MAINNET), trading=b"t", feed=None)
    assert not await store.only_paper()
    await store.set_state("m", AccountState.REMOVED, reason=None, signer=None)
    assert await store.only_paper()


async def test_halts_and_blocks_are_listed_and_shown_on_the_account(
    database: Database, store: SqlAccountStore, clock: Clock
) -> None:
    await store.add(an_account(), trading=b"t", feed=None)
    halts = HaltStore(database, now=clock)
    assert await halts.halted() == ()
    await halts.halt("acc", reason="loss", by="local")
    clock.advance(seconds=1)
    await halts.halt(None, reason="venue", by="kill switch")
    general, own = await halts.halted()
    assert (general.account_id, general.reason, general.set_by) == (None, "venue", "kill switch")
    assert (own.account_id, own.reason, own.set_at) == ("acc", "loss", CREATED_AT)
    account = await store.get("acc")
    assert account is not None
    assert account.halted
    await halts.resume("acc", reason="fine", by="local")
    assert [halt.account_id for halt in await halts.halted()] == [None]
    account = await store.get("acc")
    assert account is not None
    assert not account.halted
    with pytest.raises(NotFound):
        await halts.halt("none", reason="x", by="local")


async def test_each_order_lifts_its_own_block_only(
    database: Database, store: SqlAccountStore, clock: Clock
) -> None:
    await store.add(an_account(), trading=b"t", feed=None)
    halts = HaltStore(database, now=clock)
    await halts.block("acc", "BTC-PERP", order_id="o1", reason="unknown")
    clock.advance(seconds=1)
    await halts.block("acc", "BTC-PERP", order_id="o2", reason="unknown")
    await halts.block("acc", "BTC-PERP", order_id="o2", reason="still unknown")
    await halts.unblock("acc", "BTC-PERP", order_id="o1")
    (block,) = await halts.blocked("acc")
    assert (block.order_id, block.symbol, block.reason) == ("o2", "BTC-PERP", "still unknown")
    with pytest.raises(NotFound):
        await halts.block("none", "BTC-PERP", order_id="o1", reason="x")
