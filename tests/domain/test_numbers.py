"""Exact decimals: what untrusted text may spell, and how numbers are written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.numbers import MAX_DIGITS, parse_decimal, parse_positive, plain

REFUSED = [
    "",
    " ",
    " 1",
    "1 ",
    "1\n",
    "1 000",
    "1,000",
    "1_000",
    "NaN",
    "nan",
    "sNaN",
    "-NaN",
    "Infinity",
    "-Infinity",
    "inf",
    "1e400",
    "1e-400",
    "1e31",
    "1e9999999",
    "1e",
    "e5",
    ".",
    "+",
    "--1",
    "0x10",
    "１２",  # full-width digits
    "٣",  # an Arabic-Indic digit
    "1．5",  # a full-width point
    "−1",  # a minus sign that is no hyphen
    "9" * (MAX_DIGITS + 1),
    "9" * 5000,
    "0" * 5000 + "1",
    "\x00",
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: repr(text[:12]))
def test_what_is_no_plain_bounded_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_decimal("price", text)
    assert caught.value.field == "price"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", "0.1"),
        ("45000", "45000"),
        ("+1.50", "1.50"),
        ("-3", "-3"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1e-8", "0.00000001"),
        ("1E+3", "1000"),
        ("0e999", "0"),
        ("0.12345678901234567890123", "0.12345678901234567890123"),
    ],
)
def test_plain_numbers_are_read_exactly(text: str, value: str) -> None:
    assert parse_decimal("price", text) == Decimal(value)


@pytest.mark.parametrize("text", ["0", "-0", "0.000", "-1", "-0.5"])
def test_what_is_not_above_zero_is_not_positive(text: str) -> None:
    with pytest.raises(InvalidInput, match="above zero"):
        parse_positive("quantity", text)


def test_a_positive_number_is_read_exactly() -> None:
    assert parse_positive("quantity", "0.10") == Decimal("0.10")


@given(st.text(max_size=60))
def test_any_text_gives_a_bounded_number_or_a_refusal(text: str) -> None:
    try:
        value = parse_decimal("price", text)
    except InvalidInput:
        return
    assert value.is_finite() and text.isascii()
    assert not value or -30 <= value.adjusted() <= 30


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value="-1e30", max_value="1e30")
    | st.integers(-(10**39), 10**39).map(lambda digits: Decimal(f"{digits}e-20"))
)
def test_writing_loses_no_digit_and_has_one_spelling(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text and not (("." in text) and text.endswith(("0", ".")))
    assert plain(Decimal(text)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.00", "0"), ("-0", "0"), ("1E+3", "1000"), ("1E-8", "0.00000001"), ("45000.50", "45000.5")],
)
def test_the_one_spelling(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text
