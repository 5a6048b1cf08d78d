"""What operators use: tickets, cookies, the codec, health, endpoints, and the reference page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from api.authentication import COOKIE_NAME, Authenticator, OperatorSessions
from api.ports import Probe
from domain.errors import Unavailable
from storage.opening import Storage
from streaming.paths import PATHS
from tests.api.serving import TOKEN, UI_ORIGIN, Api, serving

DECODE = "/api/v1/codec/decode"
PAYLOADS = {"payloads": [{"data": "eA=="}]}


async def opened(api: Api) -> tuple[httpx2.Response, str]:
    """Make a ticket and use it as a browser would; return the answer and the cookie."""
    made = await api.http.post("/api/v1/operator/tickets")
    assert made.status_code == 201
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(made.json()["url"])
    cookie = answer.headers.get("set-cookie", "")
    return answer, cookie.partition(";")[0]


async def test_a_ticket_opens_the_interface_once(api: Api) -> None:
    made = (await api.http.post("/api/v1/operator/tickets")).json()
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(made["url"])
        assert answer.status_code == 303
        assert answer.headers["location"] == UI_ORIGIN
        cookie = answer.headers["set-cookie"]
        for word in ("HttpOnly", "SameSite=strict", "Path=/api/v1/codec", "Max-Age=28800"):
            assert word in cookie
        assert answer.headers["referrer-policy"] == "no-referrer"
        again = await browser.get(made["url"])
        assert (again.status_code, again.json()["code"]) == (401, "ticket_refused")
        wrong = await browser.get(f"{api.url}/api/v1/operator/session?ticket=x")
        assert wrong.status_code == 401
        assert (await browser.get(f"{api.url}/api/v1/operator/session")).status_code == 422


async def test_the_cookie_opens_the_codec_only_from_the_interface(api: Api) -> None:
    _, cookie = await opened(api)
    async with httpx2.AsyncClient(base_url=api.url) as browser:

        async def decode(path: str = DECODE, **headers: str) -> httpx2.Response:
            return await browser.post(path, json=PAYLOADS, headers=headers)

        answer = await decode(Cookie=cookie, Origin=UI_ORIGIN)
        assert answer.status_code == 200
        assert answer.json() == {"payloads": [{"data": "b3BlbmVk"}]}
        assert answer.headers["access-control-allow-origin"] == UI_ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert (await decode(Cookie=cookie)).status_code == 401
        assert (await decode(Cookie=cookie, Origin="http://evil.example")).status_code == 403
        assert (await decode(Origin=UI_ORIGIN)).status_code == 401
        assert (await decode(Cookie=cookie + "0", Origin=UI_ORIGIN)).status_code == 401
        orders = await browser.get("/api/v1/orders", headers={"Cookie": cookie})
        assert orders.status_code == 401


async def test_the_preflight_allows_the_interface_only(api: Api) -> None:
    async with httpx2.AsyncClient(base_url=api.url) as browser:
        asked = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type,x-namespace",
        }
        yes = await browser.options(DECODE, headers={**asked, "Origin": UI_ORIGIN})
        assert yes.status_code == 204
        assert yes.headers["access-control-allow-origin"] == UI_ORIGIN
        assert "x-namespace" in yes.headers["access-control-allow-headers"]
        no = await browser.options(DECODE, headers={**asked, "Origin": "http://evil.example"})
        assert no.status_code == 403
        assert "access-control-allow-origin" not in no.headers


async def test_the_codec_takes_the_token_and_more_than_an_order(api: Api) -> None:
    answer = await api.http.post(DECODE, json=PAYLOADS)
    assert answer.status_code == 200
    large = {"payloads": [{"data": "A" * 200_000}]}
    assert (await api.http.post(DECODE, json=large)).status_code == 200
    encoded = await api.http.post(
        "/api/v1/codec/encode?workflow_id=order-1", json=PAYLOADS, headers={"X-Namespace": "n"}
    )
    assert encoded.json() == {"payloads": [{"data": "n/order-1"}]}
    wrong = await api.http.post(DECODE, json={"nothing": 1})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_payloads")
    assert await api.storage.audit.seal() >= 4


async def test_without_an_interface_there_are_no_tickets(storage: Storage) -> None:
    async with serving(storage, temporal_ui=None) as api:
        assert (await api.http.post("/api/v1/operator/tickets")).status_code == 503
        ticket = api.parts.sessions.ticket()
        answer = await api.http.get(f"/api/v1/operator/session?ticket={ticket}")
        assert answer.status_code == 401


def test_tickets_and_cookies_end_with_their_time() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sessions = OperatorSessions(b"k" * 32, lambda: at)
    ticket = sessions.ticket()
    at += timedelta(seconds=61)
    assert sessions.open(ticket) is None
    cookie = sessions.open(sessions.ticket())
    assert cookie is not None
    assert sessions.principal_of(cookie) is not None
    for forged in (None, "", "a", f"9{cookie}", cookie[:-1], "..", cookie.replace(".", "")):
        assert sessions.principal_of(forged) is None
    other = OperatorSessions(b"o" * 32, lambda: at)
    assert other.principal_of(cookie) is None
    at += timedelta(hours=9)
    assert sessions.principal_of(cookie) is None


def test_only_so_many_tickets_are_kept() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    sessions = OperatorSessions(b"k" * 32, lambda: at)
    tickets = [sessions.ticket() for _ in range(70)]
    assert sessions.open(tickets[0]) is None
    assert sessions.open(tickets[-1]) is not None


def test_a_short_token_is_no_token() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        Authenticator("short")
    assert Authenticator(TOKEN).derived_key("a") != Authenticator(TOKEN).derived_key("b")
    assert COOKIE_NAME == "perp_dex_operator"


async def test_readiness_gives_reasons(storage: Storage) -> None:
    async def away() -> None:
        raise Unavailable("Temporal does not answer")

    async def broken() -> None:
        raise OSError("postgresql://user:password@host")

    probes: dict[str, Probe] = {"storage": storage.check, "temporal": away, "other": broken}
    async with serving(storage, probes=probes) as api, httpx2.AsyncClient() as anyone:
        assert (await anyone.get(f"{api.url}/healthz")).json() == {"status": "ok"}
        answer = await anyone.get(f"{api.url}/readyz")
        assert answer.status_code == 503
        assert answer.json()["checks"] == {
            "storage": "ok",
            "temporal": "Temporal does not answer",
            "other": "failed with OSError",
        }


async def test_ready_until_it_drains(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await api.http.get("/readyz")).status_code == 200
    api.app.state.context.draining.set()
    answer = await api.http.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["process"]) == (503, "stopping")


async def test_a_probe_that_hangs_is_a_reason(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async def hang() -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("api.health.PROBE_TIMEOUT_S", 0.05)
    async with serving(storage, probes={"slow": hang}) as api:
        assert "no answer" in (await api.http.get("/readyz")).json()["checks"]["slow"]


async def test_endpoints_say_where_things_are(api: Api) -> None:
    endpoints = (await api.http.get("/api/v1/endpoints")).json()
    assert endpoints["api"] == api.url
    assert endpoints["temporal_ui"] == UI_ORIGIN
    assert endpoints["sockets"]["markets"] == "ws://127.0.0.1:1/ws/v1/markets"
    assert set(endpoints["sockets"]) == {path.removeprefix("/ws/v1/") for path in PATHS}
    assert endpoints["venues"] == ["hyperliquid"]


ROUTES = {
    "GET /api/v1/account-groups",
    "DELETE /api/v1/account-groups/{name}",
    "GET /api/v1/account-groups/{name}",
    "PUT /api/v1/account-groups/{name}",
    "DELETE /api/v1/account-groups/{name}/accounts/{account_id}",
    "PUT /api/v1/account-groups/{name}/accounts/{account_id}",
    "GET /api/v1/accounts",
    "POST /api/v1/accounts",
    "DELETE /api/v1/accounts/{account_id}",
    "GET /api/v1/accounts/{account_id}",
    "PATCH /api/v1/accounts/{account_id}",
    "GET /api/v1/accounts/{account_id}/balance",
    "POST /api/v1/accounts/{account_id}/credential",
    "GET /api/v1/accounts/{account_id}/dead-man",
    "POST /api/v1/accounts/{account_id}/dead-man",
    "PUT /api/v1/accounts/{account_id}/instruments/{symbol}/leverage",
    "GET /api/v1/accounts/{account_id}/reconciliations",
    "POST /api/v1/accounts/{account_id}/reconciliations",
    "GET /api/v1/accounts/{account_id}/reconciliations/{reconciliation_id}",
    "GET /api/v1/brackets",
    "DELETE /api/v1/brackets/{bracket_id}",
    "GET /api/v1/brackets/{bracket_id}",
    "GET /api/v1/closes",
    "DELETE /api/v1/closes/{close_id}",
    "GET /api/v1/closes/{close_id}",
    "POST /api/v1/codec/decode",
    "POST /api/v1/codec/encode",
    "GET /api/v1/conditions",
    "DELETE /api/v1/conditions/{condition_id}",
    "GET /api/v1/conditions/{condition_id}",
    "PATCH /api/v1/conditions/{condition_id}",
    "GET /api/v1/endpoints",
    "GET /api/v1/halt",
    "POST /api/v1/halt",
    "GET /api/v1/halt/{kill_switch_id}",
    "GET /api/v1/markets",
    "GET /api/v1/markets/{symbol}",
    "GET /api/v1/markets/{symbol}/candles",
    "GET /api/v1/markets/{symbol}/funding",
    "GET /api/v1/markets/{symbol}/orderbook",
    "GET /api/v1/markets/{symbol}/ticker",
    "GET /api/v1/markets/{symbol}/trades",
    "GET /api/v1/operator/session",
    "POST /api/v1/operator/tickets",
    "GET /api/v1/orders",
    "POST /api/v1/orders",
    "POST /api/v1/orders/batch",
    "DELETE /api/v1/orders/{order_id}",
    "GET /api/v1/orders/{order_id}",
    "PATCH /api/v1/orders/{order_id}",
    "GET /api/v1/orders/{order_id}/history",
    "GET /api/v1/orders/{order_id}/routing",
    "POST /api/v1/orders/{order_id}/resolve",
    "GET /api/v1/pnl",
    "GET /api/v1/positions",
    "GET /api/v1/positions/{position_id}",
    "POST /api/v1/positions/{position_id}/close",
    "GET /api/v1/positions/{position_id}/conditions",
    "POST /api/v1/positions/{position_id}/conditions",
    "POST /api/v1/resume",
    "GET /api/v1/risk",
    "PUT /api/v1/risk",
    "GET /api/v1/splits",
    "GET /api/v1/splits/{split_id}",
    "DELETE /api/v1/splits/{split_id}",
    "GET /healthz",
    "GET /readyz",
    "GET /api/v1/venues",
    "GET /api/v1/venues/{venue}",
}


async def test_the_document_lists_every_route_and_who_may_use_it(api: Api) -> None:
    document = (await api.http.get("/openapi.json")).json()
    listed = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert listed == ROUTES
    open_routes = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "security" not in operation
    }
    assert open_routes == {"GET /api/v1/operator/session", "GET /healthz", "GET /readyz"}
    operations = [operation for each in document["paths"].values() for operation in each.values()]
    assert all("default" in operation["responses"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))


async def test_the_reference_page_loads_nothing_from_elsewhere(api: Api) -> None:
    async with httpx2.AsyncClient() as anyone:
        page = await anyone.get(f"{api.url}/docs")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert not re.search(r"(src|href)=\"(https?:)?//", page.text)
    for route in ROUTES:
        method, path = route.split()
        assert f"<code>{method} {path}</code>" in page.text
    assert "PlaceOrderBody" in page.text
