"""The payload key ring and the API token."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealing.errors import SecretFileDamaged, SecretFileMissing, SecretFileUnsafe
from sealing.key_ring import (
    KEY_RING_NAME,
    PayloadKeyRing,
    ensure_key_ring,
    load_key_ring,
    rotate_key_ring,
)
from sealing.passphrase import Passphrase
from sealing.protected_file import create_protected
from sealing.secret_files import create_file
from sealing.token import ensure_api_token, load_api_token


def test_a_ring_is_made_once(directory: Path, passphrase: Passphrase) -> None:
    path = directory / KEY_RING_NAME
    ring = ensure_key_ring(path, passphrase)
    assert list(ring.keys) == [ring.current]
    assert len(ring.keys[ring.current]) == 32
    assert ensure_key_ring(path, passphrase) == ring
    assert ring.keys[ring.current] not in path.read_bytes()


def test_a_rotation_keeps_every_key_readable(directory: Path, passphrase: Passphrase) -> None:
    path = directory / KEY_RING_NAME
    first = ensure_key_ring(path, passphrase)
    second = rotate_key_ring(path, passphrase)
    assert second.current != first.current
    assert second.keys[first.current] == first.keys[first.current]
    assert load_key_ring(path, passphrase) == second


def test_rotations_and_starts_at_once_lose_no_key(directory: Path, passphrase: Passphrase) -> None:
    path = directory / KEY_RING_NAME
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: ensure_key_ring(path, passphrase), range(8)))
        assert len({ring.current for ring in rings}) == 1
        rotated = list(pool.map(lambda _: rotate_key_ring(path, passphrase), range(8)))
    final = load_key_ring(path, passphrase)
    assert len(final.keys) == 9
    assert {ring.current for ring in rotated} | {rings[0].current} == set(final.keys)


def test_a_ring_that_cannot_be_used_is_refused_not_replaced(
    directory: Path, passphrase: Passphrase
) -> None:
    path = directory / KEY_RING_NAME
    with pytest.raises(SecretFileMissing):
        load_key_ring(path, passphrase)
    for content in (b"{}", b"[]", b"no json", b'{"current": "a", "keys": {"a": "AAAA"}}'):
        path.unlink(missing_ok=True)
        create_protected(path, content, passphrase, purpose="payload key ring")
        with pytest.raises(SecretFileDamaged, match="payload key ring"):
            ensure_key_ring(path, passphrase)
    path.chmod(0o644)
    with pytest.raises(SecretFileUnsafe):
        ensure_key_ring(path, passphrase)


def test_a_ring_holds_its_current_key_and_shows_none() -> None:
    with pytest.raises(ValueError, match="current"):
        PayloadKeyRing(current="b", keys={"a": bytes(32)})
    with pytest.raises(ValueError, match="32 bytes"):
        PayloadKeyRing(current="a", keys={"a": bytes(16)})
    ring = PayloadKeyRing(current="a", keys={"a": b"\x07" * 32})
    assert "07" not in repr(ring)
    with pytest.raises(TypeError):
        ring.keys["b"] = bytes(32)  # type: ignore[index]


def test_the_token_is_made_once_and_is_256_bits(tmp_path: Path) -> None:
    path = tmp_path / "api-token"
    token = ensure_api_token(path)
    assert ensure_api_token(path) == load_api_token(path) == token
    assert len(token) == 43
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_api_token(tmp_path / "other") != token


def test_starts_at_once_share_one_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: ensure_api_token(tmp_path / "t"), range(32)))
    assert len(set(tokens)) == 1


@pytest.mark.parametrize("content", [b"short\n", "é".encode() * 21 + b"x"])
def test_a_damaged_token_file_is_named(tmp_path: Path, content: bytes) -> None:
    create_file(tmp_path / "t", content)
    with pytest.raises(SecretFileDamaged, match="remove the file"):
        ensure_api_token(tmp_path / "t")
