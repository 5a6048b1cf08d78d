"""What is known of a request's bytes, proven against real sockets that misbehave."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

import venues.transport as transport_module
from tests.venues.raw_server import RawServer, answering, response, serving
from venues.transport import (
    RAW_SIZE_MAX_BYTES,
    NoAnswer,
    NothingSent,
    PostResult,
    Reply,
    Transport,
    TransportLimits,
    WriteGate,
    raw_evidence,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


@asynccontextmanager
async def transport_to(url: str, limits: TransportLimits | None = None) -> AsyncIterator[Transport]:
    transport = Transport(url, limits=limits, clock=lambda: NOW)
    await transport.start()
    try:
        yield transport
    finally:
        await transport.close()


async def post(
    transport: Transport,
    *,
    timeout_s: float = 5.0,
    size_max: int = 1000,
    gate: WriteGate | None = None,
    body: bytes = b'{"a":1}',
) -> PostResult:
    return await transport.post(
        "/exchange", body, timeout_s=timeout_s, reply_size_max=size_max, gate=gate
    )


async def test_reply_carries_status_body_and_time() -> None:
    async with serving(answering(b'{"ok":1}')) as server, transport_to(server.url) as transport:
        assert await post(transport) == Reply(status=200, body=b'{"ok":1}', received_at=NOW)
    assert server.requests[0].head.startswith("POST /exchange HTTP/1.1\r\n")
    assert "content-type: application/json\r\n" in server.requests[0].head.lower()
    assert server.requests[0].body == b'{"a":1}'


async def test_a_question_by_get_says_what_the_venue_said_beside_its_answer() -> None:
    handler = answering(b"[]", headers='RateLimit: "credits";r=970;t=23\r\n')
    async with serving(handler) as server, transport_to(server.url) as transport:
        found = await transport.get("/orders?account=A1", timeout_s=5.0, reply_size_max=10)
        assert found == Reply(status=200, body=b"[]", received_at=NOW)
        assert found.headers["ratelimit"] == '"credits";r=970;t=23'
    assert server.requests[0].head.startswith("GET /orders?account=A1 HTTP/1.1\r\n")


async def test_a_question_that_is_not_answered_whole_is_no_answer() -> None:
    async with serving(answering(b"[1,2,3]")) as server, transport_to(server.url) as transport:
        long = await transport.get("/", timeout_s=5.0, reply_size_max=2)
        assert isinstance(long, NoAnswer)
        assert long.status == 200
    async with transport_to("http://127.0.0.1:1") as transport:
        assert isinstance(await transport.get("/", timeout_s=5.0, reply_size_max=2), NoAnswer)
    with pytest.raises(RuntimeError, match="started transport"):
        await Transport("http://127.0.0.1:1").get("/", timeout_s=1.0, reply_size_max=1)


async def test_one_connection_serves_many_requests() -> None:
    async with serving(answering(b"1")) as server, transport_to(server.url) as transport:
        for _ in range(5):
            assert isinstance(await post(transport), Reply)
        assert (server.connections, len(server.requests)) == (1, 5)


async def test_error_statuses_are_replies_too() -> None:
    handler = answering(b"null", status="429 Too Many", headers="Retry-After: 7\r\n")
    async with serving(handler) as server, transport_to(server.url) as transport:
        assert await post(transport) == Reply(
            status=429, body=b"null", received_at=NOW, retry_after_s=7.0
        )


async def test_unreadable_retry_after_is_left_out() -> None:
    handler = answering(b"", status="503 Down", headers="Retry-After: tomorrow\r\n")
    async with serving(handler) as server, transport_to(server.url) as transport:
        assert await post(transport) == Reply(status=503, body=b"", received_at=NOW)


async def test_redirect_is_not_followed() -> None:
    handler = answering(b"", status="307 Go", headers="Location: /elsewhere\r\n")
    async with serving(handler) as server, transport_to(server.url) as transport:
        result = await post(transport)
    assert isinstance(result, Reply)
    assert result.status == 307
    assert [request.path for request in server.requests] == ["/exchange"]


async def test_refused_connection_sends_nothing() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with transport_to(url) as transport:
            result = await post(transport)
    assert isinstance(result, NothingSent)
    assert "Connect" in result.reason


async def test_connect_that_never_completes_sends_nothing() -> None:
    # A listener whose backlog is full leaves further connects hanging.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with transport_to(url, TransportLimits(connect_timeout_s=0.2)) as transport:
            result = await post(transport)
        for filler in fillers:
            filler.close()
    assert isinstance(result, NothingSent)


async def test_reset_after_the_request_was_read_is_no_answer() -> None:
    async def reset(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with serving(reset) as server, transport_to(server.url) as transport:
        result = await post(transport)
    assert isinstance(result, NoAnswer)
    assert len(server.requests) == 1


async def test_close_without_an_answer_is_no_answer() -> None:
    async def hang_up(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)

    async with serving(hang_up) as server, transport_to(server.url) as transport:
        result = await post(transport)
    assert isinstance(result, NoAnswer)
    assert result.status is None
    assert len(server.requests) == 1


async def test_half_an_answer_is_kept_but_is_none() -> None:
    async def half(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        writer.write(response(b'{"status":"ok"}')[:-5])
        await writer.drain()

    async with serving(half) as server, transport_to(server.url) as transport:
        result = await post(transport)
    assert isinstance(result, NoAnswer)
    assert (result.status, result.partial) == (200, b'{"status":')


async def test_slow_answer_is_no_answer_and_is_not_awaited_longer() -> None:
    async def silent(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        await asyncio.Event().wait()

    async with serving(silent) as server, transport_to(server.url) as transport:
        async with asyncio.timeout(5):
            result = await post(transport, timeout_s=0.2)
    assert result == NoAnswer(reason="no complete answer within 0.2 s")


async def test_answer_that_is_no_http_is_no_answer() -> None:
    async def babble(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        writer.write(b"\x00\x01 nonsense\r\n\r\n")
        await writer.drain()

    async with serving(babble) as server, transport_to(server.url) as transport:
        assert isinstance(await post(transport), NoAnswer)


async def test_oversized_answer_is_no_answer() -> None:
    async with serving(answering(b"x" * 2000)) as server, transport_to(server.url) as transport:
        result = await post(transport, size_max=1000)
    assert isinstance(result, NoAnswer)
    assert "at most 1000 bytes" in result.reason


async def test_closed_gate_lets_nothing_out() -> None:
    async with serving(answering(b"1")) as server, transport_to(server.url) as transport:
        assert isinstance(await post(transport), Reply)
        result = await post(transport, gate=lambda: "send_by passed")
        assert result == NothingSent(reason="send_by passed")
        # The dropped connection does not disturb the next request.
        assert isinstance(await post(transport, gate=lambda: None), Reply)
    assert len(server.requests) == 2


async def test_gate_is_asked_after_the_connection_stands() -> None:
    asked: list[int] = []

    async def handle(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await answering(b"1")(seen, reader, writer)

    async with serving(handle) as server, transport_to(server.url) as transport:
        await post(transport, gate=lambda: asked.append(server.connections))
    assert asked == [1]


async def test_requests_beyond_the_connection_limit_wait_and_then_send_nothing() -> None:
    async def silent(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        await asyncio.Event().wait()

    async with (
        serving(silent) as server,
        transport_to(server.url, TransportLimits(connections=1)) as transport,
    ):
        first, second = await asyncio.gather(
            post(transport, timeout_s=1.0), post(transport, timeout_s=0.3)
        )
    assert isinstance(first, NoAnswer)
    assert isinstance(second, NothingSent)
    assert len(server.requests) == 1


async def test_post_is_never_sent_again_on_a_dropped_keep_alive() -> None:
    """Aiohttp resends GET, PUT and DELETE by itself when a kept connection dies; not POST."""

    async def serve_once_then_drop(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if await seen.read(reader) is None:
            return
        writer.write(response(b"1"))
        await writer.drain()
        # The second request on this connection is read whole, and then the connection dies.
        await seen.read(reader)

    async with serving(serve_once_then_drop) as server, transport_to(server.url) as transport:
        assert isinstance(await post(transport, body=b'{"n":1}'), Reply)
        result = await post(transport, body=b'{"n":2}')
        assert isinstance(result, NoAnswer)
        assert [request.body for request in server.requests] == [b'{"n":1}', b'{"n":2}']
        assert server.connections == 1


async def test_a_command_without_a_body_is_never_sent_again_on_a_dropped_keep_alive() -> None:
    """aiohttp takes DELETE for something that may be repeated by itself."""

    async def serve_once_then_drop(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        writer.write(response(b"{}"))
        await writer.drain()
        await seen.read(reader)

    async with (
        serving(serve_once_then_drop) as server,
        transport_to(server.url) as transport,
    ):
        first = await transport.bare("DELETE", "/order/1", timeout_s=5.0, reply_size_max=1000)
        second = await transport.bare(
            "DELETE", "/order/2", timeout_s=5.0, reply_size_max=1000, headers={"X-Api-Key": "k"}
        )
    assert isinstance(first, Reply)
    assert isinstance(second, NoAnswer)
    assert [request.path for request in server.requests] == ["/order/1", "/order/2"]
    assert "x-api-key: k" in server.requests[1].head.lower()


async def test_a_command_without_a_body_asks_its_gate_before_anything_is_opened() -> None:
    async with serving(answering(b"{}")) as server, transport_to(server.url) as transport:
        result = await transport.bare(
            "POST", "/switch", timeout_s=5.0, reply_size_max=1000, gate=lambda: "too late"
        )
    assert result == NothingSent(reason="too late")
    assert (server.connections, server.requests) == (0, [])


async def test_a_command_goes_by_its_method_with_headers_of_its_own() -> None:
    async with serving(answering(b"{}")) as server, transport_to(server.url) as transport:
        await transport.post(
            "/leverage",
            b"{}",
            timeout_s=5.0,
            reply_size_max=1000,
            headers={"X-Api-Key": "k"},
            method="PATCH",
        )
        await transport.get("/open", timeout_s=5.0, reply_size_max=1000)
    changed, asked = server.requests
    assert changed.head.startswith("PATCH /leverage")
    assert "x-api-key: k" in changed.head.lower()
    assert "x-api-key" not in asked.head.lower()


async def test_cancelling_the_caller_cancels_the_request() -> None:
    arrived = asyncio.Event()

    async def silent(
        seen: RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await seen.read(reader)
        arrived.set()
        await asyncio.Event().wait()

    async with serving(silent) as server, transport_to(server.url) as transport:
        task = asyncio.create_task(post(transport))
        async with asyncio.timeout(5):
            await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_start_twice_keeps_the_session_and_close_ends_it() -> None:
    async with serving(answering(b"1")) as server:
        transport = Transport(server.url + "/")
        assert transport.base_url == server.url
        await transport.start()
        await transport.start()
        assert isinstance(await post(transport), Reply)
        await transport.close()
        await transport.close()
        with pytest.raises(RuntimeError, match="started transport"):
            await post(transport)


class Writer:
    """The little that a body sees of aiohttp's writer."""

    def __init__(self, *, closing: bool) -> None:
        self.transport = self
        self.closing = closing
        self.written = b""

    def is_closing(self) -> bool:
        return self.closing

    async def write(self, chunk: bytes) -> None:
        self.written += chunk


async def test_a_body_writes_nothing_to_a_closing_connection_or_on_a_revoked_ticket() -> None:
    ticket = transport_module._WriteTicket(None)
    body = transport_module._TicketedBody(b"x", ticket)
    closing: Any = Writer(closing=True)
    with pytest.raises(transport_module._WriteRefusedError, match="closed before"):
        await body.write_with_length(closing, 1)
    assert (closing.written, ticket.used) == (b"", False)
    ticket.revoked = True
    open_: Any = Writer(closing=False)
    with pytest.raises(transport_module._WriteRefusedError, match="given up"):
        await body.write_with_length(open_, 1)
    assert (open_.written, ticket.used) == (b"", False)


def test_raw_evidence_is_redacted_and_short() -> None:
    secret = "ab" * 32
    text = raw_evidence(f'{{"key":"0x{secret}","user":"0x{"1" * 40}"}}\x00'.encode() + b"\xff")
    assert secret not in text
    assert text == '{"key":"[redacted]","user":"0x' + "1" * 40 + '"}\ufffd\ufffd'
    assert len(raw_evidence("é".encode() * 40_000).encode()) <= RAW_SIZE_MAX_BYTES
