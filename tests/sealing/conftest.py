"""Fixtures of the sealing tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealing import protected_file
from sealing.choosing import OpenKeepers, file_keepers
from sealing.passphrase import Passphrase
from sealing.protected_file import protect
from sealing.secret_files import create_file


@pytest.fixture(autouse=True)
def cheap_passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Derive keys at a small cost: the real one is tested once, in `test_protected_file`."""
    cheap = protected_file.KeyDerivation(memory_kib=64, iterations=1, lanes=1)
    monkeypatch.setattr(protected_file, "DEFAULT_COST", cheap)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A private directory for secrets."""
    path = tmp_path / "secrets"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def keepers(directory: Path) -> OpenKeepers:
    """The protected file, with machine keys."""
    return file_keepers(directory)


@pytest.fixture
def passphrase() -> Passphrase:
    return Passphrase(b"correct horse battery staple")


def create_protected(path: Path, secret: bytes, passphrase: Passphrase, *, purpose: str) -> bool:
    """Create a file with a secret under a passphrase."""
    return create_file(path, protect(secret, passphrase, purpose=purpose))


@pytest.fixture(autouse=True)
def _nobody_has_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test here choose the keeper itself."""
    monkeypatch.delenv("PERP_DEX_KEY_KEEPER", raising=False)
