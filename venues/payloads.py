"""How a venue's JSON becomes payloads: strict shapes, and decimals that stay exact and ordinary.

What the fields are called and mean is each venue's `wire`; knows no venue. All that venues say
passes here, thousands of payloads a second: what a kind of payload may hold is found out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Final, TypeVar, get_args

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
        try:
            values = _VALUES[self.__class__]
        except KeyError:
            values = _VALUES[self.__class__] = _values_of(self.__class__)
        if values is not None and not _are_ordinary(values(self)):
            raise ValueError(f"expected an ordinary decimal in {_extraordinary(self)!r}")


#: Returns the values of a payload that may be decimals or have some in them.
_Values = Callable[[Wire], tuple[Any, ...]]
#: By kind of payload; None where there are none.
_VALUES: Final[dict[type[Wire], _Values | None]] = {}


def _values_of(kind: type[Wire]) -> _Values | None:
    names = [field.name for field in msgspec.structs.fields(kind) if _may_have_any(field.type)]
    # Asked for one name alone `attrgetter` returns no tuple.
    return attrgetter(*(names if len(names) > 1 else 2 * names)) if names else None


def _extraordinary(payload: Wire) -> str:
    """Return the name of the first field that is refused."""
    names = payload.__struct_fields__
    return next(name for name in names if not _are_ordinary((getattr(payload, name),)))


def _may_have_any(kind: Any) -> bool:
    """Tell whether a value of a type may be a decimal, or a list of some."""
    if kind in (Any, object):
        return True
    if isinstance(kind, type) and not get_args(kind):
        return issubclass(kind, (Decimal, list, tuple))
    return any(map(_may_have_any, get_args(kind)))


def _are_ordinary(values: Iterable[object]) -> bool:
    """Tell whether all decimals among values, and in lists of some, are finite and of usual size.

    Lists of payloads have been looked at, each by itself.
    """
    for value in values:
        if value.__class__ is Decimal:
            if not value.is_finite():
                return False
            # Of a zero the exponent says nothing.
            if not -_EXPONENT_BOUND <= value.adjusted() <= _EXPONENT_BOUND and value:
                return False
        elif (
            isinstance(value, (list, tuple))
            and value
            and not isinstance(value[0], (Wire, str))
            and not _are_ordinary(value)
        ):
            return False
    return True


#: By kind of payload; to find out what a kind is made of takes longer than to read a small one.
_DECODERS: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}


def decode(body: bytes, kind: type[T]) -> T:
    """Decode JSON into `kind`.

    Raises:
        WireError: it is not JSON, or not of that shape.
    """
    wire_tap.saw(body, kind)
    decoder = _DECODERS.get(kind)
    if decoder is None:
        decoder = _DECODERS[kind] = msgspec.json.Decoder(kind)
    try:
        found: T = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        wire_tap.failed(body, kind)
        raise WireError(f"expected {getattr(kind, '__name__', kind)}, found: {error}") from None
    return found
