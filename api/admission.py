"""Bounded admission: how much may be under way at once, refused before anything is started.

Counts what is in flight in this process; knows no order and no route.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from api.problems import NOT_SENT, Problem, ProblemError


class Admission:
    """A bound over all, and one per key (an account, a client)."""

    def __init__(self, *, at_most: int, at_most_per_key: int, what: str) -> None:
        self._at_most = at_most
        self._at_most_per_key = at_most_per_key
        self._what = what
        self._in_flight: Counter[str] = Counter()

    @property
    def in_flight(self) -> int:
        """How many are under way."""
        return self._in_flight.total()

    @contextmanager
    def admit(self, key: str) -> Iterator[None]:
        """Hold a place for as long as the block runs.

        Raises:
            ProblemError: 503, nothing was started.
        """
        if self.in_flight >= self._at_most:
            raise self._full(f"{self._at_most} {self._what} are under way in this process")
        if self._in_flight[key] >= self._at_most_per_key:
            raise self._full(f"{self._at_most_per_key} {self._what} are under way for {key}")
        self._in_flight[key] += 1
        try:
            yield
        finally:
            self._in_flight[key] -= 1
            if not self._in_flight[key]:
                del self._in_flight[key]

    def _full(self, found: str) -> ProblemError:
        return ProblemError(
            Problem(
                status=503,
                code="too_busy",
                detail=f"{found}, which is the bound; nothing was started, try again in a second",
                outcome=NOT_SENT,
                retryable=True,
                headers={"Retry-After": "1"},
            )
        )
