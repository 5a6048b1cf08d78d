"""The edge: who gets in, how much, how long, and that every refusal is a problem document."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
import structlog

from api.edge import EdgeRules
from api.serving import BoundedHttp
from storage.opening import Storage
from tests.api.serving import PAGE_ORIGIN, TOKEN, UI_ORIGIN, Api, serving

ORDERS = "/api/v1/orders"


@pytest.mark.parametrize(
    "path",
    [
        "//api/v1/orders",
        "/api//v1/orders",
        "/API/V1/ORDERS",
        "/api/v1/orders/",
        "/api/v1/../v1/orders",
        "/api/v1/%2e%2e/v1/orders",
        "/healthz/../api/v1/orders",
        "/docs/",
    ],
)
async def test_path_tricks_go_nowhere(api: Api, path: str) -> None:
    status, _, body = await raw(api, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert status == 401, body
    headers = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
    status, _, body = await raw(api, f"GET {path} HTTP/1.1\r\n{headers}\r\n")
    assert status == 404, body
    assert json.loads(body)["code"] in ("no_such_path", "not_found")


async def test_two_hosts_or_none_are_refused(api: Api) -> None:
    head = f"Authorization: Bearer {TOKEN}\r\n"
    two = "Host: 127.0.0.1\r\nHost: evil\r\n"
    status, _, _ = await raw(api, f"GET {ORDERS} HTTP/1.1\r\n{two}{head}\r\n")
    assert status == 421
    status, _, _ = await raw(api, f"GET {ORDERS} HTTP/1.0\r\n{head}\r\n")
    assert status == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", UI_ORIGIN, "http://127.0.0.1"])
async def test_a_browser_page_gets_nothing_of_orders(api: Api, origin: str) -> None:
    body = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
    answer = await api.post(ORDERS, body, Origin=origin)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    preflight = await api.http.options(
        ORDERS, headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers
    assert api.desk.starts == []


async def test_a_page_of_an_allowed_origin_uses_the_api_with_a_token(api: Api) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Origin": PAGE_ORIGIN}
    preflight = await api.http.options(ORDERS, headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == PAGE_ORIGIN
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"]
    answer = await api.http.get(ORDERS, headers={"Origin": PAGE_ORIGIN})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE_ORIGIN
    assert "location" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in answer.headers
    without = await api.http.get(ORDERS, headers={"Origin": PAGE_ORIGIN, "Authorization": ""})
    assert without.status_code == 401
    for path in ("/temporal/", "/api/v1/codec/decode"):
        refused = await api.http.options(path, headers=asked)
        assert refused.status_code == 403
    plain = await api.http.get(ORDERS)
    assert "access-control-allow-origin" not in plain.headers
    assert plain.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json; charset=utf-16",
        "application/jsonp",
        "application/problem+json",
    ],
)
async def test_only_json_in_utf8_is_read(api: Api, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = await api.http.post(ORDERS, content=b'{"symbol": "BTC-PERP"}', headers=headers)
    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_media_type"


async def test_json_with_a_charset_is_read(api: Api) -> None:
    body = b'{"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}'
    for content_type in ('application/json; charset="UTF-8"', "Application/JSON"):
        answer = await api.http.post(ORDERS, content=body, headers={"content-type": content_type})
        assert answer.status_code == 201


async def test_compressed_bodies_are_refused(api: Api) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await api.http.post(ORDERS, content=b"\x1f\x8b", headers=headers)
    assert answer.status_code == 415


async def test_a_body_too_large_is_413_declared_or_not(api: Api) -> None:
    headers = {"content-type": "application/json"}
    declared = await api.http.post(ORDERS, content=b" " * 65_537, headers=headers)
    assert declared.status_code == 413
    head = (
        f"POST {ORDERS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/json\r\n"
    )
    status, _, _ = await raw(api, head + "Content-Length: 100000000\r\n\r\n")
    assert status == 413

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 4096

    chunked = await api.http.post(ORDERS, content=endless(), headers=headers)
    assert chunked.status_code == 413
    assert chunked.json()["outcome"] == "not_sent"
    assert (await api.http.post(ORDERS, content=b" " * 65_536, headers=headers)).status_code == 400


async def test_a_slow_body_is_cut(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EdgeRules, "__init__", _quick(EdgeRules.__init__))
    async with serving(storage) as api:
        head = (
            f"POST {ORDERS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        status, _, body = await raw(api, head)
        assert status == 408
        assert json.loads(body)["code"] == "body_timeout"


def _quick(original: Any) -> Any:
    def init(self: Any, **values: Any) -> None:
        original(self, **{**values, "body_timeout_s": 0.3})

    return init


async def test_slow_and_giant_headers_are_cut(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedHttp, "headers_within_s", 0.3)
    async with serving(storage) as api:
        status, _, _ = await raw(api, "GET /healthz HTTP/1.1\r\nHost: 127.")
        assert status == 0
        giant = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Big: " + "x" * 40_000 + "\r\n\r\n"
        status, _, _ = await raw(api, giant)
        assert status in (0, 400)
        status, _, _ = await raw(api, "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status == 200


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        "POST /api/v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "nonsense\r\n\r\n",
    ],
)
async def test_malformed_http_is_400(api: Api, request_text: str) -> None:
    status, _, _ = await raw(api, request_text)
    assert status in (400, 401), status
    assert (await api.http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("my-request:1.a", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a b", False),
        ("<script>", False),
        ("", False),
    ],
)
async def test_the_request_id_is_echoed_if_it_is_harmless(api: Api, given: str, kept: bool) -> None:
    headers = {b"X-Request-Id": given.encode()}
    for path in ("/healthz", "/api/v1/orders/nonsense"):
        answer = await api.http.get(path, headers=headers)
        echoed = answer.headers["x-request-id"]
        assert (echoed == given) is kept
        assert len(echoed) <= 64
    assert answer.json()["request_id"] == echoed


async def test_the_frameworks_own_refusals_are_problems(api: Api) -> None:
    missing = await api.http.get("/api/v1/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "no_such_path")
    method = await api.http.put(ORDERS)
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in method.headers["allow"] or "GET" in method.headers["allow"]
    for answer in (missing, method):
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(answer.json()) >= {
            "type",
            "title",
            "status",
            "detail",
            "instance",
            "code",
            "outcome",
            "retryable",
            "request_id",
            "errors",
        }
        assert answer.json()["type"].startswith("urn:perp-dex:problem:")
        assert answer.json()["status"] == answer.status_code


async def test_a_defect_is_500_with_an_unknown_outcome(api: Api) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret internals")

    api.parts.orders.get = broken  # type: ignore[method-assign]
    answer = await api.place()
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["outcome"] == "unknown"
    assert "secret internals" not in answer.text
    answer = await api.http.get(f"{ORDERS}/33333333-3333-5333-8333-333333333333")
    assert answer.status_code == 500
    assert answer.json()["outcome"] is None


async def test_an_audit_row_that_cannot_be_written_does_not_hide_the_order(api: Api) -> None:
    async def broken(*_: object) -> None:
        raise OSError("disk full")

    api.parts.audit.append = broken  # type: ignore[method-assign, assignment]
    assert (await api.place()).status_code == 201


async def test_a_crowd_leaves_room_for_cancels_and_health(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = EdgeRules.__init__

    def crowded(self: Any, **values: Any) -> None:
        original(self, **{**values, "concurrency_max": 1})

    monkeypatch.setattr(EdgeRules, "__init__", crowded)
    async with serving(storage) as api:
        order_id = (await api.place()).json()["order_id"]
        path = f"{ORDERS}/{order_id}"
        poll = asyncio.create_task(api.http.get(f"{path}?wait_for=terminal&timeout=20"))
        async with asyncio.timeout(5):
            while not api.app.state.context.long_polls.in_flight:
                await asyncio.sleep(0.01)
        refused = await api.http.get(ORDERS)
        assert (refused.status_code, refused.json()["code"]) == (503, "too_busy")
        assert (await api.http.get("/healthz")).status_code == 200
        assert (await api.http.delete(path)).status_code == 200
        assert (await poll).json()["status"] == "CANCELED"


async def test_sockets_are_refused_here(api: Api) -> None:
    upgrade = (
        "GET /ws/v1/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nAuthorization: Bearer {TOKEN}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    status, _, _ = await raw(api, upgrade)
    assert status == 404
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await api.app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert sent[0]["type"] == "websocket.close"


async def test_each_request_leaves_one_record_and_no_token(api: Api) -> None:
    with structlog.testing.capture_logs() as lines:
        answer = await api.place(symbol="BTC\x1b-PERP")
        await api.http.get(f"{ORDERS}/33333333-3333-5333-8333-333333333333")
    records = [line for line in lines if line["event"] == "request"]
    assert [record["status"] for record in records] == [422, 404]
    assert records[0]["method"] == "POST"
    assert records[0]["principal"] == "local"
    assert records[1]["route"] == "/api/v1/orders/{order_id}"
    assert records[0]["duration_ms"] > 0
    assert TOKEN not in repr(lines)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def raw(api: Api, text: str, within_s: float = 5.0) -> tuple[int, str, str]:
    """Send bytes and return status, headers and body; status 0 when the connection just ends."""
    port = int(api.url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(text.encode("latin-1"))
        async with asyncio.timeout(within_s):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            except (asyncio.IncompleteReadError, ConnectionError):
                return 0, "", ""
            length = 0
            for line in head.split("\r\n"):
                name, _, value = line.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            body = (await reader.readexactly(length)).decode()
        return int(head.split()[1]), head, body
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
