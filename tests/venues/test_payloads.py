"""What all venues' payloads refuse, wherever in a payload it is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from venues.payloads import Wire, WireError, decode

PLAIN = {
    "one": "1.50",
    "maybe": None,
    "pairs": [["1", "2"]],
    "grid": [["1", "2"], []],
    "named": {"n": 1},
    "row": {"price": "1"},
    "rows": [{"price": "1"}],
    "text": "NaN",
}


class Row(Wire, frozen=True):
    """Of one decimal alone."""

    price: Decimal


class Every(Wire, frozen=True):
    """Decimals in every place where venues have some."""

    one: Decimal
    maybe: Decimal | None
    pairs: list[tuple[Decimal, Decimal]]
    grid: tuple[list[Decimal], list[Decimal]]
    named: dict[str, Any]
    row: Row
    rows: list[Row]
    text: str
    rest: list[int] | None = None


class More(Every, frozen=True, kw_only=True):
    """One that is read after what it is made of, with a field of its own."""

    more: Decimal


def read(kind: Any, **changed: Any) -> Any:
    return decode(msgspec.json.encode({**PLAIN, **changed}), kind)


def test_ordinary_decimals_stay_as_they_are_spelled() -> None:
    found = read(Every, maybe="-0.00100")
    assert (str(found.one), str(found.maybe)) == ("1.50", "-0.00100")
    assert str(read(Every, one="0.0000000000000000000000000000000000000000").one) == "0E-40"
    assert read(Every, one="1" + "0" * 30).one == Decimal(10) ** 30


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e31", "-1e-31"])
@pytest.mark.parametrize(
    "place",
    [
        lambda text: {"one": text},
        lambda text: {"maybe": text},
        lambda text: {"pairs": [["1", "2"], ["1", text]]},
        lambda text: {"grid": [[], [text]]},
        lambda text: {"row": {"price": text}},
        lambda text: {"rows": [{"price": "1"}, {"price": text}]},
    ],
)
def test_a_decimal_that_is_not_ordinary_is_refused_wherever_it_is(place: Any, text: str) -> None:
    with pytest.raises(WireError, match="expected an ordinary decimal in"):
        read(Every, **place(text))


def test_a_payload_made_of_another_is_looked_at_by_its_own_fields() -> None:
    assert read(Every).one == Decimal("1.50")
    assert read(More, more="2").more == Decimal(2)
    with pytest.raises(WireError, match="expected an ordinary decimal in 'more'"):
        read(More, more="NaN")
