"""Fixtures of the sealing tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealing import protected_file
from sealing.passphrase import Passphrase


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
def passphrase() -> Passphrase:
    return Passphrase(b"correct horse battery staple")
