"""What can be wrong with a secret. No message ever holds any part of one."""

from __future__ import annotations


class SealingError(Exception):
    """A secret cannot be kept, found or opened; the message says what to do."""


class SecretFileMissing(SealingError):
    """There is no such secret file yet."""


class SecretFileUnsafe(SealingError):
    """A secret file, or its directory, can be read or replaced by others."""


class SecretFileDamaged(SealingError):
    """A secret file is not what was written: truncated, edited, or for another passphrase."""


class SecretFileRolledBack(SecretFileDamaged):
    """A secret file is one that was replaced by a newer one."""


class KeeperUnavailable(SealingError):
    """What keeps the key-encryption key is not there, or does not do what it was asked."""


class UnsealError(SealingError):
    """A sealed box does not open with this key for this account, venue and part."""
