"""The files that stand in for the database: shared nonces, and the kit of sealed credentials."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from domain.errors import CorruptState, Unavailable
from storage.emergency_kit import EmergencyKit
from storage.nonce_files import FileSharedNonces


def test_a_nonce_is_taken_once_and_never_goes_back(tmp_path: Path) -> None:
    nonces = FileSharedNonces(tmp_path / "journal")
    assert nonces.take("a", 100) == 100
    assert nonces.take("a", 100) == 101
    assert nonces.take("a", 50) == 102
    assert nonces.take("b", 7) == 7
    assert FileSharedNonces(tmp_path / "journal").take("a", 1) == 103
    assert (tmp_path / "journal" / "nonces.json").stat().st_mode & 0o777 == 0o600


def _take(directory: str, count: int) -> list[int]:
    nonces = FileSharedNonces(Path(directory))
    return [nonces.take("a", 1_000) for _ in range(count)]


def test_processes_at_once_share_none(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        taken = pool.starmap(_take, [(str(tmp_path), 50)] * 3)
    assert sorted(nonce for each in taken for nonce in each) == list(range(1_000, 1_150))


@pytest.mark.parametrize("content", ["no json", "[1]", '{"a": "x"}'])
def test_what_is_no_nonce_file_is_said(tmp_path: Path, content: str) -> None:
    (tmp_path / "nonces.json").write_text(content)
    with pytest.raises(CorruptState, match="move the file away"):
        FileSharedNonces(tmp_path).take("a", 1)


def test_what_cannot_be_written_gives_no_nonce(tmp_path: Path) -> None:
    (tmp_path / "journal").touch()
    with pytest.raises(Unavailable):
        FileSharedNonces(tmp_path / "journal").take("a", 1)


def test_a_kit_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    kit = EmergencyKit(tmp_path)
    assert kit.entries() == ()
    (tmp_path / "journal").mkdir()
    path = tmp_path / "journal" / "accounts.json"
    path.write_text("no kit")
    with pytest.raises(CorruptState, match="expected an emergency kit"):
        kit.entries()
    path.write_bytes(b"\xff")
    with pytest.raises(Unavailable):
        kit.entries()
