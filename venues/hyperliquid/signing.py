"""Signatures over Hyperliquid's L1 actions, of hashes that the venue's own SDK makes.

Signs trading actions only, each with exactly the keys it may have: a transfer, an approval or a
builder fee is refused here whoever asks for it. Knows no ledger and no transport. secp256k1 runs
in coincurve (eth-keys chooses it where it is installed; a test holds it to that).

Source: https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/signing
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypedDict

from eth_account import Account
from eth_account.messages import SignableMessage, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak
from hyperliquid.utils.signing import action_hash, construct_phantom_agent, l1_payload

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed

Action = dict[str, Any]

_ACTION_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "order": frozenset({"type", "orders", "grouping"}),
    "cancel": frozenset({"type", "cancels"}),
    "cancelByCloid": frozenset({"type", "cancels"}),
    "batchModify": frozenset({"type", "modifies"}),
    "noop": frozenset({"type"}),
    "scheduleCancel": frozenset({"type", "time"}),
    "updateLeverage": frozenset({"type", "asset", "isCross", "leverage"}),
}
_KEY = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_WALLETS_MAX: Final = 64
_AGENT_TYPE_HASH: Final = keccak(text="Agent(string source,bytes32 connectionId)")


class Signature(TypedDict):
    """A signature as it is posted; `r` and `s` are hex without padding, `v` is 27 or 28."""

    r: str
    s: str
    v: int


class Signer:
    """Signs with opened credentials; remembers the curve points of the last few, not their text."""

    def __init__(self) -> None:
        self._wallets: OrderedDict[bytes, LocalAccount] = OrderedDict()

    def address(self, credential: SecretText) -> str:
        """Return the address a private key signs as, in lower case.

        Raises:
            InvalidInput: it is no private key; the message shows nothing of it.
        """
        return str(self._wallet(credential).address).lower()

    def sign(
        self,
        credential: SecretText,
        action: Action,
        *,
        nonce: int,
        vault_address: str | None,
        expires_after_ms: int | None,
        is_mainnet: bool,
    ) -> Signature:
        """Sign one action; the same arguments give the same signature.

        Raises:
            NotAllowed: the action is not one that this system signs.
            InvalidInput: the credential is no private key.
        """
        check_allowed(action)
        return sign_unchecked(
            self._wallet(credential),
            action,
            nonce=nonce,
            vault_address=vault_address,
            expires_after_ms=expires_after_ms,
            is_mainnet=is_mainnet,
        )

    def _wallet(self, credential: SecretText) -> LocalAccount:
        text = credential.reveal().strip()
        name = hashlib.sha256(text.encode()).digest()
        wallet = self._wallets.get(name)
        if wallet is None:
            wallet = _open_wallet(text)
            self._wallets[name] = wallet
            if len(self._wallets) > _WALLETS_MAX:
                self._wallets.popitem(last=False)
        else:
            self._wallets.move_to_end(name)
        return wallet


def _open_wallet(text: str) -> LocalAccount:
    match = _KEY.fullmatch(text)
    if match is None or not 0 < int(match.group(1), 16) < _CURVE_ORDER:
        raise InvalidInput(
            "credential",
            "expected a private key of 64 hexadecimal digits, with or without 0x, found "
            f"{len(text)} characters that are none",
        )
    wallet: LocalAccount = Account.from_key(bytes.fromhex(match.group(1)))
    return wallet


def check_allowed(action: Action) -> None:
    """Check that an action is one that this system signs.

    Raises:
        NotAllowed: its type or one of its keys is not on the list.
    """
    kind = action.get("type")
    allowed = _ACTION_KEYS.get(kind) if isinstance(kind, str) else None
    if allowed is None:
        raise NotAllowed(
            f"expected an action of {', '.join(sorted(_ACTION_KEYS))} to sign, found {kind!r}"
        )
    extra = set(action) - allowed
    if extra:
        raise NotAllowed(f"expected only {sorted(allowed)} in {kind!r}, found {sorted(extra)}")


def sign_unchecked(
    wallet: LocalAccount,
    action: Action,
    *,
    nonce: int,
    vault_address: str | None,
    expires_after_ms: int | None,
    is_mainnet: bool,
) -> Signature:
    """Sign any L1 action. For `Signer` and for proving vectors; nothing else may call it."""
    connection_id: bytes = action_hash(action, vault_address, nonce, expires_after_ms)
    digest = _agent_digest(connection_id, is_mainnet=is_mainnet)
    signed = wallet.unsafe_sign_hash(digest)  # type: ignore[arg-type]
    return Signature(r=hex(signed.r), s=hex(signed.s), v=signed.v)


def _typed(connection_id: bytes, *, is_mainnet: bool) -> SignableMessage:
    """Return the venue's typed data for a hash, as its SDK builds it."""
    agent = construct_phantom_agent(connection_id, is_mainnet)
    return encode_typed_data(full_message=l1_payload(agent))


@cache
def _domain_separator() -> bytes:
    """Return the hash of the signing domain, which is one for all actions and networks."""
    return bytes(_typed(bytes(32), is_mainnet=True).header)


@cache
def _source_hash(is_mainnet: bool) -> bytes:
    agent = construct_phantom_agent(bytes(32), is_mainnet)
    return keccak(text=agent["source"])


def _agent_digest(connection_id: bytes, *, is_mainnet: bool) -> bytes:
    """Return what is signed for an action's hash: the digest of `_typed`, at a tenth of its cost.

    Everything but the connection id is the same for every action, and hashed once.
    """
    struct = keccak(_AGENT_TYPE_HASH + _source_hash(is_mainnet) + connection_id)
    return keccak(b"\x19\x01" + _domain_separator() + struct)
