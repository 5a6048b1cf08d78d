"""The simulator's own hashing: who signed an order, a cancel, or the approval of a signing key.

ABI encoding and typed data are written out here, independently of the connector's libraries: a
mistake of ours must not cancel out. The venue does not compare signatures, it recovers an address,
so that a wrong byte shows as somebody else's. The curve itself is the same library.

Source: the official v2 API page, "signatures" and POST /register.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

from venues.vest.simulator_bodies import Cancel, Order, Registration

#: The router of the production deployment.
CONTRACT: Final = "919386306c47b2fe1036e3b4f7c40d22d2461a23"
_SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{130}")
_WORD: Final = 32
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class CannotRecover(ValueError):
    """The signature is none, or no point of the curve."""


def keccak256(data: bytes) -> bytes:
    """Return the Keccak-256 hash (not SHA3-256)."""
    return keccak.new(data=data, digest_bits=256).digest()


_DOMAIN: Final = keccak256(
    keccak256(b"EIP712Domain(string name,string version,address verifyingContract)")
    + keccak256(b"VestRouterV2")
    + keccak256(b"0.0.1")
    + bytes.fromhex(CONTRACT).rjust(_WORD, b"\0")
)
_PROOF: Final = keccak256(b"SignerProof(address approvedSigner,uint256 signerExpiry)")


def order_signer(order: Order, signature: str) -> str:
    """Return the address that signed an order. Raises `CannotRecover`."""
    values = (
        order.time, order.nonce, order.order_type, order.symbol, order.is_buy,
        order.size, order.limit_price, order.reduce_only,
    )  # fmt: skip
    return _recovered(_personal(values), signature)


def cancel_signer(cancel: Cancel, signature: str) -> str:
    """Return the address that signed a cancel. Raises `CannotRecover`."""
    return _recovered(_personal((cancel.time, cancel.nonce, cancel.id)), signature)


def registration_signer(body: Registration) -> str:
    """Return the address that approved a signing key. Raises `CannotRecover`."""
    struct = keccak256(
        _PROOF
        + bytes.fromhex(body.signing_addr.removeprefix("0x")).rjust(_WORD, b"\0")
        + body.expiry_time.to_bytes(_WORD)
    )
    return _recovered(keccak256(b"\x19\x01" + _DOMAIN + struct), body.signature)


def request_hash(values: tuple[int | bool | str, ...]) -> bytes:
    """Return the hash of what is signed: numbers and flags in words, texts behind them."""
    head, tail = b"", b""
    for value in values:
        if isinstance(value, str):
            head += (_WORD * len(values) + len(tail)).to_bytes(_WORD)
            data = value.encode()
            padding = -len(data) % _WORD
            tail += len(data).to_bytes(_WORD) + data + bytes(padding)
        else:
            head += int(value).to_bytes(_WORD)
    return keccak256(head + tail)


def _personal(values: tuple[int | bool | str, ...]) -> bytes:
    return keccak256(b"\x19Ethereum Signed Message:\n32" + request_hash(values))


def _recovered(digest: bytes, signature: str) -> str:
    if _SIGNATURE.fullmatch(signature) is None:
        raise CannotRecover("expected 0x and 65 bytes")
    raw = bytes.fromhex(signature[2:])
    r, s, parity = int.from_bytes(raw[:32]), int.from_bytes(raw[32:64]), raw[64] - 27
    if not (0 < r < _CURVE_ORDER and 0 < s < _CURVE_ORDER and parity in (0, 1)):
        raise CannotRecover("expected r and s within the curve's order, and v 27 or 28")
    try:
        key = PublicKey.from_signature_and_message(raw[:64] + bytes([parity]), digest, hasher=None)
    except Exception as error:
        raise CannotRecover("expected a signature on the curve") from error
    return _address(key)


def _address(key: PublicKey) -> str:
    return "0x" + keccak256(key.format(compressed=False)[1:])[12:].hex()


def fresh_key() -> tuple[str, str]:
    """Make a key; return its address and the private key, both in hex with 0x."""
    key = PrivateKey(secrets.token_bytes(_WORD))
    return _address(key.public_key), "0x" + key.secret.hex()
