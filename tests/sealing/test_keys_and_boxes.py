"""Key pairs and sealed boxes: one recipient, one account, one venue, one part."""

from __future__ import annotations

import base64
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealing.box import BoxLabel, CredentialPart, seal, unseal
from sealing.errors import SecretFileDamaged, SecretFileMissing, SecretFileUnsafe, UnsealError
from sealing.keys import (
    PrivateKey,
    Recipient,
    ensure_key_pair,
    load_private_key,
    load_public_key,
    private_key_path,
    public_key_path,
)
from sealing.passphrase import Passphrase
from sealing.protected_file import create_protected

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
    directory: Path, passphrase: Passphrase
) -> None:
    public = ensure_key_pair(directory, Recipient.WORKER, passphrase)
    assert ensure_key_pair(directory, Recipient.WORKER, passphrase) == public
    assert load_public_key(public_key_path(directory, Recipient.WORKER)) == public
    private = load_private_key(directory, Recipient.WORKER, passphrase)
    assert unseal(seal(b"x", public, LABEL), private, LABEL) == b"x"
    assert private_key_path(directory, Recipient.WORKER).stat().st_mode & 0o777 == 0o600
    assert ensure_key_pair(directory, Recipient.STREAMING, passphrase) != public


def test_processes_that_start_at_once_agree_on_the_pair(
    directory: Path, passphrase: Passphrase
) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(
            pool.map(lambda _: ensure_key_pair(directory, Recipient.WORKER, passphrase), range(16))
        )
    assert len({key.raw for key in keys}) == 1


def test_one_recipients_file_does_not_stand_in_for_anothers(
    directory: Path, passphrase: Passphrase
) -> None:
    ensure_key_pair(directory, Recipient.WORKER, passphrase)
    worker = private_key_path(directory, Recipient.WORKER)
    worker.rename(private_key_path(directory, Recipient.STREAMING))
    with pytest.raises(SecretFileDamaged):
        load_private_key(directory, Recipient.STREAMING, passphrase)
    with pytest.raises(SecretFileMissing):
        load_private_key(directory, Recipient.WORKER, passphrase)


def test_a_public_key_of_another_pair_is_noticed(directory: Path, passphrase: Passphrase) -> None:
    ensure_key_pair(directory, Recipient.WORKER, passphrase)
    private_key_path(directory, Recipient.WORKER).unlink()
    with pytest.raises(SecretFileDamaged, match=r"remove the \.pub file"):
        ensure_key_pair(directory, Recipient.WORKER, passphrase)


def test_keys_of_another_length_are_refused(directory: Path, passphrase: Passphrase) -> None:
    path = private_key_path(directory, Recipient.WORKER)
    create_protected(path, b"short", passphrase, purpose="private key of worker")
    with pytest.raises(SecretFileDamaged, match="expected 32 bytes"):
        load_private_key(directory, Recipient.WORKER, passphrase)
    for content in (base64.b64encode(b"short"), b"no base64!"):
        public = directory / "x.pub"
        public.write_bytes(content)
        with pytest.raises(SecretFileDamaged, match="32 bytes in base64"):
            load_public_key(public)


def test_a_linked_private_key_is_refused_not_replaced(
    directory: Path, passphrase: Passphrase
) -> None:
    private_key_path(directory, Recipient.WORKER).symlink_to(directory / "nowhere")
    with pytest.raises(SecretFileUnsafe, match="symbolic link"):
        ensure_key_pair(directory, Recipient.WORKER, passphrase)
    assert not (directory / "nowhere").exists()


def test_a_private_key_shows_itself_to_nobody() -> None:
    assert KEY.reveal().hex() not in repr(KEY)
    assert KEY.public.key_id.hex() in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
