"""Poseidon2 over Goldilocks as the simulated venue hashes with it: its own, in plain Python.

Width 12, rate 8, a sponge that overwrites and pads nothing. The connector hashes by the venue's
library; two hands, so that a mistake of one does not cancel out.

Source: github.com/elliottech/poseidon_crypto, hash/poseidon2_goldilocks_plonky2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from venues.lighter.simulator_constants import DIAGONAL, EXTERNAL, INTERNAL

#: The field's modulus.
P: Final = 0xFFFFFFFF00000001
_WIDTH: Final = 12
_RATE: Final = 8
_HALF: Final = 4
_ROUNDS: Final = tuple(EXTERNAL[start : start + _WIDTH] for start in range(0, 96, _WIDTH))


def hash_elements(elements: Sequence[int], count: int) -> tuple[int, ...]:
    """Return the first `count` elements squeezed after taking in `elements`, reduced."""
    state = [0] * _WIDTH
    for start in range(0, len(elements), _RATE):
        chunk = elements[start : start + _RATE]
        state[: len(chunk)] = [element % P for element in chunk]
        state = _permute(state)
    return tuple(state[:count])


def _permute(state: list[int]) -> list[int]:
    state = _mix(state)
    for constants in _ROUNDS[:_HALF]:
        state = _mix([pow(s + c, 7, P) for s, c in zip(state, constants, strict=True)])
    for constant in INTERNAL:
        state[0] = pow(state[0] + constant, 7, P)
        total = sum(state)
        state = [(s * d + total) % P for s, d in zip(state, DIAGONAL, strict=True)]
    for constants in _ROUNDS[_HALF:]:
        state = _mix([pow(s + c, 7, P) for s, c in zip(state, constants, strict=True)])
    return state


def _mix(state: list[int]) -> list[int]:
    """The external layer: each four by a small matrix, then each column's sum added."""
    mixed: list[int] = []
    for a, b, c, d in (state[0:4], state[4:8], state[8:12]):
        t01, t23 = a + b, c + d
        total = t01 + t23
        mixed += (total + t01 + b, total + b + 2 * c, total + t23 + d, total + d + 2 * a)
    sums = [mixed[column] + mixed[column + 4] + mixed[column + 8] for column in range(4)]
    return [(mixed[index] + sums[index % 4]) % P for index in range(_WIDTH)]
