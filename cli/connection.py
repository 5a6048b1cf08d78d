"""Where the API is and how to be let in: the environment, else the running stack.

PERP_DEX_API_URL and PERP_DEX_API_TOKEN_FILE name another installation; without them the stack
of PERP_DEX_HOME is used.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

if TYPE_CHECKING:
    from perp_dex_client import PerpDexClient

T = TypeVar("T")

RETRY_WITHIN_S = 3.0


class StackNotRunning(Exception):
    """There is no API to talk to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAddress:
    """Where the API is, and the file of its token."""

    url: str
    token_file: Path


def api_address() -> ApiAddress:
    """Find the API.

    Raises:
        StackNotRunning: no stack runs and none was named.
    """
    url = os.environ.get("PERP_DEX_API_URL")
    token_file = os.environ.get("PERP_DEX_API_TOKEN_FILE")
    if url:
        if not token_file:
            raise typer.BadParameter(
                "PERP_DEX_API_URL is set: expected PERP_DEX_API_TOKEN_FILE too, the path of the "
                "file with its token"
            )
        return ApiAddress(url=url.rstrip("/"), token_file=Path(token_file))
    from stack import lifecycle

    status = lifecycle.status()
    if status.api_url is None:
        raise StackNotRunning(
            f"no stack runs in {status.home}; start it with `perp-dex up --detach`, or name "
            "another by PERP_DEX_API_URL"
        )
    home = Path(status.home)
    return ApiAddress(
        url=status.api_url.rstrip("/"),
        token_file=Path(token_file) if token_file else home / "api-token",
    )


@asynccontextmanager
async def connected(*, retry_within_s: float = RETRY_WITHIN_S) -> AsyncIterator[PerpDexClient]:
    """Give a client of the API."""
    from perp_dex_client import PerpDexClient
    from perp_dex_client.token_file import read_token

    address = api_address()
    token = read_token(address.token_file)
    async with PerpDexClient(address.url, token, retry_within_s=retry_within_s) as client:
        yield client


def ask(question: Callable[[PerpDexClient], Awaitable[T]]) -> T:
    """Connect, ask one thing, and return the answer."""

    async def once() -> T:
        async with connected() as client:
            return await question(client)

    return asyncio.run(once())
