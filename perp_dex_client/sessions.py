"""The state of an account's session, typed: every fact with its age, what is too old as unknown."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact about a session; `state` `unknown`: nobody said it lately, `age_s` since when."""

    state: str = "unknown"
    said_at: datetime | None = None
    age_s: float | None = None


class Rights(Fact, frozen=True, kw_only=True):
    """What the last self-check of the key proved: `proved`, `refused` or `unknown`."""

    signer: str | None = None
    owner_address: str | None = None
    power: str | None = None
    expires_at: datetime | None = None
    expires_soon: bool = False


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A lane of nonces, and the last one that was taken of it."""

    lane: str
    last_nonce: int


class Nonces(msgspec.Struct, frozen=True, kw_only=True):
    """The signer's nonces as the ledger has them; `rule` None: nobody says how they count."""

    rule: str | None = None
    lanes: tuple[Lane, ...] = ()


class FeedChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of message on the private feed, and how long ago one was heard."""

    channel: str
    heard_at: datetime
    age_s: float


class FeedFact(Fact, frozen=True, kw_only=True):
    """The private feed: `live`, `stale` or `unknown`; `since` is when it became so."""

    since: datetime | None = None
    reason: str | None = None
    channels: tuple[FeedChannel, ...] = ()


class ClockFact(Fact, frozen=True, kw_only=True):
    """Our clock against the venue's: `ok`, `beyond_bound` or `unknown`."""

    offset_ms: float | None = None
    uncertainty_ms: float | None = None


class CircuitFact(Fact, frozen=True, kw_only=True):
    """Whether new exposure is refused for want of verdicts: `closed`, `open` or `unknown`."""

    retry_in_s: float | None = None
    unanswered: int | None = None


class BudgetFact(Fact, frozen=True, kw_only=True):
    """What is left of what the worker asks of the venue: `known`, `not_told` or `unknown`."""

    unit: str | None = None
    left: float | None = None
    capacity: float | None = None
    per_s: float | None = None


class TokenFact(msgspec.Struct, frozen=True, kw_only=True):
    """An access token that a process holds, and when it ends; never the token."""

    name: str
    holder: str
    expires_at: datetime
    expires_in_s: float
    expired: bool
    age_s: float


class AccountSession(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an account's session. `tokens` None: the venue has none, or nobody says so."""

    rights: Rights = Rights()
    nonces: Nonces = Nonces()
    feed: FeedFact = FeedFact()
    clock: ClockFact = ClockFact()
    circuit: CircuitFact = CircuitFact()
    rate_budget: BudgetFact = BudgetFact()
    tokens: tuple[TokenFact, ...] | None = None
