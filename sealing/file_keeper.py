"""The keeper of a machine without a keyring: data keys under a passphrase, by Argon2id.

The passphrase is an operator's file, or a key of this machine in a file of its own per use (0600):
a process that can read one use's key cannot open another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sealing.keepers import KeeperKind, KeyUse
from sealing.passphrase import MACHINE_KEY_NAME, Passphrase, load_passphrase
from sealing.protected_file import protect, unprotect


class FileKeeper:
    """Implements `sealing.keepers.KeyKeeper`; reads a passphrase when it is first needed."""

    kind = KeeperKind.FILE

    def __init__(
        self, secrets_directory: Path, passphrase_files: Mapping[KeyUse, Path] | None = None
    ) -> None:
        self._directory = secrets_directory
        self._files = dict(passphrase_files or {})
        self._known: dict[KeyUse, Passphrase] = {}

    def where(self) -> str:
        """Say where the passphrases are."""
        if self._files:
            return "a passphrase file (Argon2id)"
        return f"machine keys in {self._directory} (Argon2id, mode 0600)"

    def passphrase(self, use: KeyUse) -> Passphrase:
        """Return the passphrase of a use; makes a machine key where no file is named.

        Raises:
            SecretFileMissing, SecretFileUnsafe, SecretFileDamaged: see `load_passphrase`.
        """
        if use not in self._known:
            self._known[use] = load_passphrase(
                self._directory, self._files.get(use), machine_key=machine_key_name(use)
            )
        return self._known[use]

    def former_passphrase(self) -> Passphrase:
        """Return what all key files were under before each use had a key of its own."""
        return load_passphrase(self._directory, self._files.get(KeyUse.PAYLOAD))

    def wrap(self, use: KeyUse, data_key: bytes) -> bytes:
        """Wrap a data key. See the port."""
        return protect(data_key, self.passphrase(use), purpose=_purpose(use))

    def unwrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Give a data key back. See the port."""
        place = f"the key file of {use.value}"
        return unprotect(wrapped, self.passphrase(use), purpose=_purpose(use), place=place)

    def rewrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Wrap anew, at the present cost of trying a passphrase."""
        return self.wrap(use, self.unwrap(use, wrapped))


def machine_key_name(use: KeyUse) -> str:
    """Return the name of the file with this machine's key for a use."""
    return MACHINE_KEY_NAME if use is KeyUse.PAYLOAD else f"{MACHINE_KEY_NAME}-{use.value}"


def _purpose(use: KeyUse) -> str:
    return f"data key of {use.value}"
