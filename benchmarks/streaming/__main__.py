"""All figures of sockets and feeds: `python -m benchmarks.streaming [--write]`."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sys
import tempfile
from pathlib import Path

from benchmarks.page import machine, write
from benchmarks.streaming.ingest import ingest
from benchmarks.streaming.scenarios import streamed
from benchmarks.streaming.tables import ingest_table, streamed_tables


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main() -> int:
    """Measure, print the tables, and write them down if asked."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming")
    parser.add_argument("--write", action="store_true", help="update docs/performance.md")
    options = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    say("ingest")
    taken = ingest()
    with tempfile.TemporaryDirectory(prefix="perp-dex-bench-") as directory:
        found = asyncio.run(streamed(Path(directory) / "stack", say))
    limits = f"Descriptors a process may open: {soft}, raised to {hard}."
    about = machine("the venue, our streaming process, the crowd of clients and an idle stack")
    figures = "\n\n".join((f"{about} {limits}", streamed_tables(found), ingest_table(taken)))
    sys.stdout.write(figures + "\n")
    if options.write:
        write("streaming", figures)
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
