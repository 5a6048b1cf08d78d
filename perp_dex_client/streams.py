"""One stream of events over as many connections as it takes, for whatever speaks over our sockets.

Authenticates, notices a dead connection by missing heartbeats, and reconnects with growing pauses.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any, Final, Protocol, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from perp_dex_client.errors import NotAuthorized, UnreadableAnswer

_MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
_OPEN_TIMEOUT_S: Final = 5.0
_BACKOFF_MAX_S: Final = 5.0
_UNAUTHENTICATED: Final = 4001
_FORBIDDEN: Final = 4003
_HEARTBEATS_MISSING_MAX: Final = 3

#: Hears of every connection made (True) and lost (False, with the reason in words).
OnConnection = Callable[[bool, str], None]

E_co = TypeVar("E_co", covariant=True)
E = TypeVar("E")


class BeginAnew(Exception):
    """This connection is of no use any more, another one may be; the text says why."""


class Conversation(Protocol[E_co]):
    """What is said over one connection after another, and remembered between them."""

    @property
    def url(self) -> str:
        """Where the socket is."""
        ...

    @property
    def on_connection(self) -> OnConnection:
        """Who hears of connections."""
        ...

    def over(self, socket: ClientConnection) -> AsyncIterator[E_co]:
        """Speak over a new connection, and yield until it ends.

        Raises:
            BeginAnew: nothing more is to be had of this connection.
        """
        ...


class Speaker:
    """One connection, from its greeting on."""

    def __init__(self, socket: ClientConnection, token: str, on_connection: OnConnection) -> None:
        self._socket = socket
        self._token = token
        self._on_connection = on_connection
        self._within_s = _OPEN_TIMEOUT_S

    async def greet(self) -> None:
        """Hear the greeting, and say who we are."""
        greeting = await self.hear()
        heartbeat_s = float(greeting.get("heartbeat_ms", 5000)) / 1000
        self._within_s = heartbeat_s * _HEARTBEATS_MISSING_MAX
        await self.say({"op": "auth", "token": self._token, "id": "auth"})

    async def say(self, message: dict[str, object]) -> None:
        """Send a message."""
        await self._socket.send(msgspec.json.encode(message).decode())

    async def hear(self) -> dict[str, Any]:
        """Return the next message.

        Raises:
            TimeoutError: the server is silent, heartbeats included.
            UnreadableAnswer: it is no object.
        """
        async with asyncio.timeout(self._within_s):
            data = await self._socket.recv()
        message = msgspec.json.decode(data)
        if not isinstance(message, dict):
            raise UnreadableAnswer("expected an object from the stream, found something else")
        if message.get("type") == "ack" and message.get("op") == "auth":
            self._on_connection(True, "")
        return message


async def followed(conversation: Conversation[E]) -> AsyncGenerator[E, None]:
    """Yield a conversation's events over as many connections as it takes."""
    failures = 0
    while True:
        try:
            async with connect(
                conversation.url,
                open_timeout=_OPEN_TIMEOUT_S,
                max_size=_MESSAGE_BYTES_MAX,
                compression=None,
                proxy=None,
            ) as socket:
                async for event in conversation.over(socket):
                    failures = 0
                    yield event
        except ConnectionClosed as closed:
            reason = _why(closed)
        except (OSError, TimeoutError, InvalidHandshake, BeginAnew) as error:
            # Not there, or silent, or not to be gone on with: another connection is begun.
            reason = str(error) or "nothing was heard in time"
        except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
            raise UnreadableAnswer(f"expected a message of the stream: {error}") from error
        conversation.on_connection(False, reason)
        failures += 1
        bound = min(0.1 * 2 ** min(failures, 10), _BACKOFF_MAX_S)
        await asyncio.sleep(random.uniform(bound / 2, bound))


def _why(closed: ConnectionClosed) -> str:
    """Return why a connection ended, in words.

    Raises:
        NotAuthorized: it ended because the token is not taken; another one would end as well.
    """
    if closed.rcvd is None:
        return "the connection was cut"
    if closed.rcvd.code in (_UNAUTHENTICATED, _FORBIDDEN):
        problem = {"detail": closed.rcvd.reason, "code": "unauthenticated"}
        raise NotAuthorized(problem, 401) from None
    return closed.rcvd.reason or f"closed with code {closed.rcvd.code}"
