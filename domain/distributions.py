"""How measured values are distributed: counts by upper bound, cheap enough for a hot path.

Kept by the parts that measure and read by whoever exports it. Knows no exporter and no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise

#: From half a millisecond to a minute, in seconds: what travels between machines.
SECONDS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


class Distribution:
    """Counts of values up to and including each bound, since it was made.

    Raises:
        ValueError: the bounds do not rise.
    """

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        if not bounds or any(b <= a for a, b in pairwise(bounds)):
            raise ValueError(f"expected bounds that rise, found {list(bounds)}")
        self._bounds = tuple(float(bound) for bound in bounds)
        self._counts = [0] * (len(bounds) + 1)
        #: The sum of all values.
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value; one below zero counts as zero, so that `total` never falls."""
        value = max(value, 0.0)
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def up_to(self) -> list[tuple[str, int]]:
        """Return each bound as text, `+Inf` last, with how many values were at most that."""
        bounds = (*map(str, self._bounds), "+Inf")
        return list(zip(bounds, accumulate(self._counts), strict=True))
