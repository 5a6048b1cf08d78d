from __future__ import annotations

import time
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.principals import Action, Principal, local_principal
from streaming.hub import BEAT_GROUPS, CLOSED_AT_ONCE, RING_MAX, Hub, Session, Topic
from streaming.outbox import Outbox
from streaming.protocol import CloseCode, Limits

TOPIC = Topic("orders", "acc-1")
OTHER = Topic("orders", "acc-2")
LIMITS = Limits(queued_messages_max=4, queued_bytes_max=100, sessions_per_principal_max=2)


@dataclass
class Client:
    """A sink that remembers, and blocks after so many messages, as a full socket does."""

    sent: list[bytes] = field(default_factory=list)
    closed: tuple[int, str] | None = None
    takes: int | None = None
    session: Session | None = None
    writes: int = 0

    def send(self, data: bytes) -> None:
        self._write([data])

    def send_frames(self, frames: bytes) -> None:
        self._write(messages_in(frames))

    def _write(self, messages: list[bytes]) -> None:
        assert self.closed is None, "sent after closing"
        self.writes += 1
        self.sent += messages
        if self.takes is not None:
            self.takes -= len(messages)
            if self.takes <= 0:
                assert self.session is not None
                self.session.outbox.pause(0.0)

    def close(self, code: int, reason: str) -> None:
        assert self.closed is None, "closed twice"
        self.closed = (code, reason)


def messages_in(frames: bytes) -> list[bytes]:
    """Return what whole text frames say that are not masked and of ordinary length."""
    found = []
    while frames:
        assert (frames[0], frames[1] < 127) == (0x81, True)
        is_short = frames[1] < 126
        begin = 2 if is_short else 4
        end = begin + (frames[1] if is_short else int.from_bytes(frames[2:4], "big"))
        found.append(frames[begin:end])
        frames = frames[end:]
    return found


def joined(hub: Hub, name: str = "s1") -> tuple[Session, Client]:
    client = Client()
    session = hub.open(name, "orders", client, 0.0)
    client.session = session
    assert hub.identify(session, local_principal())
    return session, client


def publish(hub: Hub, sequence: int, topic: Topic = TOPIC) -> None:
    hub.publish(topic, sequence, b"%d" % sequence)


def test_snapshot_first_then_every_change_once() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    assert hub.attach(session, TOPIC, 5, [b"snapshot@5"])
    for sequence in (5, 6, 6, 7):
        publish(hub, sequence)
    assert client.sent == [b"snapshot@5", b"6", b"7"]
    assert hub.followed("orders") == {"acc-1": 7}
    assert hub.followed("positions") == {}


def test_a_snapshot_older_than_the_topic_is_followed_up_from_the_kept_messages() -> None:
    hub = Hub(LIMITS)
    first, _ = joined(hub)
    hub.attach(first, TOPIC, 5, [b"snapshot@5"])
    for sequence in (6, 7, 8):
        publish(hub, sequence)
    second, client = joined(hub, "s2")
    assert hub.attach(second, TOPIC, 6, [b"snapshot@6"])
    publish(hub, 9)
    assert client.sent == [b"snapshot@6", b"7", b"8", b"9"]


def test_a_snapshot_newer_than_the_topic_skips_what_it_holds() -> None:
    hub = Hub(LIMITS)
    first, _ = joined(hub)
    hub.attach(first, TOPIC, 5, [b"snapshot@5"])
    second, client = joined(hub, "s2")
    assert hub.attach(second, TOPIC, 7, [b"snapshot@7"])
    for sequence in (6, 7, 8):
        publish(hub, sequence)
    assert client.sent == [b"snapshot@7", b"8"]


def test_a_snapshot_too_old_for_the_kept_messages_is_refused() -> None:
    hub = Hub(LIMITS)
    first, _ = joined(hub)
    hub.attach(first, TOPIC, 0, [b"snapshot@0"])
    for sequence in range(1, RING_MAX + 10):
        publish(hub, sequence)
    second, client = joined(hub, "s2")
    assert not hub.attach(second, TOPIC, 3, [b"snapshot@3"])
    assert client.sent == []
    assert second.subscriptions == {}


def test_a_jump_in_the_sequence_makes_followers_resync() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.attach(session, TOPIC, 5, [b"snapshot@5"])
    publish(hub, 8)
    publish(hub, 9)
    assert client.sent == [b"snapshot@5"]
    assert hub.due_for_resync() == [(session, TOPIC)]
    assert hub.attach(session, TOPIC, 8, [b"resync", b"snapshot@8"])
    assert client.sent[1:] == [b"resync", b"snapshot@8", b"9"]
    assert hub.due_for_resync() == []


def test_a_blocked_client_is_queued_for_and_then_conflated() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    other, _ = joined(hub, "s2")
    hub.attach(session, TOPIC, 0, [b"snapshot"])
    hub.attach(other, TOPIC, 0, [b"snapshot"])
    session.outbox.pause(1.0)
    for sequence in range(1, 5):
        publish(hub, sequence)
    assert session.outbox.waiting == 4
    publish(hub, 5)
    publish(hub, 6)
    assert session.outbox.waiting == 0
    assert hub.due_for_resync() == [], "not while it takes nothing"
    session.outbox.resume(2.0)
    assert hub.due_for_resync() == [(session, TOPIC)]
    assert hub.begin_resync(session, 2.0)
    assert hub.attach(session, TOPIC, 6, [b"resync", b"snapshot@6"])
    publish(hub, 7)
    assert client.sent == [b"snapshot", b"resync", b"snapshot@6", b"7"]
    assert hub.sessions == (session, other)


def test_a_short_block_loses_nothing() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.attach(session, TOPIC, 0, [])
    client.takes = 2
    for sequence in range(1, 5):
        publish(hub, sequence)
    assert client.sent == [b"1", b"2"]
    client.takes = 1
    session.outbox.resume(1.0)
    assert client.sent == [b"1", b"2", b"3"]
    client.takes = None
    session.outbox.resume(2.0)
    assert client.sent == [b"1", b"2", b"3", b"4"]


def test_a_snapshot_too_big_to_wait_is_left_out_with_all_that_follows_it() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    session.outbox.pause(1.0)
    hub.attach(session, TOPIC, 3, [b"s" * 101, b"4"])
    session.outbox.resume(2.0)
    assert client.sent == []
    assert hub.due_for_resync() == [(session, TOPIC)]


def test_what_cannot_be_left_out_closes_a_client_that_reads_nothing() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    session.outbox.pause(1.0)
    for _ in range(5):
        hub.send(session, b"ack")
    assert client.closed == (CloseCode.SLOW_CONSUMER, "too much waits to be read")
    assert hub.sessions == ()
    hub.send(session, b"ack")
    hub.close(session, CloseCode.NORMAL, "again")


def test_reading_nothing_for_too_long_is_closed_and_nobody_else_is() -> None:
    hub = Hub(LIMITS)
    slow, client = joined(hub, "slow")
    fast, other = joined(hub, "fast")
    slow.outbox.pause(100.0)
    slow.outbox.pause(105.0)
    hub.sweep(109.9)
    before = client.closed
    assert before is None
    hub.sweep(110.0)
    assert client.closed == (CloseCode.SLOW_CONSUMER, "nothing read for too long")
    assert other.closed is None
    assert hub.sessions == (fast,)


def test_resyncing_all_the_time_is_closed() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    for number in range(LIMITS.resyncs_per_minute_max):
        assert hub.begin_resync(session, float(number))
    assert not hub.begin_resync(session, 10.0)
    assert client.closed is not None and client.closed[0] == CloseCode.SLOW_CONSUMER


def test_resyncs_now_and_then_are_fine() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    for number in range(50):
        assert hub.begin_resync(session, number * 11.0)
    assert client.closed is None


def test_who_does_not_say_who_it_is_in_time_is_closed() -> None:
    hub = Hub(LIMITS)
    client = Client()
    hub.open("s", "orders", client, 0.0)
    hub.sweep(4.9)
    assert client.closed is None
    hub.sweep(5.0)
    assert client.closed == (CloseCode.UNAUTHENTICATED, "expected auth in time")


def test_a_crowd_that_says_nothing_is_closed_some_at_a_time() -> None:
    hub = Hub(LIMITS)
    for number in range(2 * CLOSED_AT_ONCE + 1):
        hub.open(f"s{number}", "orders", Client(), 0.0)
    assert hub.sweep(4.9) is False
    turns = 1
    while hub.sweep(5.0):
        turns += 1
        assert len(hub.sessions) == 2 * CLOSED_AT_ONCE + 1 - (turns - 1) * CLOSED_AT_ONCE
    assert (turns, hub.sessions) == (3, ())


def test_connections_per_principal_are_bounded() -> None:
    hub = Hub(LIMITS)
    joined(hub, "s1")
    joined(hub, "s2")
    client = Client()
    session = hub.open("s3", "orders", client, 0.0)
    assert not hub.identify(session, local_principal())
    assert client.closed is not None and client.closed[0] == CloseCode.TOO_MANY
    another = Principal(principal_id="another", actions=frozenset(Action))
    assert hub.identify(hub.open("s4", "orders", Client(), 0.0), another)


def test_sessions_are_bounded() -> None:
    hub = Hub(Limits(sessions_max=1))
    assert not hub.is_full
    hub.open("s", "orders", Client(), 0.0)
    assert hub.is_full


def test_unsubscribing_ends_the_topic_with_its_last_follower() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.attach(session, TOPIC, 0, [])
    hub.attach(session, OTHER, 0, [])
    session.outbox.pause(0.0)
    publish(hub, 1)
    publish(hub, 1, OTHER)
    hub.unsubscribe(session, TOPIC)
    hub.unsubscribe(session, TOPIC)
    session.outbox.resume(1.0)
    publish(hub, 2)
    assert client.sent == [b"1"]
    assert hub.followed("orders") == {"acc-2": 1}
    hub.forget(session)
    assert hub.followed("orders") == {}


def test_attaching_a_session_that_went_away_does_nothing() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.forget(session)
    assert hub.attach(session, TOPIC, 1, [b"snapshot"])
    assert client.sent == []
    assert hub.followed("orders") == {}


def test_announcements_reach_followers_only() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    _, other = joined(hub, "s2")
    hub.attach(session, TOPIC, 0, [])
    hub.announce(TOPIC, b"stale")
    hub.announce(OTHER, b"nobody")
    assert (client.sent, other.sent) == ([b"stale"], [])


def test_heartbeats_go_to_who_is_known_and_takes_messages() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    blocked, waiting = joined(hub, "s2")
    stranger = Client()
    hub.open("s3", "orders", stranger, 0.0)
    blocked.outbox.pause(0.0)
    for group in range(BEAT_GROUPS):
        hub.beat(b"beat", group)
    assert (client.sent, waiting.sent, stranger.sent) == ([b"beat"], [], [])
    assert not session.is_closed


def test_an_outbox_by_itself() -> None:
    client = Client()
    outbox = Outbox(client, LIMITS)
    assert outbox.push(b"a", TOPIC) == frozenset()
    outbox.pause(3.0)
    assert outbox.blocked_s(4.5) == 1.5
    for _ in range(3):
        outbox.push(b"b", TOPIC)
    outbox.push(b"keep")
    assert outbox.push(b"c", OTHER) == {TOPIC, OTHER}
    outbox.resume(5.0)
    assert client.sent == [b"a", b"keep"]
    assert outbox.blocked_s(9.0) == 0.0
    for _ in range(4):
        outbox.pause(9.0)
        outbox.push(b"d")
    with pytest.raises(OverflowError):
        outbox.push(b"e")


@given(
    st.lists(
        st.one_of(
            st.just("publish"),
            st.just("pause"),
            st.just("resume"),
            st.just("snapshot"),
            st.just("jump"),
            st.just("together"),
        ),
        max_size=80,
    )
)
def test_whatever_happens_a_client_never_misses_a_change_unknowingly(steps: list[str]) -> None:
    hub = Hub(Limits(queued_messages_max=3, resyncs_per_minute_max=10**6))
    session, client = joined(hub)
    other, _ = joined(hub, "keeps the topic alive")
    hub.attach(other, TOPIC, 0, [])
    hub.attach(session, TOPIC, 0, [b"S0"])
    truth = 0
    for step in steps:
        if step in ("publish", "jump"):
            truth += 1 if step == "publish" else 3
            publish(hub, truth)
        elif step == "together":
            numbers = range(truth + 1, truth + 4)
            hub.publish_together(TOPIC, truth + 1, [b"%d" % number for number in numbers])
            truth += 3
        elif step == "pause":
            session.outbox.pause(0.0)
        elif step == "resume":
            session.outbox.resume(0.0)
        for who, topic in hub.due_for_resync():
            assert hub.attach(who, topic, truth, [b"S%d" % truth])
    session.outbox.resume(0.0)
    for who, topic in hub.due_for_resync():
        assert hub.attach(who, topic, truth, [b"S%d" % truth])
    known = 0
    for data in client.sent:
        if data.startswith(b"S"):
            known = int(data[1:])
        else:
            assert int(data) == known + 1
            known = int(data)
    assert known == truth


def test_messages_together_are_one_write_to_who_keeps_up() -> None:
    hub = Hub(LIMITS)
    fast, client = joined(hub)
    slow, late = joined(hub, "s2")
    for session in (fast, slow):
        hub.attach(session, TOPIC, 5, [])
    slow.outbox.pause(0.0)
    hub.publish_together(TOPIC, 6, [b"6", b"7", b"8"])
    assert (client.sent, client.writes) == ([b"6", b"7", b"8"], 1)
    assert (late.sent, slow.outbox.waiting) == ([], 3)
    assert hub.counts.delivered == {"orders": 6}
    slow.outbox.resume(1.0)
    publish(hub, 9)
    assert late.sent == client.sent == [b"6", b"7", b"8", b"9"]


def test_messages_together_to_who_reads_nothing_are_left_out_from_the_first_one_on() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.attach(session, TOPIC, 0, [])
    session.outbox.pause(0.0)
    hub.publish_together(TOPIC, 1, [b"x" * 60] * 3)
    assert (session.outbox.waiting, hub.counts.left_out) == (0, 1)
    session.outbox.resume(1.0)
    assert hub.due_for_resync() == [(session, TOPIC)]
    assert hub.attach(session, TOPIC, 3, [b"resync", b"snapshot@3"])
    publish(hub, 4)
    assert client.sent == [b"resync", b"snapshot@3", b"4"]


def test_messages_together_join_who_was_ahead_and_make_who_missed_some_resync() -> None:
    hub = Hub(LIMITS)
    first, client = joined(hub)
    hub.attach(first, TOPIC, 5, [])
    second, ahead = joined(hub, "s2")
    hub.attach(second, TOPIC, 7, [b"snapshot@7"])
    hub.publish_together(TOPIC, 6, [b"6", b"7", b"8"])
    assert (client.sent, ahead.sent) == ([b"6", b"7", b"8"], [b"snapshot@7", b"8"])
    hub.publish_together(TOPIC, 10, [b"10", b"11"])
    assert client.sent[-1] == b"8"
    assert {who for who, _ in hub.due_for_resync()} == {first, second}
    hub.publish_together(OTHER, 1, [b"1", b"2"])
    assert hub.followed("orders") == {}


NEWEST = Topic("top", "market", newest_only=True, kept_max=0)


def test_of_a_state_nothing_waits_for_who_is_blocked() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    other, seen = joined(hub, "s2")
    hub.attach(session, NEWEST, 5, [b"snapshot@5"])
    hub.attach(other, NEWEST, 5, [b"snapshot@5"])
    session.outbox.pause(0.0)
    for sequence in (6, 7, 8):
        publish(hub, sequence, NEWEST)
    assert session.outbox.waiting == 0
    assert session.subscriptions == {NEWEST: None}
    session.outbox.resume(1.0)
    assert hub.due_for_resync() == [(session, NEWEST)]
    assert hub.attach(session, NEWEST, 8, [b"resync", b"snapshot@8"])
    publish(hub, 9, NEWEST)
    assert client.sent == [b"snapshot@5", b"resync", b"snapshot@8", b"9"]
    assert seen.sent == [b"snapshot@5", b"6", b"7", b"8", b"9"]


def test_what_has_not_begun_is_expected_and_not_due() -> None:
    left: list[Topic] = []
    hub = Hub(LIMITS, left.append)
    session, client = joined(hub)
    hub.expect(session, NEWEST)
    assert (hub.expecting(NEWEST), hub.is_followed(NEWEST)) == ((session,), True)
    assert hub.due_for_resync() == []
    assert hub.followed("top") == {}
    assert hub.attach(session, NEWEST, 40, [b"snapshot@40"])
    assert hub.expecting(NEWEST) == ()
    publish(hub, 41, NEWEST)
    assert client.sent == [b"snapshot@40", b"41"]
    hub.unsubscribe(session, NEWEST)
    assert left == [NEWEST]
    hub.forget(session)
    hub.expect(session, NEWEST)
    assert not hub.is_followed(NEWEST)


def test_a_topic_that_all_are_behind_of_goes_on_where_the_first_one_begins() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.attach(session, TOPIC, 5, [b"snapshot@5"])
    publish(hub, 6)
    publish(hub, 9)
    assert hub.attach(session, TOPIC, 12, [b"resync", b"snapshot@12"])
    late, seen = joined(hub, "s2")
    assert not hub.attach(late, TOPIC, 6, [b"snapshot@6"]), "what is between is not kept"
    publish(hub, 13)
    assert client.sent[-1] == b"13"
    assert seen.sent == []


def test_an_owed_snapshot_is_due_until_it_is_there() -> None:
    hub = Hub(LIMITS)
    session, client = joined(hub)
    hub.owe(session, TOPIC)
    assert hub.due_for_resync() == [(session, TOPIC)]
    assert hub.expecting(TOPIC) == ()
    hub.attach(session, TOPIC, 3, [b"snapshot@3"])
    hub.owe(session, TOPIC)
    assert hub.due_for_resync() == []
    assert client.sent == [b"snapshot@3"]


def test_what_runs_by_the_clock_does_not_look_at_everybody() -> None:
    hub = Hub(Limits(sessions_per_principal_max=10_000))
    for number in range(10_000):
        session, _ = joined(hub, str(number))
        hub.attach(session, NEWEST, 0, [])
    blocked = hub.sessions[17]
    blocked.outbox.pause(0.0)
    publish(hub, 1, NEWEST)
    group = hub._groups[blocked.group]
    assert len(group) == 10_000 // BEAT_GROUPS

    def round_s() -> float:
        began = time.perf_counter()
        hub.sweep(1.0)
        assert hub.due_for_resync() == []
        hub.beat(b"beat", blocked.group)
        return time.perf_counter() - began

    assert min(round_s() for _ in range(5)) < 0.005
