"""Two parts, two recipients, and an API that can open neither."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from activities.feed_credentials import keep_feed_credential
from api.main import compose
from api.serving import listen
from api.settings import ApiSettings
from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.errors import CorruptState, InvalidInput
from sealing.box import BoxLabel, CredentialPart, seal, unseal
from sealing.choosing import OpenKeepers, file_keepers
from sealing.errors import SealingError, SecretFileMissing, UnsealError
from sealing.keepers import KeyUse
from sealing.keys import PrivateKey, Recipient, ensure_key_pairs, load_key_pairs
from sealing.passphrase import Passphrase
from sealing.protected_file import unprotect
from streaming.ingest import Ingest
from tests.api.conftest import database_template
from tests.storage.builders import an_account
from venues.hyperliquid.proofs import CAPABILITIES

__all__ = ["database_template"]

opened_files: set[Path] = set()
watching: list[Path] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if watching and event == "open" and isinstance(arguments[0], (str, Path)):
        path = Path(arguments[0])
        if watching[0] in path.parents:
            opened_files.add(path)


@pytest.fixture
def opened() -> Iterator[set[Path]]:
    """Every file below what is appended to `watching` that this process opens meanwhile."""
    sys.addaudithook(_note)
    opened_files.clear()
    yield opened_files
    watching.clear()


async def test_no_file_that_the_api_reads_opens_a_credential(
    database_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: set[Path],
) -> None:
    """Try everything that the API opens as a passphrase and as a key, on what it has sealed."""
    shutil.copy(database_template, tmp_path / "perp-dex.db")
    secrets = tmp_path / "secrets"
    for recipient in Recipient:
        ensure_key_pairs(secrets, recipient, file_keepers(secrets))
    for name in ("DATABASE_URL", "TEMPORAL_ADDRESS", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PERP_DEX_KEY_KEEPER", "file")
    settings = ApiSettings.load(perp_dex_home=tmp_path, temporal_address="127.0.0.1:1")
    async with AsyncExitStack() as stack:
        listener = listen("127.0.0.1", 0)
        stack.callback(listener.close)
        watching.append(tmp_path)
        parts = await compose(settings, stack, listener)
        sealed = parts.sealer.seal("acc", "hyperliquid", "the key")
        watching.clear()
    read = {path for path in opened if path.is_file()}
    names = {path.name for path in read if path.parent == secrets and path.suffix != ".lock"}
    assert names == {"payload-keys", "machine-key", "worker.pub"}
    label = BoxLabel(account_id="acc", venue="hyperliquid", part=CredentialPart.TRADING)
    for path in sorted(read):
        content = path.read_bytes()
        for attempt in attempts(secrets, content):
            with pytest.raises(SealingError):
                unseal(sealed, attempt.holding(sealed[1:9]), label)
        with pytest.raises(SealingError):
            load_key_pairs(secrets, Recipient.WORKER, only_with(content.strip(), secrets))
    # The worker itself opens it.
    pairs = load_key_pairs(secrets, Recipient.WORKER, file_keepers(secrets))
    assert unseal(sealed, pairs.holding(sealed[1:9]), label) == b"the key"


def attempts(secrets: Path, content: bytes) -> Iterator[PrivateKey]:
    """Yield a private key for every 32 bytes that a short file could be hiding."""
    yield PrivateKey(content[:32].ljust(32, b"\0"))
    with contextlib.suppress(SealingError, ValueError):
        yield PrivateKey(
            unprotect(content, Passphrase(content), purpose="data key of worker", place="x")
        )


def only_with(passphrase: bytes, secrets: Path) -> OpenKeepers:
    """Keepers that know one passphrase, for every use."""
    keepers = file_keepers(secrets)
    keeper: Any = keepers.chosen
    keeper._known = dict.fromkeys(KeyUse, Passphrase(passphrase))
    return keepers


def test_neither_recipient_opens_the_others_part(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    keepers = file_keepers(secrets)
    pairs = {each: ensure_key_pairs(secrets, each, keepers) for each in Recipient}
    trading = BoxLabel(account_id="a", venue="v", part=CredentialPart.TRADING)
    feed = replace(trading, part=CredentialPart.FEED)
    sealed = {
        Recipient.WORKER: (seal(b"trade", pairs[Recipient.WORKER].public, trading), trading),
        Recipient.STREAMING: (seal(b"read", pairs[Recipient.STREAMING].public, feed), feed),
    }
    for recipient, (box, label) in sealed.items():
        for holder, held in pairs.items():
            if holder is recipient:
                assert unseal(box, held.holding(box[1:9]), label)
                continue
            with pytest.raises(UnsealError):
                held.holding(box[1:9])
            with pytest.raises(UnsealError):
                unseal(box, held.keys[held.current], label)


def test_with_keys_of_their_own_a_process_cannot_even_read_anothers_file(tmp_path: Path) -> None:
    """Mount only what a process needs: without its machine key a key file is ciphertext."""
    secrets = tmp_path / "secrets"
    ensure_key_pairs(secrets, Recipient.WORKER, file_keepers(secrets))
    (secrets / "machine-key-worker").unlink()
    with pytest.raises(SealingError):
        load_key_pairs(secrets, Recipient.WORKER, file_keepers(secrets))
    with pytest.raises(SecretFileMissing):
        load_key_pairs(secrets, Recipient.STREAMING, file_keepers(secrets))


class Venue:
    """A venue whose private feed needs a token, as its connector, its entry and its feed."""

    venue = "tokened"

    def __init__(self, *, needs_token: bool = True) -> None:
        self.capabilities = replace(CAPABILITIES, feed_credential=needs_token)
        self.source: Any = None

    def account_feed(self, network: Network) -> Venue:
        return self

    def use_credentials(self, source: Any) -> None:
        self.source = source

    async def mint_feed_credential(self, access: TradingAccess) -> SecretText:
        return SecretText(f"token of {access.account.account_id}")


class Kept:
    """What was asked to be sealed for the streaming process."""

    def __init__(self) -> None:
        self.secrets: dict[str, str] = {}

    async def keep(self, account: Account, secret: SecretText) -> None:
        self.secrets[account.account_id] = secret.reveal()

    async def open(self, account: Account) -> SecretText | None:
        return SecretText(self.secrets[account.account_id])


async def test_a_venue_that_declares_it_has_its_feed_secret_made_and_given() -> None:
    access = TradingAccess(account=an_account(), credential=SecretText("trading key"))
    venue: Any = Venue()
    kept = Kept()
    await keep_feed_credential(venue, access, kept)
    assert kept.secrets == {"acc": "token of acc"}
    plain: Any = Venue(needs_token=False)
    await keep_feed_credential(plain, replace(access, account=an_account("other")), kept)
    assert list(kept.secrets) == ["acc"]
    with pytest.raises(CorruptState, match="to make what its feed needs"):
        await keep_feed_credential(venue, access, None)


def test_the_streaming_process_hands_its_source_to_such_a_feed_only() -> None:
    kept: Any = Kept()
    ingest = object.__new__(Ingest)
    ingest._credentials = kept
    venue = Venue()
    entry: Any = venue
    fed: object = ingest._feed(entry, Network.PAPER)
    assert fed is venue
    assert venue.source is kept
    plain = Venue(needs_token=False)
    unneeding: Any = plain
    other: object = ingest._feed(unneeding, Network.PAPER)
    assert other is plain
    assert plain.source is None
    ingest._credentials = None
    with pytest.raises(InvalidInput, match="takes credentials"):
        ingest._feed(entry, Network.PAPER)
    assert CAPABILITIES.feed_credential is False
