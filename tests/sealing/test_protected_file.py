"""Protected files: they open with their passphrase, for their purpose, whole, or not at all."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sealing import protected_file
from sealing.errors import SecretFileDamaged, SecretFileMissing, SecretFileUnsafe
from sealing.passphrase import MACHINE_KEY_NAME, Passphrase, load_passphrase
from sealing.protected_file import KeyDerivation, unprotect
from sealing.secret_files import create_file, read_private_file
from tests.sealing.conftest import create_protected

ROOT = Path(__file__).parents[2]


def read_protected(path: Path, passphrase: Passphrase, *, purpose: str) -> bytes:
    return unprotect(read_private_file(path), passphrase, purpose=purpose, place=str(path))


@pytest.fixture
def path(directory: Path, passphrase: Passphrase) -> Path:
    """A protected file with the secret `plaintext`."""
    path = directory / "file"
    assert create_protected(path, b"plaintext", passphrase, purpose="test")
    return path


def test_a_secret_comes_back_and_is_not_in_the_file(path: Path, passphrase: Passphrase) -> None:
    assert read_protected(path, passphrase, purpose="test") == b"plaintext"
    assert b"plaintext" not in path.read_bytes()


def test_the_real_cost_is_used_outside_tests(
    directory: Path, passphrase: Passphrase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protected_file, "DEFAULT_COST", KeyDerivation())
    create_protected(directory / "real", b"x", passphrase, purpose="test")
    document = json.loads((directory / "real").read_text())
    assert (document["kdf"], document["memory_kib"], document["iterations"]) == (
        "argon2id",
        65_536,
        3,
    )
    assert read_protected(directory / "real", passphrase, purpose="test") == b"x"


#: Opens one file in several threads of a process at once, at the real number of lanes.
_AT_ONCE = """
import threading
from sealing import protected_file as files
from sealing.passphrase import Passphrase

files.DEFAULT_COST = files.KeyDerivation(memory_kib=2048, iterations=1)
passphrase = Passphrase(b"correct horse battery staple")
kept = files.protect(b"x", passphrase, purpose="test")
opened = []

def open_it():
    for _ in range(20):
        opened.append(files.unprotect(kept, passphrase, purpose="test", place="here"))

threads = [threading.Thread(target=open_it, daemon=True) for _ in range(4)]
for each in threads:
    each.start()
for each in threads:
    each.join()
print(len(opened))
"""


def test_one_process_opens_several_at_once() -> None:
    """In a process of its own: one that hangs in the library cannot be ended by its test."""
    done = _in_a_process(_AT_ONCE)

    assert (done.stdout.strip(), done.stderr) == ("80", "")


#: Makes a file in a process that may have little more memory than it has.
_IN_LITTLE_MEMORY = """
import resource
from sealing import protected_file as files
from sealing.errors import KeeperUnavailable
from sealing.passphrase import Passphrase

files.DEFAULT_COST = files.KeyDerivation(memory_kib=1_048_576, iterations=1)
pages = int(open("/proc/self/statm").read().split()[0])
has = pages * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (has + 200 * 1024**2,) * 2)
try:
    files.protect(b"x", Passphrase(b"correct horse battery staple"), purpose="test")
except KeeperUnavailable as error:
    print(error)
"""


def test_too_little_memory_is_told() -> None:
    done = _in_a_process(_IN_LITTLE_MEMORY)

    assert done.stdout.startswith("1024 MiB of memory are needed"), done.stderr


def _in_a_process(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, cwd=ROOT
    )


def test_another_passphrase_or_purpose_does_not_open_it(path: Path, passphrase: Passphrase) -> None:
    with pytest.raises(SecretFileDamaged, match="passphrase"):
        read_protected(path, Passphrase(b"another passphrase!"), purpose="test")
    with pytest.raises(SecretFileDamaged, match="does not open as 'other'"):
        read_protected(path, passphrase, purpose="other")


@pytest.mark.parametrize("length", [1, 40, -30, -3])
def test_a_truncated_file_is_named_as_damaged(
    path: Path, passphrase: Passphrase, length: int
) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SecretFileDamaged, match="restore it from a backup"):
        read_protected(path, passphrase, purpose="test")


@pytest.mark.parametrize(
    "change",
    [
        {"memory_kib": 32},
        {"iterations": 2},
        {"salt": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"nonce": "AAAAAAAAAAAAAAAA"},
        {"format": "other"},
        {"kdf": "scrypt"},
        {"memory_kib": 10**9},
        {"iterations": 1000},
        {"lanes": 1000},
        {"sealed": "AAAA"},
        {"salt": "not base64!"},
        {"salt": 5},
    ],
)
def test_any_edit_is_noticed(path: Path, passphrase: Passphrase, change: dict[str, Any]) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | change))
    with pytest.raises(SecretFileDamaged):
        read_protected(path, passphrase, purpose="test")


def test_a_file_that_is_no_document_is_damaged(directory: Path, passphrase: Passphrase) -> None:
    create_file(directory / "list", b"[1]")
    with pytest.raises(SecretFileDamaged):
        read_protected(directory / "list", passphrase, purpose="test")
    with pytest.raises(SecretFileMissing):
        read_protected(directory / "none", passphrase, purpose="test")


def test_the_machine_key_is_made_once_and_kept(tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    first = load_passphrase(directory)
    assert load_passphrase(directory).reveal() == first.reveal()
    assert len(first.reveal()) == 44
    assert (directory / MACHINE_KEY_NAME).stat().st_mode & 0o777 == 0o600
    other = load_passphrase(tmp_path / "other")
    assert other.reveal() != first.reveal()


@pytest.mark.parametrize("content", [b"short\n", b"AAAA", b"!" * 44])
def test_a_damaged_machine_key_is_refused_and_kept(directory: Path, content: bytes) -> None:
    create_file(directory / MACHINE_KEY_NAME, content)
    with pytest.raises(SecretFileDamaged, match="restore it from a backup"):
        load_passphrase(directory)
    assert (directory / MACHINE_KEY_NAME).read_bytes() == content


def test_a_linked_machine_key_is_refused(directory: Path) -> None:
    (directory / MACHINE_KEY_NAME).symlink_to(directory / "nowhere")
    with pytest.raises(SecretFileUnsafe, match="symbolic link"):
        load_passphrase(directory)


def test_a_passphrase_file_takes_the_machine_keys_place(tmp_path: Path) -> None:
    create_file(tmp_path / "passphrase", b"sixteen or more!\n")
    directory = tmp_path / "secrets"
    given = load_passphrase(directory, tmp_path / "passphrase")
    assert given.reveal() == b"sixteen or more!"
    assert not directory.exists()
    create_file(tmp_path / "short", b"too short\n")
    with pytest.raises(SecretFileDamaged, match="at least 16"):
        load_passphrase(directory, tmp_path / "short")
    with pytest.raises(SecretFileMissing):
        load_passphrase(directory, tmp_path / "none")


def test_a_passphrase_shows_itself_to_nobody(passphrase: Passphrase) -> None:
    assert "horse" not in f"{passphrase!r} {passphrase}"
    with pytest.raises(TypeError):
        pickle.dumps(passphrase)
