"""The simulator's own verification: it hashes the normalised action and recovers who signed it.

Deliberately independent of the connector's signing and of the SDK: a mistake that both sides share
would cancel out. The venue does not compare signatures, it recovers an address, so that a wrong
byte shows as an unknown user.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/signing
"""

from __future__ import annotations

from typing import Final

import msgspec
from coincurve import PublicKey
from Crypto.Hash import keccak

from venues.hyperliquid.simulator_actions import (
    ApproveAgentAction,
    ApproveBuilderFeeAction,
    Envelope,
    L1Action,
    SignatureWire,
    UsdClassTransferAction,
    UsdSendAction,
    UserAction,
    UserSetAbstractionAction,
    WithdrawAction,
    WrongShape,
    normal_address,
)

_L1_CHAIN_ID: Final = 1337
_ZERO_ADDRESS: Final = bytes(32)
_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_USER_ACTIONS: Final = (
    ApproveAgentAction,
    UsdSendAction,
    WithdrawAction,
    UsdClassTransferAction,
    ApproveBuilderFeeAction,
    UserSetAbstractionAction,
)


class CannotRecover(ValueError):
    """The signature is no point of the curve."""


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 hash (not SHA3-256)."""
    return keccak.new(data=data, digest_bits=256).digest()


_DOMAIN_TYPE: Final = keccak256(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_AGENT_TYPE: Final = keccak256(b"Agent(string source,bytes32 connectionId)")
_VERSION: Final = keccak256(b"1")


def _domain(name: bytes, chain_id: int) -> bytes:
    parts = (_DOMAIN_TYPE, keccak256(name), _VERSION, chain_id.to_bytes(32), _ZERO_ADDRESS)
    return keccak256(b"".join(parts))


_L1_DOMAIN: Final = _domain(b"Exchange", _L1_CHAIN_ID)
_SOURCES: Final = {True: keccak256(b"a"), False: keccak256(b"b")}

#: The signed fields of each user-signed action after `hyperliquidChain`, in order.
_USER_FIELDS: Final[dict[type[UserAction], tuple[str, tuple[tuple[str, str], ...]]]] = {
    ApproveAgentAction: (
        "ApproveAgent",
        (("address", "agentAddress"), ("string", "agentName"), ("uint64", "nonce")),
    ),
    UsdSendAction: (
        "UsdSend",
        (("string", "destination"), ("string", "amount"), ("uint64", "time")),
    ),
    WithdrawAction: (
        "Withdraw",
        (("string", "destination"), ("string", "amount"), ("uint64", "time")),
    ),
    UsdClassTransferAction: (
        "UsdClassTransfer",
        (("string", "amount"), ("bool", "toPerp"), ("uint64", "nonce")),
    ),
    ApproveBuilderFeeAction: (
        "ApproveBuilderFee",
        (("string", "maxFeeRate"), ("address", "builder"), ("uint64", "nonce")),
    ),
    UserSetAbstractionAction: (
        "UserSetAbstraction",
        (("address", "user"), ("string", "abstraction"), ("uint64", "nonce")),
    ),
}


def is_user_signed(action: L1Action | UserAction) -> bool:
    """Tell whether the action is signed as typed data of its own (money, keys), not as L1."""
    return isinstance(action, _USER_ACTIONS)


def recover_signer(envelope: Envelope, *, is_mainnet: bool) -> str:
    """Return the address that signed. Raises `CannotRecover` for a malformed signature."""
    action = envelope.action
    if isinstance(action, _USER_ACTIONS):
        digest = user_digest(action)
    else:
        connection = connection_id(
            action, envelope.nonce, envelope.vaultAddress, envelope.expiresAfter
        )
        digest = l1_digest(connection, is_mainnet=is_mainnet)
    return _recover(digest, envelope.signature)


def connection_id(
    action: L1Action, nonce: int, vault_address: str | None, expires_after: int | None
) -> bytes:
    """Return the hash of an L1 action, its nonce, account and expiry."""
    parts = [msgspec.msgpack.encode(action), nonce.to_bytes(8)]
    if vault_address is None:
        parts.append(b"\x00")
    else:
        parts.append(b"\x01" + bytes.fromhex(vault_address[2:]))
    if expires_after is not None:
        parts.append(b"\x00" + expires_after.to_bytes(8))
    return keccak256(b"".join(parts))


def l1_digest(connection: bytes, *, is_mainnet: bool) -> bytes:
    """Return what is signed for an L1 action."""
    message = keccak256(_AGENT_TYPE + _SOURCES[is_mainnet] + connection)
    return keccak256(b"\x19\x01" + _L1_DOMAIN + message)


def user_digest(action: UserAction) -> bytes:
    """Return what is signed for a user-signed action."""
    name, fields = _USER_FIELDS[type(action)]
    listed = "".join(f",{kind} {field}" for kind, field in fields)
    signed_type = f"HyperliquidTransaction:{name}(string hyperliquidChain{listed})"
    parts = [keccak256(signed_type.encode()), keccak256(action.hyperliquidChain.encode())]
    parts += [_encoded(kind, getattr(action, field)) for kind, field in fields]
    try:
        chain_id = int(action.signatureChainId, 16)
        domain = _domain(b"HyperliquidSignTransaction", chain_id)
    except (ValueError, OverflowError) as error:
        raise WrongShape(f"signatureChainId: {action.signatureChainId!r}") from error
    return keccak256(b"\x19\x01" + domain + keccak256(b"".join(parts)))


def _encoded(kind: str, value: str | int | None) -> bytes:
    if kind == "string":
        return keccak256(str(value or "").encode())
    if kind == "address":
        return bytes.fromhex(normal_address(str(value))[2:]).rjust(32, b"\x00")
    return int(value or 0).to_bytes(32)


def _recover(digest: bytes, signature: SignatureWire) -> str:
    try:
        r, s = int(signature.r, 16), int(signature.s, 16)
    except ValueError as error:
        raise CannotRecover("expected r and s in hex") from error
    parity = signature.v - 27 if signature.v >= 27 else signature.v
    if not (0 < r < _ORDER and 0 < s < _ORDER and parity in (0, 1)):
        raise CannotRecover("expected r and s within the curve's order and v 27 or 28")
    raw = r.to_bytes(32) + s.to_bytes(32) + bytes([parity])
    try:
        key = PublicKey.from_signature_and_message(raw, digest, hasher=None)
    except Exception as error:
        raise CannotRecover("expected a signature on the curve") from error
    return "0x" + keccak256(key.format(compressed=False)[1:])[12:].hex()


def address_of_key(public_key: PublicKey) -> str:
    """Return the address of a public key."""
    return "0x" + keccak256(public_key.format(compressed=False)[1:])[12:].hex()
