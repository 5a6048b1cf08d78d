"""Files that only their owner may read, created once however many processes try, never truncated.

A file appears under its name complete or not at all: it is written beside its place and linked
there, and the link refuses to replace what is there. Knows nothing of what is inside.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from sealing.errors import SecretFileDamaged, SecretFileMissing, SecretFileUnsafe

PRIVATE_FILE_MODE = 0o600
PUBLIC_FILE_MODE = 0o644
PRIVATE_DIRECTORY_MODE = 0o700

_BYTES_MAX = 65_536
_ANY_OTHER = 0o077
_WORLD = 0o007
_WRITABLE_BY_OTHERS = 0o022


def ensure_private_directory(path: Path) -> None:
    """Make a directory for secrets (0700), or check that the one that is there is private.

    Raises:
        SecretFileUnsafe: it is a symbolic link, no directory, another's, or open to others.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=PRIVATE_DIRECTORY_MODE, parents=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise SecretFileUnsafe(f"expected a directory at {str(path)!r}, found something else")
    _check_owner(path, found)
    if stat.S_IMODE(found.st_mode) & _ANY_OTHER:
        raise SecretFileUnsafe(
            f"expected the directory {str(path)!r} to be its owner's alone (mode 0700), found "
            f"mode {stat.S_IMODE(found.st_mode):04o}; run: chmod 700 {path}"
        )


def read_private_file(path: Path) -> bytes:
    """Return the content of a file that is its owner's alone.

    Raises:
        SecretFileMissing: there is none.
        SecretFileUnsafe: it is a symbolic link, no plain file, another's, or open to others.
        SecretFileDamaged: it is empty or larger than any secret of ours.
    """
    return _read(path, forbidden=_ANY_OTHER, follow=False, hint="chmod 600")


def read_mounted_file(path: Path) -> bytes:
    """Return the content of a secret that a container platform mounted.

    Like `read_private_file`, but links are followed and a group may read: that is how platforms
    mount secrets.
    """
    return _read(path, forbidden=_WORLD, follow=True, hint="chmod o-rwx")


def read_public_file(path: Path) -> bytes:
    """Return the content of a file that anyone may read and only its owner may write.

    Raises:
        SecretFileMissing: there is none.
        SecretFileUnsafe: others can write it.
        SecretFileDamaged: it is empty or too large.
    """
    return _read(path, forbidden=_WRITABLE_BY_OTHERS, follow=True, hint="chmod go-w")


def create_file(path: Path, content: bytes, *, mode: int = PRIVATE_FILE_MODE) -> bool:
    """Create a file with `content`, complete and on disk; return False if one is there already.

    Safe when several processes try at once: one of them creates it, and none ever sees a part.
    """
    beside = _write_beside(path, content, mode)
    try:
        os.link(beside, path, follow_symlinks=False)
    except FileExistsError:
        return False
    finally:
        beside.unlink()
    _sync_directory(path.parent)
    return True


def replace_file(path: Path, content: bytes, *, mode: int = PRIVATE_FILE_MODE) -> None:
    """Put `content` in the place of a file: readers see the old or the new, never a part."""
    beside = _write_beside(path, content, mode)
    beside.replace(path)
    _sync_directory(path.parent)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Keep others who ask for the same path waiting, in any process of this machine."""
    lock = path.with_name(f"{path.name}.lock")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(lock, flags, PRIVATE_FILE_MODE), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path, *, forbidden: int, follow: bool, hint: str) -> bytes:
    # Without O_NONBLOCK a pipe in the file's place would hold us for ever.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise SecretFileMissing(f"expected a file at {str(path)!r}, found none") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SecretFileUnsafe(
                f"expected a plain file at {str(path)!r}, found a symbolic link; "
                "put the file itself there"
            ) from None
        raise SecretFileUnsafe(f"cannot read {str(path)!r}: {error.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise SecretFileUnsafe(f"expected a plain file at {str(path)!r}, found something else")
        _check_owner(path, found)
        mode = stat.S_IMODE(found.st_mode)
        if mode & forbidden:
            raise SecretFileUnsafe(
                f"expected {str(path)!r} to be closed to others, found mode {mode:04o}; "
                f"run: {hint} {path}"
            )
        content = os.read(descriptor, _BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if not content:
        raise SecretFileDamaged(f"expected a secret in {str(path)!r}, found an empty file")
    if len(content) > _BYTES_MAX:
        raise SecretFileDamaged(f"expected at most {_BYTES_MAX} bytes in {str(path)!r}, found more")
    return content


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid not in (os.geteuid(), 0):
        raise SecretFileUnsafe(
            f"expected {str(path)!r} to belong to user {os.geteuid()}, found user {found.st_uid}; "
            f"run: chown {os.geteuid()} {path}"
        )


def _write_beside(path: Path, content: bytes, mode: int) -> Path:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(beside, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        beside.unlink()
        raise
    return beside


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
