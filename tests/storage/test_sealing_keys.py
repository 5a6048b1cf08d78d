"""Sealing keys in SQL: rows sealed anew, keys destroyed when nothing needs them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.accounts import AccountState, SecretText
from domain.errors import Conflict, Unavailable
from sealing import protected_file
from sealing.box import BoxLabel, CredentialPart, seal
from sealing.choosing import OpenKeepers, file_keepers
from sealing.errors import SecretFileRolledBack, UnsealError
from sealing.keys import (
    LiveKeyPairs,
    PrivateKey,
    PublicKey,
    Recipient,
    load_public_key,
    public_key_path,
    rotate_key_pair,
)
from storage.access import SealedTradingAccess
from storage.accounts import SqlAccountStore
from storage.credential_rotation import SqlCredentialRotation
from storage.engine import Database
from storage.feed_credentials import SealedFeedAccess, SqlFeedCredentials
from storage.resealing import SealingKeyUpkeep, Upkeep
from storage.sealing_keys import SqlSealingKeys
from tests.storage.builders import an_account


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys at a small cost; the real one is tested where it belongs."""
    cheap = protected_file.KeyDerivation(memory_kib=64, iterations=1, lanes=1)
    monkeypatch.setattr(protected_file, "DEFAULT_COST", cheap)


class Desk:
    """A home's secrets and a database, as the worker and the streaming process see them."""

    def __init__(self, database: Database, secrets: Path) -> None:
        self.database = database
        self.secrets = secrets
        self.keepers: OpenKeepers = file_keepers(secrets)
        self.accounts = SqlAccountStore(database)
        self.rotation = SqlCredentialRotation(database)
        self.known = SqlSealingKeys(database)
        self.worker = LiveKeyPairs(secrets, Recipient.WORKER, self.keepers)

    def upkeep(self, *, grace_s: float = 0, live: LiveKeyPairs | None = None) -> SealingKeyUpkeep:
        return SealingKeyUpkeep(
            self.database,
            live or self.worker,
            secrets_directory=self.secrets,
            recipient=Recipient.WORKER,
            keepers=self.keepers,
            grace_s=grace_s,
            now=lambda: datetime.now(UTC),
        )

    @property
    def public(self) -> PublicKey:
        return load_public_key(public_key_path(self.secrets, Recipient.WORKER))

    def seal(self, secret: str, public: PublicKey | None = None, account: str = "acc") -> bytes:
        label = BoxLabel(account_id=account, venue="hyperliquid", part=CredentialPart.TRADING)
        return seal(secret.encode(), public or self.public, label)

    def rotate(self) -> str:
        return rotate_key_pair(self.secrets, Recipient.WORKER, self.keepers).current

    async def opened(self, account_id: str = "acc") -> str:
        access = SealedTradingAccess(self.database, self.worker)
        return (await access.open(account_id)).credential.reveal()


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return Desk(database, tmp_path / "secrets")


async def test_rows_follow_the_present_key_and_the_former_one_is_destroyed(desk: Desk) -> None:
    first = desk.worker.value.current
    await desk.upkeep().check()
    account = replace(an_account(), state=AccountState.ACTIVE)
    await desk.accounts.add(account, trading=desk.seal("one"), feed=None)
    await desk.rotation.propose("acc", trading=desk.seal("next"), feed=desk.seal("feed"))
    assert await desk.upkeep().run() == Upkeep()
    second = desk.rotate()
    assert await desk.opened() == "one"
    assert await desk.upkeep(grace_s=3600).run() == Upkeep(resealed=2)
    needed = await desk.known.needed()
    assert needed[Recipient.WORKER] == {second: 2}
    # A feed part is not the worker's to seal anew, and holds its key.
    assert needed[Recipient.STREAMING] == {first: 1}
    assert await desk.upkeep().run() == Upkeep()
    await desk.rotation.propose("acc", trading=desk.seal("next"), feed=None)
    assert await desk.upkeep().run() == Upkeep(destroyed=(first,))
    assert set(desk.worker.value.keys) == {second}
    assert desk.worker.value.version == 3
    assert await desk.opened() == "one"
    assert await desk.upkeep().run() == Upkeep()


async def test_what_was_sealed_for_a_destroyed_key_is_not_kept(desk: Desk) -> None:
    former = desk.public
    await desk.accounts.add(an_account(), trading=desk.seal("one"), feed=None)
    desk.rotate()
    await desk.upkeep().check()
    await desk.upkeep().run()
    late = desk.seal("late", former)
    with pytest.raises(Conflict, match="send it again"):
        await desk.accounts.add(
            an_account("late", label="late", address="0x2"), trading=late, feed=None
        )
    assert await desk.accounts.get("late") is None
    await desk.accounts.set_state("acc", AccountState.ACTIVE, reason=None, signer="s")
    with pytest.raises(Conflict, match="send it again"):
        await desk.rotation.propose("acc", trading=late, feed=None)
    assert await desk.opened() == "one"


async def test_a_key_that_a_row_needs_is_not_destroyed(desk: Desk) -> None:
    first = desk.worker.value.current
    await desk.accounts.add(an_account(), trading=desk.seal("one"), feed=None)
    await desk.known.see("worker", 1)
    assert await desk.known.destroy(Recipient.WORKER, {first, "other"}) == {"other"}
    assert await desk.known.destroyed(Recipient.WORKER) == {"other"}
    assert await desk.known.destroyed(Recipient.STREAMING) == frozenset()


async def test_what_does_not_open_is_told_and_left_as_it_is(desk: Desk) -> None:
    stranger = desk.seal("x", PrivateKey.generate().public)
    await desk.accounts.add(an_account(), trading=stranger, feed=None)
    first = desk.worker.value.current
    desk.rotate()
    done = await desk.upkeep().run()
    assert (done.shut, done.destroyed) == (("acc",), (first,))
    with pytest.raises(UnsealError):
        await desk.opened()


async def test_keys_change_while_accounts_come_and_are_opened(desk: Desk) -> None:
    """Two workers look after the keys, accounts are added and opened: nothing is lost."""
    other = LiveKeyPairs(desk.secrets, Recipient.WORKER, desk.keepers)
    added: list[str] = []

    async def add() -> None:
        for number in range(20):
            account = f"acc-{number}"
            while account not in added:
                sealed = desk.seal(f"secret of {account}", account=account)
                await asyncio.sleep(0.01)
                try:
                    await desk.accounts.add(
                        an_account(account, label=account, address=f"0x{number}"),
                        trading=sealed,
                        feed=None,
                    )
                except Conflict as error:
                    assert "send it again" in str(error)
                    continue
                added.append(account)

    async def look_after() -> None:
        for _ in range(4):
            await asyncio.to_thread(desk.rotate)
            await desk.upkeep().run()
            await desk.upkeep(live=other).run()
            for account in list(added):
                assert await desk.opened(account) == f"secret of {account}"

    await asyncio.gather(add(), look_after())
    last = desk.rotate()
    await desk.upkeep().run()
    assert set(desk.worker.value.keys) == {last}
    for account in added:
        assert await desk.opened(account) == f"secret of {account}"
    assert len(added) == 20


async def test_an_older_file_is_noticed_at_the_next_start(desk: Desk) -> None:
    path = desk.secrets / "worker.keys"
    older = path.read_bytes()
    desk.rotate()
    await desk.upkeep().run()
    path.write_bytes(older)
    public_key_path(desk.secrets, Recipient.WORKER).unlink()
    started = Desk(desk.database, desk.secrets)
    with pytest.raises(SecretFileRolledBack, match="perp-dex keys accept worker"):
        await started.upkeep().check()
    await started.known.accept("worker", 1)
    await started.upkeep().check()


async def test_a_file_that_was_written_anew_since_it_was_read_is_no_older_one(desk: Desk) -> None:
    """Between the reading and the look another process has made a newer file, and said so."""
    versions = [4, 6]
    await desk.known.see("worker", 6)

    async def read() -> int:
        return versions.pop(0)

    assert await desk.known.see_file("worker", read) == 6
    versions += [5, 5]
    with pytest.raises(SecretFileRolledBack, match="of version 5, version 6"):
        await desk.known.see_file("worker", read)
    assert not versions, "an older file stays one"


async def test_a_feed_part_is_opened_by_streaming_alone(desk: Desk) -> None:
    account = an_account()
    feeds = SqlFeedCredentials(desk.database, desk.secrets)
    await desk.accounts.add(account, trading=desk.seal("trading key"), feed=None)
    with pytest.raises(Unavailable, match="key pair"):
        await feeds.keep(account, SecretText("token"))
    streaming = LiveKeyPairs(desk.secrets, Recipient.STREAMING, desk.keepers)
    access = SealedFeedAccess(desk.database, streaming)
    assert await access.open(account) is None
    for token in ("token", "newer token"):
        await feeds.keep(account, SecretText(token))
        opened = await access.open(account)
        assert opened is not None
        assert opened.reveal() == token
    with pytest.raises(UnsealError):
        await SealedFeedAccess(desk.database, desk.worker).open(account)
    with pytest.raises(UnsealError):
        await SealedTradingAccess(desk.database, streaming).open("acc")
    assert await desk.opened() == "trading key"
    # The feed part follows its own recipient's key.
    rotated = rotate_key_pair(desk.secrets, Recipient.STREAMING, desk.keepers)
    upkeep = SealingKeyUpkeep(
        desk.database,
        streaming,
        secrets_directory=desk.secrets,
        recipient=Recipient.STREAMING,
        keepers=desk.keepers,
        grace_s=0,
        now=lambda: datetime.now(UTC),
    )
    assert (await upkeep.run()).resealed == 1
    assert (await desk.known.needed())[Recipient.STREAMING] == {rotated.current: 1}
    again = await access.open(account)
    assert again is not None
    assert again.reveal() == "newer token"
