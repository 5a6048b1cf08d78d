"""Commands between the measuring process and its programs: a JSON object a line, by pipes."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TextIO

ANSWER_WITHIN_S = 180.0


async def lines_of(stream: TextIO) -> AsyncIterator[bytes]:
    """Yield the lines of a pipe as they come."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), stream)
    while line := await reader.readline():
        yield line


class Program:
    """One of our programs, as the measuring process sees it."""

    def __init__(self, process: asyncio.subprocess.Process, greeting: str) -> None:
        self._process = process
        self.greeting = greeting
        self.pid = process.pid

    async def ask(self, **command: object) -> Any:
        """Send a command and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(ANSWER_WITHIN_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("expected an answer of a program of ours, found its end")
        return json.loads(line)


@asynccontextmanager
async def running(module: str, *arguments: str) -> AsyncIterator[Program]:
    """Run a program until the block ends; `greeting` is the first line that it prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    try:
        yield Program(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.kill()
        await process.wait()
