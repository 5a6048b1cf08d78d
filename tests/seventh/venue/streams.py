"""Both feeds of the seventh venue over its one kind of socket, without I/O but for the shells.

A client says `{"op": "follow", "topic": …}` and is acknowledged; data of a topic follows. A topic
of an account begins with its money and positions; of what was missed before, nothing is told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

from domain.accounts import Account
from domain.instruments import Instrument
from tests.seventh.venue import translate, wire
from tests.seventh.venue.proofs import CAPABILITIES
from tests.seventh.venue.translate import VENUE, symbol_of
from venues.connections import ConnectionBudget
from venues.connector import (
    AccountEvent,
    AccountSeen,
    BookSeen,
    CandleSeen,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.feeds import AccountSockets, MarketSocket
from venues.market_channels import Key, MarketChannels
from venues.stream import Backoff, EventQueue, Follower
from venues.stream_core import Step
from venues.stream_session import LiveStream, SessionOver, SessionWatch

_TOPICS: Final = {
    MarketChannelKind.BOOK: "book",
    MarketChannelKind.TOP: "book",
    MarketChannelKind.TRADES: "trades",
    MarketChannelKind.TICKER: "price",
    MarketChannelKind.CANDLES: "candles",
}
_SNAPSHOT: Final = "snapshot"


class Session:
    """What is said and heard on one connection beside the data."""

    def __init__(self) -> None:
        self.watch = SessionWatch(
            silence_max_s=30.0, answer_within_s=10.0, ping=_said("ping"), ping_every_s=10.0
        )

    def follow(self, topic: str, now: float) -> bytes:
        """Return what asks for a topic, and wait for its acknowledgement."""
        self.watch.expect(topic, f"{topic} not acknowledged", now)
        return _said("follow", topic=topic)

    def leave(self, topic: str) -> bytes:
        """Return what asks for a topic no longer."""
        self.watch.answered(topic)
        return _said("leave", topic=topic)

    def read(self, payload: bytes) -> wire.Frame:
        """Read one message. Raises WireError, and SessionOver where something is refused."""
        frame = wire.decode(payload, wire.Frame)
        if frame.error is not None:
            raise SessionOver(f"{VENUE} refuses {frame.topic[:64]}: {frame.error[:128]}")
        if frame.ok:
            self.watch.answered(frame.topic)
        return frame


def _said(op: str, **more: str) -> bytes:
    return json.dumps({"op": op, **more}).encode()


class AccountStream:
    """The conversation about one account; live once its money was told."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._session = Session()
        self.watch = self._session.watch

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Ask for the account's topic."""
        self.watch.expect(_SNAPSHOT, "no snapshot", now)
        return (self._session.follow(f"account:{self._account.address}", now),)

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        if frame.data == wire.NOTHING:
            return ()
        news = wire.decode(bytes(frame.data), wire.News)
        for address in {row.account for rows in (news.orders, news.fills) for row in rows}:
            translate.check_account(self._account, address)
        name = self._account.account_id
        found: list[AccountEvent] = []
        if news.orders:
            orders = tuple(map(translate.order, news.orders))
            found.append(OrdersSeen(account_id=name, orders=orders))
        if news.fills:
            fills = tuple(translate.fill(name, row) for row in news.fills)
            found.append(FillsSeen(account_id=name, fills=fills))
        summary = translate.summary(self._account, news.account)
        found.append(AccountSeen(account_id=name, summary=summary))
        self.watch.answered(_SNAPSHOT)
        return tuple(found)


class MarketStream:
    """The conversation about markets."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._session = Session()
        self.watch = self._session.watch
        self._channels = MarketChannels(
            VENUE,
            {found.symbol: found.venue_symbol for found in instruments},
            CAPABILITIES.candle_intervals,
            _spell,
        )

    def want(self, channels: Iterable[MarketChannel], now: float) -> Step[MarketEvent]:
        """Set the channels to carry. Raises InvalidInput as `MarketChannels.want`."""
        gone, new = self._channels.want(channels)
        if not self.watch.is_connected:
            return Step()
        left = (self._session.leave(each["topic"]) for each in gone)
        asked = (self._session.follow(each["topic"], now) for each in new)
        return Step(send=(*left, *asked))

    def begin(self, now: float) -> tuple[bytes, ...]:
        """Ask for everything wanted."""
        return tuple(self._session.follow(each["topic"], now) for each in self._channels.all())

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[MarketEvent, ...]:
        """Read one message. Raises WireError and SessionOver."""
        frame = self._session.read(payload)
        kind, _, of = frame.topic.partition(":")
        if frame.data == wire.NOTHING:
            # From its acknowledgement on every trade is told, so silence says that there are none.
            if not frame.ok or kind != "trades":
                return ()
            return (TradesSeen(trades=(), is_backlog=True, symbol=symbol_of(of)),)
        return self._events(kind, bytes(frame.data), at)

    def _events(self, kind: str, data: bytes, at: datetime) -> tuple[MarketEvent, ...]:
        match kind:
            case "book":
                row = wire.decode(data, wire.Book)
                wanted = [
                    (row.market in self._channels.names_of(each), depth)
                    for each, depth in ((MarketChannelKind.BOOK, None), (MarketChannelKind.TOP, 1))
                ]
                return tuple(
                    BookSeen(book=translate.book(row, at, depth=depth), is_top=depth == 1)
                    for is_wanted, depth in wanted
                    if is_wanted
                )
            case "trades":
                rows = wire.decode(data, list[wire.Trade])
                trades = tuple(translate.trade(row, at) for row in rows)
                return (TradesSeen(trades=trades, is_backlog=False),) if trades else ()
            case "price":
                return (TickerSeen(ticker=translate.ticker(wire.decode(data, wire.Price), at)),)
            case "candles":
                return (CandleSeen(candle=translate.candle(wire.decode(data, wire.Candle))),)
            case _:
                return ()


def _spell(channel: MarketChannel, name: str) -> tuple[Key, dict[str, Any]]:
    kind, span = _TOPICS[channel.kind], channel.interval or ""
    topic = f"{kind}:{name}:{span}" if span else f"{kind}:{name}"
    return (kind, name, span), {"topic": topic}


def account_feed(url: str, backoff: Callable[[], Backoff] = Backoff) -> AccountSockets:
    """Return the private feed at a socket's address, not yet connected."""
    budget = ConnectionBudget(connections_max=100, opened_per_minute_max=600)
    queue: EventQueue[AccountEvent] = EventQueue()

    async def follow(account: Account) -> None:
        core = LiveStream(AccountStream(account), account.account_id)
        await Follower(url, core, queue, budget, backoff=backoff()).run()

    return AccountSockets(VENUE, queue, follow)


def market_feed(url: str, instruments: Iterable[Instrument]) -> MarketSocket:
    """Return the public feed at a socket's address, not yet connected."""
    return MarketSocket(VENUE, url, MarketStream(instruments), ConnectionBudget())
