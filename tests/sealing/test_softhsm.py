"""The PKCS#11 keeper against a real token in software: SoftHSM2 (Debian package softhsm2)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealing.choosing import OpenKeepers
from sealing.errors import KeeperUnavailable, SecretFileDamaged
from sealing.keepers import KeeperKind, KeyUse
from sealing.kept_file import rewrap_kept
from sealing.key_ring import ensure_key_ring, load_key_ring, rotate_key_ring
from sealing.pkcs11_keeper import Pkcs11Keeper
from sealing.secret_files import create_file

pytestmark = pytest.mark.system

PIN = "739154"
LIBRARY = Path("/usr/lib/softhsm/libsofthsm2.so")


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with an initialised token and its PIN file."""
    home = tmp_path_factory.mktemp("softhsm")
    (home / "tokens").mkdir()
    (home / "softhsm2.conf").write_text(f"directories.tokendir = {home / 'tokens'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(home / "softhsm2.conf"))
        command = ["softhsm2-util", "--init-token", "--free", "--label", "perp-dex"]
        subprocess.run(
            [*command, "--so-pin", "12345678", "--pin", PIN], check=True, capture_output=True
        )
        create_file(home / "pin", PIN.encode() + b"\n")
        yield home


def keepers(token: Path, *, pin: str = "pin") -> OpenKeepers:
    keeper = Pkcs11Keeper(LIBRARY, "perp-dex", token / pin)
    return OpenKeepers(
        {KeeperKind.PKCS11: lambda: keeper}, KeeperKind.PKCS11, frozenset({KeeperKind.PKCS11})
    )


def test_the_token_wraps_the_keys_of_a_ring(token: Path, directory: Path) -> None:
    path = directory / "payload-keys"
    ring = ensure_key_ring(path, keepers(token))
    assert load_key_ring(path, keepers(token)) == ring
    rotated = rotate_key_ring(path, keepers(token))
    # Another key of the token, and the same ring.
    before = path.read_bytes()
    rewrap_kept(path, keepers(token), KeyUse.PAYLOAD)
    assert path.read_bytes() != before
    assert load_key_ring(path, keepers(token)) == rotated
    assert sorted(each.name for each in directory.iterdir()) == [
        "payload-keys",
        "payload-keys.lock",
    ]


def test_the_tokens_key_never_leaves_it(token: Path) -> None:
    import pkcs11
    from pkcs11 import Attribute, ObjectClass

    keepers(token).chosen.wrap(KeyUse.WORKER, bytes(32))
    opened = pkcs11.lib(str(LIBRARY)).get_token(token_label="perp-dex")
    with opened.open(user_pin=PIN) as session:
        found = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
        assert found
        for key in found:
            assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
            with pytest.raises(pkcs11.exceptions.AttributeSensitive):
                key[Attribute.VALUE]


def test_a_wrong_pin_a_changed_file_and_another_token_open_nothing(token: Path) -> None:
    keeper = keepers(token).chosen
    wrapped = keeper.wrap(KeyUse.WORKER, b"\x05" * 32)
    assert keeper.unwrap(KeyUse.WORKER, wrapped) == b"\x05" * 32
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    with pytest.raises(SecretFileDamaged, match="changed"):
        keeper.unwrap(KeyUse.WORKER, changed)
    with pytest.raises(SecretFileDamaged, match="found one of"):
        keeper.unwrap(KeyUse.PAYLOAD, wrapped)
    gone = b"perp-dex-worker-0000000000000000" + wrapped[wrapped.index(b"\n") :]
    with pytest.raises(KeeperUnavailable, match="no longer has the key"):
        keeper.unwrap(KeyUse.WORKER, gone)
    create_file(token / "wrong", b"000000")
    with pytest.raises(KeeperUnavailable, match="PinIncorrect") as refused:
        keepers(token, pin="wrong").chosen.unwrap(KeyUse.WORKER, wrapped)
    assert "000000" not in str(refused.value)
    with pytest.raises(KeeperUnavailable, match="NoSuchToken"):
        Pkcs11Keeper(LIBRARY, "other", token / "pin").unwrap(KeyUse.WORKER, wrapped)
