"""Where a key-encryption key lives: one small interface, whatever is behind it.

Our key files are each encrypted under a data key of their own; a keeper wraps that data key and
gives it back. What a keeper uses for it never lies in the clear beside the file.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from sealing.passphrase import Passphrase


class KeyUse(StrEnum):
    """What a key file is for. Each has its own key-encryption key.

    PAYLOAD encrypts workflow payloads, for every process of ours; WORKER and STREAMING open sealed
    credentials, each for its process alone.
    """

    PAYLOAD = "payload"
    WORKER = "worker"
    STREAMING = "streaming"


class KeeperKind(StrEnum):
    """The keepers there are, as key files name them."""

    KEYRING = "keyring"
    FILE = "file"
    VAULT = "vault"
    PKCS11 = "pkcs11"


class KeyKeeper(Protocol):
    """Holds a key-encryption key per use; every method raises `SealingError` in words."""

    kind: KeeperKind

    def where(self) -> str:
        """Say in a few words where the key-encryption keys are, without any part of one."""
        ...

    def wrap(self, use: KeyUse, data_key: bytes) -> bytes:
        """Return a data key so that only this keeper gives it back, and only for this use.

        Makes the key-encryption key where there is none and the keeper may make one.
        """
        ...

    def unwrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Return the data key.

        Raises:
            KeeperUnavailable: the keeper is not there, or no longer has the key.
            SecretFileDamaged: what is wrapped was changed, or is another use's or keeper's.
        """
        ...

    def rewrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Return the same data key, wrapped under the keeper's newest key-encryption key."""
        ...


class Keepers(Protocol):
    """The keepers a process may use: the one for new files, and those of files that are there."""

    @property
    def chosen(self) -> KeyKeeper:
        """The keeper of new key files."""
        ...

    def of(self, kind: KeeperKind) -> KeyKeeper:
        """Return the keeper that a key file names.

        Raises:
            KeeperUnavailable: the settings do not allow that one, or it is not there.
        """
        ...

    def former_passphrase(self) -> Passphrase:
        """Return what key files were under before keepers could be chosen, to read these once."""
        ...
