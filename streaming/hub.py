"""Who follows what, and what each client gets next: sessions, topics, sequences, conflation.

Pure policy: no socket, no storage, no clock. Reading snapshots and moving bytes is done by others;
this decides that every client sees each topic's sequence without gap, or is told of a resync.
Nothing here looks at every session at once but `sessions` itself: there may be ten thousand.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from domain.principals import Principal
from streaming.frames import text_frame
from streaming.outbox import Outbox, Sink
from streaming.protocol import CloseCode, Limits

RING_MAX: Final = 512
#: Heartbeats are sent to one of so many groups of sessions after the other.
BEAT_GROUPS: Final = 50
#: Sessions that are closed in one turn because they never said who they are.
CLOSED_AT_ONCE: Final = 32
_MINUTE_S: Final = 60.0


class Topic(NamedTuple):
    """One numbered stream: a channel's messages about one subject, an account or a market.

    `newest_only`: a client that takes nothing at the moment gets the newest state afterwards, and
    nothing in between. `kept_max`: messages kept for whoever has an older snapshot.
    """

    channel: str
    subject: str
    newest_only: bool = False
    kept_max: int = RING_MAX


@dataclass(slots=True, eq=False)
class Session:
    """One connected client. `subscriptions` holds the sequence each began with; None where
    messages were left out, or never began, and a snapshot is due."""

    session_id: str
    channel: str
    outbox: Outbox
    sink: Sink
    opened_at: float
    group: int = 0
    principal: Principal | None = None
    follows_all: set[str] = field(default_factory=set)
    is_closed: bool = False
    subscriptions: dict[Topic, int | None] = field(default_factory=dict)
    resyncs: deque[float] = field(default_factory=deque)


class _TopicLog:
    """A topic: its newest messages, and where each of its followers stands.

    `in_step` have every message so far; `ahead` began with a newer snapshot; `behind` need one.
    """

    __slots__ = ("ahead", "behind", "in_step", "recent", "sequence")

    def __init__(self, sequence: int, kept_max: int) -> None:
        self.sequence = sequence
        self.recent: deque[tuple[int, bytes]] = deque(maxlen=kept_max)
        self.in_step: dict[Session, None] = {}
        self.ahead: dict[Session, int] = {}
        self.behind: dict[Session, None] = {}

    @property
    def followers(self) -> tuple[Session, ...]:
        return (*self.in_step, *self.ahead, *self.behind)

    def after(self, sequence: int) -> list[bytes] | None:
        """Return the messages past `sequence`, or None if they are not all here any more."""
        if sequence >= self.sequence:
            return []
        if not self.recent or self.recent[0][0] > sequence + 1:
            return None
        return [data for number, data in self.recent if number > sequence]

    def forget(self, session: Session) -> None:
        self.in_step.pop(session, None)
        self.ahead.pop(session, None)
        self.behind.pop(session, None)


@dataclass(slots=True)
class HubCounts:
    """What happened since the start, and by channel the `sessions` that are open.

    `closed` is by close code. `left_out` counts how often a subscription's messages were left out,
    `resyncs` the snapshots sent for that.
    """

    sessions: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    closed: Counter[int] = field(default_factory=Counter)
    left_out: int = 0
    resyncs: int = 0


class Hub:
    """All sessions of this process. `unfollowed` hears of each topic its last follower left."""

    def __init__(
        self, limits: Limits, unfollowed: Callable[[Topic], None] = lambda topic: None
    ) -> None:
        self._limits = limits
        self.unfollowed = unfollowed
        self._sessions: dict[str, Session] = {}
        self._topics: dict[Topic, _TopicLog] = {}
        self.counts = HubCounts()
        self._strangers: dict[Session, None] = {}
        self._of_principal: Counter[str] = Counter()
        self._blocked: dict[Session, None] = {}
        self._due: dict[Session, dict[Topic, None]] = {}
        self._groups: list[dict[Session, None]] = [{} for _ in range(BEAT_GROUPS)]
        self._opened = 0

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Every open session."""
        return tuple(self._sessions.values())

    @property
    def is_full(self) -> bool:
        """Whether no more sessions are taken."""
        return len(self._sessions) >= self._limits.sessions_max

    def open(self, session_id: str, channel: str, sink: Sink, now: float) -> Session:
        """Add a client that has not said yet who it is."""
        session = Session(
            session_id=session_id,
            channel=channel,
            outbox=Outbox(sink, self._limits, lambda: self._note_blocked(session)),
            sink=sink,
            opened_at=now,
            group=self._opened % BEAT_GROUPS,
        )
        self._opened += 1
        self._sessions[session_id] = session
        self.counts.sessions[channel] += 1
        self._strangers[session] = None
        return session

    def identify(self, session: Session, principal: Principal) -> bool:
        """Remember who a session is; False (and closed) if the principal has too many."""
        name = principal.principal_id
        if self._of_principal[name] >= self._limits.sessions_per_principal_max:
            self.close(session, CloseCode.TOO_MANY, "too many connections of this principal")
            return False
        self._of_principal[name] += 1
        session.principal = principal
        self._strangers.pop(session, None)
        self._groups[session.group][session] = None
        return True

    def close(self, session: Session, code: CloseCode, reason: str) -> None:
        """Close a session from our side."""
        if not session.is_closed:
            self.counts.closed[code] += 1
            self.forget(session)
            session.sink.close(code, reason)

    def forget(self, session: Session) -> None:
        """Remove a session whose connection is gone."""
        if session.is_closed:
            return
        session.is_closed = True
        self.counts.sessions[session.channel] -= 1
        session.outbox.stop()
        self._sessions.pop(session.session_id, None)
        self._strangers.pop(session, None)
        self._blocked.pop(session, None)
        self._groups[session.group].pop(session, None)
        if session.principal is not None:
            self._of_principal[session.principal.principal_id] -= 1
        for topic in list(session.subscriptions):
            self.unsubscribe(session, topic)

    def send(self, session: Session, data: bytes) -> None:
        """Send a message that belongs to no sequence and is never left out."""
        self._push(session, data, None)

    def attach(
        self, session: Session, topic: Topic, sequence: int, messages: Sequence[bytes]
    ) -> bool:
        """Subscribe a session: `messages` bring it to `sequence`, the topic's go on from there.

        Returns False, having done nothing, when the topic is further than its kept messages reach
        back: read again. Does nothing for a session that was closed meanwhile.
        """
        if session.is_closed:
            return True
        log = self._log(topic, sequence)
        following = log.after(sequence)
        if following is None:
            return False
        log.forget(session)
        self._no_longer_due(session, topic)
        session.subscriptions[topic] = sequence
        if sequence > log.sequence:
            log.ahead[session] = sequence
        else:
            log.in_step[session] = None
        for data in (*messages, *following):
            self._push(session, data, topic)
            if session.subscriptions.get(topic) is None:
                break
        return True

    def expect(self, session: Session, topic: Topic) -> None:
        """Subscribe a session to what has not begun yet: `attach` it when it does."""
        if not session.is_closed:
            self._log(topic, 0).behind[session] = None
            session.subscriptions.setdefault(topic, None)

    def unsubscribe(self, session: Session, topic: Topic) -> None:
        """End a subscription; nothing of the topic is sent any more."""
        session.subscriptions.pop(topic, None)
        session.outbox.leave_out(topic)
        self._no_longer_due(session, topic)
        log = self._topics.get(topic)
        if log is not None:
            log.forget(session)
            if not (log.in_step or log.ahead or log.behind):
                del self._topics[topic]
                self.unfollowed(topic)

    def followed(self, channel: str) -> dict[str, int]:
        """Return the subjects anybody follows, with the last sequence published of each."""
        return {
            topic.subject: log.sequence
            for topic, log in self._topics.items()
            if topic.channel == channel and (log.in_step or log.ahead)
        }

    def is_followed(self, topic: Topic) -> bool:
        """Tell whether anybody follows a topic."""
        return topic in self._topics

    def expecting(self, topic: Topic) -> tuple[Session, ...]:
        """Return the followers of a topic for whom it has not begun."""
        log = self._topics.get(topic)
        if log is None or not log.behind:
            return ()
        return tuple(each for each in log.behind if topic not in self._due.get(each, ()))

    def subscriptions(self) -> Counter[str]:
        """Return by channel how many subscriptions there are."""
        found: Counter[str] = Counter()
        for topic, log in self._topics.items():
            found[topic.channel] += len(log.in_step) + len(log.ahead) + len(log.behind)
        return found

    @property
    def behind(self) -> set[Outbox]:
        """Return the outboxes of clients that take nothing at present."""
        return {each.outbox for each in self._blocked if each.outbox.is_blocked}

    def publish(self, topic: Topic, sequence: int, data: bytes) -> None:
        """Send the topic's next message to all that follow it; one seen before is passed over.

        A jump in the sequence makes every follower resync rather than miss something.
        """
        log = self._topics.get(topic)
        if log is None or sequence <= log.sequence:
            return
        if sequence != log.sequence + 1:
            log.recent.clear()
            for session in tuple(log.in_step):
                self._leave_out(session, [topic])
        log.sequence = sequence
        log.recent.append((sequence, data))
        followers = tuple(log.in_step)
        self.counts.delivered[topic.channel] += len(followers)
        for session in followers:
            # Nearly all clients keep up nearly always: for them this is all there is to do.
            if session.outbox.is_clear:
                session.sink.send(data)
            else:
                self._push(session, data, topic)
        if log.ahead:
            self._reach(log, topic, sequence, data)

    def publish_together(self, topic: Topic, first: int, messages: Sequence[bytes]) -> None:
        """Send a topic's next messages, numbered from `first`, to all that follow it.

        As if each were published by itself, but for what each costs: whoever keeps up is sent all
        of them at once.
        """
        log = self._topics.get(topic)
        if log is None or log.ahead or first != log.sequence + 1 or len(messages) == 1:
            for sequence, data in enumerate(messages, first):
                self.publish(topic, sequence, data)
            return
        log.sequence += len(messages)
        log.recent.extend(enumerate(messages, first))
        followers = tuple(log.in_step)
        self.counts.delivered[topic.channel] += len(followers) * len(messages)
        frames = b"".join(map(text_frame, messages))
        for session in followers:
            if session.outbox.is_clear:
                session.sink.send_frames(frames)
                continue
            for data in messages:
                self._push(session, data, topic)
                if session.subscriptions.get(topic) is None:
                    break

    def announce(self, topic: Topic, data: bytes) -> None:
        """Send followers of a topic a message outside its sequence, such as its status."""
        log = self._topics.get(topic)
        for session in log.followers if log else ():
            self.send(session, data)

    def due_for_resync(self) -> list[tuple[Session, Topic]]:
        """Return the subscriptions that need a snapshot and whose client takes messages."""
        return [
            (session, topic)
            for session, topics in self._due.items()
            if not session.outbox.is_blocked
            for topic in topics
        ]

    def begin_resync(self, session: Session, now: float) -> bool:
        """Count a resync; False (and closed) when the client needs them all the time."""
        while session.resyncs and session.resyncs[0] <= now - _MINUTE_S:
            session.resyncs.popleft()
        if len(session.resyncs) >= self._limits.resyncs_per_minute_max:
            self.close(session, CloseCode.SLOW_CONSUMER, "reading slower than messages come")
            return False
        session.resyncs.append(now)
        self.counts.resyncs += 1
        return True

    def undo_resync(self, session: Session) -> None:
        """Take back the counting of a resync that storage prevented, not the client."""
        if session.resyncs:
            session.resyncs.pop()

    def owe(self, session: Session, topic: Topic) -> None:
        """Subscribe a session whose first snapshot cannot be read yet."""
        if not session.is_closed and topic not in session.subscriptions:
            self.expect(session, topic)
            self._due.setdefault(session, {})[topic] = None

    def sweep(self, now: float) -> bool:
        """Close who did not say in time who it is, and who has read nothing for too long.

        Returns True when there are more of the first than are closed at once: sweep again soon.
        """
        for session in tuple(islice(self._strangers, CLOSED_AT_ONCE)):
            if now - session.opened_at < self._limits.auth_s:
                break
            self.close(session, CloseCode.UNAUTHENTICATED, "expected auth in time")
        for session in tuple(self._blocked):
            if not session.outbox.is_blocked:
                del self._blocked[session]
            elif session.outbox.blocked_s(now) >= self._limits.slow_s:
                self.close(session, CloseCode.SLOW_CONSUMER, "nothing read for too long")
        oldest = next(iter(self._strangers), None)
        return oldest is not None and now - oldest.opened_at >= self._limits.auth_s

    def beat(self, data: bytes, group: int) -> None:
        """Send a heartbeat to every client of a group (below `BEAT_GROUPS`) that takes messages."""
        for session in tuple(self._groups[group]):
            if not session.outbox.is_blocked:
                self.send(session, data)

    def _log(self, topic: Topic, sequence: int) -> _TopicLog:
        log = self._topics.get(topic)
        if log is None:
            log = self._topics[topic] = _TopicLog(sequence, topic.kept_max)
        elif sequence > log.sequence and not (log.in_step or log.ahead):
            # Nobody has any part of the sequence: it goes on where the first one begins.
            log.sequence = sequence
            log.recent.clear()
        return log

    def _reach(self, log: _TopicLog, topic: Topic, sequence: int, data: bytes) -> None:
        """Let those who were ahead of the topic join the others where it reaches them."""
        for session, last in tuple(log.ahead.items()):
            if last > sequence:
                continue
            if last < sequence - 1:
                self._leave_out(session, [topic])
                continue
            del log.ahead[session]
            log.in_step[session] = None
            if last < sequence:
                self._push(session, data, topic)

    def _push(self, session: Session, data: bytes, topic: Topic | None) -> None:
        if session.is_closed:
            return
        if topic is not None and topic.newest_only and not session.outbox.is_clear:
            self._leave_out(session, [topic])
            return
        try:
            left_out = session.outbox.push(data, topic)
        except OverflowError:
            self.close(session, CloseCode.SLOW_CONSUMER, "too much waits to be read")
            return
        if left_out:
            self._leave_out(session, [one for one in left_out if isinstance(one, Topic)])

    def _leave_out(self, session: Session, topics: Iterable[Topic]) -> None:
        for topic in topics:
            if topic in session.subscriptions:
                session.subscriptions[topic] = None
                session.outbox.leave_out(topic)
                self.counts.left_out += 1
                log = self._topics[topic]
                log.forget(session)
                log.behind[session] = None
                self._due.setdefault(session, {})[topic] = None

    def _no_longer_due(self, session: Session, topic: Topic) -> None:
        due = self._due.get(session)
        if due is not None:
            due.pop(topic, None)
            if not due:
                del self._due[session]

    def _note_blocked(self, session: Session) -> None:
        self._blocked[session] = None
