"""What all venues' streams share: silence, open answers, and live said once per change."""

from __future__ import annotations

from datetime import UTC, datetime

from venues.connector import AccountEvent, FeedState, FillsSeen
from venues.payloads import WireError
from venues.stream_session import LiveStream, SessionOver, SessionWatch

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SNAPSHOT = FillsSeen(account_id="acc", fills=(), is_snapshot=True)


class Echo:
    """A conversation whose answers are named by its messages."""

    def __init__(self) -> None:
        self.watch = SessionWatch(
            silence_max_s=60, answer_within_s=15, ping=b"ping", ping_every_s=25
        )

    def begin(self, now: float) -> tuple[bytes, ...]:
        self.watch.expect("orders", "orders not acknowledged", now)
        self.watch.expect("fills", "no snapshot of fills", now)
        return (b"hello",)

    def hear(self, payload: bytes, now: float, at: datetime) -> tuple[AccountEvent, ...]:
        if payload == b"over":
            raise SessionOver("the venue says: over")
        if payload == b"ping":
            self.watch.reply(b"pong")
        if payload == b"wrong":
            raise WireError("expected sense, found none")
        self.watch.answered(payload.decode())
        return (SNAPSHOT,) if payload == b"fills" else ()


def state(*, live: bool, reason: str) -> FeedState:
    return FeedState(account_id="acc", live=live, reason=reason, at=NOW)


def stream() -> tuple[Echo, LiveStream[AccountEvent]]:
    echo = Echo()
    return echo, LiveStream(echo, "acc")


def test_the_snapshot_comes_before_the_word_that_the_feed_is_live_and_that_comes_once() -> None:
    echo, core = stream()
    before = echo.watch.is_connected
    assert not before
    begun = core.connected(0.0, NOW)
    assert (begun.send, begun.events) == ((b"hello",), ())
    assert echo.watch.is_connected
    assert core.received(b"orders", 1.0, NOW).events == ()
    live = state(live=True, reason="subscribed")
    assert core.received(b"fills", 1.0, NOW).events == (SNAPSHOT, live)
    assert core.received(b"fills", 1.0, NOW).events == (SNAPSHOT,)


def test_what_waits_no_longer_makes_the_feed_live_before_the_next_message() -> None:
    echo, core = stream()
    core.connected(0.0, NOW)
    core.received(b"orders", 1.0, NOW)
    echo.watch.answered("fills")
    live = state(live=True, reason="subscribed")
    assert core.received(b"fills", 1.0, NOW).events == (live, SNAPSHOT)


def test_the_oldest_open_answer_is_the_reason() -> None:
    echo, core = stream()
    core.connected(0.0, NOW)
    assert core.tick(14.9, NOW).close is None
    assert core.tick(15.0, NOW).close == "orders not acknowledged within 15 s"
    echo.watch.answered("orders")
    assert core.tick(15.0, NOW).close == "no snapshot of fills within 15 s"
    echo.watch.answered("fills")
    assert core.tick(15.0, NOW).close is None


def test_pings_and_silence() -> None:
    _, core = stream()
    core.connected(0.0, NOW)
    for name in (b"orders", b"fills"):
        core.received(name, 0.0, NOW)
    assert core.tick(24.9, NOW).send == ()
    assert core.tick(25.0, NOW).send == (b"ping",)
    assert core.tick(26.0, NOW).send == ()
    assert core.tick(59.9, NOW).close is None
    assert core.tick(60.0, NOW).close == "nothing heard for 60 s"
    quiet = SessionWatch(silence_max_s=60, answer_within_s=15)
    quiet.begin(0.0)
    assert quiet.tick(59.0) == (None, None)


def test_what_ends_a_connection_is_its_reason() -> None:
    for payload, reason in (
        (b"over", "the venue says: over"),
        (b"wrong", "unreadable message: expected sense, found none"),
    ):
        _, core = stream()
        core.connected(0.0, NOW)
        assert core.received(payload, 1.0, NOW).close == reason


def test_a_loss_is_told_once_for_each_reason() -> None:
    echo, core = stream()
    assert core.disconnected("refused", NOW) == (state(live=False, reason="refused"),)
    assert core.disconnected("refused", NOW) == ()
    assert core.disconnected("waiting", NOW) == (state(live=False, reason="waiting"),)
    core.connected(0.0, NOW)
    for name in (b"orders", b"fills"):
        core.received(name, 0.0, NOW)
    assert core.disconnected("waiting", NOW) == (state(live=False, reason="waiting"),)
    assert not echo.watch.is_connected


def test_a_reply_goes_out_with_the_message_that_it_answers_and_once() -> None:
    _, core = stream()
    core.connected(0.0, NOW)
    assert core.received(b"ping", 1.0, NOW).send == (b"pong",)
    assert core.received(b"orders", 1.0, NOW).send == ()


def test_a_reply_to_a_lost_connection_is_not_said_on_the_next() -> None:
    echo, core = stream()
    core.connected(0.0, NOW)
    echo.watch.reply(b"pong")
    core.disconnected("lost", NOW)
    core.connected(1.0, NOW)
    assert core.received(b"orders", 1.0, NOW).send == ()
