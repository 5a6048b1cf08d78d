"""The WebSocket server: sockets in, sessions out, and the clockwork around the hub.

Policy is in `hub` and `conversation`; here is what needs an event loop: accepting, one task per
session, heartbeats, deadlines, draining.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from domain.errors import Unavailable
from domain.ports import AccountStore
from streaming.channels import Channel
from streaming.connection import ClientConnection, RefusedConnection
from streaming.conversation import Conversations
from streaming.handshake import Doors, Refused, judge
from streaming.hub import BEAT_GROUPS, Hub, Topic
from streaming.market_conversation import MarketConversation
from streaming.market_topics import MarketTopics
from streaming.protocol import CloseCode, Heartbeat, Limits, encode, hello
from streaming.schema import rfc3339
from streaming.tail import Tail
from streaming.tokens import Authenticator

HEALTH_PATH: Final = "/healthz"
SWEEP_S: Final = 0.25
ACCOUNTS_S: Final = 5.0
HANDSHAKE_S: Final = 5.0
IDLE_PING_S: Final = 20.0
PONG_WITHIN_S: Final = 10.0
DRAIN_S: Final = 2.0
#: So many new connections are taken before the others are heard again, the rest waits its turn.
ACCEPTED_AT_ONCE: Final = 16
WAITING_MAX: Final = 4_096

_log = logging.getLogger(__name__)

# What clients do wrong is no news for our log: an attacker would fill it.
_picows_log = logging.getLogger("streaming.picows")
_picows_log.setLevel(logging.CRITICAL)


class StreamServer:
    """Serves the channels to clients. Use `start`, `run` in a task, `drain`.

    `markets` makes what follows market channels over the server's hub; without it there are none.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, Channel],
        accounts: AccountStore,
        authenticator: Authenticator,
        doors: Doors,
        limits: Limits | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        markets: Callable[[Hub], MarketTopics] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._doors = doors
        self._now = now
        self._channels = channels
        self.hub = Hub(self._limits)
        self.tail = Tail(self.hub, tuple(channels.values()))
        self.markets = None if markets is None else markets(self.hub)
        about_markets = (
            None
            if self.markets is None
            else MarketConversation(self.hub, self.markets, self._limits)
        )
        self._conversations = Conversations(
            self.hub, channels, accounts, authenticator, self._limits, now, about_markets
        )
        self._server: asyncio.Server | None = None
        self._tasks: dict[ClientConnection, asyncio.Task[None]] = {}
        self._look_at_accounts = asyncio.Event()
        self._draining = False

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            OSError: the address cannot be used.
        """
        self._server = await ws_create_server(
            self._answer,
            host,
            port,
            logger_name=_picows_log,
            websocket_handshake_timeout=HANDSHAKE_S,
            enable_auto_ping=True,
            auto_ping_idle_timeout=IDLE_PING_S,
            auto_ping_reply_timeout=PONG_WITHIN_S,
            # Pings count as messages, so they are answered where those are counted.
            enable_auto_pong=False,
            max_frame_size=self._limits.message_bytes_max,
            read_buffer_init_size=4 * 1024,
            backlog=ACCEPTED_AT_ONCE,
        )
        for listening in self._server.sockets:
            _let_wait(listening.fileno())
        return int(self._server.sockets[0].getsockname()[1])

    async def run(self) -> None:
        """Do what is due until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.tail.run(), name="tail")
            tasks.create_task(self._sweep(), name="sweep")
            tasks.create_task(self._beat(), name="beat")
            tasks.create_task(self._follow_accounts(), name="follow-accounts")
            if self.markets is not None:
                tasks.create_task(self.markets.run(), name="markets")

    def accounts_changed(self) -> None:
        """Look for accounts that came or went."""
        self._look_at_accounts.set()

    def announce_status(self, account_id: str) -> None:
        """Tell followers of an account how fresh its data is now."""
        for name, channel in self._channels.items():
            self.hub.announce(Topic(name, account_id), channel.status(account_id))

    async def drain(self) -> None:
        """Take nobody new, say goodbye to all, and wait a moment for them to go."""
        self._draining = True
        if self._server is not None:
            self._server.close()
        for session in self.hub.sessions:
            self.hub.close(session, CloseCode.GOING_AWAY, "the server stops; connect again")
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=DRAIN_S)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _answer(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        path = request.path.decode("latin-1")
        if path == HEALTH_PATH:
            return WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_ok_response(b"ok\n"), None
            )
        headers = request.headers
        verdict = judge(self._doors, path, headers.getall("host", []), headers.getall("origin", []))
        if verdict is None:
            return _refusal(404, b"no such channel\n")
        if isinstance(verdict, Refused):
            return RefusedConnection(verdict)
        if self._draining or self.hub.is_full:
            return _refusal(503, b"no more connections are taken now\n")
        if headers.get("upgrade", "").lower() != "websocket":
            return _refusal(426, b"expected a WebSocket handshake\n")
        return ClientConnection(
            hub=self.hub,
            session_id=secrets.token_hex(8),
            channel=verdict.channel,
            limits=self._limits,
            opened=self._begin,
            left=self._end,
        )

    def _begin(self, connection: ClientConnection) -> None:
        session = connection.session
        greeting = hello(session.channel, session.session_id, self._limits, self._now())
        self.hub.send(session, greeting)
        task = asyncio.get_running_loop().create_task(
            self._converse(connection), name=f"session-{session.session_id}"
        )
        self._tasks[connection] = task
        task.add_done_callback(lambda _: self._tasks.pop(connection, None))

    def _end(self, connection: ClientConnection) -> None:
        self._conversations.forget(connection.session)
        task = self._tasks.get(connection)
        if task is not None:
            task.cancel()

    async def _converse(self, connection: ClientConnection) -> None:
        session = connection.session
        try:
            while not session.is_closed:
                await self._conversations.hear(session, await connection.inbox.get())
        except Exception:  # noqa: BLE001 - a defect of ours closes one client, not the server
            _log.exception("a session failed", extra={"session": session.session_id})
            self.hub.close(session, CloseCode.INTERNAL_ERROR, "internal error")

    async def _sweep(self) -> None:
        revoked_at = 0.0
        while True:
            now = time.monotonic()
            while self.hub.sweep(now):  # noqa: ASYNC110 - a turn for the others, not a wait
                await asyncio.sleep(0)
            if now - revoked_at >= 1.0:
                revoked_at = now
                self._conversations.revoke_replaced()
            try:
                await self._conversations.resync(now)
            except Unavailable as error:
                # The subscriptions stay marked; the tail says that storage is away.
                _log.debug("a resync has to wait: %s", error)
            await asyncio.sleep(SWEEP_S)

    async def _beat(self) -> None:
        """Send every client its heartbeat at the cadence, one group of clients after the other."""
        group, due = 0, time.monotonic()
        while True:
            due += self._limits.heartbeat_s / BEAT_GROUPS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            self.hub.beat(encode(Heartbeat(server_time=rfc3339(self._now()))), group)
            group = (group + 1) % BEAT_GROUPS

    async def _follow_accounts(self) -> None:
        while True:
            try:
                async with asyncio.timeout(ACCOUNTS_S):
                    await self._look_at_accounts.wait()
            except TimeoutError:
                pass
            self._look_at_accounts.clear()
            try:
                await self._conversations.follow_new_accounts()
            except Unavailable as error:
                _log.debug("new accounts have to wait: %s", error)


def _let_wait(descriptor: int) -> None:
    """Have the kernel keep more connections waiting than are accepted in one turn of the loop."""
    with socket.socket(fileno=os.dup(descriptor)) as listening:
        listening.listen(WAITING_MAX)


def _refusal(status: int, body: bytes) -> WSUpgradeResponseWithListener:
    response = WSUpgradeResponse.create_error_response(status, body)
    return WSUpgradeResponseWithListener(response, None)
