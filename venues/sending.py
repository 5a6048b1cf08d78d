"""What is the same at every venue between a ledger row and its outcome.

Which rows may be sent, until when, and what it proves that nothing left us or that no answer came.
What an answer proves is each venue's own matter. Knows no venue and does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from domain.accounts import Account, Network
from domain.ledger import CommandRow
from domain.outcomes import NotSent, Outcome, SendResult, Unknown
from venues.transport import (
    Clock,
    NoAnswer,
    NothingSent,
    PostResult,
    Reply,
    WriteGate,
    raw_evidence,
)

SEND_BY_PASSED: Final = "send_by passed"
NOTHING_LEFT: Final = "no byte was written"


class NotSendableError(Exception):
    """Nothing can be sent, and trying again would not help; the message says why."""


def check_row(row: CommandRow, venue: str, network: Network, account: Account) -> None:
    """Check that a row is for this venue and network, and access to its own account.

    Raises:
        NotSendableError: it is not.
    """
    if row.venue != venue or row.network is not network:
        raise NotSendableError(
            f"expected a row for {venue} {network}, found {row.venue} {row.network}"
        )
    if row.account_id != account.account_id:
        raise NotSendableError(
            f"expected access to account {row.account_id!r}, found {account.account_id!r}"
        )


def send_gate(row: CommandRow, clock: Clock, *, first: bool) -> WriteGate | None:
    """Return what holds a first send to the row's `send_by`; nothing holds a copy."""
    if not first:
        return None
    return lambda: SEND_BY_PASSED if clock() >= row.send_by else None


def unsent(reason: str, *, first: bool, retryable: bool) -> Outcome:
    """Return what it proves that nothing was sent: of an earlier copy it says nothing."""
    if not first:
        return Unknown(reason=f"not sent again: {reason}")
    return NotSent(reason=reason, proof=NOTHING_LEFT, retryable=retryable)


def decided(result: PostResult, read: Callable[[Reply], Outcome], *, first: bool) -> SendResult:
    """Return what became of a request with its evidence; `read` tells what an answer proves."""
    if isinstance(result, NothingSent):
        return SendResult(outcome=unsent(result.reason, first=first, retryable=True))
    if isinstance(result, NoAnswer):
        raw = raw_evidence(result.partial) if result.partial else None
        return SendResult(outcome=Unknown(reason=result.reason), raw=raw)
    return SendResult(
        outcome=read(result), raw=raw_evidence(result.body), received_at=result.received_at
    )
