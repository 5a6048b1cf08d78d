"""What single parts do when something they stand on goes wrong; real storage, failing on demand."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import Account, AccountSummary
from domain.errors import CorruptState, InvalidInput, NotFound, Unavailable
from domain.instruments import OrderSide
from domain.order_fold import with_closure
from domain.orders import Closure, OrderStatus, Verdict
from domain.timeline import EventKind, TimelineEvent
from streaming.budget import BudgetRule, ReadBudget
from streaming.catch_up import Cadence, CatchUp
from streaming.channels import OrdersChannel
from streaming.connectors import Connectors
from streaming.fallback_source import own_sources
from streaming.freshness import FreshnessBoard
from streaming.ingest import Follower, Ingest
from streaming.intake import Intake
from streaming.market_feeds import MarketFeeds
from streaming.marks import Marks
from streaming.positions import PositionBoard
from tests.streaming.building import T0
from tests.streaming.stage import Stage, client_id, order_id
from tests.streaming.test_ingest import until
from venues.connector import FeedState, FillsSeen, OrdersSeen, VenueOrder, VenueSpec


def seen(number: int = 1, verdict: Verdict = Verdict.ACCEPTED) -> VenueOrder:
    return VenueOrder(
        client_order_id=client_id(order_id(number)),
        venue_order_id=str(1000 + number),
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        quantity=Decimal(1),
        price=Decimal(100),
        verdict=verdict,
        filled_quantity=None,
        event_time=T0,
    )


class Troubled:
    """A store of which single methods fail or answer otherwise."""

    def __init__(self, store: Any, **instead: Any) -> None:
        self._store = store
        self.instead = instead

    def __getattr__(self, name: str) -> Any:
        return self.instead.get(name) or getattr(self._store, name)


def raising(error: Exception, times: int = 10**6) -> Any:
    left = [times]

    async def fail(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            return ()
        raise error

    return fail


async def test_one_corrupt_order_does_not_stop_the_others(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.add_account()
    await stage.place(1)
    store = Troubled(stage.orders, fold=raising(CorruptState("two truths")))
    intake = Intake(store, lambda folded: None)
    await intake.take_orders("acc-1", [seen(1)], source="feed", hold=True)
    assert "could not be folded" in caplog.text
    assert intake.held == 0


async def test_an_order_that_is_matched_and_gone_is_held(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    store = Troubled(stage.orders, fold=raising(NotFound("gone")))
    intake = Intake(store, lambda folded: None)
    await intake.take_orders("acc-1", [seen(1)], source="feed", hold=True)
    assert intake.held == 1
    await intake.take_orders("acc-1", [seen(1)], source="look-up", hold=False)
    assert (intake.held, intake.unmatched) == (1, 1)


async def test_held_reports_are_tried_ever_more_rarely_and_kept_while_storage_is_away(
    stage: Stage,
) -> None:
    now = [0.0]
    asked: list[float] = []

    async def find(*args: Any, **kwargs: Any) -> None:
        asked.append(now[0])

    store = Troubled(stage.orders, find=find)
    intake = Intake(store, lambda folded: None, hold_s=5.0, clock=lambda: now[0])
    await intake.take_orders("acc-1", [seen(1)], source="feed", hold=True)
    while intake.held > 0:
        now[0] += 0.25
        await intake.retry_held()
    assert asked == [0.0, 0.25, 0.75, 1.75, 3.75, 5.0]
    assert intake.unmatched == 1

    await intake.take_orders("acc-1", [seen(1)], source="feed", hold=True)
    store.instead["find"] = raising(Unavailable("away"))
    now[0] += 100
    await intake.retry_held()
    assert intake.held == 1


async def test_fills_without_content_ask_nothing(stage: Stage) -> None:
    store = Troubled(stage.orders, book=raising(AssertionError("asked")))
    await Intake(store, lambda folded: None).take_fills(())


async def test_a_report_that_contradicts_a_closure_raises_an_alarm(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    await stage.add_account()
    await stage.place(1)
    event = TimelineEvent(order_id=order_id(1), kind=EventKind.CLOSED, text="closed", at=T0)
    closure = Closure(verdict=Verdict.CANCELED, reason="operator", by_operator=True)
    await stage.orders.amend(order_id(1), lambda order: with_closure(order, closure), event)
    assert (await stage.order(1)).status is OrderStatus.CANCELED
    intake = Intake(stage.orders, lambda folded: None)
    await intake.take_orders("acc-1", [seen(1)], source="feed", hold=True)
    assert (await stage.order(1)).status is OrderStatus.ACCEPTED
    assert "contradicts how the order was closed" in caplog.text


class Silent:
    """A connector with nothing open and nothing filled, or one that fails."""

    error: Exception | None = None

    def connect(self, network: object) -> Any:
        return self

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        if self.error is not None:
            raise self.error
        return ()

    async def fills(self, account: Account, *, since: datetime) -> tuple[Any, ...]:
        return ()

    async def funding_payments(self, account: Account, *, since: datetime) -> tuple[Any, ...]:
        return ()

    async def account_summary(self, account: Account) -> AccountSummary:
        nothing = Decimal(0)
        return AccountSummary(
            account_id=account.account_id,
            equity=nothing,
            available=nothing,
            initial_margin=nothing,
            maintenance_margin=nothing,
            positions=(),
            event_time=datetime.now(UTC),
        )


def no_feeds(name: str) -> VenueSpec:
    raise AssertionError(f"the feeds of {name} were asked for")


def board_of(stage: Stage, venue: Silent) -> PositionBoard:
    connectors = Connectors(lambda name: venue)
    marks = Marks(MarketFeeds(own_sources(no_feeds, connectors)))
    return PositionBoard(stage.positions, marks, lambda: None)


def catching_up(stage: Stage, venue: Silent) -> CatchUp:
    return CatchUp(
        stage.orders,
        Intake(stage.orders, lambda folded: None),
        board_of(stage, venue),
        stage.positions,
        Connectors(lambda name: venue),
        ReadBudget(BudgetRule()),
        cadence=Cadence(live_s=3600, stale_s=3600, retry_first_s=0.01, retry_max_s=0.02),
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("a defect"), InvalidInput("network", "no")])
async def test_reading_goes_on_after_any_failure(
    stage: Stage, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    venue = Silent()
    venue.error = error
    reading = catching_up(stage, venue)
    await reading.follow(await stage.add_account())
    task = asyncio.create_task(reading.run())
    await until(lambda: reading._followed["acc-1"].failures > 2)
    venue.error = None
    await until(lambda: reading.passes()["acc-1"] == 1)
    task.cancel()
    await asyncio.wait([task])
    assert "an account was read again" in caplog.text


async def test_accounts_that_are_not_followed_are_passed_over(stage: Stage) -> None:
    reading = catching_up(stage, Silent())
    reading.request("nobody")
    reading.feed_is("nobody", live=True)
    reading.unfollow("nobody")
    await reading.follow(await stage.add_account())
    reading.feed_is("acc-1", live=False)
    assert reading.passes() == {"acc-1": 0}


async def test_accounts_that_cannot_be_read_are_said_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="streaming.ingest")
    accounts = Troubled(stage.accounts, all_active=raising(Unavailable("away"), times=3))
    board = FreshnessBoard(lambda: 0.0)
    intake = Intake(stage.orders, lambda folded: None)
    reading = catching_up(stage, Silent())
    positions = board_of(stage, Silent())
    ingest = Ingest(accounts, no_feeds, intake, positions, reading, board, refresh_s=0.01)
    task = asyncio.create_task(ingest.run())
    await until(lambda: len(caplog.records) == 2)
    task.cancel()
    await asyncio.wait([task])
    assert [r.message for r in caplog.records] == [
        "accounts cannot be read: away",
        "accounts can be read again",
    ]


class Speaking:
    """A feed that says given things and then nothing."""

    def __init__(self, *events: Any) -> None:
        self._events = events
        self.said = asyncio.Event()

    async def events(self) -> Any:
        for event in self._events:
            yield event
        self.said.set()
        await asyncio.Event().wait()

    async def watch(self, accounts: Any) -> None:
        pass

    async def close(self) -> None:
        pass


async def test_events_of_strangers_and_events_that_break_are_survived(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    followed = await stage.add_account()
    await stage.place(1)
    feed = Speaking(
        FeedState(account_id="stranger", live=True, reason="x", at=T0),
        OrdersSeen(account_id="stranger", orders=(seen(1, Verdict.REJECTED),)),
        FillsSeen(account_id="acc-1", fills=("not a fill",)),  # type: ignore[arg-type]
        FeedState(account_id=None, live=True, reason="subscribed", at=T0),
        OrdersSeen(account_id="acc-1", orders=(seen(1),)),
    )
    board = FreshnessBoard(lambda: 0.0)
    intake = Intake(stage.orders, lambda folded: None)
    follower = Follower(
        lambda: feed, intake, board_of(stage, Silent()), catching_up(stage, Silent()), board
    )
    task = asyncio.create_task(follower.run({"acc-1": followed}))
    await asyncio.wait_for(feed.said.wait(), 10)
    task.cancel()
    await asyncio.wait([task])
    assert (await stage.order(1)).status is OrderStatus.ACCEPTED
    assert board.live_accounts() == {"acc-1"}
    assert "was not asked for" in caplog.text
    assert "could not be taken" in caplog.text


async def test_a_snapshot_read_while_changes_come_is_followed_by_them(stage: Stage) -> None:
    owner = await stage.add_account()
    await stage.place(1)
    pages = [0]

    async def page(wanted: Any) -> Any:
        found = await stage.orders.page(wanted)
        pages[0] += 1
        await stage.report(1, reason=f"{pages[0]:03d}")
        return found

    board = FreshnessBoard(lambda: 0.0)
    steady = OrdersChannel(stage.orders, board, lambda: datetime.now(UTC))
    moving = OrdersChannel(Troubled(stage.orders, page=page), board, lambda: datetime.now(UTC))
    sequence, _ = await moving.snapshot(owner)
    newest = await stage.orders.last_sequence("acc-1")
    assert sequence < newest, "so that the changes in between are sent after it"
    assert pages[0] == 6
    assert (await steady.snapshot(owner))[0] == newest


async def test_a_gap_in_storage_is_answered_with_a_snapshot(stage: Stage) -> None:
    owner = await stage.add_account()
    await stage.place(1)

    async def changes(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return ()

    board = FreshnessBoard(lambda: 0.0)
    store = Troubled(stage.orders, changes=changes)
    channel = OrdersChannel(store, board, lambda: datetime.now(UTC))
    assert await channel.since(owner, 0, at_most=100) is None


async def test_a_long_snapshot_comes_in_parts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.channels.SNAPSHOT_PART", 2)
    owner = await stage.add_account()
    for number in range(1, 6):
        await stage.place(number)
    board = FreshnessBoard(lambda: 0.0)
    channel = OrdersChannel(stage.orders, board, lambda: datetime.now(UTC))
    _, messages = await channel.snapshot(owner)
    assert [b'"more":true' in message for message in messages] == [True, True, False]
    assert sum(message.count(b'"order_id"') for message in messages) == 5
