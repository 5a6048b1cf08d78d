"""Lighter's credential: an account and its API keys, each with a lane of its own. Pure.

Spelled as the venue's own SDK takes it: `{"account_index": 12345, "api_private_keys": {"4": "0x…",
"5": "0x…", "6": "0x…"}}`. Each key has its own sequence of nonces, so each purpose and each worker
has keys of its own: the lowest one sets leverage and the dead man's switch and reads, then come
pairs, one for orders and one for cancels, a pair for each worker.

Source: lighter-sdk 1.1.8 `SignerClient`; docs api-keys, trading (nonces).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.accounts import SecretText
from domain.errors import InvalidInput

KEYS_MIN: Final = 3
#: Lower indexes belong to the venue's own pages, which replace their keys at each login.
INDEX_MIN: Final = 4
INDEX_MAX: Final = 254
ACCOUNT_MAX: Final = (1 << 48) - 1
_KEY_HEX: Final = 80
_TEXT_MAX: Final = 64 * 1024
_EXPECTED: Final = (
    'expected {"account_index": …, "api_private_keys": {"4": "…", "5": "…", "6": "…"}} with at '
    f"least {KEYS_MIN} keys of indexes {INDEX_MIN} to {INDEX_MAX}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterCredential:
    """An account's keys by index, as hex without prefix."""

    account_index: int
    keys: Mapping[int, str] = field(repr=False)

    @property
    def indexes(self) -> tuple[int, ...]:
        """All indexes, ascending."""
        return tuple(sorted(self.keys))

    @property
    def own_index(self) -> int:
        """The key that sets what is no order's, and reads."""
        return self.indexes[0]

    @property
    def order_lanes(self) -> tuple[str, ...]:
        """The keys that place."""
        return tuple(str(index) for index in self.indexes[1::2])

    @property
    def cancel_lanes(self) -> tuple[str, ...]:
        """The keys that cancel."""
        return tuple(str(index) for index in self.indexes[2::2])

    @property
    def signer(self) -> str:
        """What the credential is called: its account, and a mark of its keys that tells none."""
        spelled = json.dumps(sorted(self.keys.items())).encode()
        return f"{self.account_index}:{hashlib.sha256(spelled).hexdigest()[:16]}"


def read_credential(secret: SecretText) -> LighterCredential:
    """Read a credential.

    Raises:
        InvalidInput: it is none; the message shows nothing of it.
    """
    text = secret.reveal().strip()
    try:
        if len(text) > _TEXT_MAX:
            raise ValueError
        given = json.loads(text)
        account = given["account_index"]
        keys = {int(index): _key(key) for index, key in given["api_private_keys"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InvalidInput(
            "credential", f"{_EXPECTED}; found {len(text)} characters that are none"
        ) from None
    if isinstance(account, bool) or not isinstance(account, int) or not 0 < account <= ACCOUNT_MAX:
        raise InvalidInput("credential", f"{_EXPECTED}; found no account index")
    wrong = [index for index in keys if not INDEX_MIN <= index <= INDEX_MAX]
    if wrong:
        raise InvalidInput("credential", f"{_EXPECTED}; found index {wrong[0]}")
    if len(keys) < KEYS_MIN:
        raise InvalidInput(
            "credential",
            f"{_EXPECTED}: one for settings, one for orders, one for cancels; found {len(keys)}",
        )
    if len(set(keys.values())) != len(keys):
        raise InvalidInput("credential", f"{_EXPECTED}, each another one; found one twice")
    return LighterCredential(account_index=account, keys=keys)


def _key(given: Any) -> str:
    text = given.removeprefix("0x").removeprefix("0X").lower()
    if len(text) != _KEY_HEX or not int(text, 16):
        raise ValueError
    return str(bytes.fromhex(text).hex())


def account_index_of(address: str) -> int:
    """Return the index that an account's address is.

    Raises:
        InvalidInput: it is none.
    """
    is_number = address.isascii() and address.isdigit() and len(address) <= 15
    if not is_number or not 0 < int(address) <= ACCOUNT_MAX:
        raise InvalidInput(
            "address", f"expected an account index of lighter such as 12345, found {address[:64]!r}"
        )
    return int(address)
