"""How a venue's JSON becomes payloads: strict shapes, and decimals that stay exact and ordinary.

What the fields are called and mean is each venue's `wire`; knows no venue.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, TypeVar

import msgspec

from venues import wire_tap

_EXPONENT_BOUND: Final = 30
T = TypeVar("T")

Ms = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000)]
"""A time of a venue's in milliseconds since 1970. From the year 2100 on it is a mistake or an
attack: such numbers overflow where one calculates with them."""
Us = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000_000)]
"""The same in microseconds."""
Ns = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000_000_000)]
"""The same in nanoseconds."""


class WireError(Exception):
    """A payload is not what the venue documents; the message says what was expected."""


class Wire(msgspec.Struct, frozen=True):
    """What all payloads are: it refuses decimals that are not finite and of ordinary size."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not _is_sane(getattr(self, name)):
                raise ValueError(f"expected an ordinary decimal in {name!r}")


def _is_sane(value: object) -> bool:
    """Tell whether a value, and all of a list that has decimals, is ordinary.

    Lists of payloads have been looked at, each by itself.
    """
    if isinstance(value, Decimal):
        return _is_ordinary(value)
    if isinstance(value, (list, tuple)) and value and not isinstance(value[0], (Wire, str)):
        return all(map(_is_sane, value))
    return True


def _is_ordinary(value: Decimal) -> bool:
    if not value.is_finite():
        return False
    return not value or -_EXPONENT_BOUND <= value.adjusted() <= _EXPONENT_BOUND


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON into `kind`.

    Raises:
        WireError: it is not JSON, or not of that shape.
    """
    wire_tap.saw(body, kind)
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        wire_tap.failed(body, kind)
        raise WireError(f"expected {getattr(kind, '__name__', kind)}, found: {error}") from None
