"""What may happen to a frame and to a connection, and how often: pure, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Fate(StrEnum):
    """What becomes of one message."""

    PASS = "pass"
    DROP = "drop"
    DUPLICATE = "duplicate"
    #: It is held, and leaves after the message that follows it.
    SWAP = "swap"
    #: It waits, and with it all that follows.
    STALL = "stall"
    #: Its end is missing, so that it cannot be read.
    GARBLE = "garble"


class Cut(StrEnum):
    """How a connection ends."""

    #: Both sides see a reset.
    ABORT = "abort"
    #: Both sides see an orderly end of the stream, without a closing frame.
    CLOSE = "close"
    #: The client sees the end; the server hears nothing of it until the client goes.
    HALF_CLOSE = "half-close"
    #: The connection stands, and nothing comes through any more; at the next cut it is aborted.
    MUTE = "mute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Shares of messages (0 to 1) that meet each fate, and the time between cuts of everything.

    A stall takes up to `stall_s` seconds. `cut_every_s` None: nothing is cut.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    swap: float = 0.0
    stall: float = 0.0
    garble: float = 0.0
    stall_s: float = 0.0
    cut_every_s: float | None = None

    @property
    def alters(self) -> bool:
        """Whether messages are changed, and connections not only cut."""
        return any((self.drop, self.duplicate, self.swap, self.garble))

    def fate(self, source: random.Random) -> Fate:
        """Draw what becomes of a message."""
        drawn = source.random()
        for fate, share in (
            (Fate.DROP, self.drop),
            (Fate.DUPLICATE, self.duplicate),
            (Fate.SWAP, self.swap),
            (Fate.STALL, self.stall),
            (Fate.GARBLE, self.garble),
        ):
            if drawn < share:
                return fate
            drawn -= share
        return Fate.PASS


CALM = Weather()
#: What the venue's sockets go through: cut every second, and in between nothing is sure.
STORM = Weather(
    drop=0.10, duplicate=0.10, swap=0.08, stall=0.02, garble=0.01, stall_s=2.5, cut_every_s=1.0
)
#: What a client goes through whose protocol has to find every loss.
ROUGH = Weather(drop=0.05, duplicate=0.08, swap=0.05, stall=0.02, stall_s=1.0, cut_every_s=3.0)
#: What any client goes through whose TCP is sound.
SHAKY = Weather(cut_every_s=2.0)
