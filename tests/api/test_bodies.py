"""Bodies as data: numbers exact or refused, fingerprints of what was meant, JSON read strictly."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.bodies import PlaceOrderBody
from api.strict_json import JsonNumber, NotStrictJson, read_json
from domain.numbers import plain


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_a_number_is_taken_exactly_or_not_at_all(text: str) -> None:
    body = {"symbol": "BTC-PERP", "side": "BUY", "quantity": text, "price": "1"}
    try:
        taken = PlaceOrderBody.model_validate(body)
    except ValueError:
        return
    assert text.isascii()
    assert len(text) <= 40
    assert 0 < taken.quantity.copy_abs() == taken.quantity
    assert float(taken.quantity) == float(text)


@settings(max_examples=200, deadline=None)
@given(st.decimals(min_value="1e-15", max_value="1e15", allow_nan=False, places=15))
def test_the_spelling_of_a_number_never_changes_what_it_names(number: Any) -> None:
    if number <= 0:
        return
    spellings = {plain(number), format(number, "f"), f"+{plain(number)}"}
    bodies = [
        PlaceOrderBody.model_validate(
            {"symbol": "BTC-PERP", "side": "BUY", "quantity": text, "price": "1"}
        )
        for text in spellings
        if len(text) <= 40
    ]
    assert {body.quantity for body in bodies} == {number}
    assert len({body.fingerprint for body in bodies}) == 1


def test_the_fingerprint_is_what_was_meant_not_how_it_was_said() -> None:
    short = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "1", "price": "10"}
    long = {
        **short,
        "order_type": "LIMIT",
        "time_in_force": "GTC",
        "post_only": False,
        "max_slippage_bps": 77,
        "client_key": "k",
        "dry_run": False,
        "place_within_s": 15,
    }
    one, other = (PlaceOrderBody.model_validate(body).fingerprint for body in (short, long))
    assert one == other
    for change in (
        {"side": "SELL"},
        {"quantity": "2"},
        {"post_only": True},
        {"reduce_only": True},
        {"account": "main"},
        {"place_within_s": 20},
        {"time_in_force": "IOC"},
    ):
        assert PlaceOrderBody.model_validate({**short, **change}).fingerprint != one


def test_strict_json_keeps_numbers_as_they_were_spelled() -> None:
    assert read_json(b'{"a": 1.10, "b": [7, "x"]}') == {
        "a": JsonNumber("1.10"),
        "b": [JsonNumber("7"), "x"],
    }


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_strict_json_reads_or_refuses_any_bytes(data: bytes) -> None:
    try:
        document = read_json(data)
    except NotStrictJson:
        return
    json.dumps(document, default=lambda number: number.text)
