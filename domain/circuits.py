"""Circuit breakers: where a venue has stopped giving verdicts, nothing new is risked for a while.

Counts commands that got no verdict, in a row. Past a bound the circuit is open: what may raise
exposure is refused before anything is written; what reduces risk always passes. After a pause one
order is let through as a trial; a verdict on anything closes the circuit, silence opens it for
longer. Pure: time comes in as seconds of a monotonic clock. Knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from domain.outcomes import Outcome

#: So many commands in a row without a verdict open it: more than one connection's bad luck.
UNANSWERED_MAX: Final = 8
#: They count as a row only if they came within this.
WITHIN_S: Final = 60.0
PAUSE_FIRST_S: Final = 5.0
PAUSE_MAX_S: Final = 60.0
#: A trial of which nothing was heard for so long never came to be sent; another may try.
TRIAL_S: Final = 10.0


class RequestClass(StrEnum):
    """What a command does to risk."""

    OPENING = "opening"
    REDUCING = "reducing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """One venue and network, as this process has found it.

    `unanswered` commands in a row, the first at `since_s`. `open_until_s` None: closed; once that
    time has passed the next opening command is a trial, and others wait until `trial_until_s`.
    """

    unanswered: int = 0
    since_s: float = 0.0
    open_until_s: float | None = None
    pause_s: float = 0.0
    trial_until_s: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether what raises exposure is refused, a trial now and then excepted."""
        return self.open_until_s is not None


def wait_s(circuit: Circuit, request: RequestClass, now_s: float) -> float:
    """Return in how many seconds a command may pass: 0 for now."""
    if request is RequestClass.REDUCING or circuit.open_until_s is None:
        return 0.0
    until_s = max(circuit.open_until_s, circuit.trial_until_s or 0.0)
    return max(until_s - now_s, 0.0)


def passed(circuit: Circuit, request: RequestClass, now_s: float) -> Circuit:
    """Return the circuit after a command was let through: of an open one it is the trial."""
    if request is RequestClass.REDUCING or circuit.open_until_s is None:
        return circuit
    return replace(circuit, trial_until_s=now_s + TRIAL_S)


def noted(circuit: Circuit, outcome: Outcome, now_s: float) -> Circuit:
    """Return the circuit after a command's outcome.

    Every verdict of the venue closes it, also a refusal. Of what was not sent nothing is learnt.
    """
    if outcome.kind == "not_sent":
        return replace(circuit, trial_until_s=None)
    if outcome.kind != "unknown":
        return Circuit()
    if circuit.open_until_s is not None:
        return _again(circuit, now_s)
    is_first = circuit.unanswered == 0 or now_s - circuit.since_s > WITHIN_S
    counted = replace(
        circuit,
        unanswered=1 if is_first else circuit.unanswered + 1,
        since_s=now_s if is_first else circuit.since_s,
    )
    if counted.unanswered < UNANSWERED_MAX:
        return counted
    return replace(counted, open_until_s=now_s + PAUSE_FIRST_S, pause_s=PAUSE_FIRST_S)


def _again(circuit: Circuit, now_s: float) -> Circuit:
    """Open for longer after a trial; what was sent before it opened changes nothing more."""
    counted = replace(circuit, unanswered=circuit.unanswered + 1)
    if circuit.open_until_s is None or now_s < circuit.open_until_s:
        return counted
    pause_s = min(circuit.pause_s * 2, PAUSE_MAX_S)
    return replace(counted, open_until_s=now_s + pause_s, pause_s=pause_s, trial_until_s=None)
