"""Does a hostile exchange break anything, or get anything believed that it does not prove?

Its answers and frames are the honest ones, twisted: see `tests.conformance.hostility`. Whatever it
says, a query answers or raises what queries raise, a command ends in an outcome and is never taken
for rejected while the exchange has it, a feed goes on, and nothing grows without bound.
"""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from cli.output import safe
from domain.accounts import Network
from domain.errors import PerpDexError, VenueUnavailable
from domain.instruments import OrderSide
from domain.ledger import CommandRow
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from process.logging import configure_logging
from tests.conformance.hostile_way import HostileWay, hostile_way_to
from tests.conformance.hostility import ESCAPES, OF_FRAMES, TWISTS, texts, wrong_account
from tests.conformance.rig import VenueRig
from tests.conformance.stage import Stage, open_stage, running
from tests.conformance.test_feeds import Heard, account_feed, channel, market_feed
from venues import registry
from venues.connector import (
    BookSeen,
    Connector,
    FeedState,
    FillsSeen,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
)

HOUR: Final = timedelta(hours=1)
FRAMES: Final = 1
TWISTED_WITHIN_S: Final = 1.5
TRIES: Final = 30
HEARS_WITHIN_S: Final = 0.4
ANSWER_WITHIN_S: Final = 10.0
ASKED_AT_ONCE: Final = 4
#: More than any answer may be, with what is under way between two sockets.
ENDLESS_MAX_BYTES: Final = 80 * 1024 * 1024


@pytest.fixture
async def hostile(
    rig: VenueRig, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Stage, HostileWay]]:
    """A stage whose venue can be told to be hostile; whoever reconnects does it at once."""
    monkeypatch.setattr("venues.stream.Backoff.next_s", lambda _: 0.02)
    monkeypatch.setattr("venues.connections.ConnectionBudget.acquire", lambda *_: 0.0)
    monkeypatch.setattr("venues.connections.ConnectionBudget.release", lambda _: None)
    async with (
        running(rig) as simulator,
        hostile_way_to(simulator.url) as way,
        open_stage(rig, simulator, database_template, tmp_path, monkeypatch, url=way.url) as opened,
    ):
        yield opened, way


def questions(stage: Stage, connector: Connector) -> dict[str, Callable[[], Awaitable[Any]]]:
    """Return everything that a connector can be asked."""
    now, symbol, account = datetime.now(UTC), stage.rig.symbol, stage.account

    async def signer() -> Any:
        return await connector.check_signer(await stage.trading())

    return {
        "venue_time": lambda: connector.venue_time(account),
        "open_orders": lambda: connector.open_orders(account),
        "order_history": lambda: connector.order_history(account),
        "fills": lambda: connector.fills(account, since=now - HOUR),
        "account_summary": lambda: connector.account_summary(account),
        "fee_rates": lambda: connector.fee_rates(account),
        "funding_payments": lambda: connector.funding_payments(account, since=now - HOUR),
        "order_book": lambda: connector.order_book(symbol),
        "recent_trades": lambda: connector.recent_trades(symbol),
        "candles": lambda: connector.candles(symbol, "1m", start=now - HOUR, end=now),
        "tickers": connector.tickers,
        "funding_rates": lambda: connector.funding_rates(symbol, since=now - HOUR),
        "leverage_of": lambda: connector.leverage_of(account, symbol),
        "price_bound": lambda: connector.price_bound(symbol, OrderSide.BUY, 50),
        "find_order": lambda: connector.find_order(
            account, symbol=symbol, client_order_id=connector.client_order_id("0" * 32, 0, 0)
        ),
        "check_signer": signer,
        "instruments": lambda: connector.instruments(refresh=True),
    }


@asynccontextmanager
async def fresh_connector(stage: Stage, way: HostileWay) -> AsyncIterator[Connector]:
    """Give a connector that was started honestly and has its whole rate budget."""
    way.answers = None
    connector = registry.load(stage.rig.venue).connect(Network.PAPER)
    try:
        await connector.start()
        yield connector
    finally:
        way.answers = None
        await connector.close()


async def busy_account(stage: Stage) -> None:
    """Give the account something to be lied about: a position, fills, an order that rests."""
    await stage.position()
    await stage.accepted(await stage.resting())


async def test_no_answer_breaks_a_query_or_gets_an_absurd_number_through(
    hostile: tuple[Stage, HostileWay],
) -> None:
    stage, way = hostile
    await busy_account(stage)
    found = []
    asked = tuple(questions(stage, stage.connector))
    for name, twist in TWISTS.items():
        # A few to each connector: the venue's rate budget is not what is tried here.
        for first in range(0, len(asked), ASKED_AT_ONCE):
            some = asked[first : first + ASKED_AT_ONCE]
            async with fresh_connector(stage, way) as connector:
                way.answers = twist
                for question in some:
                    found += [
                        f"{question} × {name}: {each}"
                        for each in await wrong_with(questions(stage, connector)[question])
                    ]
    assert not found, "\n".join(sorted(set(found)))


async def wrong_with(ask: Callable[[], Awaitable[Any]]) -> list[str]:
    """Ask, and return what is wrong with what came of it."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return absurd(await ask())
    except PerpDexError as error:
        return unprintable(error)
    except Exception as error:
        return [f"{type(error).__name__}: {error}"[:200]]


async def test_no_answer_to_a_command_is_taken_for_a_refusal_while_the_exchange_has_it(
    hostile: tuple[Stage, HostileWay],
) -> None:
    stage, way = hostile
    found = []
    for name, twist in TWISTS.items():
        row = await stage.reserve(await stage.resting())
        way.answers = twist
        try:
            outcome = await stage.carry_out(row)
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}"[:200])
            continue
        finally:
            way.answers = None
        is_there = bool(stage.at_venue(row))
        assert is_there, name
        if not isinstance(outcome, (Accepted, Acknowledged, Unknown)):
            found.append(f"{name}: {outcome}"[:200])
        found += [f"{name}: {each}" for each in unprintable(outcome)]
    assert not found, "\n".join(sorted(set(found)))


async def test_a_refusal_full_of_escapes_steers_neither_terminal_nor_log(
    hostile: tuple[Stage, HostileWay],
) -> None:
    stage, way = hostile
    # More than the account has: a refusal in words, to which the exchange adds its own.
    prices = await stage.prices()
    market = await stage.instrument()
    lots = (Decimal(10**9) / prices.below / market.lot_size).to_integral_value()
    row = await stage.reserve(stage.order(lots * market.lot_size, prices.below))
    way.answers = texts(lambda text: text + ESCAPES)
    outcome = await stage.carry_out(row)
    way.answers = None
    assert isinstance(outcome, (Unknown, Acknowledged, Rejected, NotSent))
    assert unprintable(outcome) == []


async def test_an_answer_without_end_is_cut_off(hostile: tuple[Stage, HostileWay]) -> None:
    stage, way = hostile
    async with fresh_connector(stage, way) as connector:
        way.endless = lambda path: True
        with pytest.raises(VenueUnavailable):
            await connector.instruments(refresh=True)
        way.endless = lambda path: False
    assert way.served < ENDLESS_MAX_BYTES
    # What a connector asks once before its first command is known from here on.
    await rests(stage)
    row = await stage.reserve(await stage.resting())
    way.endless, way.served = lambda path: path in stage.rig.command_paths, 0
    outcome = await stage.carry_out(row)
    assert isinstance(outcome, Unknown), outcome
    assert way.served < ENDLESS_MAX_BYTES


async def test_no_frame_breaks_a_feed_of_accounts(hostile: tuple[Stage, HostileWay]) -> None:
    stage, way = hostile
    other = await stage.open_account()
    twists = {**OF_FRAMES, "another account": wrong_account(stage.account.address, other.address)}
    async with account_feed(stage) as heard, listening(heard) as ear:
        for name, twist in twists.items():
            seen = len(heard.all)
            way.twist_frames(twist, FRAMES)
            await stage.cancel(await rests(stage))
            await twisted(way)
            await hears_again(stage, ear, name)
            for event in heard.all[seen:]:
                assert absurd(event) == [], name
                if isinstance(event, (OrdersSeen, FillsSeen)):
                    assert event.account_id == stage.account.account_id, name


async def test_no_frame_breaks_a_feed_of_markets(hostile: tuple[Stage, HostileWay]) -> None:
    stage, way = hostile
    async with market_feed(stage) as (feed, heard):
        kinds = (MarketChannelKind.BOOK, MarketChannelKind.TICKER)
        await feed.subscribe([channel(stage, kind) for kind in kinds])
        await heard.live()
        async with listening(heard) as ear:
            for name, twist in OF_FRAMES.items():
                seen = len(heard.all)
                way.twist_frames(twist, FRAMES)
                await stage.move_mark(stage.mark() * Decimal("1.0001"))
                await twisted(way)
                is_shown = partial(shows_a_market, ear, len(heard.all))
                await ear.until(is_shown, within_s=ANSWER_WITHIN_S)
                for event in heard.all[seen:]:
                    assert absurd(event) == [], name
                    if isinstance(event, FeedState):
                        assert unprintable(event.reason) == [], name


class Ear:
    """Waits for what a feed tells, while another task listens; the feed's own end is a failure."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self._news = asyncio.Event()

    async def listen(self) -> None:
        async for event in self.heard._events:
            self.heard.all.append(event)
            self._news.set()
        raise AssertionError("the feed ended")

    async def until(self, holds: Callable[[], bool], *, within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not holds():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def listening(heard: Heard) -> AsyncIterator[Ear]:
    """Listen beside the block; a feed that raises fails it."""
    ear = Ear(heard)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ear.listen())
        yield ear
        task.cancel()


async def rests(stage: Stage) -> CommandRow:
    """Place an order that rests; a venue may acknowledge first and decide then."""
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, (Accepted, Acknowledged)), outcome
    return row


async def hears_again(stage: Stage, ear: Ear, name: str) -> None:
    """Place orders until the feed tells of one: whatever it made of the frames, it goes on.

    What is placed while it connects anew is read by whoever follows it, not told by the feed.
    """
    for _ in range(TRIES):
        row = await rests(stage)
        was_told = partial(told, ear, row.client_order_id)
        try:
            await ear.until(was_told, within_s=HEARS_WITHIN_S)
        except TimeoutError:
            continue
        finally:
            await stage.cancel(row)
        return
    raise AssertionError(f"after {name} the feed told nothing more: {ear.heard.all[-3:]}")


async def twisted(way: HostileWay) -> None:
    """Wait until the frames were twisted; some twists change no frame of a venue's."""
    try:
        async with asyncio.timeout(TWISTED_WITHIN_S):
            await way.twisted.wait()
    except TimeoutError:
        pass
    way.frames = None


def told(ear: Ear, client_order_id: str) -> bool:
    """Tell whether the feed has told of an order."""
    return any(
        order.client_order_id == client_order_id
        for event in ear.heard.all
        if isinstance(event, OrdersSeen)
        for order in event.orders
    )


def shows_a_market(ear: Ear, before: int) -> bool:
    """Tell whether a book or a ticker came after so many events."""
    return any(isinstance(each, (BookSeen, TickerSeen)) for each in ear.heard.all[before:])


def absurd(value: Any, path: str = "") -> list[str]:
    """Return the numbers and times in a value that nobody can calculate with."""
    if isinstance(value, Decimal):
        sane = value.is_finite() and (not value or -100 <= value.adjusted() <= 100)
        return [] if sane else [f"{path} is {str(value)[:40]}"]
    if isinstance(value, datetime):
        return [] if value.tzinfo is not None else [f"{path} is naive"]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [
            each
            for name in (one.name for one in dataclasses.fields(value))
            for each in absurd(getattr(value, name), f"{path}.{name}")
        ]
    if isinstance(value, (tuple, list)):
        return [each for inner in value[:50] for each in absurd(inner, f"{path}[]")]
    return []


def unprintable(said: object) -> list[str]:
    """Return what would steer a terminal or forge a line of a log, once it is shown or logged."""
    shown = {"terminal": safe(str(said)), "log": logged(str(said))}
    return [f"{where}: {text!r}"[:200] for where, text in shown.items() if not text.isprintable()]


def logged(text: str) -> str:
    """Return the line that a process of ours writes about a text."""
    out = io.StringIO()
    with kept_logging():
        configure_logging(service="test", log_format="json", stream=out)
        structlog.get_logger("test").warning("the venue said", reason=text)
    return out.getvalue().rstrip("\n")


class kept_logging:
    """Put the logging of this process back as it was."""

    def __enter__(self) -> None:
        import logging
        import sys

        root = logging.getLogger()
        self._handlers, self._level = list(root.handlers), root.level
        self._hooks = (sys.excepthook,)

    def __exit__(self, *_: object) -> None:
        import logging
        import sys

        root = logging.getLogger()
        root.handlers[:], root.level = self._handlers, self._level
        (sys.excepthook,) = self._hooks
        structlog.reset_defaults()
