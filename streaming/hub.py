"""Who follows what, and what each client gets next: sessions, topics, sequences, conflation.

Pure policy: no socket, no storage, no clock. Reading snapshots and moving bytes is done by others;
this decides that every client sees each topic's sequence without gap, or is told of a resync.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from domain.principals import Principal
from streaming.outbox import Outbox, Sink
from streaming.protocol import CloseCode, Limits

RING_MAX: Final = 512
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Topic:
    """One numbered stream: a channel's messages of one account."""

    channel: str
    account_id: str


@dataclass(slots=True, eq=False)
class Session:
    """One connected client. `subscriptions` holds the last sequence queued for it, per topic;
    None where messages were left out and a snapshot is due."""

    session_id: str
    channel: str
    outbox: Outbox
    sink: Sink
    opened_at: float
    principal: Principal | None = None
    follows_all: bool = False
    is_closed: bool = False
    subscriptions: dict[Topic, int | None] = field(default_factory=dict)
    resyncs: deque[float] = field(default_factory=deque)


@dataclass(slots=True)
class _TopicLog:
    """The newest messages of a topic, so that a snapshot read a moment ago can be followed up."""

    sequence: int
    recent: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=RING_MAX))
    sessions: set[Session] = field(default_factory=set)

    def after(self, sequence: int) -> list[bytes] | None:
        """Return the messages past `sequence`, or None if they are not all here any more."""
        if sequence >= self.sequence:
            return []
        if not self.recent or self.recent[0][0] > sequence + 1:
            return None
        return [data for number, data in self.recent if number > sequence]


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
    """All sessions of this process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sessions: dict[str, Session] = {}
        self._topics: dict[Topic, _TopicLog] = {}
        self.counts = HubCounts()
        #: The outboxes of clients that take nothing at present.
        self.behind: set[Outbox] = set()

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
            outbox=Outbox(sink, self._limits, self.behind),
            sink=sink,
            opened_at=now,
        )
        self._sessions[session_id] = session
        self.counts.sessions[channel] += 1
        return session

    def identify(self, session: Session, principal: Principal) -> bool:
        """Remember who a session is; False (and closed) if the principal has too many."""
        same = [s for s in self.sessions if s.principal and _same(s.principal, principal)]
        if len(same) >= self._limits.sessions_per_principal_max:
            self.close(session, CloseCode.TOO_MANY, "too many connections of this principal")
            return False
        session.principal = principal
        return True

    def close(self, session: Session, code: CloseCode, reason: str) -> None:
        """Close a session from our side."""
        if not session.is_closed:
            self.counts.closed[code] += 1
            self.forget(session)
            session.sink.close(code, reason)

    def forget(self, session: Session) -> None:
        """Remove a session whose connection is gone."""
        session.is_closed = True
        if self._sessions.pop(session.session_id, None) is not None:
            self.counts.sessions[session.channel] -= 1
        self.behind.discard(session.outbox)
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
        log = self._topics.get(topic)
        if log is None:
            log = self._topics[topic] = _TopicLog(sequence)
        following = log.after(sequence)
        if following is None:
            return False
        log.sessions.add(session)
        session.subscriptions[topic] = max(sequence, log.sequence)
        for data in (*messages, *following):
            self._push(session, data, topic)
            if session.subscriptions.get(topic) is None:
                break
        return True

    def unsubscribe(self, session: Session, topic: Topic) -> None:
        """End a subscription; nothing of the topic is sent any more."""
        session.subscriptions.pop(topic, None)
        session.outbox.leave_out(topic)
        log = self._topics.get(topic)
        if log is not None:
            log.sessions.discard(session)
            if not log.sessions:
                del self._topics[topic]

    def followed(self, channel: str) -> dict[str, int]:
        """Return the accounts anybody follows, with the last sequence published of each."""
        return {
            topic.account_id: log.sequence
            for topic, log in self._topics.items()
            if topic.channel == channel
        }

    def subscriptions(self) -> Counter[str]:
        """Return by channel how many subscriptions there are."""
        found: Counter[str] = Counter()
        for topic, log in self._topics.items():
            found[topic.channel] += len(log.sessions)
        return found

    def publish(self, topic: Topic, sequence: int, data: bytes) -> None:
        """Send the topic's next message to all that follow it; one seen before is passed over.

        A jump in the sequence makes every follower resync rather than miss something.
        """
        log = self._topics.get(topic)
        if log is None or sequence <= log.sequence:
            return
        if sequence != log.sequence + 1:
            log.recent.clear()
        log.sequence = sequence
        log.recent.append((sequence, data))
        delivered = 0
        for session in tuple(log.sessions):
            last = session.subscriptions.get(topic)
            if last is None or sequence <= last:
                continue
            if sequence == last + 1:
                session.subscriptions[topic] = sequence
                self._push(session, data, topic)
                delivered += 1
            else:
                self._leave_out(session, [topic])
        self.counts.delivered[topic.channel] += delivered

    def announce(self, topic: Topic, data: bytes) -> None:
        """Send followers of a topic a message outside its sequence, such as its status."""
        log = self._topics.get(topic)
        for session in tuple(log.sessions) if log else ():
            self.send(session, data)

    def due_for_resync(self) -> list[tuple[Session, Topic]]:
        """Return the subscriptions that need a snapshot and whose client takes messages."""
        return [
            (session, topic)
            for session in self.sessions
            if not session.outbox.is_blocked
            for topic, last in session.subscriptions.items()
            if last is None
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
        if not session.is_closed:
            session.subscriptions.setdefault(topic, None)

    def sweep(self, now: float) -> None:
        """Close who did not say in time who it is, and who has read nothing for too long."""
        for session in self.sessions:
            if session.principal is None and now - session.opened_at >= self._limits.auth_s:
                self.close(session, CloseCode.UNAUTHENTICATED, "expected auth in time")
            elif session.outbox.blocked_s(now) >= self._limits.slow_s:
                self.close(session, CloseCode.SLOW_CONSUMER, "nothing read for too long")

    def beat(self, data: bytes) -> None:
        """Send a heartbeat to every client that takes messages."""
        for session in self.sessions:
            if session.principal is not None and not session.outbox.is_blocked:
                self.send(session, data)

    def _push(self, session: Session, data: bytes, topic: Topic | None) -> None:
        if session.is_closed:
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


def _same(left: Principal, right: Principal) -> bool:
    return left.principal_id == right.principal_id
