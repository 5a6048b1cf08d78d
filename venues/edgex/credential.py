"""What an EdgeX account is traded with: an API key for requests, and a signer key for orders.

Both are one JSON document with the venue's own names, as its API management page and its SDK call
them. The signer key never leaves the worker; the private feed gets the API key's part alone. The
wallet's key, which withdraws, has no place in it. Knows no transport and no curve.

Source: edgex-python-sdk 2.0.1 (`Client`), edgex.exchange "API Management" (Perps V2).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from domain.accounts import SecretText
from domain.errors import InvalidInput

_API_FIELDS: Final = ("api_key", "api_passphrase", "api_secret")
_SIGNER_FIELD: Final = "trading_private_key"
_ACCOUNT_FIELD: Final = "account_id"
_EXPECTED: Final = (
    "JSON with api_key, api_passphrase, api_secret and trading_private_key, as the venue's API "
    "management page gives them"
)
#: What may go into a header: visible ASCII.
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]{1,256}")
_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What authenticates requests: reads, cancels and settings, but no order of its own."""

    api_key: str
    api_passphrase: str = field(repr=False)
    api_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An opened credential. `account_id` is the account it says it is for, where it says so."""

    api: ApiKey
    signer_key: bytes = field(repr=False)
    account_id: str | None = None


def read_credential(secret: SecretText) -> Credential:
    """Read a whole credential.

    Raises:
        InvalidInput: it is none; the message shows nothing of it.
    """
    text = secret.reveal()
    document = _document(text, {*_API_FIELDS, _SIGNER_FIELD, _ACCOUNT_FIELD}, _EXPECTED)
    key = document.get(_SIGNER_FIELD)
    match = _KEY.fullmatch(key.strip()) if isinstance(key, str) else None
    if match is None:
        raise InvalidInput(
            "credential",
            f"expected {_SIGNER_FIELD} to be 64 hexadecimal digits, with or without 0x, found none",
        )
    account_id = document.get(_ACCOUNT_FIELD)
    return Credential(
        api=_api_key(document),
        signer_key=bytes.fromhex(match[1]),
        account_id=None if account_id is None else str(account_id),
    )


def feed_part(credential: Credential) -> SecretText:
    """Return what the private feed needs: the API key, without the signer key."""
    api = credential.api
    return SecretText(json.dumps({name: getattr(api, name) for name in _API_FIELDS}))


def read_api_key(secret: SecretText) -> ApiKey:
    """Read the API key of a whole credential or of its feed part, whichever is at hand.

    Raises:
        InvalidInput: it is neither; the message shows nothing of it.
    """
    expected = "a credential, or its API key, as JSON"
    names = {*_API_FIELDS, _SIGNER_FIELD, _ACCOUNT_FIELD}
    return _api_key(_document(secret.reveal(), names, expected))


def _document(text: str, names: set[str], expected: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise InvalidInput(
            "credential", f"expected {expected}, found {len(text)} characters that are no JSON"
        )
    extra = set(document) - names
    if extra:
        # Only how many: a secret may stand where a name belongs.
        raise InvalidInput("credential", f"expected {expected}, found {len(extra)} other fields")
    return document


def _api_key(document: dict[str, Any]) -> ApiKey:
    for name in _API_FIELDS:
        value = document.get(name)
        if not isinstance(value, str) or _PRINTABLE.fullmatch(value) is None:
            raise InvalidInput(
                "credential", f"expected {name} to be printable text without spaces, found none"
            )
    return ApiKey(**{name: document[name] for name in _API_FIELDS})
