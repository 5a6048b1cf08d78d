"""The operator's interface under the API's origin: who sees it, what is passed on, what comes back.

The UI's server is scripted here, byte by byte; tests/system drives the real one with a browser.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import pytest

from api.authentication import COOKIE_NAME
from storage.opening import Storage
from tests.api.serving import TOKEN, UI_ORIGIN, Api, serving
from tests.venues import raw_server
from tests.venues.raw_server import RawServer

LIST = "/temporal/api/v1/namespaces/default/workflows"
ACT = f"{LIST}/order-1/terminate"
SCRIPT = 'console.log("ü")'
PAGE = f"<!doctype html><p>page</p><script>{SCRIPT}</script>".encode()
MARKDOWN_POLICY = "Content-Security-Policy: default-src 'none'; sandbox\r\n"


@dataclass(frozen=True)
class Stage:
    """An API that serves a scripted UI, and a browser with the operator's cookie."""

    api: Api
    ui: RawServer
    browser: httpx2.AsyncClient
    cookie: str

    @property
    def seen(self) -> list[str]:
        return [request.head for request in self.ui.requests]

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.browser.get(path, headers=headers)

    async def post(self, path: str, origin: str | None, **headers: str) -> httpx2.Response:
        given = {"Origin": origin, "Content-Type": "text/plain;charset=UTF-8"} if origin else {}
        return await self.browser.post(path, content=b'{"a": 1}', headers={**given, **headers})


@asynccontextmanager
async def staged(storage: Storage, handler: raw_server.Handler) -> AsyncIterator[Stage]:
    async with (
        raw_server.serving(handler) as ui,
        serving(storage, ui_upstream=ui.url) as api,
        httpx2.AsyncClient(base_url=api.url, timeout=10) as browser,
    ):
        ticket = (await api.http.post("/api/v1/operator/tickets")).json()
        opened = await browser.get(ticket["url"])
        assert opened.headers["location"] == f"{api.url}/temporal"
        cookies = opened.headers.get_list("set-cookie")
        assert {"Path=/temporal", "Path=/api/v1/codec"} == {
            part.strip() for cookie in cookies for part in cookie.split(";") if "Path=" in part
        }
        yield Stage(api, ui, browser, browser.cookies.get(COOKIE_NAME, path="/temporal") or "")


ANSWERING = raw_server.answering(b"{}")


async def test_without_the_cookie_there_is_nothing_to_see(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage, httpx2.AsyncClient() as anyone:
        for path in ("/temporal", "/temporal/", LIST):
            answer = await anyone.get(f"{stage.api.url}{path}")
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
            assert "perp-dex ui" in answer.json()["detail"]
        forged = {"Cookie": f"{COOKIE_NAME}={stage.cookie[:-1]}"}
        assert (await anyone.get(f"{stage.api.url}{LIST}", headers=forged)).status_code == 401
        assert stage.ui.requests == []
        token = {"Authorization": f"Bearer {TOKEN}"}
        assert (await anyone.get(f"{stage.api.url}{LIST}", headers=token)).status_code == 200


async def test_the_first_page_is_found(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        first = await stage.get("/temporal")
        assert (first.status_code, first.headers["location"]) == (308, "/temporal/")


async def test_the_ui_sees_what_it_needs_and_no_secret(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        path = f"{LIST}/a%2Fb?query=Venue%3D%22x%22"
        cookies = f"{COOKIE_NAME}={stage.cookie}; _csrf=abc; other=1"
        answer = await stage.get(
            path,
            Cookie=cookies,
            Authorization=f"Bearer {TOKEN}",
            Referer="http://127.0.0.1/secret",
            **{"X-CSRF-Token": "abc", "Caller-Type": "operator", "X-Forwarded-For": "1.2.3.4"},
        )
        assert answer.status_code == 200
        [head] = stage.seen
        assert head.startswith(f"GET {path} HTTP/1.1\r\n")
        lines = {line.partition(":")[0].lower(): line for line in head.split("\r\n")[1:] if line}
        assert lines["cookie"] == "cookie: _csrf=abc"
        assert {"x-csrf-token", "caller-type"} <= lines.keys()
        assert not {"authorization", "origin", "referer", "x-forwarded-for"} & lines.keys()
        assert stage.cookie not in head
        assert TOKEN not in head


async def test_what_comes_back_is_the_answer_without_its_hop(storage: Storage) -> None:
    headers = (
        "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nServer: theirs\r\n"
        "Cache-Control: public\r\nAccess-Control-Allow-Origin: *\r\n"
        "Vary: Accept\r\nVary: Cookie\r\n"
        f"Set-Cookie: _csrf=abc; Path=/\r\nSet-Cookie: {COOKIE_NAME}=forged; Path=/\r\n"
    )
    handler = raw_server.answering(b'{"a": 1}', headers=headers, status="418 Teapot")
    async with staged(storage, handler) as stage:
        answer = await stage.get(LIST)
        assert (answer.status_code, answer.content) == (418, b'{"a": 1}')
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers.get_list("set-cookie") == ["_csrf=abc; Path=/"]
        assert answer.headers.get_list("vary") == ["Accept", "Cookie"]
        assert answer.headers["content-type"] == "application/json"
        for name in ("x-hop", "keep-alive", "server", "access-control-allow-origin"):
            assert name not in answer.headers
        assert answer.headers["x-request-id"]


async def test_assets_named_by_their_hash_may_be_kept(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        kept = await stage.get("/temporal/_app/immutable/chunks/a.js")
        assert "immutable" in kept.headers["cache-control"]
        version = await stage.get("/temporal/_app/version.json")
        assert version.headers["cache-control"] == "no-store"


async def test_only_the_pages_own_origin_acts(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        own = stage.api.url
        assert (await stage.post(ACT, own)).status_code == 200
        assert stage.ui.requests[-1].body == b'{"a": 1}'
        seen = len(stage.ui.requests)
        assert (await stage.post(ACT, None)).status_code == 401
        for origin in ("http://evil.example", "null", UI_ORIGIN, own.rsplit(":", 1)[0]):
            answer = await stage.post(ACT, origin)
            assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
        host = await stage.post(ACT, "http://evil.example", Host="evil.example")
        assert (host.status_code, host.json()["code"]) == (421, "unknown_host")
        assert (await stage.get(LIST, Host="evil.example")).status_code == 421
        assert len(stage.ui.requests) == seen


async def test_another_page_may_link_to_it_but_not_hold_it(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        for site in ("cross-site", "same-site"):
            fetched = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "iframe"}
            assert (await stage.get(LIST, **fetched)).status_code == 403
            opened = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"}
            assert (await stage.get(LIST, **opened)).status_code == 200
        own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "iframe"}
        assert (await stage.get(LIST, **own)).status_code == 200


async def test_the_codec_takes_the_cookie_from_the_pages_it_serves(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        decode, payloads = "/api/v1/codec/decode", {"payloads": [{"data": "eA=="}]}
        answer = await stage.browser.post(decode, json=payloads, headers={"Origin": stage.api.url})
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in answer.headers
        assert (await stage.browser.post(decode, json=payloads)).status_code == 401
        orders = await stage.browser.get("/api/v1/orders", headers={"Cookie": stage.cookie})
        assert orders.status_code == 401


async def test_who_acted_and_who_decoded_is_kept(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        await stage.post(ACT, stage.api.url)
        await stage.browser.post(
            "/api/v1/codec/decode",
            json={"payloads": [{"data": "eA=="}]},
            headers={"Origin": stage.api.url},
        )
        await stage.api.storage.audit.seal()
        rows = await stage.api.storage.audit.records()
        kept = {(row.action, row.principal_id, row.subject, row.outcome) for row in rows}
        assert ("temporal_ui.post", "local", ACT, "200") in kept
        assert ("codec.decode", "local", "codec", "done") in kept


async def test_bodies_are_bounded(storage: Storage) -> None:
    async with staged(storage, ANSWERING) as stage:
        headers = {"Origin": stage.api.url, "Content-Type": "text/plain"}
        answer = await stage.browser.post(ACT, content=b" " * 65_537, headers=headers)
        assert answer.status_code == 413
        assert stage.ui.requests == []
        put = await stage.browser.put(ACT, content=b"{}", headers=headers)
        assert put.status_code == 405


async def test_answers_are_passed_on_as_they_come(storage: Storage) -> None:
    go_on, left = asyncio.Event(), asyncio.Event()
    size = 8 * 1024 * 1024

    async def handle(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nContent-Length: {size + 5}\r\n\r\n"
        writer.write(head.encode() + b"first")
        await writer.drain()
        waiting = asyncio.create_task(reader.read())
        await asyncio.wait(
            {waiting, asyncio.create_task(go_on.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        if waiting.done():
            left.set()
            return
        waiting.cancel()
        writer.write(b"x" * size)
        await writer.drain()

    async with staged(storage, handle) as stage:
        async with stage.browser.stream("GET", LIST) as answer:
            chunks = answer.aiter_raw()
            assert await anext(chunks) == b"first"
            go_on.set()
            assert sum([len(chunk) async for chunk in chunks]) == size
        go_on.clear()
        async with (
            httpx2.AsyncClient(base_url=stage.api.url, cookies=stage.browser.cookies) as gone,
            gone.stream("GET", LIST) as answer,
        ):
            assert await anext(answer.aiter_raw()) == b"first"
        await asyncio.wait_for(left.wait(), 10)


async def test_a_page_has_a_policy_that_ties_it_to_this_origin(storage: Storage) -> None:
    async with staged(storage, pages(PAGE)) as stage:
        answer = await stage.get("/temporal/namespaces/default/workflows")
        assert answer.content == PAGE
        policy = answer.headers["content-security-policy"]
        digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
        assert f"script-src 'strict-dynamic' 'sha256-{digest}'" in policy
        assert "connect-src 'self'" in policy
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("twice", [True, False])
async def test_markdown_is_rendered_where_the_ui_does_it(storage: Storage, twice: bool) -> None:
    async def handle(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while (request := await seen.read(reader)) is not None:
            rendered = request.path.startswith("/temporal/temporal/render?") == twice
            body, policy = (b"<b>x</b>", MARKDOWN_POLICY) if rendered else (PAGE, "")
            writer.write(html(body, policy))
            await writer.drain()

    async with staged(storage, handle) as stage:
        answer = await stage.get("/temporal/render?content=**x**")
        assert answer.content == b"<b>x</b>"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_a_page_far_too_large_is_refused(storage: Storage) -> None:
    async with staged(storage, pages(b"x" * 1_100_000)) as stage:
        answer = await stage.get("/temporal/")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_a_ui_that_is_away_is_said_so(storage: Storage) -> None:
    async def hang_up(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)

    async with staged(storage, hang_up) as stage:
        answer = await stage.get(LIST)
        assert (answer.status_code, answer.json()["code"]) == (503, "temporal_ui_unavailable")
        acted = await stage.post(ACT, stage.api.url)
        assert "may have been done" in acted.json()["detail"]
        assert acted.json()["outcome"] == "unknown"


async def test_an_api_without_an_interface_serves_none(api: Api) -> None:
    answer = await api.http.get("/temporal/")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_such_path")


def html(body: bytes, headers: str = "") -> bytes:
    """Spell a whole answer in HTML."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def pages(body: bytes) -> raw_server.Handler:
    """Answer each request with a page."""

    async def handle(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await seen.read(reader) is not None:
            writer.write(html(body))
            await writer.drain()

    return handle
