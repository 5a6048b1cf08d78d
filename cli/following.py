"""Follows a stream until the time is over, enough was heard, or Ctrl-C: drawn, as lines, as JSON.

A lost connection is said at once and made again by the client; what was shown before is never
shown as new meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from cli.exit_codes import ExitCode
from cli.live_table import Cell, View, age_text
from cli.output import print_json, safe, say

E = TypeVar("E")
E_contra = TypeVar("E_contra", contravariant=True)
OnConnection = Callable[[bool, str], None]
Watch = Callable[[OnConnection], AsyncGenerator[E, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """When following ends by itself: after so many seconds or messages; None: never."""

    seconds: float | None = None
    messages: int | None = None


class Link:
    """Whether the stream is connected, and since when it is not. Pure; time is given in."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lost_at: float | None = None
        self._ever = False
        self._connected = False
        self.reason = ""

    def take(self, connected: bool, reason: str) -> str | None:
        """Take a change; return the line that tells of it, None where it is no news."""
        before, self._connected, self.reason = self._connected, connected, reason
        if connected:
            line = None if self._lost_at is None else f"connected again after {self.age()}"
            self._ever, self._lost_at = True, None
            return line
        if self._lost_at is not None:
            return None
        self._lost_at = self._clock()
        what = "disconnected" if before else "not connected"
        return f"{what}: {safe(reason)}; trying again"

    @property
    def is_up(self) -> bool:
        """Whether what is heard now is the present."""
        return self._connected

    @property
    def was_up(self) -> bool:
        """Whether it was ever connected."""
        return self._ever

    def age(self) -> str:
        """Return for how long it has been disconnected."""
        return age_text(0 if self._lost_at is None else self._clock() - self._lost_at)

    def headline(self) -> Sequence[Cell]:
        """Return what a screen says of the connection."""
        if self._connected:
            return (Cell("live", "good"),)
        if self._lost_at is None:
            return (Cell("connecting", "alarm"),)
        what = f"disconnected, age {self.age()}" if self._ever else f"not connected, {self.age()}"
        return (Cell(what, "alarm"), Cell(self.reason, "old"))


class Output(Protocol, Generic[E_contra]):
    """Where what is heard goes."""

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Be ready meanwhile."""
        ...

    def heard(self, event: E_contra) -> None:
        """Show an event."""
        ...

    def connection(self, connected: bool, reason: str) -> None:
        """Show that the connection was made or lost."""
        ...


class JsonLines(Generic[E]):
    """One JSON document for each message, on stdout."""

    def __init__(self, view: View[E], link: Link) -> None:
        self._view = view
        self._link = link

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Need nothing."""
        yield

    def heard(self, event: E) -> None:
        """Print an event."""
        print_json({**self._view.document(event), "received_at": datetime.now(UTC)})

    def connection(self, connected: bool, reason: str) -> None:
        """Print every connection made, and every loss once."""
        if self._link.take(connected, reason) is not None or connected:
            print_json(
                {
                    "type": "connection",
                    "connected": connected,
                    "reason": reason,
                    "received_at": datetime.now(UTC),
                }
            )


class PlainLines(Generic[E]):
    """A line for each change on stdout; what concerns the connection on stderr."""

    def __init__(self, view: View[E], link: Link) -> None:
        self._view = view
        self._link = link

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Need nothing."""
        yield

    def heard(self, event: E) -> None:
        """Print what an event changed."""
        for line in self._view.take(event):
            print(safe(line), flush=True)

    def connection(self, connected: bool, reason: str) -> None:
        """Tell what is news."""
        line = self._link.take(connected, reason)
        if line is not None:
            say(line)


class Drawn(Generic[E]):
    """The present in a terminal, drawn anew as it changes."""

    def __init__(self, view: View[E], link: Link) -> None:
        self._view = view
        self._link = link

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Draw meanwhile."""
        from cli.live_screen import screen

        return screen(self._view, self._link.headline, lambda: not self._link.is_up)

    def heard(self, event: E) -> None:
        """Keep an event; the next drawing shows it."""
        self._view.take(event)

    def connection(self, connected: bool, reason: str) -> None:
        """Keep it; the next drawing shows it."""
        self._link.take(connected, reason)


def output_for(view: View[E], link: Link, *, as_json: bool) -> Output[E]:
    """Return the output that was asked for, or that fits where stdout goes."""
    if as_json:
        return JsonLines(view, link)
    from cli.live_screen import can_draw

    return Drawn(view, link) if can_draw() else PlainLines(view, link)


async def follow(watch: Watch[E], view: View[E], ending: Ending, *, as_json: bool) -> ExitCode:
    """Show what a stream tells until `ending`; DONE, or UNREACHABLE if it never told anything."""
    link = Link(time.monotonic)
    output = output_for(view, link, as_json=as_json)
    left = ending.messages
    try:
        async with (
            asyncio.timeout(ending.seconds) as limit,
            output.running(),
            contextlib.aclosing(watch(output.connection)) as events,
        ):
            async for event in events:
                output.heard(event)
                left = None if left is None else left - 1
                if left == 0:
                    break
    except TimeoutError:
        if not limit.expired():
            raise
    if link.was_up:
        return ExitCode.DONE
    say(f"the stream was not reached: {safe(link.reason) or 'no time was given'}")
    return ExitCode.UNREACHABLE
