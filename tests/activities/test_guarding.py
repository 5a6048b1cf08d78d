"""What a guard reads: a mark that may be believed, trading while nobody watched, its orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.guard_contracts import GuardKeepTask, GuardLookTask
from activities.guarding import GuardActivities
from domain.accounts import PositionSide
from domain.conditions import ConditionKind, Conditions, Crossing, Trail
from domain.errors import VenueUnavailable
from domain.guarding import GuardSight, GuardState, GuardStatus, NativeOrder
from domain.market_data import BookLevel, Candle, OrderBook, Ticker
from tests.activities.floor import ACCOUNT_ID, MARKET, Altered, Floor, an_order, now
from tests.domain.guard_building import a_guard

NEVER = Conditions(profit_percent=Decimal(50))


def watching(**changes: Any) -> GuardState:
    plan = a_guard(account_id=ACCOUNT_ID, conditions=NEVER, created_at=now(), **changes)
    return GuardState(plan=plan, status=GuardStatus.WATCHING)


@pytest.fixture
async def held(floor: Floor) -> Floor:
    """A floor that holds 0.01 BTC."""
    await floor.place(an_order(**MARKET))
    return floor


class Reader:
    """The activities over a connector of which some answers are the test's."""

    def __init__(self, floor: Floor, **answers: Any) -> None:
        self.floor = floor
        self.answers = answers
        self.slept: list[float] = []
        self.asked: list[str] = []

    async def look(self, state: GuardState | None = None, **task: Any) -> GuardSight:
        connector: Any = Altered(await self.floor.connector(), **self.answers)
        parts = self.floor.parts(connectors=connector)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            for answer in self.answers.values():
                answer.later(seconds)

        activities = GuardActivities(parts, self.floor.storage.conditions, sleep=sleep)
        task.setdefault("carefully", True)
        return await self.floor.environment.run(
            activities.look, GuardLookTask(state=state or watching(), **task)
        )


class Answers:
    """A query whose answers are played, one after the other; the last one for ever."""

    def __init__(self, *played: Callable[[float], Any]) -> None:
        self.played = list(played)
        self.shifted = 0.0
        self.asked = 0

    def later(self, seconds: float) -> None:
        self.shifted += seconds

    async def __call__(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        answer = self.played.pop(0) if len(self.played) > 1 else self.played[0]
        return answer(self.shifted)


def ticker(mark: str | None, index: str | None = None, age: float = 0) -> Callable[[float], Any]:
    def answer(shifted: float) -> Any:
        return (
            Ticker(
                venue="hyperliquid",
                symbol="BTC-PERP",
                mark_price=None if mark is None else Decimal(mark),
                index_price=None if index is None else Decimal(index),
                mid_price=None,
                funding_rate=None,
                funding_interval_s=3600,
                open_interest=None,
                volume_24h=None,
                received_time=now() + timedelta(seconds=shifted - age),
            ),
        )

    return answer


def book(bid: str, ask: str) -> Callable[[float], Any]:
    def answer(_: float) -> Any:
        return OrderBook(
            venue="hyperliquid",
            symbol="BTC-PERP",
            bids=(BookLevel(price=Decimal(bid), quantity=Decimal(1)),),
            asks=(BookLevel(price=Decimal(ask), quantity=Decimal(1)),),
            event_time=now(),
            received_time=now(),
        )

    return answer


async def test_the_present_as_it_is(held: Floor) -> None:
    sight = await Reader(held).look()

    assert sight.position is not None
    assert sight.position.side is PositionSide.LONG
    assert sight.position.quantity == Decimal("0.01")
    assert sight.mark == held.venue.exchange.tables.markets["BTC"].mark_price
    assert sight.doubt == ""
    assert sight.instrument is not None
    assert sight.closed is None


async def test_no_position(floor: Floor) -> None:
    sight = await Reader(floor).look()

    assert sight.position is None
    assert not sight.filled_native


async def test_a_mark_that_agrees_is_read_once(held: Floor) -> None:
    reader = Reader(
        held, tickers=Answers(ticker("65000", "65010")), order_book=Answers(book("64999", "65001"))
    )

    assert (await reader.look()).mark == 65_000
    assert reader.slept == []


@pytest.mark.parametrize("index", ["60000", "70000"])
async def test_one_far_from_the_index_has_to_say_so_twice(held: Floor, index: str) -> None:
    reader = Reader(held, tickers=Answers(ticker("65000", index)))

    assert (await reader.look()).mark == 65_000
    assert len(reader.slept) == 1


async def test_a_spike_is_not_believed(held: Floor) -> None:
    tickers = Answers(ticker("75000", "65000"), ticker("65000", "65000"))

    assert (await Reader(held, tickers=tickers).look()).mark == 65_000


@pytest.mark.parametrize(
    ("answers", "doubt"),
    [
        ({"tickers": Answers(ticker("65000", age=10))}, "stale"),
        ({"order_book": Answers(book("65001", "65000"))}, "crossed"),
        ({"tickers": Answers(ticker(None))}, "no mark price"),
        (
            {
                "tickers": Answers(
                    ticker("75000", "65000"), ticker("55000", "65000"), ticker("75000", "65000")
                )
            },
            "suspect",
        ),
    ],
)
async def test_what_is_not_believed_is_no_mark(
    held: Floor, answers: dict[str, Any], doubt: str
) -> None:
    sight = await Reader(held, **answers).look()

    assert sight.mark is None
    assert doubt in sight.doubt
    assert sight.position is not None


async def test_far_from_every_condition_the_valuation_is_enough(held: Floor) -> None:
    tickers = Answers(ticker("65000", "65000"))
    reader = Reader(held, tickers=tickers)
    mark = held.venue.exchange.tables.markets["BTC"].mark_price

    sight = await reader.look(carefully=False)
    assert sight.mark == mark
    assert tickers.asked == 0

    crossing = Crossing(kind=ConditionKind.PROFIT, at=now(), source="stream")
    quiet = watching()
    for state, more in (
        (replace(quiet, status=GuardStatus.REQUESTED), {}),
        (replace(quiet, reported=crossing), {}),
        (quiet, {"gap_since": now()}),
        (on(quiet, Conditions(trail=Trail(percent=Decimal(50)))), {}),
        (on(quiet, Conditions(at=now())), {}),
        (on(quiet, Conditions(price=mark, direction=None, profit_percent=Decimal("0.3"))), {}),
    ):
        asked = tickers.asked
        await reader.look(state, carefully=False, **more)
        assert tickers.asked > asked, state


def on(state: GuardState, conditions: Conditions) -> GuardState:
    return replace(state, plan=replace(state.plan, conditions=conditions))


def candle(minutes: int, high: str, low: str) -> Candle:
    opened = now() + timedelta(minutes=minutes)
    return Candle(
        venue="hyperliquid",
        symbol="BTC-PERP",
        interval="1m",
        open_time=opened,
        close_time=opened + timedelta(minutes=1),
        open=Decimal(1),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(1),
        volume=Decimal(1),
    )


async def test_what_was_traded_while_nobody_watched(held: Floor) -> None:
    candles = Answers(
        lambda _: (candle(-5, "90", "1"), candle(1, "70", "60"), candle(2, "71", "65"))
    )
    since = now() - timedelta(minutes=5)

    sight = await Reader(held, candles=candles).look(gap_since=since)
    assert (sight.high, sight.low) == (Decimal(71), Decimal(60)), (
        "of the time before the guard nothing counts"
    )

    only_before = Answers(lambda _: (candle(-5, "90", "1"),))
    sight = await Reader(held, candles=only_before).look(gap_since=since)
    assert (sight.high, sight.low) == (None, None)


async def test_a_venue_that_tells_no_candles_costs_only_the_report(held: Floor) -> None:
    def refuse(_: float) -> Any:
        raise VenueUnavailable("no candles now")

    sight = await Reader(held, candles=Answers(refuse)).look(gap_since=now())

    assert sight.high is None
    assert sight.mark is not None


async def test_its_orders_at_the_venue(held: Floor) -> None:
    resting = an_order()
    await held.place(resting)
    gone = an_order()
    await held.place(gone)
    connector: Any = await held.connector()
    seen = [
        order
        for order in await connector.open_orders((await held.opened_access()).account)
        if order.client_order_id == (await held.stored(resting)).client_order_id
    ]
    orders = tuple(
        NativeOrder(
            order_id=order.order_id,
            kind="loss",
            trigger_price=Decimal(1),
            quantity=Decimal(1),
            placed_at=now(),
        )
        for order in (resting, gone)
    )
    state = replace(watching(), native_orders=orders)

    sight = await Reader(held, open_orders=Answers(lambda _: tuple(seen))).look(state)

    assert sight.live_native == (resting.order_id,)


async def test_an_order_of_its_own_that_closed_the_position(floor: Floor) -> None:
    bought, sold = an_order(**MARKET), an_order(**MARKET)
    await floor.place(bought)
    sold = replace(sold, side=bought.side.opposite, reduce_only=True)
    await floor.place(sold)
    known = NativeOrder(
        order_id=sold.order_id,
        kind="loss",
        trigger_price=Decimal(1),
        quantity=Decimal(1),
        placed_at=now(),
    )

    sight = await Reader(floor).look(replace(watching(), native_orders=(known,)))

    assert sight.position is None
    assert sight.filled_native


async def test_it_is_kept(floor: Floor) -> None:
    activities = GuardActivities(floor.parts(), floor.storage.conditions)
    state = watching()

    kept = await floor.environment.run(activities.keep, GuardKeepTask(state=state))

    assert kept == state
    assert await floor.storage.conditions.get(state.plan.condition_id) == state
