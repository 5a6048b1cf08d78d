"""Keeping a few payloads aside while they are read, so that somebody can look at them later.

Every reading of a payload passes here, thousands a second: it costs a look into a dict and a count.
The first payload of each kind is kept, then one in so many, and every one that could not be read;
never more than a few at a time. Nothing here decides anything, and without a tap nothing is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

#: So often a payload of one kind is kept.
ONE_IN: Final = 1_000
KEPT_MAX: Final = 32
#: Larger payloads are left alone: looking at one would hold the process up.
SIZE_MAX_BYTES: Final = 1024 * 1024


class Kept(NamedTuple):
    """A payload that was kept: what it was read as, and its bytes."""

    kind: Any
    body: bytes


class Tap:
    """Keeps payloads of the kinds it is told of, until they are taken."""

    def __init__(
        self, kinds: Iterable[Any], *, one_in: int = ONE_IN, kept_max: int = KEPT_MAX
    ) -> None:
        self._left = dict.fromkeys(kinds, 1)
        self._one_in = one_in
        self._kept: deque[Kept] = deque(maxlen=kept_max)

    def saw(self, body: bytes, kind: Any) -> None:
        """Count a payload that is being read."""
        left = self._left.get(kind)
        if left is None:
            return
        if left > 1:
            self._left[kind] = left - 1
            return
        self._left[kind] = self._one_in
        self._keep(body, kind)

    def failed(self, body: bytes, kind: Any) -> None:
        """Keep a payload that could not be read."""
        was_kept = bool(self._kept) and self._kept[-1].body is body
        if kind in self._left and not was_kept:
            self._keep(body, kind)

    def take(self) -> tuple[Kept, ...]:
        """Return what was kept since the last time."""
        taken = tuple(self._kept)
        self._kept.clear()
        return taken

    def _keep(self, body: bytes, kind: Any) -> None:
        if len(body) <= SIZE_MAX_BYTES:
            self._kept.append(Kept(kind, body))


class _Installed:
    """The tap of this process. A venue's `decode` is a function, so there is one for all."""

    tap: Tap | None = None


def install(tap: Tap | None) -> None:
    """Have every payload that is read from now on pass by `tap`, or with None by nothing."""
    _Installed.tap = tap


def saw(body: bytes, kind: Any) -> None:
    """Tell the tap, if there is one, that a payload is being read."""
    tap = _Installed.tap
    if tap is not None:
        tap.saw(body, kind)


def failed(body: bytes, kind: Any) -> None:
    """Tell the tap, if there is one, that a payload could not be read."""
    tap = _Installed.tap
    if tap is not None:
        tap.failed(body, kind)
