"""Sealed boxes: HPKE (RFC 9180: X25519, HKDF-SHA256, AES-256-GCM) to one recipient.

Whoever receives a credential seals it and forgets it; only the recipient's private key opens it,
and only for the account, venue and part it was sealed for. Layout: one format byte, the
recipient's key id, then the HPKE message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sealing.errors import UnsealError
from sealing.keys import KEY_ID_BYTES, PrivateKey, PublicKey

_FORMAT = 1
_PREFIX_BYTES = 1 + KEY_ID_BYTES
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class CredentialPart(StrEnum):
    """What a credential is good for: TRADING signs orders, FEED only reads."""

    TRADING = "trading"
    FEED = "feed"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxLabel:
    """What a box is bound to; with any other label it does not open."""

    account_id: str
    venue: str
    part: CredentialPart


def seal(secret: bytes, recipient: PublicKey, label: BoxLabel) -> bytes:
    """Return `secret` so that only `recipient` can open it, and only under `label`."""
    message = _SUITE.encrypt(secret, recipient.x25519(), info=_bound(label))
    return bytes([_FORMAT]) + recipient.key_id + message


def unseal(sealed: bytes, key: PrivateKey, label: BoxLabel) -> bytes:
    """Return the secret in `sealed`.

    Raises:
        UnsealError: it was sealed for another key or another label, or was changed.
    """
    key_id = key_id_of(sealed, label)
    if key_id != key.public.key_id:
        raise UnsealError(
            f"the {label.part.value} credential of account {label.account_id!r} was sealed for "
            f"key {key_id.hex()}, this process has {key.public.key_id.hex()}; "
            "add the account's credential again"
        )
    try:
        return _SUITE.decrypt(sealed[_PREFIX_BYTES:], key.x25519(), info=_bound(label))
    except (InvalidTag, ValueError):
        raise UnsealError(
            f"the {label.part.value} credential of account {label.account_id!r} at "
            f"{label.venue!r} does not open: it was sealed for another account, venue or part, "
            "or was changed; add it again"
        ) from None


def key_id_of(sealed: bytes, label: BoxLabel) -> bytes:
    """Return the id of the key that `sealed` was made for.

    Raises:
        UnsealError: it is no sealed box.
    """
    if len(sealed) <= _PREFIX_BYTES or sealed[0] != _FORMAT:
        raise UnsealError(
            f"expected a sealed {label.part.value} credential of account {label.account_id!r}, "
            f"found {len(sealed)} bytes of another format"
        )
    return sealed[1:_PREFIX_BYTES]


def _bound(label: BoxLabel) -> bytes:
    fields = ("perp-dex credential", str(_FORMAT), label.account_id, label.venue, label.part.value)
    return b"".join(len(raw).to_bytes(4, "big") + raw for raw in (f.encode() for f in fields))
