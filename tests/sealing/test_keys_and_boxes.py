"""Key pairs and sealed boxes: one recipient, one account, one venue, one part."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealing.box import BoxLabel, CredentialPart, key_id_of, seal, unseal
from sealing.choosing import OpenKeepers, file_keepers
from sealing.errors import (
    SealingError,
    SecretFileDamaged,
    SecretFileMissing,
    SecretFileRolledBack,
    SecretFileUnsafe,
    UnsealError,
)
from sealing.keepers import KeyUse
from sealing.keys import (
    LiveKeyPairs,
    PrivateKey,
    Recipient,
    drop_private_keys,
    ensure_key_pairs,
    load_key_pairs,
    load_public_key,
    private_keys_path,
    public_key_path,
    rotate_key_pair,
)
from sealing.passphrase import load_passphrase
from sealing.secret_files import create_file
from tests.sealing.conftest import create_protected

LABEL = BoxLabel(account_id="acc", venue="hyperliquid", part=CredentialPart.TRADING)
KEY = PrivateKey.generate()


@given(secret=st.binary(max_size=300))
def test_what_is_sealed_opens_with_the_recipients_key_only(secret: bytes) -> None:
    sealed = seal(secret, KEY.public, LABEL)
    assert unseal(sealed, KEY, LABEL) == secret
    assert seal(secret, KEY.public, LABEL) != sealed
    with pytest.raises(UnsealError, match="was sealed for key"):
        unseal(sealed, PrivateKey.generate(), LABEL)


@pytest.mark.parametrize(
    "other",
    [
        replace(LABEL, account_id="acc2"),
        replace(LABEL, venue="lighter"),
        replace(LABEL, part=CredentialPart.FEED),
        BoxLabel(account_id="ac", venue="chyperliquid", part=CredentialPart.TRADING),
    ],
)
def test_a_box_opens_under_its_own_label_only(other: BoxLabel) -> None:
    sealed = seal(b"canary", KEY.public, LABEL)
    with pytest.raises(UnsealError, match="does not open") as refused:
        unseal(sealed, KEY, other)
    assert "canary" not in str(refused.value)


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_box_with_one_bit_changed_does_not_open(position: int, bit: int) -> None:
    sealed = bytearray(seal(b"secret", KEY.public, LABEL))
    sealed[position % len(sealed)] ^= 1 << bit
    with pytest.raises(UnsealError):
        unseal(bytes(sealed), KEY, LABEL)


@pytest.mark.parametrize("length", [0, 1, 9, 10, 30])
def test_a_truncated_box_does_not_open(length: int) -> None:
    with pytest.raises(UnsealError):
        unseal(seal(b"secret", KEY.public, LABEL)[:length], KEY, LABEL)


def test_a_pair_is_made_once_and_its_public_key_lies_open(
    directory: Path, keepers: OpenKeepers
) -> None:
    pairs = ensure_key_pairs(directory, Recipient.WORKER, keepers)
    again = ensure_key_pairs(directory, Recipient.WORKER, keepers)
    assert (again.current, again.version) == (pairs.current, 1)
    assert load_public_key(public_key_path(directory, Recipient.WORKER)) == pairs.public
    loaded = load_key_pairs(directory, Recipient.WORKER, keepers)
    sealed = seal(b"x", pairs.public, LABEL)
    assert unseal(sealed, loaded.holding(key_id_of(sealed, LABEL)), LABEL) == b"x"
    path = private_keys_path(directory, Recipient.WORKER)
    assert path.stat().st_mode & 0o777 == 0o600
    assert pairs.keys[pairs.current].reveal() not in path.read_bytes()
    other = ensure_key_pairs(directory, Recipient.STREAMING, keepers)
    assert other.public != pairs.public


def test_processes_that_start_at_once_agree_on_the_pair(
    directory: Path, keepers: OpenKeepers
) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = pool.map(lambda _: ensure_key_pairs(directory, Recipient.WORKER, keepers), range(16))
    assert len({pairs.current for pairs in made}) == 1


def test_one_recipients_file_does_not_stand_in_for_anothers(
    directory: Path, keepers: OpenKeepers
) -> None:
    ensure_key_pairs(directory, Recipient.WORKER, keepers)
    worker = private_keys_path(directory, Recipient.WORKER)
    worker.rename(private_keys_path(directory, Recipient.STREAMING))
    with pytest.raises(SecretFileDamaged):
        load_key_pairs(directory, Recipient.STREAMING, keepers)
    with pytest.raises(SecretFileMissing):
        load_key_pairs(directory, Recipient.WORKER, keepers)


def test_a_public_key_of_another_pair_is_noticed(directory: Path, keepers: OpenKeepers) -> None:
    ensure_key_pairs(directory, Recipient.WORKER, keepers)
    private_keys_path(directory, Recipient.WORKER).unlink()
    with pytest.raises(SecretFileDamaged, match=r"\.pub file, remove it"):
        ensure_key_pairs(directory, Recipient.WORKER, keepers)


def test_keys_of_another_length_are_refused(directory: Path) -> None:
    for content in (base64.b64encode(b"short"), b"no base64!"):
        public = directory / "x.pub"
        public.write_bytes(content)
        with pytest.raises(SecretFileDamaged, match="32 bytes in base64"):
            load_public_key(public)


def test_a_linked_private_key_is_refused_not_replaced(
    directory: Path, keepers: OpenKeepers
) -> None:
    private_keys_path(directory, Recipient.WORKER).symlink_to(directory / "nowhere")
    with pytest.raises(SecretFileUnsafe, match="symbolic link"):
        ensure_key_pairs(directory, Recipient.WORKER, keepers)
    assert not (directory / "nowhere").exists()


def test_a_key_of_the_former_form_is_taken_over(directory: Path, keepers: OpenKeepers) -> None:
    passphrase = load_passphrase(directory)
    path = directory / "worker.key"
    create_protected(path, KEY.reveal(), passphrase, purpose="private key of worker")
    pairs = ensure_key_pairs(directory, Recipient.WORKER, keepers)
    assert pairs.public == KEY.public
    assert not path.exists()
    assert ensure_key_pairs(directory, Recipient.WORKER, keepers).current == pairs.current
    create_protected(
        directory / "streaming.key", b"short", passphrase, purpose="private key of streaming"
    )
    with pytest.raises(SecretFileDamaged, match="expected 32 bytes"):
        ensure_key_pairs(directory, Recipient.STREAMING, keepers)


async def test_a_rotation_is_followed_without_a_restart(
    directory: Path, keepers: OpenKeepers
) -> None:
    live = LiveKeyPairs(directory, Recipient.WORKER, keepers)
    before = seal(b"old", live.value.public, LABEL)
    rotated = rotate_key_pair(directory, Recipient.WORKER, keepers)
    shown = load_public_key(public_key_path(directory, Recipient.WORKER))
    assert shown == rotated.public != live.value.public
    after = seal(b"new", shown, LABEL)
    for sealed, secret in ((before, b"old"), (after, b"new")):
        assert unseal(sealed, await live.find(key_id_of(sealed, LABEL)), LABEL) == secret
    with pytest.raises(UnsealError, match="add the account's credential again"):
        await live.find(b"nobody's")
    former = rotated.superseded
    left = drop_private_keys(directory, Recipient.WORKER, keepers, [*former, rotated.current])
    assert set(left.keys) == {rotated.current}
    await live.refresh()
    with pytest.raises(UnsealError):
        await live.find(key_id_of(before, LABEL))


def test_a_rotation_cut_short_is_completed(directory: Path, keepers: OpenKeepers) -> None:
    first = ensure_key_pairs(directory, Recipient.WORKER, keepers)
    public = public_key_path(directory, Recipient.WORKER)
    shown_before = public.read_bytes()
    rotated = rotate_key_pair(directory, Recipient.WORKER, keepers)
    public.write_bytes(shown_before)
    assert load_public_key(public) == first.public
    assert ensure_key_pairs(directory, Recipient.WORKER, keepers).public == rotated.public
    assert load_public_key(public) == rotated.public


async def test_an_older_file_put_back_is_noticed(directory: Path, keepers: OpenKeepers) -> None:
    troubles: list[SealingError] = []
    ensure_key_pairs(directory, Recipient.WORKER, keepers)
    path = private_keys_path(directory, Recipient.WORKER)
    older = path.read_bytes()
    rotated = rotate_key_pair(directory, Recipient.WORKER, keepers)
    async with LiveKeyPairs(directory, Recipient.WORKER, keepers, troubles.append) as live:
        create_file(path.with_name("older"), older)
        path.with_name("older").replace(path)
        with pytest.raises(SecretFileRolledBack, match="version 1"):
            await live.refresh()
        async with asyncio.timeout(20):
            while not troubles:
                await asyncio.sleep(0.05)
        assert live.value.current == rotated.current
    assert isinstance(troubles[0], SecretFileRolledBack)
    with pytest.raises(SecretFileDamaged, match="older one was put back"):
        ensure_key_pairs(directory, Recipient.WORKER, keepers)


@pytest.mark.parametrize("change", [{"version": 7}, {"keeper": "vault"}, {"nonce": "AAAA"}])
def test_every_word_of_a_key_file_is_held(
    directory: Path, keepers: OpenKeepers, change: dict[str, Any]
) -> None:
    ensure_key_pairs(directory, Recipient.WORKER, keepers)
    path = private_keys_path(directory, Recipient.WORKER)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SealingError):
        load_key_pairs(directory, Recipient.WORKER, keepers)


def test_wrong_passphrases_open_nothing(directory: Path) -> None:
    good = directory / "good"
    create_file(good, b"correct horse battery staple")
    uses = dict.fromkeys(KeyUse, good)
    ensure_key_pairs(directory, Recipient.WORKER, file_keepers(directory, uses))
    for number in range(20):
        other = directory / f"other-{number}"
        create_file(other, f"correct horse battery {number:06}".encode())
        wrong = file_keepers(directory, dict.fromkeys(KeyUse, other))
        with pytest.raises(SecretFileDamaged, match="passphrase"):
            load_key_pairs(directory, Recipient.WORKER, wrong)


def test_a_private_key_shows_itself_to_nobody() -> None:
    assert KEY.reveal().hex() not in repr(KEY)
    assert KEY.public.key_id.hex() in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
