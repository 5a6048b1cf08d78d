"""What a guard gives to its activities: one dataclass in, one out.

Plain data with defaults for new fields, so that old histories replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.guarding import GuardState


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLookTask:
    """Read the truth about a guarded position; trading since `gap_since` where nobody watched.

    `carefully`: the mark has to be as good as one that closes, whatever the conditions say.
    """

    state: GuardState
    gap_since: datetime | None = None
    carefully: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardKeepTask:
    """Write how far a guard is."""

    state: GuardState
