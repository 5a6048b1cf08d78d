"""The keeper of a desktop or a Mac: key-encryption keys in the system's own keyring.

Only backends that are known to encrypt are used. `keyring` would as readily write plaintext files,
keep nothing, or follow whatever its configuration names: what is not on the list is refused.
"""

from __future__ import annotations

import base64
import secrets
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealing.errors import KeeperUnavailable, SecretFileDamaged
from sealing.keepers import KeeperKind, KeyUse

SERVICE: Final = "perp-dex"

SECURE_BACKENDS: Final = frozenset(
    {
        "keyring.backends.SecretService.Keyring",
        "keyring.backends.libsecret.Keyring",
        "keyring.backends.kwallet.DBusKeyring",
        "keyring.backends.kwallet.DBusKeyringKWallet4",
        "keyring.backends.macOS.Keyring",
        "keyring.backends.Windows.WinVaultKeyring",
    }
)
"""The system keyrings that `keyring` itself brings; each encrypts what it keeps."""

_CHAINER: Final = "keyring.backends.chainer.ChainerBackend"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_NAME_BYTES: Final = 8


class Backend(Protocol):
    """The part of a `keyring` backend that is used."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return what is kept under a name, or None."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep something under a name."""
        ...


def secure_backend(configured: object | None = None) -> Backend:
    """Return the system keyring, or say what was found in its place.

    `configured` is the backend to judge; by default the one `keyring` chooses here.

    Raises:
        KeeperUnavailable: there is none, or one that is not on the list.
    """
    if configured is None:
        import keyring

        configured = keyring.get_keyring()
    candidates = [configured]
    if _name(configured) == _CHAINER:
        candidates = list(configured.backends)  # type: ignore[attr-defined]
    for candidate in candidates:
        if _name(candidate) in SECURE_BACKENDS:
            return candidate  # type: ignore[return-value]
    found = ", ".join(_name(candidate) for candidate in candidates) or "none"
    raise KeeperUnavailable(
        f"expected a system keyring (Secret Service, KWallet, macOS Keychain, Windows vault), "
        f"found {found}, which is none that encrypts; unlock or install one, or set "
        "PERP_DEX_KEY_KEEPER=file"
    )


def _name(backend: object) -> str:
    kind = type(backend)
    return f"{kind.__module__}.{kind.__qualname__}"


class KeyringKeeper:
    """Implements `sealing.keepers.KeyKeeper` over one backend.

    What is wrapped begins with the name of its entry, so that a moved home finds its key again.
    """

    kind = KeeperKind.KEYRING

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._entries: dict[KeyUse, str] = {}

    def where(self) -> str:
        """Say which keyring it is."""
        return f"the system keyring ({_name(self._backend)})"

    def wrap(self, use: KeyUse, data_key: bytes) -> bytes:
        """Wrap a data key. See the port."""
        entry = self._entries.get(use)
        if entry is None:
            entry = self._fresh_entry(use)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._key(entry)).encrypt(nonce, data_key, entry.encode())
        return entry.encode() + b"\n" + nonce + sealed

    def unwrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Give a data key back. See the port."""
        spelled, _, rest = wrapped.partition(b"\n")
        entry = spelled.decode("ascii", "replace")
        if not entry.startswith(f"{use.value}-"):
            raise SecretFileDamaged(
                f"expected a key file of {use.value!r}, found one of {entry[:32]!r}"
            )
        key = self._key(entry)
        try:
            data_key = AESGCM(key).decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], spelled)
        except (InvalidTag, ValueError):
            raise SecretFileDamaged(
                f"the key file of {use.value!r} does not open with the keyring's entry {entry!r}: "
                "one of them was changed; restore the file from a backup"
            ) from None
        self._entries[use] = entry
        return data_key

    def rewrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Wrap under a fresh entry; the former one stays, for copies of the former file."""
        data_key = self.unwrap(use, wrapped)
        self._entries.pop(use)
        return self.wrap(use, data_key)

    def _fresh_entry(self, use: KeyUse) -> str:
        entry = f"{use.value}-{secrets.token_hex(_NAME_BYTES)}"
        spelled = base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        try:
            self._backend.set_password(SERVICE, entry, spelled)
        except Exception as error:  # noqa: BLE001 - each backend has its own
            raise self._trouble("did not keep", entry, error) from None
        if self._key(entry) != base64.b64decode(spelled):
            raise KeeperUnavailable(f"{self.where()} kept something else for {entry!r}")
        self._entries[use] = entry
        return entry

    def _key(self, entry: str) -> bytes:
        try:
            spelled = self._backend.get_password(SERVICE, entry)
        except Exception as error:  # noqa: BLE001 - each backend has its own
            raise self._trouble("did not give", entry, error) from None
        if spelled is None:
            raise KeeperUnavailable(
                f"{self.where()} has no entry {entry!r} of service {SERVICE!r}; use the keyring "
                "that has it, or restore it: without it the key file cannot be opened"
            )
        try:
            return base64.b64decode(spelled, validate=True)
        except ValueError:
            raise SecretFileDamaged(f"the keyring's entry {entry!r} is no key") from None

    def _trouble(self, what: str, entry: str, error: Exception) -> KeeperUnavailable:
        # Never the message: it is the backend's, and might hold what it was given.
        return KeeperUnavailable(
            f"{self.where()} {what} {entry!r} ({type(error).__name__}); unlock it and start again"
        )
