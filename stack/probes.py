"""Questions to servers: do you answer? Each opens one connection, asks, and closes it."""

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from stack.spec import Probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TIMEOUT_S: Final = 2.0
_COMMAND_TIMEOUT_S: Final = 10.0


def tcp(host: str, port: int) -> Probe:
    """Ask whether something accepts connections."""

    async def probe() -> bool:
        async with _connection(host, port):
            return True

    return probe


def valkey(host: str, port: int) -> Probe:
    """Ask with PING; a server that still loads its data answers with an error."""

    async def probe() -> bool:
        async with _connection(host, port) as (reader, writer):
            writer.write(b"*1\r\n$4\r\nPING\r\n")
            return (await reader.readline()).startswith(b"+PONG")

    return probe


def http(host: str, port: int, path: str) -> Probe:
    """Ask for `path` and take any 2xx as yes."""

    async def probe() -> bool:
        async with _connection(host, port) as (reader, writer):
            name = f"[{host}]" if ":" in host else host
            head = f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode("ascii"))
            words = (await reader.readline()).split()
            return len(words) > 1 and words[1].startswith(b"2")

    return probe


def command(arguments: Sequence[str], environment: Mapping[str, str]) -> Probe:
    """Run a program and take its exit code 0 as yes."""

    async def probe() -> bool:
        code, _output = await run_command(arguments, environment)
        return code == 0

    return probe


def both(first: Probe, second: Probe) -> Probe:
    """Ask `second` only when `first` says yes."""

    async def probe() -> bool:
        return await first() and await second()

    return probe


async def run_command(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    timeout_s: float = _COMMAND_TIMEOUT_S,
) -> tuple[int, str]:
    """Run a short program to its end; give its exit code and everything it wrote.

    Raises `TimeoutError` after killing a program that takes longer than `timeout_s`.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode("utf-8", errors="replace")


@asynccontextmanager
async def _connection(
    host: str, port: int
) -> "AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]":
    async with asyncio.timeout(TIMEOUT_S):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            yield reader, writer
        finally:
            # Nothing of ours is buffered that the answer depended on: no need for a polite end.
            writer.transport.abort()
