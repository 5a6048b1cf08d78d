"""Exact decimals: reading them from untrusted text, and writing them.

One place bounds digits and exponent, so that no input can make arithmetic expensive.
"""

from __future__ import annotations

import re
from decimal import Decimal

from domain.errors import InvalidInput

MAX_DIGITS = 40
_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_EXPONENT_BOUND = 30


def parse_decimal(field: str, text: str) -> Decimal:
    """Return the finite decimal that `text` spells.

    At most 40 characters and 30 places either side of the point; no blanks, no `NaN`, no
    `Infinity`, ASCII digits only.

    Raises:
        InvalidInput: it is not such a number.
    """
    if len(text) > MAX_DIGITS:
        raise InvalidInput(field, f"expected at most {MAX_DIGITS} characters, found {len(text)}")
    if not _PLAIN.fullmatch(text):
        raise InvalidInput(field, f"expected a decimal number such as '0.1', found {text!r}")
    value = Decimal(text)
    if value and not -_EXPONENT_BOUND <= value.adjusted() <= _EXPONENT_BOUND:
        raise InvalidInput(field, f"expected a number within 1e±{_EXPONENT_BOUND}, found {text!r}")
    return value


def parse_positive(field: str, text: str) -> Decimal:
    """Return the positive finite decimal that `text` spells.

    Raises:
        InvalidInput: it is not a number, or not above zero.
    """
    value = parse_decimal(field, text)
    if value <= 0:
        raise InvalidInput(field, f"expected a number above zero, found {text!r}")
    return value


def plain(value: Decimal) -> str:
    """Return `value` without exponent and trailing zeros: the spelling used everywhere outside.

    Every digit is kept, however many there are.
    """
    if not value:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
