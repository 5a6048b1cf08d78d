"""The payload key ring and the API token."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealing.choosing import OpenKeepers
from sealing.errors import SecretFileDamaged, SecretFileMissing, SecretFileUnsafe
from sealing.keepers import KeyUse
from sealing.kept_file import create_kept
from sealing.key_ring import (
    KEY_RING_NAME,
    PayloadKeyRing,
    drop_payload_keys,
    ensure_key_ring,
    load_key_ring,
    rotate_key_ring,
)
from sealing.passphrase import load_passphrase
from sealing.secret_files import create_file
from sealing.token import ensure_api_token, load_api_token
from tests.sealing.conftest import create_protected


def test_a_ring_is_made_once(directory: Path, keepers: OpenKeepers) -> None:
    path = directory / KEY_RING_NAME
    ring = ensure_key_ring(path, keepers)
    assert list(ring.keys) == [ring.current]
    assert len(ring.keys[ring.current]) == 32
    assert ensure_key_ring(path, keepers) == ring
    assert ring.keys[ring.current] not in path.read_bytes()


def test_a_rotation_keeps_every_key_readable(directory: Path, keepers: OpenKeepers) -> None:
    path = directory / KEY_RING_NAME
    first = ensure_key_ring(path, keepers)
    second = rotate_key_ring(path, keepers)
    assert second.current != first.current
    assert second.keys[first.current] == first.keys[first.current]
    assert load_key_ring(path, keepers) == second


def test_rotations_and_starts_at_once_lose_no_key(directory: Path, keepers: OpenKeepers) -> None:
    path = directory / KEY_RING_NAME
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: ensure_key_ring(path, keepers), range(8)))
        assert len({ring.current for ring in rings}) == 1
        rotated = list(pool.map(lambda _: rotate_key_ring(path, keepers), range(8)))
    final = load_key_ring(path, keepers)
    assert len(final.keys) == 9
    assert {ring.current for ring in rotated} | {rings[0].current} == set(final.keys)


def test_a_ring_that_cannot_be_used_is_refused_not_replaced(
    directory: Path, keepers: OpenKeepers
) -> None:
    path = directory / KEY_RING_NAME
    with pytest.raises(SecretFileMissing):
        load_key_ring(path, keepers)
    for content in (b"{}", b"[]", b"no json", b'{"current": "a", "keys": {"a": "AAAA"}}'):
        path.unlink(missing_ok=True)
        create_kept(path, content, keepers.chosen, KeyUse.PAYLOAD)
        with pytest.raises(SecretFileDamaged, match="ring of keys"):
            ensure_key_ring(path, keepers)
    path.chmod(0o644)
    with pytest.raises(SecretFileUnsafe):
        ensure_key_ring(path, keepers)


def test_a_ring_holds_its_current_key_and_shows_none() -> None:
    with pytest.raises(ValueError, match="current"):
        PayloadKeyRing(current="b", keys={"a": bytes(32)})
    with pytest.raises(ValueError, match="32 bytes"):
        PayloadKeyRing(current="a", keys={"a": bytes(16)})
    ring = PayloadKeyRing(current="a", keys={"a": b"\x07" * 32})
    assert "07" not in repr(ring)
    with pytest.raises(TypeError):
        ring.keys["b"] = bytes(32)  # type: ignore[index]


def test_only_former_keys_are_destroyed(directory: Path, keepers: OpenKeepers) -> None:
    path = directory / KEY_RING_NAME
    first = ensure_key_ring(path, keepers)
    second = rotate_key_ring(path, keepers)
    assert set(second.superseded) == {first.current}
    assert drop_payload_keys(path, keepers, ["unknown", second.current]) == second
    left = drop_payload_keys(path, keepers, [first.current, second.current])
    assert (set(left.keys), left.version) == ({second.current}, 3)
    assert load_key_ring(path, keepers) == left


@pytest.mark.parametrize("content", [None, b"[]"])
def test_a_ring_of_the_former_form_is_taken_over(
    directory: Path, keepers: OpenKeepers, content: bytes | None
) -> None:
    key = base64.b64encode(b"\x05" * 32).decode()
    spelled = json.dumps({"current": "b", "keys": {"a": key, "b": key}}).encode()
    path, passphrase = directory / KEY_RING_NAME, load_passphrase(directory)
    create_protected(path, content or spelled, passphrase, purpose="payload key ring")
    if content is not None:
        with pytest.raises(SecretFileDamaged, match="payload key ring"):
            ensure_key_ring(path, keepers)
        return
    ring = ensure_key_ring(path, keepers)
    assert (ring.current, set(ring.keys), set(ring.superseded)) == ("b", {"a", "b"}, {"a"})
    assert ensure_key_ring(path, keepers) == ring


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
