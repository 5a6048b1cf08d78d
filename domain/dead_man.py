"""The dead man's switch: the venue cancels everything when we have been silent for so long.

Where a venue has one, a worker arms it again and again; when no worker lives, the venue's own clock
runs out. Knows no venue, clock or storage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from domain.outcomes import Accepted, NotSent, Rejected, SendResult

AFTER_S_LEAST: Final = 10
AFTER_S_MOST: Final = 86_400
#: So often a day a switch may go off at Hyperliquid (docs: scheduleCancel).
TRIGGERS_PER_DAY: Final = 10
EFFECT: Final = (
    "when it goes off the venue cancels every open order of the account, stops and targets that "
    "protect positions among them: positions stay open, unprotected"
)

_RENEWALS_IN_TIME: Final = 3
_RETRY: Final = timedelta(seconds=1)
_RETRY_REFUSED: Final = timedelta(seconds=60)


class DeadManState(StrEnum):
    """What is known of a switch at the venue.

    ARMING and DISARMING: wanted, not confirmed yet. UNCERTAIN: the last try's outcome is unknown.
    REFUSED: the venue would not; it is asked again each minute.
    """

    OFF = "OFF"
    ARMING = "ARMING"
    ARMED = "ARMED"
    UNCERTAIN = "UNCERTAIN"
    REFUSED = "REFUSED"
    DISARMING = "DISARMING"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManSwitch:
    """An account's switch: wanted `after_s` seconds of silence (None: off), and what is known.

    `armed_until` is the time that the venue confirmed last; None where it never did, or confirmed
    that it is off. `renew_at` is when a worker speaks to the venue next.
    """

    account_id: str
    after_s: int | None
    state: DeadManState
    set_by: str
    set_at: datetime
    armed_until: datetime | None = None
    renew_at: datetime | None = None
    reason: str = ""

    def has_gone_off(self, now: datetime) -> bool:
        """Tell whether the confirmed time has passed without a confirmed renewal."""
        return self.armed_until is not None and self.armed_until <= now

    def is_armed(self, now: datetime) -> bool:
        """Tell whether the venue has confirmed a time that is still to come."""
        return self.armed_until is not None and not self.has_gone_off(now)

    def wanted_at(self, now: datetime) -> datetime | None:
        """Return the time to arm it for now, or None to disarm it."""
        return None if self.after_s is None else now + timedelta(seconds=self.after_s)

    def answered(self, wanted: datetime | None, result: SendResult, now: datetime) -> DeadManSwitch:
        """Return the switch after the venue answered a wish; only its word makes it armed."""
        outcome = result.outcome
        if isinstance(outcome, Accepted):
            return self._confirmed(wanted, now)
        still = None if self.has_gone_off(now) else self.armed_until
        if isinstance(outcome, Rejected) or (
            isinstance(outcome, NotSent) and not outcome.retryable
        ):
            return replace(
                self,
                state=DeadManState.REFUSED,
                reason=outcome.reason,
                armed_until=still,
                renew_at=now + _RETRY_REFUSED,
            )
        reason = getattr(outcome, "reason", "no verdict yet")
        return replace(
            self,
            state=DeadManState.UNCERTAIN,
            reason=str(reason),
            armed_until=still,
            renew_at=now + _RETRY,
        )

    def refused(self, reason: str, now: datetime) -> DeadManSwitch:
        """Return the switch where it cannot even be asked for."""
        return replace(
            self, state=DeadManState.REFUSED, reason=reason, renew_at=now + _RETRY_REFUSED
        )

    def _confirmed(self, wanted: datetime | None, now: datetime) -> DeadManSwitch:
        if wanted is None:
            return replace(self, state=DeadManState.OFF, armed_until=None, renew_at=None, reason="")
        early = (wanted - now) / _RENEWALS_IN_TIME
        return replace(
            self, state=DeadManState.ARMED, armed_until=wanted, renew_at=now + early, reason=""
        )


class DeadManStore(Protocol):
    """Switches in storage. Each method is one transaction, committed on return."""

    async def want(self, account_id: str, after_s: int | None, *, by: str) -> DeadManSwitch:
        """Keep what an account's owner wants; a worker does it next.

        Raises:
            NotFound: there is no such account.
        """
        ...

    async def get(self, account_id: str) -> DeadManSwitch | None:
        """Return an account's switch, or None if there never was one."""
        ...

    async def claim(self, *, lease: timedelta) -> tuple[DeadManSwitch, ...]:
        """Return the switches that are due, and keep them from other workers for a while."""
        ...

    async def keep(self, switch: DeadManSwitch) -> DeadManSwitch:
        """Write what became of a claimed switch, unless its owner wants something else by now;
        return what is kept."""
        ...

    async def note_trigger(self, account_id: str, due_at: datetime) -> None:
        """Remember, once, that a switch went off."""
        ...

    async def triggers(self, account_id: str, *, since: datetime) -> int:
        """Return how often an account's switch went off since a time."""
        ...
