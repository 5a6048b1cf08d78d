"""The state of an account's session in words: facts with their age, and what is unknown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.live_table import age_text
from cli.output import safe

if TYPE_CHECKING:
    from perp_dex_client import AccountSession
    from perp_dex_client.sessions import Fact

_UNKNOWN = "unknown"


def session_fields(session: AccountSession) -> tuple[tuple[str, object], ...]:
    """Return names and values, one line each."""
    return (
        ("key proved", _rights(session)),
        ("nonces", _nonces(session)),
        ("feed", _feed(session)),
        ("channels", _channels(session)),
        ("clock", _clock(session)),
        ("circuit", _circuit(session)),
        ("rate budget", _budget(session)),
        *_tokens(session),
    )


def _aged(fact: Fact, known: str | None) -> str:
    """Return a fact with its age; unknown with the age of the last word, if there was one."""
    if fact.state == _UNKNOWN or known is None:
        if fact.age_s is None:
            return f"{_UNKNOWN}, nobody said it"
        return f"{_UNKNOWN}, last said {age_text(fact.age_s)} ago"
    return f"{known} ({age_text(fact.age_s or 0.0)} ago)"


def _rights(session: AccountSession) -> str:
    rights = session.rights
    owner = "" if rights.owner_address is None else f" of {safe(rights.owner_address)}"
    expires = "" if rights.expires_at is None else f", expires {safe(rights.expires_at)}"
    soon = ", soon" if rights.expires_soon else ""
    return _aged(rights, f"{rights.state}: {safe(rights.signer)}{owner}{expires}{soon}")


def _nonces(session: AccountSession) -> str | None:
    lanes = ", ".join(
        f"{'last' if not one.lane else f'lane {safe(one.lane)} last'} {one.last_nonce}"
        for one in session.nonces.lanes
    )
    rule = session.nonces.rule or "rule unknown"
    return f"{lanes or 'none taken'} ({safe(rule)})"


def _feed(session: AccountSession) -> str:
    feed = session.feed
    return _aged(feed, f"{feed.state} since {safe(feed.since)}: {safe(feed.reason)}")


def _channels(session: AccountSession) -> str | None:
    heard = (f"{safe(one.channel)} {age_text(one.age_s)} ago" for one in session.feed.channels)
    return ", ".join(heard) or None


def _clock(session: AccountSession) -> str:
    clock = session.clock
    if clock.offset_ms is None:
        return _aged(clock, None)
    beyond = ", beyond what is allowed" if clock.state == "beyond_bound" else ""
    return _aged(clock, f"{clock.offset_ms:+.0f} ms, ± {clock.uncertainty_ms or 0:.0f} ms{beyond}")


def _circuit(session: AccountSession) -> str:
    circuit = session.circuit
    retry = (
        "" if circuit.retry_in_s is None else f", an order may try in {circuit.retry_in_s:.0f} s"
    )
    silent = f", {circuit.unanswered} commands without a verdict" if circuit.unanswered else ""
    return _aged(circuit, f"{circuit.state}{retry}{silent}")


def _budget(session: AccountSession) -> str:
    budget = session.rate_budget
    if budget.state == "not_told":
        return "not told by this venue's connector"
    if budget.left is None or budget.capacity is None:
        return _aged(budget, None)
    return _aged(budget, f"{budget.left:.0f} of {budget.capacity:.0f} {safe(budget.unit)}")


def _tokens(session: AccountSession) -> tuple[tuple[str, object], ...]:
    return tuple(
        (
            f"token {safe(one.name)}",
            f"{'expired' if one.expired else 'expires'} {safe(one.expires_at)}, held by "
            f"{safe(one.holder)} ({age_text(one.age_s)} ago)",
        )
        for one in session.tokens or ()
    )
