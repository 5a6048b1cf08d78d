"""The keeper of a hardware token: it wraps data keys by AES keys that never leave it (PKCS#11).

Needs the extra `perp-dex[pkcs11]` and the token's own library. Proven with SoftHSM2; what a real
token allows (AES-GCM with a nonce of ours) is its maker's to say.

Source: PKCS #11 v2.40, CKM_AES_GCM; python-pkcs11's documentation.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sealing.errors import KeeperUnavailable, SecretFileDamaged
from sealing.keepers import KeeperKind, KeyUse
from sealing.secret_files import read_mounted_file

if TYPE_CHECKING:
    from pkcs11 import Session

_LABEL: Final = "perp-dex-"
_KEY_BITS: Final = 256
_TAG_BITS: Final = 128
_NONCE_BYTES: Final = 12
_NAME_BYTES: Final = 8


class Pkcs11Keeper:
    """Implements `sealing.keepers.KeyKeeper`; logs in for each operation and out again.

    What is wrapped begins with the label of its key on the token.
    """

    kind = KeeperKind.PKCS11

    def __init__(self, library: Path, token_label: str, pin_file: Path) -> None:
        self._library = library
        self._token_label = token_label
        self._pin_file = pin_file
        self._labels: dict[KeyUse, str] = {}

    def where(self) -> str:
        """Say which token it is."""
        return f"the PKCS#11 token {self._token_label!r}"

    def wrap(self, use: KeyUse, data_key: bytes) -> bytes:
        """Wrap a data key. See the port."""
        with self._session(writing=use not in self._labels) as session:
            label = self._labels.get(use)
            if label is None:
                label = f"{_LABEL}{use.value}-{secrets.token_hex(_NAME_BYTES)}"
                _generate(session, label)
                self._labels[use] = label
            nonce = secrets.token_bytes(_NONCE_BYTES)
            sealed = _encrypt(_key(session, label), nonce, label, data_key)
        return label.encode() + b"\n" + nonce + sealed

    def unwrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Give a data key back. See the port."""
        spelled, _, rest = wrapped.partition(b"\n")
        label = spelled.decode("ascii", "replace")
        if not label.startswith(f"{_LABEL}{use.value}-"):
            raise SecretFileDamaged(
                f"expected a key file of {use.value!r}, found one of {label[:48]!r}"
            )
        with self._session() as session:
            key = _key(session, label)
            data_key = _decrypt(key, rest[:_NONCE_BYTES], label, rest[_NONCE_BYTES:])
        self._labels[use] = label
        return data_key

    def rewrap(self, use: KeyUse, wrapped: bytes) -> bytes:
        """Wrap under a fresh key of the token; the former one stays there."""
        data_key = self.unwrap(use, wrapped)
        self._labels.pop(use)
        return self.wrap(use, data_key)

    @contextmanager
    def _session(self, *, writing: bool = False) -> Iterator[Session]:
        try:
            import pkcs11
            from pkcs11.exceptions import NoSuchKey, PKCS11Error
        except ImportError:
            raise KeeperUnavailable(
                "PERP_DEX_KEY_KEEPER=pkcs11 needs python-pkcs11; run: "
                "pip install 'perp-dex[pkcs11]'"
            ) from None
        pin = read_mounted_file(self._pin_file).rstrip(b"\r\n").decode()
        try:
            token = pkcs11.lib(str(self._library)).get_token(token_label=self._token_label)
            with token.open(rw=writing, user_pin=pin) as session:
                yield session
        except NoSuchKey:
            raise KeeperUnavailable(
                f"{self.where()} no longer has the key of this file; attach the token that has it"
            ) from None
        except (PKCS11Error, RuntimeError, OSError) as error:
            raise KeeperUnavailable(
                f"{self.where()} by {str(self._library)!r} does not do what is needed "
                f"({type(error).__name__}); check PERP_DEX_PKCS11_LIBRARY, PERP_DEX_PKCS11_TOKEN "
                "and the PIN in PERP_DEX_PKCS11_PIN_FILE"
            ) from None


def _generate(session: Session, label: str) -> None:
    from pkcs11 import Attribute, KeyType

    session.generate_key(
        KeyType.AES,
        _KEY_BITS,
        label=label,
        store=True,
        template={
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.PRIVATE: True,
        },
    )


def _key(session: Session, label: str) -> Any:
    """Return a key of the token; its methods come with what the token allows, untyped."""
    from pkcs11 import KeyType, ObjectClass

    return session.get_key(object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES, label=label)


def _encrypt(key: Any, nonce: bytes, label: str, data_key: bytes) -> bytes:
    from pkcs11 import GCMParams, Mechanism

    parameters = GCMParams(nonce, label.encode(), _TAG_BITS)
    sealed = key.encrypt(data_key, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    return bytes(sealed)


def _decrypt(key: Any, nonce: bytes, label: str, sealed: bytes) -> bytes:
    from pkcs11 import GCMParams, Mechanism
    from pkcs11.exceptions import (
        ArgumentsBad,
        EncryptedDataInvalid,
        EncryptedDataLenRange,
        GeneralError,
        MechanismParamInvalid,
    )

    parameters = GCMParams(nonce, label.encode(), _TAG_BITS)
    try:
        opened = key.decrypt(sealed, mechanism=Mechanism.AES_GCM, mechanism_param=parameters)
    except (
        ArgumentsBad,
        EncryptedDataInvalid,
        EncryptedDataLenRange,
        GeneralError,
        MechanismParamInvalid,
    ):
        # Which of them a changed ciphertext gives differs from token to token.
        raise SecretFileDamaged(
            f"the key file does not open with the token's key {label!r}: it was changed; restore "
            "it from a backup"
        ) from None
    return bytes(opened)
