"""The state of an account's session with its venue: facts, each with who knows it and since when.

Workers know clocks, circuits, budgets and what a key proved to be; streaming processes know feeds.
They say it again and again; who shows it shows its age, and what is too old as not known. No
command depends on it: that a feed is live tells a worker only to wait for it before it asks the
venue. Nothing is secret: of a token only when it ends. Knows no venue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from domain.accounts import Account

#: So old at most is what counts as known: each is said several times within this.
FEED_LASTS: Final = timedelta(seconds=15)
PLACE_LASTS: Final = timedelta(seconds=30)
#: A clock is measured each minute, and a key is proved every six hours.
CLOCK_LASTS: Final = timedelta(minutes=4)
RIGHTS_LASTS: Final = timedelta(hours=13)

#: So old at most is the word that a feed is live, for who waits for it before asking the venue.
FEED_HEARD_LASTS: Final = timedelta(seconds=5)


def is_known(at: datetime | None, lasts: timedelta, now: datetime) -> bool:
    """Tell whether what was said at a time is still known; never said is not known."""
    return at is not None and now - at <= lasts


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredClock:
    """How far our clock is before a venue's in seconds, and by how much that may be wrong."""

    offset_s: float
    uncertainty_s: float
    is_beyond_bound: bool
    measured_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitState:
    """Whether what raises exposure is refused for want of verdicts.

    `retry_in_s` is when the next may try, None while it is closed; `unanswered` counts the commands
    in a row without a verdict.
    """

    is_open: bool
    retry_in_s: float | None
    unanswered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetLeft:
    """What is left of what a process allows itself to ask of a venue, in the venue's `unit`.

    `left` of `capacity`, refilled by `per_s` each second; it may be below zero.
    """

    unit: str
    left: float
    capacity: float
    per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSession:
    """What a worker says of a venue on a network. None: it does not know, or there is none."""

    venue: str
    network: str
    said_at: datetime
    circuit: CircuitState
    clock: MeasuredClock | None = None
    budget: BudgetLeft | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenRights:
    """What the last self-check of a key proved: whose it is, what it may do, and until when.

    `refusal` says why the venue takes nothing of it, None where it does.
    """

    signer: str
    owner_address: str | None
    power: str
    expires_at: datetime | None
    refusal: str | None
    proved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingSession:
    """What a worker says of an account. `tokens` None: its venue has none; else when each ends."""

    account_id: str
    said_at: datetime
    rights: ProvenRights | None = None
    tokens: Mapping[str, datetime] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSession:
    """What the process that follows an account's private feed says of it.

    `since` is when it became what it is, live or not; `channels` tells when a message of each kind
    was heard last. `tokens` as of `TradingSession`, of what the feed holds.
    """

    account_id: str
    said_at: datetime
    live: bool
    since: datetime
    reason: str
    channels: Mapping[str, datetime] = field(default_factory=dict)
    tokens: Mapping[str, datetime] | None = None


def is_heard(feed: FeedSession | None, now: datetime) -> bool:
    """Tell whether a feed is live and somebody said so just now."""
    return feed is not None and feed.live and is_known(feed.said_at, FEED_HEARD_LASTS, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSession:
    """What was said last of an account and its place, however long ago; None: nothing was."""

    place: PlaceSession | None = None
    trading: TradingSession | None = None
    feed: FeedSession | None = None


class SessionStates(Protocol):
    """Tells what was said of sessions."""

    async def read(self, account: Account) -> AccountSession:
        """Return what was said last of an account's session.

        Raises:
            Unavailable: it cannot be asked.
        """
        ...
