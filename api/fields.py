"""The field types of request bodies: exact decimals, symbols, small whole numbers.

Each refuses with what was expected and what was found; none of them corrects what was given.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StrictBool, WithJsonSchema
from pydantic_core import PydanticCustomError

from api.strict_json import JsonNumber
from domain.errors import InvalidInput
from domain.identifiers import check_idempotency_key, check_label, check_symbol, thousands_in_digits
from domain.numbers import MAX_DIGITS, parse_positive

_SHOWN_MAX = 64


def refused(detail: str, *, field: str = "") -> PydanticCustomError:
    """Return the error that makes pydantic report `detail` as it is.

    `field` names the member that a check of the whole object found wrong.
    """
    return PydanticCustomError("refused", "{detail}", {"detail": detail, "field": field})


def shown(value: object) -> str:
    """Return a value as it may stand in a message: short, escaped, by kind where it is no text."""
    if isinstance(value, str):
        short = value if len(value) <= _SHOWN_MAX else f"{value[:_SHOWN_MAX]}…"
        return ascii(short)
    if isinstance(value, JsonNumber):
        return f"the JSON number {value.text[:_SHOWN_MAX]}"
    names = {dict: "an object", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _checked(check: Callable[[str], Any], expected: str) -> Callable[[object], Any]:
    def validate(value: object) -> Any:
        if not isinstance(value, str):
            raise refused(f"expected {expected}, found {shown(value)}")
        try:
            return check(value)
        except InvalidInput as error:
            raise refused(error.message) from None

    return validate


def _positive(value: object) -> Decimal:
    if isinstance(value, JsonNumber):
        raise refused(
            'expected a decimal in a string such as "0.1", found a JSON number; '
            f'write it as "{value.text[:MAX_DIGITS]}", digits are lost in JSON numbers'
        )
    if not isinstance(value, str):
        raise refused(f'expected a decimal in a string such as "0.1", found {shown(value)}')
    try:
        return parse_positive("", value)
    except InvalidInput as error:
        raise refused(error.message.encode("ascii", "backslashreplace").decode()) from None


def whole(least: int, greatest: int) -> BeforeValidator:
    """Return the validator of a whole number in a range, as a JSON integer or in a string."""

    def validate(value: object) -> int:
        text = value.text if isinstance(value, JsonNumber) else value
        if isinstance(value, int) and not isinstance(value, bool):
            text = str(value)
        if (
            isinstance(text, str)
            and text.isascii()
            and text.isdigit()
            and len(text) <= len(str(greatest))
            and least <= int(text) <= greatest
        ):
            return int(text)
        raise refused(f"expected a whole number from {least} to {greatest}, found {shown(value)}")

    return BeforeValidator(validate)


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) and value.isascii() else value


#: A positive decimal, written as a string.
PositiveDecimal = Annotated[
    Decimal,
    BeforeValidator(_positive),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": MAX_DIGITS,
            "pattern": r"^\+?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$",
            "description": "A positive decimal as a string; JSON numbers are refused.",
            "examples": ["0.1"],
        }
    ),
]
Symbol = Annotated[
    str,
    BeforeValidator(_checked(check_symbol, "a symbol such as 'BTC-PERP'")),
    WithJsonSchema({"type": "string", "maxLength": 64, "examples": ["BTC-PERP"]}),
]
MarketName = Annotated[str, AfterValidator(thousands_in_digits)]
"""A symbol in a path or query, whatever it is, in our spelling."""
ClientKey = Annotated[
    str,
    BeforeValidator(_checked(check_idempotency_key, "an idempotency key as text")),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255}),
]
Label = Annotated[
    str,
    BeforeValidator(_checked(check_label, "a label as text")),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 32}),
]
#: Put before an enum: names are taken in either case.
AnyCase = BeforeValidator(_upper)
Flag = StrictBool
