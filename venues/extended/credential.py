"""What an account's credential consists of, in the venue's own names, and which part is whose.

One JSON object: `vault`, `private_key`, `public_key`, `api_key`, as the venue's API page and SDK
name them. The feed part is the API key alone: it reads, and it could cancel, but places nothing.
Knows no curve: whether the keys belong together is the signer's to say.

Source: api.docs.extended.exchange, authentication; x10/core/stark_account.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import msgspec

from domain.errors import InvalidInput

_EXPECTED: Final = (
    'expected the four keys of the venue\'s API page as JSON: {"vault": "10002", '
    '"private_key": "0x…", "public_key": "0x…", "api_key": "…"}'
)
_HEX: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_API_KEY: Final = re.compile(r"[!-~]{8,128}")
_CURVE_ORDER: Final = 0x800000000000010FFFFFFFFFFFFFFFFB781126DCAE7B2321E66A241ADC64D2F
_VAULT_MAX: Final = 2**32 - 1


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    vault: int | str
    private_key: str
    public_key: str
    api_key: str


@dataclass(frozen=True, slots=True)
class StarkCredential:
    """A trading credential, read; its secrets show themselves in no representation."""

    vault: int
    private_key: int = field(repr=False)
    public_key: int
    api_key: str = field(repr=False)


def read_credential(text: str) -> StarkCredential:
    """Read a trading credential.

    Raises:
        InvalidInput: it is none; the message shows nothing of it.
    """
    try:
        read = msgspec.json.decode(text, type=_Text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise InvalidInput("credential", f"{_EXPECTED}; found {len(text)} characters") from None
    vault = str(read.vault)
    if not (vault.isascii() and vault.isdigit() and len(vault) <= 10 and int(vault) <= _VAULT_MAX):
        raise InvalidInput("credential", f"{_EXPECTED}; its vault is no number of one")
    if _HEX.fullmatch(read.private_key) is None or _HEX.fullmatch(read.public_key) is None:
        raise InvalidInput("credential", f"{_EXPECTED}; one of its Stark keys is not hexadecimal")
    private_key, public_key = int(read.private_key, 16), int(read.public_key, 16)
    if not 0 < private_key < _CURVE_ORDER:
        raise InvalidInput("credential", f"{_EXPECTED}; its private key is none of the Stark curve")
    return StarkCredential(int(vault), private_key, public_key, _checked_api_key(read.api_key))


def api_key_in(text: str) -> str:
    """Return the API key of either part of a credential.

    Raises:
        InvalidInput: it is neither; the message shows nothing of it.
    """
    text = text.strip()
    return read_credential(text).api_key if text.startswith("{") else _checked_api_key(text)


def _checked_api_key(text: str) -> str:
    if _API_KEY.fullmatch(text) is None:
        raise InvalidInput("credential", f"{_EXPECTED}; its API key is none")
    return text
