"""Positions and money on sockets: a fill at once, the venue's word, live marks, true numbers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from domain.accounts import AccountSummary, Network
from domain.errors import NotFound
from domain.market_data import Ticker
from storage.opening import Storage
from streaming.account_channels import PositionsChannel
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.freshness import FreshnessBoard
from streaming.market_feeds import STREAM, MarketFeeds
from streaming.marks import Mark, MarketKey, Marks
from streaming.positions import SAVE_EVERY_S, PositionBoard
from tests.bus.valkey import running_valkey
from tests.domain.test_positions import said
from tests.storage.builders import a_fill
from tests.streaming.floor import Floor
from tests.streaming.sockets import TOKEN, Served, ask, hear
from tests.streaming.stage import Stage
from tests.streaming.test_app import floor, working
from tests.streaming.test_bridge import Workflows
from tests.streaming.test_ingest import until
from venues import registry
from venues.connector import TickerSeen

__all__ = ["floor"]

BTC = MarketKey("hyperliquid", Network.PAPER, "BTC-PERP")


@asynccontextmanager
async def following(
    served: Served, channel: str, **subscription: Any
) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
    """Follow an account on a channel; give the first message after the acknowledgement."""
    async with connect(f"ws://127.0.0.1:{served.port}/ws/v1/{channel}") as client:
        assert (await hear(client))["channel"] == channel
        await ask(client, op="auth", token=TOKEN)
        ack = await ask(client, op="subscribe", account_id="acc-1", **subscription)
        assert ack["accounts"] == ["acc-1"]
        yield client, await hear(client)


async def heard(client: ClientConnection, wanted: Any) -> dict[str, Any]:
    """Return the first update for which `wanted` holds; the numbers before it have no gap."""
    last: int | None = None
    while True:
        message = await hear(client, 15.0)
        if message["type"] != "update":
            continue
        assert last is None or message["prev_seq"] == last
        assert message["seq"] == message["prev_seq"] + 1
        last = message["seq"]
        if wanted(message):
            return message


def only(message: dict[str, Any]) -> dict[str, Any]:
    (position,) = message["positions"]
    found: dict[str, Any] = position
    return found


async def test_from_a_fill_to_a_socket(floor: Floor, stage: Stage, storage: Storage) -> None:
    await floor.open_account()
    with running_valkey() as valkey:
        async with (
            working(storage, Workflows(), valkey) as (app, served),
            following(served, "positions") as (client, first),
        ):
            await until(lambda: app.board.of("acc-1").live)
            assert (first["type"], first["positions"]) == ("snapshot", [])
            await floor.send(1, quantity="2")
            await floor.fill(1)
            first_told = await heard(client, lambda m: m["positions"])
            opened = only(first_told)
            assert (opened["side"], opened["quantity"]) == ("LONG", "2")
            assert opened["position_id"] == "acc-1:BTC-PERP"

            def by_venue(message: dict[str, Any]) -> bool:
                position = only(message)
                return position["source"] == "VENUE" and position["initial_margin"] is not None

            # On a slow machine the venue's word may come before the first message goes out.
            told = first_told if by_venue(first_told) else await heard(client, by_venue)
            assert app.meters.handed_on["positions"].count > 0
            price = Decimal(only(told)["entry_price"])
            await floor.control("/price", {"symbol": "BTC", "price": str(price + 100)})
            moved = await heard(
                client, lambda m: m["positions"] and only(m)["mark_price"] == f"{price + 100:f}"
            )
            assert Decimal(only(moved)["unrealized_pnl"]) == 200

            resumed = {"from_seq": told["seq"]}
            async with following(served, "positions", **resumed) as (_, again):
                assert (again["type"], again["seq"]) == ("update", told["seq"] + 1)
            async with following(served, "positions", from_seq=7) as (other, resync):
                assert resync["type"] == "resync"
                assert (await hear(other))["type"] == "snapshot"

            async with following(served, "account") as (money, balance):
                assert balance["type"] == "snapshot"
                assert Decimal(balance["balance"]["equity"]) > 0
                await floor.control("/funding", {"symbol": "BTC", "rate": "0.001"})
                before = balance["balance"]["equity"]
                await heard(money, lambda m: m["balance"]["equity"] != before)
            with_funding = await heard(client, lambda m: only(m)["funding"] != "0")
            assert Decimal(only(with_funding)["funding"]) < 0
            assert (await storage.positions.period("acc-1", since=None))[0].funding < 0

            await floor.control("/maintenance", {"on": True})
            while (status := await hear(client))["type"] != "status":
                assert status["type"] == "update"
            assert status["stale"] is True
    seen = await storage.positions.summary("acc-1")
    assert seen is not None
    assert seen.summary.positions[0].quantity == 2


class Clock:
    """Both clocks of a board, moved together."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)
        self.s = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.s

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def marks() -> Marks:
    return Marks(MarketFeeds(own_sources(registry.load, Connectors(registry.load))))


@pytest.fixture
async def board(stage: Stage, marks: Marks, clock: Clock) -> PositionBoard:
    await stage.add_account()
    return PositionBoard(stage.positions, marks, lambda: None, now=clock.now, clock=clock.monotonic)


def a_summary(clock: Clock, quantity: str = "2", *, equity: str = "1000") -> AccountSummary:
    return AccountSummary(
        account_id="acc-1",
        equity=Decimal(equity),
        available=Decimal(1),
        initial_margin=Decimal(1),
        maintenance_margin=Decimal(1),
        positions=(said(quantity=Decimal(quantity), account_id="acc-1"),),
        event_time=clock.now(),
    )


def tick(marks: Marks, price: str, at: datetime, symbol: str = "BTC-PERP") -> None:
    ticker = Ticker(
        venue="hyperliquid",
        symbol=symbol,
        mark_price=Decimal(price),
        index_price=None,
        mid_price=None,
        funding_rate=None,
        funding_interval_s=3600,
        open_interest=None,
        volume_24h=None,
        received_time=at,
    )
    marks._take(BTC.place, TickerSeen(ticker=ticker), STREAM)


async def test_a_summary_that_says_nothing_new_is_written_now_and_then(
    board: PositionBoard, stage: Stage, clock: Clock
) -> None:
    async def kept() -> Decimal:
        seen = await stage.positions.summary("acc-1")
        assert seen is not None
        return seen.summary.equity

    await board.take_summary(a_summary(clock, equity="1"))
    assert await kept() == 1
    clock.advance(1)
    await board.take_summary(a_summary(clock, equity="2"))
    assert await kept() == 1
    # It is shown all the same.
    state = await board.state("acc-1")
    assert state.balance is not None
    assert state.balance["equity"] == "2"
    clock.advance(SAVE_EVERY_S)
    await board.take_summary(a_summary(clock, equity="3"))
    assert await kept() == 3
    clock.advance(0.1)
    await board.take_summary(a_summary(clock, "5", equity="4"))
    assert await kept() == 4, "another position is written at once"


async def test_an_older_word_changes_nothing(board: PositionBoard, clock: Clock) -> None:
    old = a_summary(clock, "9")
    clock.advance(1)
    await board.take_summary(a_summary(clock, "2"))
    first = await board.state("acc-1")
    await board.take_summary(old)
    assert await board.state("acc-1") is first


async def test_a_state_gets_a_number_only_when_it_is_another(
    board: PositionBoard, clock: Clock
) -> None:
    await board.take_summary(a_summary(clock))
    first = await board.state("acc-1")
    board.touch(None)
    assert (await board.state("acc-1")).sequence == first.sequence
    clock.advance(1)
    await board.take_summary(a_summary(clock))
    assert (await board.state("acc-1")).sequence == first.sequence, "the same, said later"
    clock.advance(1)
    await board.take_summary(a_summary(clock, "3"))
    assert (await board.state("acc-1")).sequence == first.sequence + 1
    assert board.after("acc-1", first.sequence - 1) is not None
    assert board.after("acc-1", first.sequence - 2) is None
    assert board.after("acc-1", first.sequence + 2) is None
    assert board.after("nobody", 0) is None


async def test_another_process_counts_from_further_on(
    board: PositionBoard, stage: Stage, marks: Marks, clock: Clock
) -> None:
    earlier = await board.state("acc-1")
    clock.advance(0.01)
    later = PositionBoard(stage.positions, marks, lambda: None, now=clock.now)
    assert (await later.state("acc-1")).sequence > earlier.sequence + 5_000


async def test_marks_are_followed_while_somebody_looks(
    board: PositionBoard, marks: Marks, clock: Clock
) -> None:
    tick(marks, "5", clock.now())
    assert marks.latest(BTC) is None
    await board.take_summary(a_summary(clock))
    board.follow("positions", {"acc-1"})
    first = await board.state("acc-1")
    assert first.positions[0]["mark_price"] == "110"
    clock.advance(1)
    tick(marks, "123", clock.now())
    state = await board.state("acc-1")
    assert state.positions[0]["mark_price"] == "123"
    assert state.positions[0]["unrealized_pnl"] == "46"
    board.follow("account", {"acc-1"})
    board.follow("positions", ())
    tick(marks, "124", clock.now())
    assert (await board.state("acc-1")).positions[0]["mark_price"] == "124"
    board.follow("account", ())
    tick(marks, "125", clock.now())
    assert marks.latest(BTC) is None


async def test_a_fill_moves_the_state_before_the_venue_says_so(
    board: PositionBoard, stage: Stage, clock: Clock
) -> None:
    assert (await board.state("acc-1")).positions == ()
    await stage.orders.book([replace(a_fill("t1", "0.5"), account_id="acc-1")])
    board.touch("acc-1")
    (position,) = (await board.state("acc-1")).positions
    assert (position["quantity"], position["source"]) == ("0.5", "FILLS")


async def test_an_unknown_account_is_an_error_again_and_again(board: PositionBoard) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            await board.state("nobody")


async def test_a_follower_far_behind_is_given_the_newest(
    board: PositionBoard, clock: Clock
) -> None:
    channel = PositionsChannel(board, FreshnessBoard(clock.monotonic))
    await board.take_summary(a_summary(clock))
    state = await board.state("acc-1")
    ((topic, sequence, message),) = await channel.read({"acc-1": 5})
    assert (topic.subject, sequence) == ("acc-1", state.sequence)
    assert json.loads(message)["positions"][0]["quantity"] == "2"


async def test_how_long_a_change_took_to_be_handed_on_is_measured(
    board: PositionBoard, marks: Marks, clock: Clock
) -> None:
    took: list[float] = []
    channel = PositionsChannel(
        board, FreshnessBoard(clock.monotonic), handed_on=took.append, clock=clock.monotonic
    )
    first = await board.state("acc-1")
    await board.take_summary(a_summary(clock))
    clock.advance(0.5)
    board.touch("acc-1")
    clock.advance(0.25)
    ((_, sequence, _),) = await channel.read({"acc-1": first.sequence})
    assert took == [0.75], "since the first of what is told together"
    assert await channel.read({"acc-1": sequence}) == []
    board.touch("acc-1")
    assert await channel.read({"acc-1": sequence}) == [], "nothing is another"
    clock.advance(5)
    tick(marks, "123", clock.now())
    clock.advance(0.1)
    assert len(await channel.read({"acc-1": sequence})) == 1
    assert took == [0.75, pytest.approx(0.1)]


async def test_listeners_hear_marks_of_what_is_wanted(marks: Marks, clock: Clock) -> None:
    told: list[tuple[MarketKey, Mark]] = []
    marks.listen(lambda key, mark: told.append((key, mark)))
    marks.want(BTC)
    marks.want(BTC)
    tick(marks, "1", clock.now())
    tick(marks, "1", clock.now(), symbol="ETH-PERP")
    assert [key for key, _ in told] == [BTC]
    marks.release(BTC)
    assert marks.latest(BTC) is not None
    marks.release(BTC)
    assert marks.latest(BTC) is None


async def test_marks_come_from_the_venue_and_come_back(
    floor: Floor, caplog: pytest.LogCaptureFixture
) -> None:
    connectors = Connectors(registry.load)
    feeds = MarketFeeds(own_sources(registry.load, connectors))
    marks = Marks(feeds)
    task = asyncio.create_task(feeds.run())
    marks.want(BTC)
    marks.want(MarketKey("hyperliquid", Network.PAPER, "NONE-PERP"))
    await until(lambda: marks.latest(BTC) is not None)
    assert marks.is_live("hyperliquid", Network.PAPER)
    assert "channels that the venue refuses" in caplog.text
    first = marks.latest(BTC)
    assert first is not None
    marks.want(MarketKey("hyperliquid", Network.PAPER, "ETH-PERP"))
    await until(
        lambda: marks.latest(MarketKey("hyperliquid", Network.PAPER, "ETH-PERP")) is not None
    )
    await floor.control("/price", {"symbol": "BTC", "price": str(first.price + 7)})
    await until(lambda: (marks.latest(BTC) or first).price == first.price + 7)
    task.cancel()
    await asyncio.wait([task])
    await feeds.close()
    await connectors.close()
