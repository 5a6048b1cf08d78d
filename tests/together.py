"""Run all tests, several processes at once: `python -m tests.together [PATH …]`.

Most tests wait for servers, timers and deadlines, so that one process leaves most of the machine
idle. Each process owns whole directories, or every n-th file of one, and starts its own servers;
what takes longest starts first. Named paths run in one process.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
AT_ONCE = (os.cpu_count() or 1) + 2
#: What takes longest, in this order; the rooms that are not named follow in one process.
#: `room:1/3` is the first of three shares of a room's files.
LONGEST = (
    ("workflows:1/3",),
    ("workflows:2/3",),
    ("workflows:3/3",),
    ("api",),
    ("streaming",),
    ("secrets", "races", "halts", "crash"),
    ("cli", "worker"),
    ("stream_chaos", "stack"),
    ("storage",),
    ("conformance:1/3",),
    ("conformance:2/3",),
    ("conformance:3/3",),
    ("venues:1/2",),
    ("venues:2/2",),
    ("seventh",),
)
#: What waits for servers that are stopped and come back: side by side, after all others.
LAST = (("recovery",), ("down",))
SELECT = ("-m", "not system")
SUMMARY = re.compile(r"^=+ (.*\b(?:passed|failed|error|errors)\b.*) in [\d.]+s.*$", re.M)
LOOK_EVERY_S = 0.5


@dataclass
class Part:
    """One pytest process and what it says."""

    rooms: Sequence[str]
    output: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    took_s: float | None = None
    read: int = 0

    def tell(self, stream: IO[str]) -> None:
        """Pass on the whole lines that it has said since."""
        if self.took_s is not None:
            return
        has_ended = self.process.poll() is not None
        text = self.output.read_bytes()[self.read :]
        end = len(text) if has_ended else text.rfind(b"\n") + 1
        stream.write(text[:end].decode(errors="replace"))
        stream.flush()
        self.read += end
        if has_ended:
            self.took_s = time.monotonic() - self.started

    def result(self) -> str:
        """Say in a line how it ended."""
        said = SUMMARY.findall(self.output.read_text(errors="replace"))
        rooms = " ".join(self.rooms)
        return f"== {rooms}: {said[-1] if said else 'cut off'}, {self.took_s or 0:.0f} s\n"


def main(paths: list[str]) -> int:
    """Return 0 when every test passed."""
    # Begun in the background, a shell has us ignore Ctrl-C, and whatever we start would ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if paths and paths != ["tests"]:
        return subprocess.run([sys.executable, "-m", "pytest", *SELECT, *paths]).returncode
    rooms = sorted(path.parent.name for path in HERE.glob("*/__init__.py"))
    named = {room.partition(":")[0] for part in (*LONGEST, *LAST) for room in part}
    waiting = [*LONGEST, tuple(room for room in rooms if room not in named)]
    parts = _run(waiting) + _run(LAST)
    sys.stdout.write("".join(part.result() for part in parts))
    return max(part.process.returncode != 0 for part in parts)


def _run(waiting: Sequence[Sequence[str]]) -> list[Part]:
    """Run a process for each group of rooms, and pass on what they say until all have ended."""
    queue, parts = list(waiting), list[Part]()
    while queue or any(part.took_s is None for part in parts):
        running = sum(part.took_s is None for part in parts)
        if queue and running < AT_ONCE:
            parts.append(_start(queue.pop(0)))
            continue
        time.sleep(LOOK_EVERY_S)
        for part in parts:
            part.tell(sys.stdout)
    return parts


def paths_of(room: str) -> list[str]:
    """Return what pytest is given for a room, or for a share of one."""
    name, _, share = room.partition(":")
    if not share:
        return [f"tests/{name}"]
    number, of = map(int, share.split("/"))
    # Long files take long: dealt out by size, the shares end at about the same time.
    files = sorted(HERE.joinpath(name).rglob("test_*.py"), key=lambda file: -file.stat().st_size)
    return [str(path.relative_to(HERE.parent)) for path in files[number - 1 :: of]]


def _start(rooms: Sequence[str]) -> Part:
    output = HERE.parent / f".tests-{re.sub('[:/]', '-', rooms[0])}.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pytest",
                *SELECT,
                *(p for room in rooms for p in paths_of(room)),
            ],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=HERE.parent,
        )
    return Part(rooms=rooms, output=output, process=process)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
