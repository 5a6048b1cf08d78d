"""Secret files: complete or absent, one winner, and closed to everybody else."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealing.errors import SecretFileDamaged, SecretFileMissing, SecretFileUnsafe
from sealing.secret_files import (
    PUBLIC_FILE_MODE,
    create_file,
    ensure_private_directory,
    read_mounted_file,
    read_private_file,
    read_public_file,
    replace_file,
)

READERS = [read_private_file, read_mounted_file, read_public_file]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_created_file_is_its_owners_alone_whatever_the_umask(directory: Path) -> None:
    umask = os.umask(0)
    try:
        assert create_file(directory / "key", b"secret")
        assert create_file(directory / "pub", b"public", mode=PUBLIC_FILE_MODE)
    finally:
        os.umask(umask)
    assert mode_of(directory / "key") == 0o600
    assert mode_of(directory / "pub") == 0o644
    assert read_private_file(directory / "key") == b"secret"


def test_what_is_there_is_never_overwritten(directory: Path) -> None:
    assert create_file(directory / "key", b"first")
    assert not create_file(directory / "key", b"second")
    assert read_private_file(directory / "key") == b"first"
    assert [path.name for path in directory.iterdir()] == ["key"]


def test_of_many_creators_one_wins_and_all_read_its_content(directory: Path) -> None:
    def create(number: int) -> tuple[bool, bytes]:
        won = create_file(directory / "key", b"%d" % number * 1000)
        return won, read_private_file(directory / "key")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(64)))
    assert sum(won for won, _ in answers) == 1
    assert len({content for _, content in answers}) == 1
    assert [path.name for path in directory.iterdir()] == ["key"]


def test_a_file_that_cannot_be_written_leaves_nothing(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        create_file(directory / "key", b"secret")
    assert list(directory.iterdir()) == []


def test_replacing_shows_the_old_or_the_new_content(directory: Path) -> None:
    create_file(directory / "key", b"old")
    replace_file(directory / "key", b"new")
    assert read_private_file(directory / "key") == b"new"
    assert [path.name for path in directory.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_private_file_open_to_others_is_refused_with_the_command(
    directory: Path, mode: int
) -> None:
    path = directory / "key"
    create_file(path, b"secret")
    path.chmod(mode)
    with pytest.raises(SecretFileUnsafe, match=f"run: chmod 600 {path}") as refused:
        read_private_file(path)
    assert "secret" not in str(refused.value).replace("secrets", "")


def test_links_are_refused_where_we_write_and_followed_where_platforms_mount(
    directory: Path,
) -> None:
    create_file(directory / "target", b"secret")
    (directory / "link").symlink_to(directory / "target")
    with pytest.raises(SecretFileUnsafe, match="symbolic link"):
        read_private_file(directory / "link")
    assert read_mounted_file(directory / "link") == b"secret"
    assert not create_file(directory / "link", b"other")
    assert read_private_file(directory / "target") == b"secret"


def test_a_mounted_file_may_be_a_groups_but_not_everybodys(directory: Path) -> None:
    path = directory / "key"
    create_file(path, b"secret")
    path.chmod(0o440)
    assert read_mounted_file(path) == b"secret"
    path.chmod(0o444)
    with pytest.raises(SecretFileUnsafe, match="chmod o-rwx"):
        read_mounted_file(path)


def test_a_public_file_that_others_can_write_is_refused(directory: Path) -> None:
    path = directory / "pub"
    create_file(path, b"public", mode=PUBLIC_FILE_MODE)
    assert read_public_file(path) == b"public"
    path.chmod(0o664)
    with pytest.raises(SecretFileUnsafe, match="chmod go-w"):
        read_public_file(path)


@pytest.mark.parametrize("read", READERS)
def test_missing_empty_huge_and_odd_files_are_told_apart(
    directory: Path, read: Callable[[Path], bytes]
) -> None:
    with pytest.raises(SecretFileMissing):
        read(directory / "none")
    create_file(directory / "empty", b"")
    with pytest.raises(SecretFileDamaged, match="empty"):
        read(directory / "empty")
    create_file(directory / "huge", b"x" * 65_537)
    with pytest.raises(SecretFileDamaged, match="at most"):
        read(directory / "huge")
    (directory / "folder").mkdir(mode=0o700)
    with pytest.raises(SecretFileUnsafe, match="plain file"):
        read(directory / "folder")
    os.mkfifo(directory / "pipe", 0o600)
    with pytest.raises(SecretFileUnsafe, match="plain file"):
        read(directory / "pipe")


def test_an_unreadable_path_is_unsafe_not_a_crash(directory: Path) -> None:
    create_file(directory / "key", b"x")
    with pytest.raises(SecretFileUnsafe, match="cannot read"):
        read_private_file(directory / "key" / "below")


def test_a_file_of_another_user_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_file(directory / "key", b"secret")
    if os.geteuid() == 0:
        os.chown(directory / "key", 12345, 12345)
        wanted = 0
    else:
        wanted = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: wanted)
    with pytest.raises(SecretFileUnsafe, match=f"run: chown {wanted} "):
        read_private_file(directory / "key")


def test_directories_are_made_private_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    ensure_private_directory(path)
    assert mode_of(path) == 0o700
    ensure_private_directory(path)
    path.chmod(0o750)
    with pytest.raises(SecretFileUnsafe, match=f"run: chmod 700 {path}"):
        ensure_private_directory(path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    with pytest.raises(SecretFileUnsafe, match="directory"):
        ensure_private_directory(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(SecretFileUnsafe, match="directory"):
        ensure_private_directory(tmp_path / "file")
