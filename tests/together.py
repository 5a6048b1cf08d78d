"""Run all tests, most in two processes at once: `python -m tests.together [PATH …]`.

Most tests wait for servers, timers and deadlines, so that one process leaves half the machine idle.
Each process owns whole directories and starts its own servers. Named paths run in one process.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).parent
#: What starts whole stacks, or lives through workflows; everything else is the other half.
FIRST = ("workflows", "crash", "races", "halts", "secrets", "cli", "worker")
#: What waits for servers that are stopped and come back: it runs by itself, after both halves.
ALONE = ("recovery",)
SELECT = ("-m", "not system")
SUMMARY = re.compile(r"^=+ (.*\b(?:passed|failed|error|errors)\b.*) in [\d.]+s", re.M)
LOOK_EVERY_S = 0.5


@dataclass
class Part:
    """One pytest process and what it says."""

    process: subprocess.Popen[bytes]
    output: Path
    read: int = 0

    def tell(self, stream: IO[str]) -> None:
        """Pass on the whole lines that it has said since."""
        text = self.output.read_bytes()[self.read :]
        end = text.rfind(b"\n") + 1 if self.process.poll() is None else len(text)
        stream.write(text[:end].decode(errors="replace"))
        stream.flush()
        self.read += end


def main(paths: list[str]) -> int:
    """Return 0 when every test passed."""
    if paths and paths != ["tests"]:
        return subprocess.run([sys.executable, "-m", "pytest", *SELECT, *paths]).returncode
    rooms = sorted(path.parent.name for path in HERE.glob("*/__init__.py"))
    others = [room for room in rooms if room not in (*FIRST, *ALONE)]
    parts = [_start(0, list(FIRST)), _start(1, others)]
    _follow(parts)
    parts.append(_start(2, list(ALONE)))
    _follow(parts)
    said = [SUMMARY.findall(part.output.read_text(errors="replace")) for part in parts]
    sys.stdout.write(
        f"== together: {'; '.join(each[-1] if each else 'cut off' for each in said)}\n"
    )
    return max(part.process.returncode != 0 for part in parts)


def _follow(parts: list[Part]) -> None:
    """Pass on what the processes say until all have ended."""
    while any(part.process.poll() is None for part in parts):
        time.sleep(LOOK_EVERY_S)
        for part in parts:
            part.tell(sys.stdout)
    for part in parts:
        part.tell(sys.stdout)


def _start(number: int, rooms: list[str]) -> Part:
    output = HERE.parent / f".tests-{number}.log"
    with output.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *SELECT, *(f"tests/{room}" for room in rooms)],
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=HERE.parent,
        )
    return Part(process=process, output=output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
