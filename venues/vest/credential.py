"""A Vest credential in its two parts: what signs and asks, and what only asks.

The text is JSON with the venue's own field names. A worker's part has the private key of the
signing address; the feed's part has the API key alone, which can read and can order nothing.

Source: the official v2 API page, POST /register; NOTES.md "Keys".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from domain.accounts import SecretText
from domain.errors import InvalidInput

_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_API_KEY: Final = re.compile(r"[!-~]{1,128}")
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_GROUP_MAX: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPIRY_MAX_MS: Final = 253_402_300_799_000
_WANTED: Final = (
    'JSON such as {"signingKey":"0x…","apiKey":"…","accGroup":0,"expiryTime":1791923679000}, '
    "as `python -m venues.vest.registration` prints it"
)
_TRADING: Final = frozenset({"signingKey", "apiKey", "accGroup", "expiryTime"})
_FEED: Final = frozenset({"apiKey", "accGroup"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who asks: the API key, and the shard that both routing fields name."""

    api_key: SecretText
    acc_group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What signs, and who asks; `expires_at` None: the owner did not say."""

    signing_key: SecretText
    reader: Reader
    expires_at: datetime | None

    def signing_bytes(self) -> bytes:
        """Return the private key."""
        return bytes.fromhex(self.signing_key.reveal())


def trading(secret: SecretText) -> Credential:
    """Read a worker's part.

    Raises:
        InvalidInput: it is none; the message shows nothing of it.
    """
    fields = _fields(secret, _TRADING)
    match = _KEY.fullmatch(str(fields.get("signingKey", "")))
    if match is None or not 0 < int(match.group(1), 16) < _CURVE_ORDER:
        raise _refused(secret, "no private key of 64 hexadecimal digits as signingKey")
    expiry = fields.get("expiryTime")
    if expiry is not None and not _is_whole(expiry, _EXPIRY_MAX_MS):
        raise _refused(secret, "an expiryTime that is no time in milliseconds")
    return Credential(
        signing_key=SecretText(match.group(1)),
        reader=_reader(secret, fields),
        expires_at=None if expiry is None else _EPOCH + timedelta(milliseconds=expiry),
    )


def reader(secret: SecretText) -> Reader:
    """Read who asks, of either part. Raises InvalidInput as `trading`."""
    return _reader(secret, _fields(secret, _TRADING))


def feed_part(secret: SecretText) -> SecretText:
    """Return what the feed and its process may know of a worker's part."""
    asks = reader(secret)
    body = {"apiKey": asks.api_key.reveal(), "accGroup": asks.acc_group}
    return SecretText(json.dumps(body, separators=(",", ":")))


def _fields(secret: SecretText, allowed: frozenset[str]) -> dict[str, Any]:
    try:
        fields = json.loads(secret.reveal())
    except (ValueError, RecursionError):
        raise _refused(secret, "no JSON") from None
    if not isinstance(fields, dict):
        raise _refused(secret, "no object")
    if not _FEED <= set(fields) <= allowed:
        raise _refused(secret, f"other fields than {', '.join(sorted(allowed))}")
    return fields


def _reader(secret: SecretText, fields: dict[str, Any]) -> Reader:
    key, group = fields["apiKey"], fields["accGroup"]
    if not isinstance(key, str) or _API_KEY.fullmatch(key) is None:
        raise _refused(secret, "no apiKey")
    if not _is_whole(group, _GROUP_MAX):
        raise _refused(secret, "an accGroup that is no whole number")
    return Reader(api_key=SecretText(key), acc_group=group)


def _is_whole(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


def _refused(secret: SecretText, found: str) -> InvalidInput:
    length = len(secret.reveal())
    return InvalidInput("credential", f"expected {_WANTED}, found {found} ({length} characters)")
