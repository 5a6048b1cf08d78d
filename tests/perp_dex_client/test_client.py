"""The client against a real API: typed answers, typed errors, and retries that never act twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from perp_dex_client import (
    ApiProblem,
    InvalidRequest,
    NotAuthorized,
    OrderRefused,
    OrderRequest,
    OutcomeUnknown,
    PerpDexClient,
    ServiceBusy,
    StateConflict,
    UnknownObject,
    Unreachable,
)
from perp_dex_client.errors import UnreadableAnswer, problem_of
from perp_dex_client.token_file import read_token
from storage.opening import Storage
from tests.api.desk import ScriptedDesk
from tests.api.serving import TOKEN, Api, serving

MISSING = "99999999-9999-4999-8999-999999999999"


def wanted(**changes: Any) -> OrderRequest:
    fields: dict[str, Any] = {
        "symbol": "BTC-PERP",
        "side": "BUY",
        "quantity": Decimal("0.1"),
        "price": Decimal(45_000),
    }
    return OrderRequest(**{**fields, **changes})


@pytest.fixture
async def client(api: Api) -> AsyncIterator[PerpDexClient]:
    async with PerpDexClient(api.url, TOKEN, retry_within_s=1.0) as connected:
        yield connected


async def test_an_order_goes_its_whole_way(client: PerpDexClient, api: Api) -> None:
    order = await client.place(wanted())
    assert (order.status, order.is_decided, order.is_terminal) == ("ACCEPTED", True, False)
    assert order.price == Decimal(45_000)
    assert order.created_at.tzinfo is not None
    changed = await client.modify(order.order_id, price=Decimal(45_100))
    assert (changed.price, changed.change_pending) == (Decimal(45_100), False)
    api.desk.request_script = "hang"
    asked = await client.modify(order.order_id, price=Decimal(45_200), wait_s=0)
    assert (asked.price, asked.change_pending) == (Decimal(45_100), True)
    assert (await client.order(order.order_id, live=True)).source == "workflow"
    page = await client.orders(status="open", account="paper", symbol="BTC-PERP")
    assert [each.order_id for each in page.orders] == [order.order_id]
    await api.desk.fill(order.order_id)
    ended = await client.wait(order.order_id, "terminal", timeout_s=10)
    assert (ended.status, ended.filled_quantity) == ("FILLED", Decimal("0.1"))
    history = await client.history(order.order_id)
    assert history.temporal_url is not None
    assert len(history.events) >= 2


async def test_cancel_and_resolve(client: PerpDexClient, api: Api) -> None:
    order = await client.place(wanted())
    assert (await client.cancel(order.order_id, key="c")).status == "CANCELED"
    assert (await client.cancel(order.order_id, key="c")).status == "CANCELED"
    with pytest.raises(StateConflict) as conflict:
        await client.cancel(order.order_id)
    assert conflict.value.order is not None
    assert conflict.value.order.status == "CANCELED"
    api.desk.script = "unknown"
    unknown = await client.place(wanted())
    assert not unknown.is_decided
    resolved = await client.resolve(unknown.order_id, "absent", "seen at the venue")
    assert resolved.is_terminal


async def test_accounts_markets_and_books(client: PerpDexClient) -> None:
    assert [each.label for each in await client.accounts()] == ["paper"]
    assert (await client.account("paper")).state == "ACTIVE"
    added = await client.add_account(
        venue="hyperliquid",
        label="second",
        network="paper",
        address="0x" + "cd" * 20,
        private_key="0x" + "7e" * 32,
    )
    assert added.signer == "0xagent"
    assert {each.symbol for each in await client.markets()} == {"BTC-PERP", "OLD-PERP"}
    assert (await client.market("BTC-PERP")).lot_size == Decimal("0.00001")
    book = await client.order_book("BTC-PERP", depth=3)
    assert book.mid_price == Decimal(45_000)
    assert book.bids[0].order_count == 2
    ticker = await client.ticker("BTC-PERP")
    assert (ticker.mark_price, ticker.best_ask) == (Decimal("45000.5"), Decimal(45_001))
    assert ticker.age_ms < 10_000
    assert (await client.endpoints()).venues == ("hyperliquid",)
    assert (await client.operator_ticket()).url.startswith("http")


async def test_batches_and_dry_runs(client: PerpDexClient) -> None:
    batch = await client.place_batch([wanted(), wanted(price=Decimal("45000.5"))])
    assert [each.status for each in batch.results] == [201, 422]
    assert batch.results[0].order is not None
    dry = await client.dry_run(wanted(quantity=Decimal("0.123456")))
    assert dry.would_be_taken_as_given is False
    assert dry.notional == Decimal("5555.25")


async def test_pages_are_walked(client: PerpDexClient) -> None:
    placed = [(await client.place(wanted())).order_id for _ in range(3)]
    found = [order.order_id async for order in client.all_orders(at_most=2)]
    assert found == list(reversed(placed))[:2]
    since = datetime.now(UTC) + timedelta(hours=1)
    assert [order async for order in client.all_orders(at_most=9, created_from=since)] == []


async def test_every_refusal_has_its_type(client: PerpDexClient, api: Api) -> None:
    with pytest.raises(UnknownObject):
        await client.order(MISSING)
    with pytest.raises(UnknownObject):
        await client.order("../accounts")
    with pytest.raises(InvalidRequest) as invalid:
        await client.place(wanted(price=Decimal("45000.5")))
    assert invalid.value.errors[0]["pointer"] == "/price"
    assert invalid.value.outcome == "not_sent"
    api.desk.script = "reject"
    with pytest.raises(OrderRefused) as refused:
        await client.place(wanted())
    assert refused.value.order is not None
    assert refused.value.outcome == "rejected"
    api.desk.script = "silent"
    with pytest.raises(OutcomeUnknown):
        await client.place(wanted())
    api.desk.script = "refuse_start"
    with pytest.raises(ServiceBusy) as busy:
        await client.place(wanted())
    assert busy.value.retryable
    assert busy.value.request_id
    async with PerpDexClient(api.url, "x" * 43) as stranger:
        with pytest.raises(NotAuthorized):
            await stranger.accounts()


async def test_a_refused_start_is_tried_again_with_the_same_key(api: Api) -> None:
    api.desk.script = "refuse_start"
    async with PerpDexClient(api.url, TOKEN, retry_within_s=10) as client:
        placing = asyncio.create_task(client.place(wanted(key="k")))
        await asyncio.sleep(0.3)
        assert not placing.done()
        api.desk.script = "rest"
        order = await placing
    assert api.desk.starts == [order.order_id]


async def test_an_api_that_is_not_there_sent_nothing() -> None:
    async with PerpDexClient("http://127.0.0.1:1", TOKEN, retry_within_s=0.3) as client:
        with pytest.raises(Unreachable) as error:
            await client.place(wanted())
        assert error.value.outcome == "not_sent"
        with pytest.raises(Unreachable) as error:
            await client.accounts()
        assert error.value.outcome is None


async def test_a_connection_cut_after_the_request_is_unknown_then_found(storage: Storage) -> None:
    """The first answer is lost on the way; the repetition finds the order it made."""
    async with serving(storage) as api:
        port = int(api.url.rsplit(":", 1)[1])
        cuts = 1

        async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal cuts
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
            request = await reader.read(65_536)
            up_writer.write(request)
            answer = await up_reader.read(65_536)
            if cuts:
                cuts -= 1
            else:
                writer.write(answer)
                await writer.drain()
            writer.close()
            up_writer.close()

        server = await asyncio.start_server(between, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            async with PerpDexClient(url, TOKEN, retry_within_s=0) as hasty:
                with pytest.raises(Unreachable) as error:
                    await hasty.place(wanted(key="k"))
                assert error.value.outcome == "unknown"
            cuts = 1
            async with PerpDexClient(url, TOKEN, retry_within_s=10) as patient:
                order = await patient.place(wanted(key="k"))
            assert api.desk.starts == [order.order_id]
        finally:
            server.close()
            await server.wait_closed()


async def test_a_wait_goes_on_through_a_restart_of_the_api(storage: Storage) -> None:
    desk = ScriptedDesk(storage)
    async with serving(storage, desk=desk) as api:
        port = int(api.url.rsplit(":", 1)[1])
        client = PerpDexClient(api.url, TOKEN, retry_within_s=1)
        async with client:
            order = await client.place(wanted())
    async with client_again(port) as waiting_client:
        waiting = asyncio.create_task(waiting_client.wait(order.order_id, "terminal", timeout_s=20))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        async with serving(storage, desk=desk, port=port):
            await desk.fill(order.order_id)
            assert (await waiting).status == "FILLED"


def client_again(port: int) -> PerpDexClient:
    return PerpDexClient(f"http://127.0.0.1:{port}", TOKEN, retry_within_s=0.2)


async def test_a_wait_ends_with_its_time(client: PerpDexClient) -> None:
    order = await client.place(wanted())
    for wait_for in ("terminal", "fill"):
        found = await client.wait(order.order_id, wait_for, timeout_s=0.2)
        assert found.status == "ACCEPTED"
    decided = await client.wait(order.order_id, "decided", timeout_s=5)
    assert decided.is_decided
    async with PerpDexClient("http://127.0.0.1:1", TOKEN) as nobody:
        with pytest.raises(Unreachable):
            await nobody.wait(order.order_id, "terminal", timeout_s=0.1)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"orders": 1}',
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_not_our_api_is_told_apart(answer: bytes) -> None:
    async with answering(answer) as url, PerpDexClient(url, TOKEN, retry_within_s=0) as client:
        with pytest.raises(UnreadableAnswer) as error:
            await client.orders()
        assert error.value.outcome == "unknown"


async def test_a_server_that_takes_no_more_connections_is_busy() -> None:
    text = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 19\r\n\r\nService Unavailable"
    async with answering(text) as url, PerpDexClient(url, TOKEN, retry_within_s=0) as client:
        with pytest.raises(ServiceBusy):
            await client.orders()


async def test_an_endless_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perp_dex_client.transport._ANSWER_BYTES_MAX", 100)
    text = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b" " * 200
    async with answering(text) as url, PerpDexClient(url, TOKEN, retry_within_s=0) as client:
        with pytest.raises(UnreadableAnswer):
            await client.orders()


class answering:
    """A server that says one thing."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def __aenter__(self) -> str:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(65_536)
            writer.write(self._answer)
            await writer.drain()
            writer.close()

        self._server = await asyncio.start_server(serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()


def test_problems_are_read_carefully() -> None:
    problem = problem_of({"code": "x", "errors": "nonsense", "order": {"order_id": 7}}, 418)
    assert type(problem) is ApiProblem
    assert problem.errors == ()
    assert problem.order is None
    assert str(problem_of({}, 500)) == "500"
    assert problem_of({}, 404).order is None


def test_a_missing_or_open_token_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "api-token"
    with pytest.raises(NotAuthorized):
        read_token(path)
    path.write_text("t" * 43)
    path.chmod(0o644)
    with pytest.raises(NotAuthorized, match=r"."):
        read_token(path)
    path.chmod(0o600)
    assert read_token(path) == "t" * 43
