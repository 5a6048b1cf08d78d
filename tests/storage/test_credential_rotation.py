"""Changing a credential: a candidate first, then current; the old one resolves what it signed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.accounts import AccountState, SignerFacts
from domain.errors import Conflict, NotFound, RiskRefused
from domain.outcomes import NotSent, SendResult
from sealing.box import BoxLabel, CredentialPart, seal
from sealing.keys import PrivateKey
from storage.access import SealedTradingAccess
from storage.accounts import SqlAccountStore
from storage.credential_rotation import SqlCredentialRotation
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from tests.storage.builders import CREATED_AT, a_placement, an_account, an_order, reserve
from tests.storage.conftest import Clock

KEY = PrivateKey.generate()
NEW = SignerFacts(
    signer="new",
    master_address="0xmaster",
    power="agent",
    expires_at=CREATED_AT + timedelta(days=20),
)


def sealed(secret: str) -> bytes:
    label = BoxLabel(account_id="acc", venue="hyperliquid", part=CredentialPart.TRADING)
    return seal(secret.encode(), KEY.public, label)


@pytest.fixture
def store(database: Database, clock: Clock) -> SqlAccountStore:
    return SqlAccountStore(database, now=clock)


@pytest.fixture
async def rotation(
    database: Database, store: SqlAccountStore, clock: Clock
) -> SqlCredentialRotation:
    await store.add(an_account(), trading=sealed("first"), feed=None)
    return SqlCredentialRotation(database, now=clock)


@pytest.fixture
def access(database: Database) -> SealedTradingAccess:
    return SealedTradingAccess(database, KEY)


@pytest.fixture
def ledger(database: Database, rotation: SqlCredentialRotation, clock: Clock) -> SqlIntentLedger:
    return SqlIntentLedger(database, now=clock)


async def test_a_candidate_changes_nothing_until_it_is_proven(
    rotation: SqlCredentialRotation, access: SealedTradingAccess
) -> None:
    assert await access.open_candidate("acc") is None
    proposed = await rotation.propose("acc", trading=sealed("second"), feed=None)
    assert (proposed.state, proposed.signer) == (AccountState.ACTIVE, "signer-acc")
    assert (await access.open("acc")).credential.reveal() == "first"
    await rotation.propose("acc", trading=sealed("third"), feed=None)
    candidate = await access.open_candidate("acc")
    assert candidate is not None
    assert candidate.credential.reveal() == "third"
    await rotation.drop("acc")
    assert await access.open_candidate("acc") is None
    with pytest.raises(NotFound, match="no credential to change to"):
        await rotation.promote("acc", NEW)


async def test_the_old_one_stays_until_nothing_undecided_names_it(
    rotation: SqlCredentialRotation,
    store: SqlAccountStore,
    ledger: SqlIntentLedger,
    access: SealedTradingAccess,
) -> None:
    key = (await reserve(ledger, a_placement(an_order()))).row.key
    await rotation.propose("acc", trading=sealed("second"), feed=b"feed")
    account = await rotation.promote("acc", NEW)
    assert (account.signer, account.state, account.facts) == ("new", AccountState.ACTIVE, NEW)
    opened = await access.open("acc")
    assert (opened.account.signer, opened.credential.reveal()) == ("new", "second")
    assert await access.open_candidate("acc") is None
    assert await store.destroy_unneeded_credentials() == 0
    old = await access.open_signer("acc", "signer-acc")
    assert (old.account.signer, old.credential.reveal()) == ("signer-acc", "first")
    await ledger.decide(key, SendResult(outcome=NotSent(reason="late", proof="send_by")))
    assert await store.destroy_unneeded_credentials() == 1
    assert await store.destroy_unneeded_credentials() == 0
    with pytest.raises(NotFound):
        await access.open_signer("acc", "signer-acc")


async def test_an_account_that_is_not_in_use_gets_none(
    rotation: SqlCredentialRotation, store: SqlAccountStore, access: SealedTradingAccess
) -> None:
    await rotation.propose("acc", trading=sealed("second"), feed=None)
    await store.set_state("acc", AccountState.REMOVED, reason=None, signer=None)
    with pytest.raises(Conflict, match="not in use any more"):
        await rotation.promote("acc", NEW)
    assert await access.open_candidate("acc") is None
    with pytest.raises(Conflict, match="REMOVED"):
        await rotation.propose("acc", trading=b"t", feed=None)
    with pytest.raises(NotFound):
        await rotation.propose("none", trading=b"t", feed=None)


async def test_facts_are_of_the_current_credential_only(
    rotation: SqlCredentialRotation, store: SqlAccountStore
) -> None:
    mine = replace(NEW, signer="signer-acc", expires_at=None)
    assert (await store.note_facts("acc", mine)).facts == mine
    assert (await store.note_facts("acc", NEW)).facts == mine
    with pytest.raises(NotFound):
        await store.note_facts("none", NEW)


async def test_an_expired_credential_takes_no_new_exposure(
    rotation: SqlCredentialRotation, store: SqlAccountStore, ledger: SqlIntentLedger, clock: Clock
) -> None:
    await store.note_facts("acc", replace(NEW, signer="signer-acc"))
    await reserve(ledger, a_placement(an_order("before")))
    clock.advance(days=20)
    with pytest.raises(RiskRefused, match="perp-dex account rotate"):
        await reserve(ledger, a_placement(an_order("after")))
    await reserve(ledger, replace(a_placement(an_order("less")), raises_exposure=False))


def test_when_a_credential_is_to_be_replaced() -> None:
    day = timedelta(days=1)
    assert not NEW.expires_soon(CREATED_AT)
    assert NEW.expires_soon(CREATED_AT + 6 * day)
    assert not NEW.has_expired(CREATED_AT + 19 * day)
    assert NEW.has_expired(CREATED_AT + 20 * day)
    endless = replace(NEW, expires_at=None)
    assert not endless.expires_soon(CREATED_AT + 9_000 * day)
    assert not endless.has_expired(CREATED_AT + 9_000 * day)
