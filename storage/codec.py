"""Domain objects as JSON text and back, exactly: decimals keep every digit, times their zone.

The one place that spells stored documents. Knows no tables.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from domain.errors import CorruptState
from domain.instruments import Instrument
from domain.orders import Order, OrderReport
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, Unknown

T = TypeVar("T")

_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")
_encoder = msgspec.json.Encoder(decimal_format="string")


class Codec(Generic[T]):
    """Spells and reads one kind of object."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def encode(self, value: T) -> str:
        """Return `value` as JSON text."""
        return _encode(value)

    def decode(self, text: str) -> T:
        """Return the object that `text` spells.

        Raises:
            CorruptState: it spells none; what is stored was not written by this code.
        """
        try:
            return self._decoder.decode(text)
        except msgspec.MsgspecError as error:
            raise CorruptState(f"expected a stored {self._kind.__name__}, {error}") from error


orders = Codec(Order)
reports = Codec(OrderReport)
instruments = Codec(Instrument)
details: Codec[dict[str, str]] = Codec(dict[str, str])

_outcome_codecs: dict[str, Codec[Any]] = {
    "not_sent": Codec(NotSent),
    "acknowledged": Codec(Acknowledged),
    "accepted": Codec(Accepted),
    "rejected": Codec(Rejected),
    "unknown": Codec(Unknown),
}


def encode_outcome(outcome: Outcome) -> str:
    """Return an outcome as JSON text; its `kind` is stored beside it."""
    return _encode(outcome)


def decode_outcome(kind: str, text: str) -> Outcome:
    """Return the outcome of a kind that `text` spells.

    Raises:
        CorruptState: there is no such kind, or `text` spells no outcome of it.
    """
    codec = _outcome_codecs.get(kind)
    if codec is None:
        raise CorruptState(f"expected one of {sorted(_outcome_codecs)}, found {kind!r}")
    outcome: Outcome = codec.decode(text)
    return outcome


def storable_text(text: str) -> str:
    """Return `text` without what a database cannot keep as text.

    NUL characters and lone surrogates, which a venue's garbled answer may hold, become U+FFFD.
    """
    return _UNSTORABLE.sub("\ufffd", text)


def _encode(value: object) -> str:
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_scrubbed(msgspec.to_builtins(value))).decode()


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, dict):
        return {storable_text(key): _scrubbed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    return value
