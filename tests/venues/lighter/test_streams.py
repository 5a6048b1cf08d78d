"""Both conversations without I/O: frames in, facts out; what is missing, twice, or not ours."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from domain.market_data import BookLevel
from domain.orders import Verdict
from tests.venues.lighter.building import NOW, account, sample
from venues.connector import (
    AccountSeen,
    BookSeen,
    FeedState,
    FillsSeen,
    MarketChannel,
    MarketChannelKind,
    OrdersSeen,
    TickerSeen,
    TradesSeen,
)
from venues.lighter import translate, wire
from venues.lighter.account_stream import AccountStream, MarketFacts
from venues.lighter.book_fold import BookFold, Folded
from venues.lighter.market_stream import MarketStream
from venues.lighter.translate import MarketNames
from venues.stream_session import LiveStream, SessionOver

MARKETS = translate.instruments(
    [
        wire.MarketRow(
            symbol=name,
            market_id=number,
            status="active",
            min_base_amount=Decimal("0.0001"),
            min_quote_amount=Decimal(10),
            min_initial_margin_fraction=200,
            size_decimals=5,
            price_decimals=1,
        )
        for number, name in enumerate(("ETH", "BTC"))
    ]
)
BOOK = MarketChannel(kind=MarketChannelKind.BOOK, symbol="BTC-PERP")


def book(kind: str, nonce: int, begin: int, **sides: list[tuple[str, str]]) -> bytes:
    levels = {
        side: [{"price": price, "size": size} for price, size in sides.get(side, [])]
        for side in ("bids", "asks")
    }
    content = {**levels, "nonce": nonce, "begin_nonce": begin, "offset": 1, "code": 0}
    return json.dumps(
        {"type": f"{kind}/order_book", "channel": "order_book:1", "order_book": content,
         "timestamp": 1_778_138_582_602}
    ).encode()  # fmt: skip


class Talk:
    """A stream over a conversation, with a clock that only goes on."""

    def __init__(self, conversation: Any, account_id: str | None = None) -> None:
        self.core: LiveStream[Any] = LiveStream(conversation, account_id)
        self.now = 0.0
        self.first = self.core.connected(self.now, NOW).send

    def hear(self, payload: bytes | dict[str, Any]) -> Any:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.now += 0.1
        return self.core.received(body, self.now, NOW)


def markets(*channels: MarketChannel) -> Talk:
    stream = MarketStream(MARKETS)
    stream.want(channels, 0.0)
    return Talk(stream)


def test_a_book_comes_whole_and_changes_from_there() -> None:
    talk = markets(BOOK)
    assert [json.loads(frame) for frame in talk.first] == [
        {"type": "subscribe", "channel": "order_book/1"}
    ]
    whole = book("subscribed", 10, 0, bids=[("99.0", "1"), ("98.0", "2")], asks=[("101.0", "3")])
    step = talk.hear(whole)
    assert [type(event) for event in step.events] == [BookSeen, FeedState]
    change = book("update", 15, 10, bids=[("99.0", "0"), ("97.5", "4")], asks=[("100.5", "1")])
    (seen,) = talk.hear(change).events
    assert [(level.price, level.quantity) for level in seen.book.bids] == [
        (Decimal("98.0"), Decimal(2)),
        (Decimal("97.5"), Decimal(4)),
    ]
    assert seen.book.asks[0].price == Decimal("100.5")
    assert talk.hear(change).events == (), "the same again changes nothing"


def test_a_book_with_a_gap_is_asked_for_anew_and_told_no_more_until_it_comes() -> None:
    talk = markets(BOOK)
    talk.hear(book("subscribed", 10, 0, bids=[("99.0", "1")], asks=[("101.0", "3")]))
    step = talk.hear(book("update", 20, 15, bids=[("98.0", "1")]))
    assert step.events == ()
    assert [json.loads(frame)["type"] for frame in step.send] == ["unsubscribe", "subscribe"]
    assert talk.hear(book("update", 25, 20, bids=[("97.0", "1")])).events == ()
    (seen,) = talk.hear(
        book("subscribed", 30, 0, bids=[("96.0", "1")], asks=[("101.0", "3")])
    ).events
    assert [level.price for level in seen.book.bids] == [Decimal("96.0")]


def test_a_book_that_crosses_itself_ends_the_session() -> None:
    talk = markets(BOOK)
    step = talk.hear(book("subscribed", 10, 0, bids=[("102.0", "1")], asks=[("101.0", "3")]))
    assert step.close is not None and "crosses" in step.close


def test_a_fold_without_numbers_takes_what_comes() -> None:
    fold = BookFold()
    early = wire.BookChanges(asks=[], bids=[wire.Level(price=Decimal(1), size=Decimal(1))])
    assert fold.change(early) is Folded.STALE
    fold.begin(early)
    assert fold.change(early) is Folded.TAKEN
    assert fold.bids() == (BookLevel(price=Decimal(1), quantity=Decimal(1)),)


@pytest.mark.parametrize(
    "frame",
    [
        {"error": {"code": 30005, "message": "Invalid Channel:  (account)"}},
        {"type": "error", "code": 30009, "message": "Too Many Messages!"},
        {"type": "shutdown", "close_in_ms": 30000},
    ],
)
def test_what_the_venue_complains_of_ends_the_session(frame: dict[str, Any]) -> None:
    assert markets(BOOK).hear(frame).close is not None


def test_a_second_subscription_does_no_harm_and_a_ping_is_answered() -> None:
    talk = markets(BOOK)
    already = {"error": {"code": 30003, "message": "Already Subscribed to : order_book:1"}}
    assert talk.hear(already).close is None
    assert talk.hear({"type": "ping"}).send == (b'{"type":"pong"}',)
    assert talk.hear({"session_id": "x", "type": "connected"}).close is None


def test_what_is_no_frame_ends_the_session() -> None:
    for payload in (b"", b"[]", b"{", b'{"type":"update/order_book","channel":"order_book:1"}'):
        assert markets(BOOK).hear(payload).close is not None


# Accounts


def conversation() -> AccountStream:
    stream = AccountStream(account(address="1234"))
    stream.token = "token"
    stream.facts = MarketFacts(names=MarketNames(MARKETS), maintenance={1: Decimal("0.01")})
    return stream


def order(**changes: Any) -> dict[str, Any]:
    return {
        "order_index": 1 << 48, "client_order_index": 42, "market_index": 1,
        "owner_account_index": 1234, "initial_base_amount": "1.0", "price": "100.0",
        "is_ask": False, "filled_base_amount": "0.0", "filled_quote_amount": "0.0",
        "type": "limit", "reduce_only": False, "trigger_price": "0.0", "status": "open",
        "timestamp": 1_777_941_383, **changes,
    }  # fmt: skip


def test_an_account_is_live_when_all_its_channels_are() -> None:
    talk = Talk(conversation(), "acc")
    asked = [json.loads(frame) for frame in talk.first]
    assert {one["auth"] for one in asked} == {"token"}
    events: list[Any] = []
    for one in asked:
        name = one["channel"].partition("/")[0]
        contents: dict[str, dict[str, Any]] = {
            "account_all_orders": {"orders": {"1": [order()]}},
            "account_all_trades": {"trades": []},
            "account_all_positions": {"positions": {}},
            "user_stats": {"stats": {"collateral": "5", "available_balance": "4",
                                     "portfolio_value": "6"}},
        }  # fmt: skip
        events += talk.hear(
            {"type": f"subscribed/{name}", "channel": f"{name}:1234", **contents[name]}
        ).events
    kinds = [type(event) for event in events]
    assert kinds.count(FeedState) == 1 and kinds[-1] is FeedState
    assert {OrdersSeen, AccountSeen} <= set(kinds)
    seen = next(event for event in events if isinstance(event, AccountSeen))
    assert (seen.summary.equity, seen.summary.available) == (Decimal(6), Decimal(4))


def test_another_accounts_frames_end_the_session() -> None:
    for frame in (
        {"type": "update/user_stats", "channel": "user_stats:99", "stats": {}},
        {
            "type": "update/account_all_orders", "channel": "account_all_orders:1234",
            "orders": {"1": [order(owner_account_index=99)]},
        },
    ):  # fmt: skip
        assert Talk(conversation(), "acc").hear(frame).close is not None


def test_a_session_ends_before_its_token_does() -> None:
    stream = conversation()
    stream.token_end = NOW + timedelta(minutes=14)
    with pytest.raises(SessionOver, match="token"):
        stream.hear(b'{"type":"pong"}', 0.0, NOW)
    stream.token_end = NOW + timedelta(minutes=16)
    assert stream.hear(b'{"type":"pong"}', 0.0, NOW) == ()


def test_funding_that_was_paid_is_noticed() -> None:
    called: list[int] = []
    stream = AccountStream(account(address="1234"), lambda: called.append(1))
    stream.facts = conversation().facts
    row = {
        "market_id": 1, "symbol": "BTC", "initial_margin_fraction": "5.00", "sign": -1,
        "position": "1.0", "avg_entry_price": "100", "position_value": "101",
        "unrealized_pnl": "1", "liquidation_price": "0", "margin_mode": 0,
        "allocated_margin": "0", "total_funding_paid_out": "0.1",
    }  # fmt: skip
    frame = {"type": "update/account_all_positions", "channel": "account_all_positions:1234"}
    for paid in ("0.1", "0.1", "0.2"):
        row["total_funding_paid_out"] = paid
        stream.hear(msgspec.json.encode({**frame, "positions": {"1": row}}), 0.0, NOW)
    assert called == [1]


@pytest.mark.parametrize(
    ("status", "filled", "verdict"),
    [
        ("in-progress", "0", Verdict.SUBMITTED),
        ("pending", "0", Verdict.ACCEPTED),
        ("open", "0", Verdict.ACCEPTED),
        ("open", "0.5", Verdict.PARTIALLY_FILLED),
        ("filled", "1.0", Verdict.FILLED),
        ("filled", "0.5", Verdict.CANCELED),
        ("canceled", "0", Verdict.CANCELED),
        ("canceled-expired", "0", Verdict.EXPIRED),
        ("canceled-post-only", "0", Verdict.REJECTED),
        ("canceled-margin-not-allowed", "0", Verdict.REJECTED),
        ("canceled-margin-not-allowed", "0.5", Verdict.CANCELED),
        ("canceled-not-enough-liquidity", "0", Verdict.CANCELED),
        ("canceled-something-new", "0", Verdict.CANCELED),
        ("something-new", "0", Verdict.ACCEPTED),
    ],
)
def test_statuses(status: str, filled: str, verdict: Verdict) -> None:
    row = msgspec.convert(
        order(status=status, filled_base_amount=filled, filled_quote_amount="50"), wire.OrderRow,
        strict=False,
    )  # fmt: skip
    found = translate.order(row, MarketNames(MARKETS))
    assert found is not None and found.verdict is verdict


# Recorded, where this machine has it


def test_recorded_streams_are_read_whole_and_the_book_never_crosses() -> None:
    frames = sample("ws/recorded_mainnet_btc_stream_part1.json")
    if frames is None:
        return
    kinds = (MarketChannelKind.BOOK, MarketChannelKind.TRADES, MarketChannelKind.TICKER)
    talk = markets(*(MarketChannel(kind=kind, symbol="BTC-PERP") for kind in kinds))
    seen: list[Any] = []
    public = sample("ws/recorded_mainnet_public_btc.json")
    payloads = [frame["msg"].encode() for frame in frames] + [
        msgspec.json.encode(f) for f in public
    ]
    for payload in payloads:
        step = talk.hear(payload)
        assert step.close is None, step.close
        seen += step.events
    assert {BookSeen, TradesSeen, TickerSeen} <= {type(event) for event in seen}
    assert sum(isinstance(event, BookSeen) for event in seen) > 500


def test_recorded_orders_of_an_account_are_read() -> None:
    frames = sample("ws/recorded_mainnet_account_all_orders.json")
    if frames is None:
        return
    stream = AccountStream(account(address="659514"))
    stream.facts = conversation().facts
    talk = Talk(stream, "acc")
    seen = [event for frame in frames for event in talk.hear(frame).events]
    verdicts = [
        one.verdict for event in seen if isinstance(event, OrdersSeen) for one in event.orders
    ]
    assert verdicts == [Verdict.ACCEPTED, Verdict.CANCELED]


def test_documented_frames_are_read() -> None:
    stream = AccountStream(account(address="1234"))
    stream.facts = conversation().facts
    talk = Talk(stream, "acc")
    for name in ("account_all_trades_update", "account_all_positions_update", "user_stats_update"):
        frame = sample(f"ws/nautilus_ws_{name}.json")
        if frame is None:
            return
        step = talk.hear(frame)
        assert step.close is None, (name, step.close)
        if name == "account_all_trades_update":
            (seen,) = step.events
            assert isinstance(seen, FillsSeen) and seen.fills[0].fee > 0
