"""The simulator's own SNIP-12 hashing: Poseidon in plain Python, and what an order is hashed of.

Shares nothing with the connector, so that a wrong rounding, sign or field does not cancel out; of
the library that both know only the curve is used. About half a millisecond for each order.

Source: x10xchange/starknet-perpetual b132070a (order hash, domain, fulfillment); SNIP-12 revision
1; Poseidon's constants are SHA-256 of "Hades" and a number (starkware-industries/poseidon).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

import fast_stark_crypto

_PRIME: Final = 2**251 + 17 * 2**192 + 1
_FULL_ROUNDS: Final = 4
_ROUNDS: Final = 91
_CONSTANTS: Final = tuple(
    int(hashlib.sha256(f"Hades{number}".encode()).hexdigest(), 16) % _PRIME
    for number in range(3 * _ROUNDS)
)
#: Selectors of the two types' spellings.
_ORDER_TYPE: Final = 0x36DA8D51815527CABFAA9C982F564C80FA7429616739306036F1F9B608DD112
_DOMAIN_TYPE: Final = 0x1FF2F602E42168014D405A94F75E8A93D640751D71D16311266E140D8B0A210
_BUFFER_S: Final = 14 * 24 * 3600
COLLATERAL_ID: Final = 1
COLLATERAL_RESOLUTION: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a body claims to have signed; numbers are the body's own texts."""

    is_buy: bool
    quantity: str
    price: str
    fees: tuple[str, ...]
    expiry_ms: int
    nonce: int
    vault: int
    public_key: int
    synthetic_id: int
    synthetic_resolution: int


def _mixed(state: tuple[int, int, int]) -> tuple[int, int, int]:
    """Permute three numbers of the field (Hades)."""
    a, b, c = state
    for number in range(_ROUNDS):
        a = (a + _CONSTANTS[3 * number]) % _PRIME
        b = (b + _CONSTANTS[3 * number + 1]) % _PRIME
        c = pow(c + _CONSTANTS[3 * number + 2], 3, _PRIME)
        if number < _FULL_ROUNDS or number >= _ROUNDS - _FULL_ROUNDS:
            a, b = pow(a, 3, _PRIME), pow(b, 3, _PRIME)
        total = a + b + c
        a, b, c = (total + 2 * a) % _PRIME, (total - 2 * b) % _PRIME, (total - 3 * c) % _PRIME
    return a, b, c


def poseidon(values: list[int]) -> int:
    """Hash numbers of the field."""
    padded = [*values, 1] if len(values) % 2 else [*values, 1, 0]
    state = (0, 0, 0)
    for first, second in zip(padded[::2], padded[1::2], strict=True):
        state = _mixed(((state[0] + first) % _PRIME, (state[1] + second) % _PRIME, state[2]))
    return state[0]


def _felt(text: str) -> int:
    return int.from_bytes(text.encode(), "big")


@lru_cache(maxsize=8)
def domain_hash(chain_id: str) -> int:
    """Hash the domain that separates this contract on this chain from all others."""
    return poseidon([_DOMAIN_TYPE, _felt("Perpetuals"), _felt("v0"), _felt(chain_id), 1])


def _up(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)


def _down(number: Fraction) -> int:
    return number.numerator // number.denominator


def message_hash(claim: Claim, chain_id: str) -> int:
    """Hash the message that a body's signature has to be of."""
    quantity = Fraction(claim.quantity)
    value = quantity * Fraction(claim.price) * COLLATERAL_RESOLUTION
    size = quantity * claim.synthetic_resolution
    base, quote = (_up(size), -_up(value)) if claim.is_buy else (-_down(size), _down(value))
    fee = _up(value * sum((Fraction(fee) for fee in claim.fees), Fraction(0)))
    order = poseidon(
        [
            _ORDER_TYPE,
            claim.vault,
            claim.synthetic_id,
            base % _PRIME,
            COLLATERAL_ID,
            quote % _PRIME,
            COLLATERAL_ID,
            fee,
            (claim.expiry_ms + 999) // 1000 + _BUFFER_S,
            claim.nonce,
        ]
    )
    return poseidon([_felt("StarkNet Message"), domain_hash(chain_id), claim.public_key, order])


def is_signed(claim: Claim, chain_id: str, r: int, s: int) -> bool:
    """Tell whether a signature is of that message and key; the key has to be a registered one."""
    found: bool = fast_stark_crypto.verify(claim.public_key, message_hash(claim, chain_id), r, s)
    return found
