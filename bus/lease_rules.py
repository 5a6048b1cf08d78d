"""What a process may conclude from what Valkey says of a lease, and from its silence. Pure.

Time is monotonic and given in. A lease lasts from before it was asked for, so that a process that
was paused finds it expired at once, whatever it believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a process is to a thing that one of a group should do."""

    UNDECIDED = "undecided"
    OWNER = "owner"
    OTHER = "other"
    #: Nobody can be asked: whoever needs it does it, also twice.
    ALONE = "alone"

    @property
    def acts(self) -> bool:
        """Whether this process is to do it."""
        return self in (Role.OWNER, Role.ALONE)


@dataclass(slots=True)
class LeaseView:
    """One process's view of one lease.

    `ttl_s`: how long a lease lasts. `alone_after_s`: silence of Valkey shorter than this changes
    nothing for a process that knew who had the lease.
    """

    ttl_s: float
    alone_after_s: float
    _is_ours: bool | None = None
    _until: float = 0.0
    _silent_since: float | None = None

    def answered(self, *, ours: bool, asked_at: float) -> None:
        """Take an answer to "is it ours?", asked at a time."""
        self._is_ours = ours
        self._until = asked_at + self.ttl_s
        self._silent_since = None

    def not_answered(self, now: float) -> None:
        """Take note that Valkey did not answer."""
        if self._silent_since is None:
            self._silent_since = now

    def role(self, now: float) -> Role:
        """Return what this process is now."""
        if self._is_ours is True and now < self._until:
            return Role.OWNER
        if self._silent_since is not None:
            # Who had it, or knows nothing, goes on at once; who knew another waits a little.
            waits = self._is_ours is False and now - self._silent_since < self.alone_after_s
            return Role.OTHER if waits else Role.ALONE
        if self._is_ours is False:
            return Role.OTHER
        return Role.UNDECIDED
