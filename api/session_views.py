"""Responses about an account's session: every fact with its age, and what is too old as unknown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from api.views import View, moment
from domain.accounts import EXPIRY_WARNING
from domain.session_states import (
    CLOCK_LASTS,
    FEED_LASTS,
    PLACE_LASTS,
    RIGHTS_LASTS,
    AccountSession,
    FeedSession,
    PlaceSession,
    TradingSession,
    is_known,
)
from domain.signer_nonces import NonceLane

UNKNOWN: Final = "unknown"


class FactView(View):
    """A fact about a session. `state` `unknown`: nobody said it lately; `age_s` tells since when.

    `said_at` and `age_s` are None where nobody ever said it. What is unknown has no values.
    """

    state: str
    said_at: str | None
    age_s: float | None


class RightsView(FactView):
    """What the last self-check of the key proved: `proved`, `refused` or `unknown`.

    `said_at` is when it was proved; `owner_address` whose the key is, `expires_at` until when.
    """

    signer: str | None = None
    owner_address: str | None = None
    power: str | None = None
    expires_at: str | None = None
    expires_soon: bool = False


class LaneView(View):
    """A lane of nonces, and the last one that was taken of it; one account may have several."""

    lane: str
    last_nonce: int


class NoncesView(View):
    """The signer's nonces as the ledger has them. `rule` None: no worker says how they count."""

    rule: str | None
    lanes: list[LaneView]


class ChannelView(View):
    """A kind of message on the private feed, and how long ago one was heard."""

    channel: str
    heard_at: str
    age_s: float


class FeedStateView(FactView):
    """The private feed: `live`, `stale` or `unknown`; `since` is when it became so."""

    since: str | None = None
    reason: str | None = None
    channels: tuple[ChannelView, ...] = ()


class ClockView(FactView):
    """Our clock against the venue's: `ok`, `beyond_bound` (no new exposure), or `unknown`.

    `offset_ms` is how far ours is before theirs; it is right to `uncertainty_ms`.
    """

    offset_ms: float | None = None
    uncertainty_ms: float | None = None


class CircuitView(FactView):
    """Whether new exposure is refused for want of verdicts: `closed`, `open` or `unknown`."""

    retry_in_s: float | None = None
    unanswered: int | None = None


class BudgetView(FactView):
    """What is left of what the worker asks of the venue: `known`, `not_told` or `unknown`."""

    unit: str | None = None
    left: float | None = None
    capacity: float | None = None
    per_s: float | None = None


class TokenView(View):
    """An access token that a process holds, and when it ends; never the token."""

    name: str
    holder: str
    expires_at: str
    expires_in_s: float
    expired: bool
    age_s: float


class SessionView(View):
    """The state of an account's session. `tokens` None: the venue has none, or nobody says so."""

    rights: RightsView
    nonces: NoncesView
    feed: FeedStateView
    clock: ClockView
    circuit: CircuitView
    rate_budget: BudgetView
    tokens: list[TokenView] | None


def session_view(
    session: AccountSession, *, rule: str | None, lanes: Sequence[NonceLane], now: datetime
) -> SessionView:
    """Return what is known of a session now."""
    return SessionView(
        rights=_rights(session.trading, now),
        nonces=NoncesView(
            rule=rule, lanes=[LaneView(lane=one.lane, last_nonce=one.last_nonce) for one in lanes]
        ),
        feed=_feed(session.feed, now),
        clock=_clock(session.place, now),
        circuit=_circuit(session.place, now),
        rate_budget=_budget(session.place, now),
        tokens=_tokens(session, now),
    )


def _moment(at: datetime | None) -> str | None:
    return None if at is None else moment(at)


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else _age_s(at, now)


def _age_s(at: datetime, now: datetime) -> float:
    return round(max((now - at).total_seconds(), 0.0), 3)


def _rights(trading: TradingSession | None, now: datetime) -> RightsView:
    rights = None if trading is None else trading.rights
    at = None if rights is None else rights.proved_at
    if rights is None or not is_known(at, RIGHTS_LASTS, now):
        return RightsView(state=UNKNOWN, said_at=_moment(at), age_s=_age(at, now))
    expires = rights.expires_at
    return RightsView(
        state="proved" if rights.refusal is None else "refused",
        signer=rights.signer,
        owner_address=rights.owner_address,
        power=rights.refusal or rights.power,
        expires_at=_moment(expires),
        expires_soon=expires is not None and now >= expires - EXPIRY_WARNING,
        said_at=_moment(at),
        age_s=_age(at, now),
    )


def _feed(feed: FeedSession | None, now: datetime) -> FeedStateView:
    at = None if feed is None else feed.said_at
    if feed is None or not is_known(at, FEED_LASTS, now):
        return FeedStateView(state=UNKNOWN, said_at=_moment(at), age_s=_age(at, now))
    return FeedStateView(
        state="live" if feed.live else "stale",
        since=moment(feed.since),
        reason=feed.reason,
        channels=tuple(
            ChannelView(channel=name, heard_at=moment(heard), age_s=_age_s(heard, now))
            for name, heard in sorted(feed.channels.items())
        ),
        said_at=_moment(at),
        age_s=_age(at, now),
    )


def _clock(place: PlaceSession | None, now: datetime) -> ClockView:
    clock = None if place is None else place.clock
    at = None if clock is None else clock.measured_at
    if clock is None or not is_known(at, CLOCK_LASTS, now):
        return ClockView(state=UNKNOWN, said_at=_moment(at), age_s=_age(at, now))
    return ClockView(
        state="beyond_bound" if clock.is_beyond_bound else "ok",
        offset_ms=round(clock.offset_s * 1000, 3),
        uncertainty_ms=round(clock.uncertainty_s * 1000, 3),
        said_at=_moment(at),
        age_s=_age(at, now),
    )


def _circuit(place: PlaceSession | None, now: datetime) -> CircuitView:
    at = None if place is None else place.said_at
    if place is None or not is_known(at, PLACE_LASTS, now):
        return CircuitView(state=UNKNOWN, said_at=_moment(at), age_s=_age(at, now))
    circuit = place.circuit
    wait_s = circuit.retry_in_s
    passed_s = (now - place.said_at).total_seconds()
    return CircuitView(
        state="open" if circuit.is_open else "closed",
        retry_in_s=None if wait_s is None else round(max(wait_s - passed_s, 0.0), 3),
        unanswered=circuit.unanswered,
        said_at=_moment(at),
        age_s=_age(at, now),
    )


def _budget(place: PlaceSession | None, now: datetime) -> BudgetView:
    at = None if place is None else place.said_at
    known = is_known(at, PLACE_LASTS, now)
    budget = None if place is None or not known else place.budget
    if budget is None:
        return BudgetView(
            state="not_told" if known else UNKNOWN, said_at=_moment(at), age_s=_age(at, now)
        )
    return BudgetView(
        state="known",
        unit=budget.unit,
        left=round(budget.left, 3),
        capacity=budget.capacity,
        per_s=round(budget.per_s, 6),
        said_at=_moment(at),
        age_s=_age(at, now),
    )


def _tokens(session: AccountSession, now: datetime) -> list[TokenView] | None:
    held = [
        (holder, said)
        for holder, said in (("worker", session.trading), ("streaming", session.feed))
        if said is not None and said.tokens is not None
    ]
    if not held:
        return None
    return [
        TokenView(
            name=name,
            holder=holder,
            expires_at=moment(ends),
            expires_in_s=round(max((ends - now) / timedelta(seconds=1), 0.0), 3),
            expired=ends <= now,
            age_s=_age_s(said.said_at, now),
        )
        for holder, said in held
        for name, ends in sorted((said.tokens or {}).items())
    ]
