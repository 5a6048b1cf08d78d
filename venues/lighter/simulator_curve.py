"""The curve ECgFp5 and Schnorr signatures over it, as the simulated venue verifies them.

Plain Python, for tests and paper trading: nothing runs in constant time, and no real key may come
near it. Elements of Fp5 are five integers that need not be reduced; products are. Multiples of the
generator and of keys that come again are read from tables.

Source: github.com/elliottech/poseidon_crypto, curve/ecgfp5, field, signature/schnorr; the formulas
are Pornin's for double-odd curves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from venues.lighter.simulator_poseidon import P, hash_elements

Element = tuple[int, int, int, int, int]
#: Fractional coordinates: the encoding of the point is t/u.
Point = tuple[Element, Element, Element, Element]
_Table = tuple[tuple[Point, ...], ...]

#: The order of the group.
ORDER: Final = int(
    "1067993516717146951041484916571792702745057740581"
    "727230159139685185762082554198619328292418486241"
)
_BYTES: Final = 40
_LIMB: Final = (1 << 64) - 1
_WINDOW_BITS: Final = 4
_WINDOWS: Final = 320 // _WINDOW_BITS
_B: Final = 263
_FROBENIUS: Final = 1041288259238279555
_ZERO: Final[Element] = (0, 0, 0, 0, 0)
_ONE: Final[Element] = (1, 0, 0, 0, 0)
NEUTRAL: Final[Point] = (_ZERO, _ONE, _ZERO, _ONE)
GENERATOR: Final[Point] = (
    (
        12883135586176881569,
        4356519642755055268,
        5248930565894896907,
        2165973894480315022,
        2448410071095648785,
    ),
    _ONE,
    _ONE,
    (4, 0, 0, 0, 0),
)


# --- The field ----------------------------------------------------------------------------------


def multiply(a: Element, b: Element) -> Element:
    """Return a product, reduced."""
    a0, a1, a2, a3, a4 = a
    b0, b1, b2, b3, b4 = b
    return (
        (a0 * b0 + 3 * (a1 * b4 + a2 * b3 + a3 * b2 + a4 * b1)) % P,
        (a0 * b1 + a1 * b0 + 3 * (a2 * b4 + a3 * b3 + a4 * b2)) % P,
        (a0 * b2 + a1 * b1 + a2 * b0 + 3 * (a3 * b4 + a4 * b3)) % P,
        (a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + 3 * a4 * b4) % P,
        (a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0) % P,
    )


def square(a: Element) -> Element:
    """Return a square, reduced."""
    a0, a1, a2, a3, a4 = a
    return (
        (a0 * a0 + 6 * (a1 * a4 + a2 * a3)) % P,
        (2 * a0 * a1 + 3 * (2 * a2 * a4 + a3 * a3)) % P,
        (2 * a0 * a2 + a1 * a1 + 6 * a3 * a4) % P,
        (2 * (a0 * a3 + a1 * a2) + 3 * a4 * a4) % P,
        (2 * (a0 * a4 + a1 * a3) + a2 * a2) % P,
    )


def _add(a: Element, b: Element) -> Element:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3], a[4] + b[4]


def _subtract(a: Element, b: Element) -> Element:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4]


def _scale(a: Element, k: int) -> Element:
    return a[0] * k, a[1] * k, a[2] * k, a[3] * k, a[4] * k


def _times_b(a: Element) -> Element:
    """Multiply by 263z, the curve's constant."""
    return 3 * _B * a[4], _B * a[0], _B * a[1], _B * a[2], _B * a[3]


def _frobenius(a: Element, times: int) -> Element:
    factor = pow(_FROBENIUS, times, P)
    found, power = [], 1
    for limb in a:
        found.append(limb * power % P)
        power = power * factor % P
    return found[0], found[1], found[2], found[3], found[4]


def _norm_cofactor(a: Element) -> Element:
    """Return a to the power p + p^2 + p^3 + p^4: times a it is the norm."""
    first = multiply(_frobenius(a, 1), _frobenius(a, 2))
    return multiply(first, _frobenius(first, 2))


def invert(a: Element) -> Element:
    """Return the inverse; of zero, zero."""
    rest = _norm_cofactor(a)
    norm = multiply(a, rest)[0]
    return multiply(rest, (pow(norm, P - 2, P), 0, 0, 0, 0))


def _norm(a: Element) -> int:
    return multiply(a, _norm_cofactor(a))[0]


def is_square(a: Element) -> bool:
    """Tell whether an element has a square root."""
    return pow(_norm(a), (P - 1) // 2, P) in (0, 1)


def square_root(a: Element) -> Element | None:
    """Return a square root, or None.

    With r = 1 + p + p^2 + p^3 + p^4 the norm of a is a^r, so a^((r+1)/2) is a root of a times the
    norm; (r+1)/2 is 1 + (p+1)/2 p + (p+1)/2 p^3, and powers of p are cheap.
    """
    root = _root_in_base(_norm(a))
    if root is None:
        return None
    half = _power(a, (P + 1) // 2)
    power = multiply(multiply(a, _frobenius(half, 1)), _frobenius(half, 3))
    return multiply(power, (pow(root, P - 2, P), 0, 0, 0, 0))


def _power(a: Element, exponent: int) -> Element:
    found = _ONE
    for bit in bin(exponent)[2:]:
        found = square(found)
        if bit == "1":
            found = multiply(found, a)
    return found


def _root_in_base(a: int) -> int | None:
    """Return a square root in the base field (Tonelli and Shanks; 7 is no square), or None."""
    if a == 0:
        return 0
    if pow(a, (P - 1) // 2, P) != 1:
        return None
    odd, twos = (P - 1) >> 32, 32
    power, root, rest = pow(7, odd, P), pow(a, (odd + 1) // 2, P), pow(a, odd, P)
    while rest != 1:
        depth, probe = 0, rest
        while probe != 1:
            probe = probe * probe % P
            depth += 1
        step = pow(power, 1 << (twos - depth - 1), P)
        twos, power = depth, step * step % P
        root, rest = root * step % P, rest * power % P
    return root


# --- The group ----------------------------------------------------------------------------------


def add(p: Point, q: Point) -> Point:
    """Return the sum; complete, whatever the points are."""
    x1, z1, u1, t1 = p
    x2, z2, u2, t2 = q
    m1, m2, m3, m4 = multiply(x1, x2), multiply(z1, z2), multiply(u1, u2), multiply(t1, t2)
    m5 = _subtract(multiply(_add(x1, z1), _add(x2, z2)), _add(m1, m2))
    m6 = _subtract(multiply(_add(u1, t1), _add(u2, t2)), _add(m3, m4))
    b_m2 = _times_b(m2)
    m7 = _add(m1, b_m2)
    m8 = multiply(m4, m7)
    m9 = multiply(m3, _add(_scale(_times_b(m5), 2), _scale(m7, 2)))
    m10 = multiply(_add(m4, _scale(m3, 2)), _add(m5, m7))
    return (
        _times_b(_subtract(m10, m8)),
        _subtract(m8, m9),
        multiply(m6, _subtract(b_m2, m1)),
        _add(m8, m9),
    )


def double(p: Point) -> Point:
    """Return twice a point."""
    x, z, u, t = p
    a = multiply(z, t)
    c = multiply(a, t)
    x1 = square(c)
    z1 = multiply(a, u)
    d = square(u)
    w1 = _subtract(c, _scale(multiply(_add(x, z), d), 2))
    q = square(z1)
    w2 = square(w1)
    return (
        _times_b(_scale(q, 4)),
        w2,
        _subtract(square(_add(w1, z1)), _add(q, w2)),
        _subtract(_scale(x1, 2), _add(_scale(q, 4), w2)),
    )


def encode(p: Point) -> Element:
    """Return the one element that a point is written as."""
    return multiply(p[3], invert(p[2]))


def decode(w: Element) -> Point | None:
    """Return the point that an element writes, or None."""
    if w == _ZERO:
        return NEUTRAL
    e = _subtract(square(w), (2, 0, 0, 0, 0))
    root = square_root(_reduced(_subtract(square(e), (0, 4 * _B, 0, 0, 0))))
    if root is None:
        return None
    half = (P + 1) // 2
    x1, x2 = _scale(_add(e, root), half), _scale(_subtract(e, root), half)
    x = x2 if is_square(_reduced(x1)) else x1
    return _reduced(x), _ONE, _ONE, w


def _reduced(a: Element) -> Element:
    return a[0] % P, a[1] % P, a[2] % P, a[3] % P, a[4] % P


def _table(point: Point) -> _Table:
    """Return for each window all its multiples: then a product is one sum a window."""
    rows: list[tuple[Point, ...]] = []
    for _ in range(_WINDOWS):
        row = [NEUTRAL, point]
        for _ in range(2, 1 << _WINDOW_BITS):
            row.append(add(row[-1], point))
        rows.append(tuple(row))
        point = add(row[-1], point)
    return tuple(rows)


@lru_cache(maxsize=1)
def _generator_table() -> _Table:
    return _table(GENERATOR)


def _sum_of(table: _Table, scalar: int, start: Point = NEUTRAL) -> Point:
    found = start
    for row in table:
        digit = scalar & ((1 << _WINDOW_BITS) - 1)
        if digit:
            found = add(found, row[digit])
        scalar >>= _WINDOW_BITS
    return found


# --- Keys and signatures ------------------------------------------------------------------------


def public_key(private: bytes) -> bytes:
    """Return the public key of 40 private bytes, little end first."""
    scalar = int.from_bytes(private, "little") % ORDER
    return to_bytes(encode(_sum_of(_generator_table(), scalar)))


def sign(private: bytes, message: Element, k: int) -> bytes:
    """Sign with a given `k`: for vectors and for the simulator's own tests alone."""
    commitment = encode(_sum_of(_generator_table(), k))
    e = _challenge(commitment, message)
    s = (k - e * int.from_bytes(private, "little")) % ORDER
    return s.to_bytes(_BYTES, "little") + e.to_bytes(_BYTES, "little")


def verify(public: bytes, message: Element, signature: bytes) -> bool:
    """Tell whether a signature is the key's over the five elements of a hash."""
    if len(signature) != 2 * _BYTES or len(public) != _BYTES:
        return False
    s = int.from_bytes(signature[:_BYTES], "little")
    e = int.from_bytes(signature[_BYTES:], "little")
    table = _table_of(public)
    if s >= ORDER or e >= ORDER or table is None:
        return False
    found = _sum_of(table, e, _sum_of(_generator_table(), s))
    return _challenge(encode(found), message) == e


@lru_cache(maxsize=256)
def _table_of(public: bytes) -> _Table | None:
    limbs = element_of(public)
    point = None if limbs is None else decode(limbs)
    return None if point is None else _table(point)


def _challenge(commitment: Element, message: Element) -> int:
    limbs = hash_elements([*commitment, *message], 5)
    return sum(limb << (64 * place) for place, limb in enumerate(limbs)) % ORDER


def to_bytes(a: Element) -> bytes:
    """Write an element as 40 bytes."""
    return b"".join((limb % P).to_bytes(8, "little") for limb in a)


def element_of(data: bytes) -> Element | None:
    """Read 40 bytes as an element; None where a limb is not reduced."""
    number = int.from_bytes(data, "little")
    limbs = [number >> (64 * place) & _LIMB for place in range(5)]
    if any(limb >= P for limb in limbs):
        return None
    return limbs[0], limbs[1], limbs[2], limbs[3], limbs[4]
