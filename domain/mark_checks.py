"""Whether a mark price may close a position: fresh, not crossed, and no lone spike.

A jump beyond a bound, or a mark far from the venue's index, counts only when a second reading, a
moment later, says the same. Stale and crossed data never count. Pure; time is given in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

FRESH = timedelta(seconds=5)
"""A mark older than this is stale."""

NEAR = Decimal("0.03")
"""How far, as a fraction, a mark may be from the last believed one, the index and the book."""

AGREES = Decimal("0.01")
"""How near a second reading has to be to the first to confirm it."""

SECOND_AFTER = timedelta(milliseconds=500)
"""A second reading confirms only when it was taken so much later."""


class Trust(StrEnum):
    """What a reading is worth."""

    GOOD = "good"
    STALE = "stale"
    CROSSED = "crossed"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkReading:
    """A mark price with what it is compared with, as it was received at `at`.

    `source` says which way it came, where that matters to whoever reads it.
    """

    price: Decimal
    at: datetime
    index_price: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    source: str = ""

    @property
    def is_crossed(self) -> bool:
        """Whether the book that came with it is impossible."""
        return self.bid is not None and self.ask is not None and self.bid >= self.ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What was read of one market so far; immutable, `judged` returns the next one."""

    believed: MarkReading | None = None
    suspect: MarkReading | None = None

    def judged(self, reading: MarkReading, now: datetime) -> tuple[Judge, Trust]:
        """Return what a reading is worth, and the judge that knows of it."""
        if now - reading.at > FRESH or reading.at > now + FRESH:
            return self, Trust.STALE
        if reading.is_crossed or reading.price <= 0:
            return self, Trust.CROSSED
        if self._is_plausible(reading) or self._is_confirmed(reading):
            return Judge(believed=reading), Trust.GOOD
        first = self.suspect
        if first is not None and self._may_still_agree(first, reading):
            # Not yet long enough after the first: that one goes on waiting for its second.
            return self, Trust.SUSPECT
        return replace(self, suspect=reading), Trust.SUSPECT

    @staticmethod
    def _may_still_agree(first: MarkReading, reading: MarkReading) -> bool:
        return reading.at - first.at <= FRESH and _near(reading.price, first.price, AGREES)

    def _is_plausible(self, reading: MarkReading) -> bool:
        if reading.index_price and not _near(reading.price, reading.index_price, NEAR):
            return False
        if not self._is_near_the_book(reading):
            return False
        before = self.believed
        return before is None or _near(reading.price, before.price, NEAR)

    @staticmethod
    def _is_near_the_book(reading: MarkReading) -> bool:
        if reading.bid is None or reading.ask is None:
            return True
        return reading.bid * (1 - NEAR) <= reading.price <= reading.ask * (1 + NEAR)

    def _is_confirmed(self, reading: MarkReading) -> bool:
        first = self.suspect
        return (
            first is not None
            and SECOND_AFTER <= reading.at - first.at <= FRESH
            and _near(reading.price, first.price, AGREES)
        )


def _near(price: Decimal, other: Decimal, within: Decimal) -> bool:
    return abs(price - other) <= other * within
