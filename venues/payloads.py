"""How a venue's JSON becomes payloads: strict shapes, and decimals that stay exact and ordinary.

What the fields are called and mean is each venue's `wire`; knows no venue.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from venues import wire_tap

_EXPONENT_BOUND: Final = 30
T = TypeVar("T")


class WireError(Exception):
    """A payload is not what the venue documents; the message says what was expected."""


class Wire(msgspec.Struct, frozen=True):
    """What all payloads are: it refuses decimals that are not finite and of ordinary size."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not _is_ordinary(value):
                raise ValueError(f"expected an ordinary decimal in {name!r}")


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        wire_tap.failed(body, kind)
        raise WireError(f"expected {getattr(kind, '__name__', kind)}, found: {error}") from None
