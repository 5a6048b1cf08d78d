"""The relay between processes without I/O: what is said, lost, and made good by a snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.market_relay import Batch, RelayedChannel, RelayedEvent, batch_in
from domain.instruments import OrderSide
from domain.market_data import BookLevel, Candle, OrderBook, Ticker, Trade
from streaming import relay_leading
from streaming.relay_following import SILENT_S, RelayFollowing
from streaming.relay_leading import RelayLeader
from streaming.relay_words import (
    channel_in,
    channel_of,
    event_in,
    relayed_channel,
    relayed_event,
)
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
)

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
BTC_TRADES = MarketChannel(kind=MarketChannelKind.TRADES, symbol="BTC-PERP")
BTC_TICKER = MarketChannel(kind=MarketChannelKind.TICKER, symbol="BTC-PERP")
ETH_TICKER = MarketChannel(kind=MarketChannelKind.TICKER, symbol="ETH-PERP")


def ticker(number: int, symbol: str = "BTC-PERP") -> TickerSeen:
    return TickerSeen(
        ticker=Ticker(
            venue="v",
            symbol=symbol,
            mark_price=Decimal(number) + Decimal("0.10"),
            index_price=None,
            mid_price=None,
            funding_rate=Decimal("0.0000125"),
            funding_interval_s=3600,
            open_interest=None,
            volume_24h=None,
            received_time=T0 + timedelta(milliseconds=number),
        )
    )


def trades(*numbers: int, is_backlog: bool = False) -> TradesSeen:
    return TradesSeen(
        trades=tuple(
            Trade(
                venue="v",
                symbol="BTC-PERP",
                trade_id=f"t{number}",
                price=Decimal(100),
                quantity=Decimal("0.1"),
                aggressor_side=OrderSide.BUY,
                event_time=T0,
                received_time=T0,
            )
            for number in numbers
        ),
        is_backlog=is_backlog,
    )


def quiet() -> TradesSeen:
    """What a venue says of a market in which nobody has traded since it was subscribed to."""
    return TradesSeen(trades=(), is_backlog=True, symbol="BTC-PERP")


def book(*, is_top: bool = False) -> BookSeen:
    level = BookLevel(price=Decimal("100.50"), quantity=Decimal(1), order_count=2)
    return BookSeen(
        book=OrderBook(
            venue="v",
            symbol="BTC-PERP",
            bids=(level,),
            asks=(),
            event_time=T0,
            received_time=T0,
        ),
        is_top=is_top,
    )


def candle() -> CandleSeen:
    price = Decimal("1.5")
    return CandleSeen(
        candle=Candle(
            venue="v",
            symbol="BTC-PERP",
            interval="1m",
            open_time=T0,
            close_time=T0 + timedelta(minutes=1),
            open=price,
            high=price,
            low=price,
            close=price,
            volume=Decimal(7),
        )
    )


def state(*, live: bool, reason: str = "because") -> FeedState:
    return FeedState(account_id=None, live=live, reason=reason, at=T0)


def over_the_wire(batch: Batch) -> Batch:
    found = batch_in(msgspec.msgpack.encode(batch))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "event",
    [ticker(1), trades(1, 2), trades(3, is_backlog=True), quiet(), book(), book(is_top=True),
     candle(), state(live=True), state(live=False)],
)  # fmt: skip
def test_every_event_comes_back_exactly(event: MarketEvent) -> None:
    batch = Batch(epoch="e", sequence=1, events=[relayed_event(event, "stream-2")])
    [relayed] = over_the_wire(batch).events
    assert event_in(relayed) == event
    assert relayed.source == "stream-2"
    channel = channel_of(event)
    if channel is not None:
        assert channel_in(relayed_channel(channel)) == channel
        assert repr(event_in(relayed)) == repr(event), "digits are kept as they were"


def test_what_is_not_known_here_is_passed_over() -> None:
    assert channel_in(RelayedChannel("liquidations", "BTC-PERP")) is None
    assert event_in(RelayedEvent(source="stream")) is None
    assert channel_of(trades()) is None
    assert batch_in(b"\xc1") is None


@dataclass
class Listening:
    """A process that hears a relay: what it was told, as a board of its own would keep it."""

    wanted: frozenset[MarketChannel]
    clock: float = 0.0
    live: set[str] = field(default_factory=set)
    latest: dict[MarketChannel, MarketEvent] = field(default_factory=dict)
    trade_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.following = RelayFollowing(lambda: T0, lambda: self.clock)
        self.following.want(self.wanted)

    def hear(self, *batches: Batch) -> list[tuple[MarketEvent, str]]:
        said = [each for batch in batches for each in self.following.receive(over_the_wire(batch))]
        self.take(said)
        return said

    def take(self, said: list[tuple[MarketEvent, str]]) -> None:
        for event, source in said:
            if isinstance(event, FeedState):
                (self.live.add if event.live else self.live.discard)(source)
            else:
                channel = channel_of(event)
                assert channel in self.wanted
                assert channel is not None
                self.latest[channel] = event
                if isinstance(event, TradesSeen):
                    self.trade_ids += [
                        t.trade_id for t in event.trades if t.trade_id not in self.trade_ids
                    ]


def beginning(*channels: MarketChannel) -> tuple[RelayLeader, Listening]:
    leader, listening = RelayLeader("reign"), Listening(frozenset(channels))
    leader.remember(state(live=True), "stream")
    listening.hear(*leader.snapshot())
    return leader, listening


def test_nothing_is_heard_before_a_snapshot() -> None:
    leader, listening = RelayLeader("reign"), Listening(frozenset({BTC_TICKER}))
    leader.take(state(live=True), "stream")
    leader.take(ticker(1), "stream")
    assert listening.following.needs_snapshot
    said = listening.hear(*leader.snapshot())
    assert [event for event, _ in said] == [state(live=True), ticker(1)]
    assert not listening.following.needs_snapshot


def test_what_waits_is_conflated_and_trades_add_up() -> None:
    leader, listening = beginning(BTC_TICKER, BTC_TRADES)
    for number in range(100):
        leader.take(ticker(number), "stream")
        leader.take(trades(number), "stream")
        leader.take(ticker(number, "ETH-PERP"), "stream")
    batch = leader.batch()
    assert len(batch.events) == 3
    said = listening.hear(batch)
    assert ticker(99) in [event for event, _ in said]
    assert listening.trade_ids == [f"t{number}" for number in range(100)]
    assert ETH_TICKER not in listening.latest
    assert not leader.is_waiting


def test_no_event_passes_a_change_of_state() -> None:
    leader, listening = beginning(BTC_TICKER)
    for event in (ticker(1), state(live=False), state(live=True), ticker(2)):
        leader.take(event, "stream")
    said = listening.hear(leader.batch())
    assert [event for event, _ in said] == [
        ticker(1),
        state(live=False),
        state(live=True),
        ticker(2),
    ]


def test_a_gap_makes_all_stale_until_a_snapshot() -> None:
    leader, listening = beginning(BTC_TICKER, BTC_TRADES)
    leader.take(ticker(1), "stream")
    leader.batch()
    leader.take(trades(1), "stream")
    said = listening.hear(leader.batch())
    [(lost, source)] = said
    assert isinstance(lost, FeedState)
    assert (lost.live, source) == (False, "stream")
    assert listening.following.needs_snapshot
    leader.take(trades(2), "stream")
    assert listening.hear(leader.batch()) == []
    said = listening.hear(*leader.snapshot())
    assert [event for event, _ in said] == [
        state(live=True),
        ticker(1),
        trades(1, 2, is_backlog=True),
    ]
    assert listening.live == {"stream"}


def test_an_empty_batch_tells_of_a_gap_at_the_end() -> None:
    leader, listening = beginning(BTC_TICKER)
    leader.take(ticker(1), "stream")
    leader.batch()
    assert listening.hear(leader.batch()) != []
    assert listening.live == set()


def test_another_owner_is_another_beginning() -> None:
    leader, listening = beginning(BTC_TICKER)
    other = RelayLeader("another reign")
    other.remember(state(live=True), "stream")
    (told,) = [event for event, _ in listening.hear(other.batch())]
    assert isinstance(told, FeedState)
    assert not told.live
    assert listening.hear(leader.batch()) == [], "the old one is heard no more, either"
    listening.hear(*other.snapshot())
    assert listening.live == {"stream"}


def test_a_new_wish_is_begun_by_the_next_snapshot() -> None:
    leader, listening = beginning(BTC_TICKER)
    for event in (ticker(1), ticker(1, "ETH-PERP"), trades(1)):
        leader.take(event, "stream")
    listening.hear(leader.batch())

    def needs_snapshot() -> bool:
        return listening.following.needs_snapshot

    listening.wanted = frozenset({BTC_TICKER, ETH_TICKER, BTC_TRADES})
    listening.following.want(listening.wanted)
    assert needs_snapshot()
    leader.take(trades(2), "stream")
    assert listening.hear(leader.batch()) == [], "trades begin with what was before"
    said = listening.hear(*leader.snapshot())
    assert [event for event, _ in said] == [ticker(1, "ETH-PERP"), trades(1, 2, is_backlog=True)]
    assert not needs_snapshot()
    assert listening.hear(*leader.snapshot()) == [], "who is in step knows it all"


def test_a_quiet_market_is_begun_by_the_next_snapshot_too() -> None:
    leader, listening = beginning(BTC_TICKER)
    leader.take(quiet(), "stream")
    listening.hear(leader.batch())
    listening.wanted = frozenset({BTC_TICKER, BTC_TRADES})
    listening.following.want(listening.wanted)
    said = listening.hear(*leader.snapshot())
    assert [event for event, _ in said] == [quiet()]
    leader.take(quiet(), "stream")
    leader.take(trades(1), "stream")
    (together,) = [event for event, _ in listening.hear(leader.batch())]
    assert isinstance(together, TradesSeen)
    assert [each.trade_id for each in together.trades] == ["t1"]


def test_what_is_followed_no_more_is_forgotten() -> None:
    leader, _ = beginning()
    for event in (ticker(1), trades(1), ticker(1, "ETH-PERP")):
        leader.take(event, "stream")
    leader.keep([ETH_TICKER])
    assert len(leader.snapshot()[-1].events) == 2


def test_silence_is_a_loss_and_repeated_batches_are_nothing() -> None:
    leader, listening = beginning(BTC_TICKER)
    leader.take(ticker(1), "stream")
    batch = leader.batch()
    listening.hear(batch)
    assert listening.hear(batch) == []
    listening.clock += SILENT_S
    assert listening.following.silent() == []
    listening.clock += 0.01
    listening.take(listening.following.silent())
    assert listening.live == set()
    assert listening.following.silent() == [], "said once"


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_leading, "WAITING_MAX", 10)
    monkeypatch.setattr(relay_leading, "TRADES_WAITING_MAX", 10)
    leader, listening = beginning(BTC_TICKER, BTC_TRADES)
    for number in range(11):
        leader.take(ticker(1, f"S{number}-PERP"), "stream")
    assert not leader.is_waiting
    leader.take(ticker(2), "stream")
    listening.hear(leader.batch())
    assert listening.live == set(), "what was dropped is a gap"
    listening.hear(*leader.snapshot())
    assert listening.latest[BTC_TICKER] == ticker(2)
    for number in range(11):
        leader.take(trades(number), "stream")
    assert not leader.is_waiting


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(["ticker", "trade", "down", "up", "say", "lose", "twice", "snapshot"]),
        max_size=60,
    )
)
def test_whatever_is_lost_a_snapshot_makes_it_whole(steps: list[str]) -> None:
    leader, listening = beginning(BTC_TICKER, BTC_TRADES)
    newest: dict[MarketChannel, MarketEvent] = {}
    is_live, told = True, []
    for number, step in enumerate(steps, start=1):
        match step:
            case "ticker":
                newest[BTC_TICKER] = ticker(number)
                leader.take(ticker(number), "stream")
            case "trade":
                told.append(f"t{number}")
                leader.take(trades(number), "stream")
            case "down" | "up":
                is_live = step == "up"
                leader.take(state(live=is_live), "stream")
            case "say":
                listening.hear(leader.batch())
            case "lose":
                leader.batch()
            case "twice":
                batch = leader.batch()
                listening.hear(batch)
                assert listening.hear(batch) == []
            case "snapshot":
                listening.hear(*leader.snapshot())
    listening.hear(leader.batch())
    if listening.following.needs_snapshot:
        assert not listening.live, "what is not whole says so"
        listening.hear(*leader.snapshot())
    assert bool(listening.live) == is_live
    assert listening.latest.get(BTC_TICKER) == newest.get(BTC_TICKER)
    assert listening.trade_ids == [one for one in told if one in listening.trade_ids]
    assert listening.trade_ids[-relay_leading.TRADES_KEPT :] == told[-relay_leading.TRADES_KEPT :]


def test_a_batch_says_what_was_answered() -> None:
    leader = RelayLeader("reign")
    leader.answered = {"p": 3}
    assert over_the_wire(leader.batch()).answered == {"p": 3}
