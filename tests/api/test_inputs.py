"""Bad input, one line each: refused with a pointer, never rounded, never a 500, nothing started."""

from __future__ import annotations

import time
from typing import Any

import pytest
import pytest_asyncio

from tests.api.serving import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

BAD_NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "sNaN",
    "-1",
    "0",
    "-0",
    "0.0",
    "1e400",
    "1e31",
    "0.1e-40",
    " 1",
    "1 ",
    "1_000",
    "1,5",
    "0x10",
    "１",
    "١",
    "9" * 5000,
    "0." + "0" * 5000 + "1",
    "",
    "+",
    ".",
    "e5",
    "1e",
    "--1",
    "1\n",
    "abc",
    "\x1b[31m1",
]


@pytest_asyncio.fixture(loop_scope="module")
async def api(shared_api: Api) -> Api:
    """The module's API, with nothing started yet."""
    shared_api.desk.starts.clear()
    return shared_api


@pytest.mark.parametrize("field", ["quantity", "price", "trigger_price"])
@pytest.mark.parametrize("text", BAD_NUMBERS, ids=ascii)
async def test_what_is_no_positive_decimal_is_422(api: Api, field: str, text: str) -> None:
    began = time.perf_counter()
    changes: dict[str, Any] = {field: text}
    if field == "trigger_price":
        changes["order_type"] = "STOP_LIMIT"
    answer = await api.place(**changes)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["code"] == "invalid_input"
    assert problem["outcome"] == "not_sent"
    assert any(error.get("pointer") == f"/{field}" for error in problem["errors"])
    assert len(answer.content) < 4_000
    assert api.desk.starts == []
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("number", ["0.1", "1", "1e2", "0.10000000000000000555", "9" * 5000])
async def test_a_json_number_is_422_with_a_hint(api: Api, number: str) -> None:
    body = '{"symbol": "BTC-PERP", "side": "BUY", "price": "45000", "quantity": ' + number + "}"
    answer = await api.http.post(
        "/api/v1/orders", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    detail = answer.json()["errors"][0]["detail"]
    assert "in a string" in detail
    assert f'"{number[:40]}"' in detail


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"quantity": None}, "/quantity", "found none"),
        ({"symbol": None}, "/symbol", "found none"),
        ({"side": None}, "/side", "found none"),
        ({"quantity": True}, "/quantity", "true or false"),
        ({"quantity": ["1"]}, "/quantity", "a list"),
        ({"quantity": {"a": "1"}}, "/quantity", "an object"),
        ({"side": "HOLD"}, "/side", "BUY"),
        ({"side": 1}, "/side", "BUY"),
        ({"order_type": "ICEBERG"}, "/order_type", "LIMIT"),
        ({"time_in_force": "GTD"}, "/time_in_force", "GTC"),
        ({"time_in_force": "DAY"}, "/time_in_force", "GTC"),
        ({"trigger_type": "BID"}, "/trigger_type", "MARK"),
        ({"post_only": "true"}, "/post_only", "boolean"),
        ({"reduce_only": 1}, "/reduce_only", "boolean"),
        ({"max_slippage_bps": 0}, "/max_slippage_bps", "1 to 5000"),
        ({"max_slippage_bps": "5001"}, "/max_slippage_bps", "1 to 5000"),
        ({"max_slippage_bps": 1.5}, "/max_slippage_bps", "whole"),
        ({"max_slippage_bps": True}, "/max_slippage_bps", "whole"),
        ({"place_within_s": 3601}, "/place_within_s", "1 to 3600"),
        ({"place_within_s": "1e1"}, "/place_within_s", "whole"),
        ({"place_within_s": "９"}, "/place_within_s", "whole"),
        ({"account": ""}, "/account", "character"),
        ({"account": "a" * 129}, "/account", "character"),
        ({"is_admin": True}, "/is_admin", "unknown field"),
        ({"owner": "other"}, "/owner", "unknown field"),
        ({"order_id": "x"}, "/order_id", "unknown field"),
        ({"size": "1"}, "/size", "it is called quantity"),
        ({"type": "LIMIT"}, "/type", "it is called order_type"),
        ({"client_order_id": "x"}, "/client_order_id", "it is called client_key"),
        ({"a/b~c": "x"}, "/a~1b~0c", "unknown field"),
        ({"client_key": ""}, "/client_key", "printable"),
        ({"client_key": " x"}, "/client_key", "printable"),
        ({"client_key": "x" * 256}, "/client_key", "255"),
        ({"client_key": "a\nb"}, "/client_key", "printable"),
        ({"client_key": 7}, "/client_key", "as text"),
        ({"price": None, "order_type": "LIMIT"}, "/price", "needs one"),
        ({"order_type": "MARKET"}, "/price", "takes none"),
        ({"order_type": "STOP_LIMIT"}, "/trigger_price", "needs one"),
        ({"trigger_price": "44000"}, "/trigger_price", "takes none"),
        ({"price": None, "time_in_force": "GTC"}, "/time_in_force", "never rests"),
        (
            {"order_type": "STOP_LIMIT", "trigger_price": "44000", "time_in_force": "IOC"},
            "/time_in_force",
            "GTC",
        ),
        ({"post_only": True, "time_in_force": "IOC"}, "/post_only", "GTC"),
    ],
    ids=lambda value: ascii(value)[:60] if isinstance(value, dict) else None,
)
async def test_wrong_fields_are_named(
    api: Api, changes: dict[str, Any], pointer: str, words: str
) -> None:
    answer = await api.place(**changes)
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    found = [error for error in errors if error.get("pointer") == pointer]
    assert found, errors
    assert words in found[0]["detail"]
    assert api.desk.starts == []


@pytest.mark.parametrize(
    ("changes", "pointer", "words"),
    [
        ({"price": "45000.5"}, "/price", "nearest are 45000 and 45001"),
        ({"price": "123456.7"}, "/price", "nearest are 123456 and 123457"),
        ({"price": "0.01"}, "/price", "steps of 0.1"),
        ({"quantity": "0.000001"}, "/quantity", "0.00001"),
        ({"quantity": "0.123456"}, "/quantity", "nearest below is 0.12345"),
        ({"quantity": "0.0001"}, "/quantity", "at least 10"),
        ({"quantity": "0.0001", "price": "45000.5"}, "/price", "nearest"),
        ({"symbol": "BTD-PERP"}, "/symbol", "did you mean BTC-PERP"),
        ({"symbol": "ZZZZ-PERP"}, "/symbol", "no market"),
        ({"symbol": "OLD-PERP", "price": "100.5", "quantity": "1"}, "/symbol", "delisted"),
        (
            {"order_type": "STOP_LIMIT", "trigger_price": "44000.5"},
            "/trigger_price",
            "nearest",
        ),
    ],
    ids=str,
)
async def test_what_the_market_does_not_take_is_422_with_the_nearest(
    api: Api, changes: dict[str, Any], pointer: str, words: str
) -> None:
    answer = await api.place(**changes)
    assert answer.status_code == 422, answer.text
    found = [error for error in answer.json()["errors"] if error["pointer"] == pointer]
    assert found, answer.json()
    assert words in found[0]["detail"]
    assert api.desk.starts == []


async def test_all_that_the_market_refuses_is_told_at_once(api: Api) -> None:
    answer = await api.place(quantity="0.123456", price="45000.5")
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/quantity", "/price"}


async def test_a_reduce_only_order_may_be_small(api: Api) -> None:
    assert (await api.place(quantity="0.0001", reduce_only=True)).status_code == 201


@pytest.mark.parametrize(
    "symbol",
    [
        "BTC-PERP\n",
        "../etc/passwd",
        "BTC%00-PERP",
        "BTC\u202e-PERP",
        "B" * 10_000,
        "'; DROP TABLE orders;--",
        "btc-perp",
        "BTC",
        "\x1b]0;pwn\x07-PERP",
        "${jndi:ldap://x}-PERP",
        "",
    ],
    ids=ascii,
)
async def test_symbols_are_exact(api: Api, symbol: str) -> None:
    answer = await api.place(symbol=symbol)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/symbol"
    assert b"\x1b" not in answer.content
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Idempotency-Key": "x" * 10_240}, 400, "invalid_header"),
        ({"Idempotency-Key": '""'}, 400, "invalid_header"),
        ({"Idempotency-Key": "a\tb"}, 400, "invalid_header"),
        ({"Idempotency-Key": "käse".encode("latin-1").decode("latin-1")}, 400, "invalid_header"),
    ],
    ids=["10 KB", "empty", "tab", "not ascii"],
)
async def test_a_key_that_cannot_be_one_is_400(
    api: Api, headers: dict[str, str], status: int, code: str
) -> None:
    body = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    encoded = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    answer = await api.http.post("/api/v1/orders", json=body, headers=encoded)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert api.desk.starts == []


async def test_two_keys_are_none(api: Api) -> None:
    body = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    answer = await api.http.post(
        "/api/v1/orders", json=body, headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    )
    assert answer.status_code == 400
    answer = await api.post(
        "/api/v1/orders", {**body, "client_key": "a"}, **{"Idempotency-Key": "b"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/client_key"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1",
        b"nonsense",
        b'{"symbol": "BTC-PERP", "symbol": "ETH-PERP"}',
        b'{"quantity": NaN}',
        b'{"quantity": Infinity}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
        b"[" * 20 + b"]" * 20,
        '{"symbol": "BTC-PERP"}'.encode("utf-16"),
        b'{"symbol": "\\ud800"}',
        b'{"symbol": "\xff"}',
        b'{"quantity": 1.}',
        b"\x00",
    ],
    ids=lambda content: ascii(content)[:30],
)
async def test_what_is_not_json_is_400_or_422(api: Api, content: bytes) -> None:
    answer = await api.http.post(
        "/api/v1/orders", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code in (400, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["outcome"] == "not_sent"
    assert api.desk.starts == []


@pytest.mark.parametrize("document", ['"text"', "[]", "null", "7", "true"])
async def test_json_of_another_kind_is_422(api: Api, document: str) -> None:
    answer = await api.http.post(
        "/api/v1/orders", content=document, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=1000000000", "limit"),
        ("limit=1e3", "limit"),
        ("limit=%EF%BC%91", "limit"),
        ("limit=-1", "limit"),
        ("status=HAPPY", "status"),
        ("status=", "status"),
        ("cursor=forged", "cursor"),
        ("cursor=" + "a" * 600, "cursor"),
        ("created_from=yesterday", "created_from"),
        ("created_from=2026-01-01T00:00:00", "created_from"),
        ("created_until=2026-13-01T00:00:00Z", "created_until"),
    ],
)
async def test_wrong_parameters_are_named(api: Api, query: str, name: str) -> None:
    answer = await api.http.get(f"/api/v1/orders?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["parameter"] == name
    assert answer.json()["outcome"] is None
