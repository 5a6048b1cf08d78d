from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol import Auth, MalformedMessage, Ping, Subscribe, Unsubscribe, decode

MARKER = "attacker-text"

BAD_INPUTS = {
    "empty": b"",
    "blank": b"   ",
    "no JSON": b"hello",
    "half an object": b'{"op":"ping"',
    "a list": b'[{"op":"ping"}]',
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"op":"ping","id":NaN}',
    "no op": b'{"id":1}',
    "op of another type": b'{"op":1}',
    "unknown op": f'{{"op":"{MARKER}"}}'.encode(),
    "an order command": b'{"op":"place","symbol":"BTC-PERP"}',
    "unknown field": f'{{"op":"ping","{MARKER}":1}}'.encode(),
    "over-posting": b'{"op":"subscribe","account_id":"a","is_admin":true}',
    "auth without token": b'{"op":"auth"}',
    "token of another type": b'{"op":"auth","token":["x"]}',
    "id an object": b'{"op":"ping","id":{}}',
    "id a float": b'{"op":"ping","id":1.5}',
    "id too long": b'{"op":"ping","id":"' + b"x" * 129 + b'"}',
    "account empty": b'{"op":"subscribe","account_id":""}',
    "account too long": b'{"op":"subscribe","account_id":"' + b"x" * 129 + b'"}',
    "account of another type": b'{"op":"subscribe","account_id":7}',
    "from_seq without account": b'{"op":"subscribe","from_seq":1}',
    "from_seq negative": b'{"op":"subscribe","account_id":"a","from_seq":-1}',
    "from_seq huge": b'{"op":"subscribe","account_id":"a","from_seq":9223372036854775808}',
    "from_seq text": b'{"op":"subscribe","account_id":"a","from_seq":"1"}',
    "invalid UTF-8": b'{"op":"ping","id":"\xff"}',
    "lone surrogate": b'{"op":"ping","id":"\\ud800"}',
    "UTF-16": '{"op":"ping"}'.encode("utf-16"),
    "a million deep": b'{"op":"ping","id":' + b"[" * 10_000,
    "two objects": b'{"op":"ping"}{"op":"ping"}',
    "trailing text": b'{"op":"ping"} x',
}


@pytest.mark.parametrize("data", BAD_INPUTS.values(), ids=BAD_INPUTS.keys())
def test_bad_input_is_malformed_and_never_repeated(data: bytes) -> None:
    with pytest.raises(MalformedMessage) as raised:
        decode(data)
    assert MARKER not in str(raised.value)
    assert raised.value.__cause__ is None


def test_good_messages() -> None:
    assert decode(b'{"op":"auth","token":"t","id":1}') == Auth(token="t", id=1)
    assert decode(b'{"op":"subscribe"}') == Subscribe()
    assert decode(b'{"op":"subscribe","account_id":"a","from_seq":0,"id":"q"}') == Subscribe(
        account_id="a", from_seq=0, id="q"
    )
    assert decode(b'{"op":"unsubscribe","account_id":"a"}') == Unsubscribe(account_id="a")
    assert decode(b' {"op":"ping","id":null} ') == Ping()


def test_a_token_is_never_shown() -> None:
    assert "hunter2" not in repr(Auth(token="hunter2"))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        decode(data)
