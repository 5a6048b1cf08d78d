"""What can be told of one incarnation of a process by looking at it and asking it.

Decides nothing: says whether it is frozen and whether it works.
"""

import time

from stack.spec import Pace, ProcessSpec
from stack.vitals import Beat, HeartbeatReader, Silence


class Watch:
    """What is known of one incarnation of a process from looking at it."""

    def __init__(self, spec: ProcessSpec, pid: int, pace: Pace) -> None:
        self._spec = spec
        self._pace = pace
        self._silence = Silence()
        self._looked_at = time.monotonic()
        self._asked_at = self._looked_at - pace.probe_interval_s
        self._said: str | None = None
        self._reader = (
            HeartbeatReader(spec.heartbeat_file, pid) if spec.heartbeat_file is not None else None
        )

    def look_at_file(self) -> Beat | None:
        """Read the heartbeat and count the silence; give a new beat."""
        now = time.monotonic()
        self._silence.grow(now - self._looked_at)
        self._looked_at = now
        beat = self._reader.new_beat() if self._reader is not None else None
        if beat is None:
            return None
        self._silence.end()
        self._said = beat.state
        return beat

    def frozen(self) -> str | None:
        """Say that the process is frozen, if it is."""
        limit = self._spec.frozen_after_s
        if self._said in (None, "starting"):
            limit = max(limit, self._pace.starting_silence_max_s)
        if self._silence.seconds <= limit:
            return None
        return f"no sign of life for {limit:g} s; killed"

    def should_ask(self, *, ready: bool) -> bool:
        """Say whether to ask the process itself now."""
        if self._reader is not None:
            return not ready and self._said == "ready"
        return not ready or time.monotonic() - self._asked_at >= self._pace.probe_interval_s

    async def ask(self) -> bool:
        """Ask the process whether it works; a yes is a sign of life."""
        self._asked_at = time.monotonic()
        try:
            answer = self._spec.probe is None or await self._spec.probe()
        except (OSError, TimeoutError):
            answer = False
        if answer and self._reader is None:
            self._silence.end()
            self._said = "ready"
        return answer
