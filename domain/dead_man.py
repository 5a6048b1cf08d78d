"""The dead man's switch: what rests is canceled when we have been silent for so long.

Where a venue has one of its own, a worker arms it again and again; when no worker lives, the
venue's clock runs out. Elsewhere our watchdog does it (`domain.watchdog`). Knows no venue, clock or
storage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from domain.outcomes import Accepted, NotSent, Rejected, SendResult

AFTER_S_LEAST: Final = 10
AFTER_S_MOST: Final = 86_400
EFFECT: Final = (
    "when it goes off the venue cancels every open order of the account, stops and targets that "
    "protect positions among them: positions stay open, unprotected"
)
EFFECT_STOPS_STAY: Final = (
    "when it goes off the venue cancels the open orders of the account, but for the stops and "
    "targets that protect positions"
)
EFFECT_OF_WATCHDOG: Final = (
    "the venue has no switch of its own: our watchdog, a process beside the worker, cancels the "
    "open orders of the account but for the stops and targets that protect positions; it needs its "
    "machine, its network and the venue to answer"
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


class Keeper(StrEnum):
    """Who cancels when the time is over."""

    VENUE = "venue"
    WATCHDOG = "watchdog"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadManSwitch:
    """An account's switch: wanted `after_s` seconds of silence (None: off), and what is known.

    `kept_by` is who carries it out, None while no worker has looked. `armed_until` is the time that
    the venue confirmed last, or that our watchdog waits for; None where there is none. `renew_at`
    is when a worker renews it next.
    """

    account_id: str
    after_s: int | None
    state: DeadManState
    set_by: str
    set_at: datetime
    armed_until: datetime | None = None
    renew_at: datetime | None = None
    reason: str = ""
    kept_by: Keeper | None = None

    def has_gone_off(self, now: datetime) -> bool:
        """Tell whether the confirmed time has passed without a confirmed renewal."""
        return self.armed_until is not None and self.armed_until <= now

    def is_armed(self, now: datetime) -> bool:
        """Tell whether there is a time to come at which somebody is known to act.

        The venue's last word holds whatever became of a later one; our watchdog has to be there.
        """
        if self.kept_by is Keeper.WATCHDOG and self.state is not DeadManState.ARMED:
            return False
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

    async def note_trigger(self, account_id: str, due_at: datetime) -> bool:
        """Remember, once, that a switch went off; tell whether it was not known before."""
        ...

    async def has_trigger(self, account_id: str, due_at: datetime) -> bool:
        """Tell whether it is known that a switch went off at a time."""
        ...

    async def triggers(self, account_id: str, *, since: datetime) -> int:
        """Return how often an account's switch went off since a time."""
        ...


class WatchedSwitches(Protocol):
    """What the watchdog, the worker and the feeds tell each other in storage."""

    async def wanted(self) -> tuple[DeadManSwitch, ...]:
        """Return every switch that is wanted, of accounts that may trade.

        Raises:
            Unavailable: the database does not answer.
        """
        ...

    async def give_sign(self, part: str, scope: str = "") -> None:
        """Write that a part of ours works now, for one account where `scope` names it."""
        ...

    async def sign(self, part: str, scope: str = "") -> datetime | None:
        """Return when a part of ours said last that it works, None if it never did."""
        ...
