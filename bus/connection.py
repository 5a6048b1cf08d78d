"""The connection to Valkey: time limits, bounded retries, and one log line per change of state.

Whoever uses it reports how calls went; nobody else decides whether Valkey is there. Knows nothing
of what is said over it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from domain.errors import InvalidInput, Unavailable

CALL_TIMEOUT_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 1.0
CONNECTIONS_MAX: Final = 128
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0
PREFIX: Final = "perp-dex:"
#: A refusal of the same kind is logged again only after so long without one.
REFUSALS_APART_S: Final = 60.0

#: What a call over a lost or refusing Valkey raises.
BUS_ERRORS: Final = (RedisError, OSError, TimeoutError)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Bus:
    """One Valkey server as seen by this process.

    `group` tells installations apart that share one server: what has one database is a group.
    Connecting is lazy: making a `Bus` never fails because Valkey is down. With `ca_file` the
    server's certificate has to be signed by one in there, else by one of the machine's.

    Raises:
        InvalidInput: the URL or the file is none.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: Path | None = None,
        group: str = "",
        call_timeout_s: float = CALL_TIMEOUT_S,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._prefix = f"{PREFIX}{group}:" if group else PREFIX
        self.call_timeout_s = call_timeout_s
        self.place = _without_credentials(url)
        self._redis = _client(url, ca_file, call_timeout_s, connections_max)
        self._trouble: str | None = None
        self._up: bool | None = None
        self._refused_at: dict[str, float] = {}

    def key(self, name: str) -> str:
        """Return the name of a key or channel in this group's part of the server.

        `name` begins with `perp-dex:`; the channels of all numbered databases are one.
        """
        return self._prefix + name.removeprefix(PREFIX)

    @property
    def redis(self) -> Redis:
        """The client itself, for commands that `call` does not fit."""
        return self._redis

    @property
    def is_up(self) -> bool:
        """Whether the last call was answered; False before the first."""
        return self._up is True

    async def call(self, command: Callable[[Redis], Awaitable[T]]) -> T:
        """Run one command.

        Raises:
            Unavailable: Valkey does not answer, or refuses; whether the command ran is unknown.
        """
        canceled_before = cancellations()
        try:
            answer = await command(self._redis)
        except BUS_ERRORS as error:
            keep_cancellation(canceled_before)
            self.saw_failure(error)
            found, remedy = _explained(error)
            raise Unavailable(
                f"expected an answer of Valkey at {self.place}, found {found}; {remedy}"
            ) from error
        keep_cancellation(canceled_before)
        self.saw_success()
        return answer

    async def check(self) -> bool:
        """Tell whether Valkey answers now."""
        try:
            await self.call(lambda redis: redis.echo("perp-dex"))
        except Unavailable:
            return False
        return True

    def saw_success(self) -> None:
        """Take note that Valkey answered."""
        if self._up is not True:
            self._up, self._trouble = True, None
            _log.info("valkey answers", extra={"place": self.place})

    def saw_failure(self, error: BaseException) -> None:
        """Take note of a failure; logs only what is another one than before."""
        found, remedy = _explained(error)
        extra = {"place": self.place, "error": found, "remedy": remedy}
        if _is_refusal(error):
            # It answers, only not this: what else is asked of it goes on.
            last = self._refused_at.get(found)
            self._refused_at[found] = time.monotonic()
            if last is None or time.monotonic() - last > REFUSALS_APART_S:
                _log.warning("valkey refuses, going on without that", extra=extra)
            return
        if self._up is not False or self._trouble != found:
            self._up, self._trouble = False, found
            _log.warning("valkey does not answer, going on without it", extra=extra)

    async def close(self) -> None:
        """Release the connections."""
        await self._redis.aclose()


def cancellations() -> int:
    """Return how often the running task was asked to end and has not ended yet."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


def keep_cancellation(canceled_before: int) -> None:
    """Raise `CancelledError` if the running task was asked to end since.

    The client waits with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that
    comes together with the answer: the task would go on for ever.
    """
    if cancellations() > canceled_before:
        raise asyncio.CancelledError


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row, in seconds (at least one)."""
    doubled = BACKOFF_FIRST_S * 2 ** min(failures - 1, 16)
    return float(min(doubled, BACKOFF_MAX_S))


def as_bytes(value: bytes | str) -> bytes:
    """Return an answer as the bytes it is: the client's types allow for text, which it never is."""
    return value if isinstance(value, bytes) else value.encode()


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, ResponseError) and not isinstance(error, AuthenticationError)


def _explained(error: BaseException) -> tuple[str, str]:
    """Return what was found and what to do; never in the server's words, which may quote ours."""
    match error:
        case AuthenticationError():
            return "the user or password refused", "correct them in REDIS_URL"
        case NoPermissionError():
            return (
                "a command or key that the user in REDIS_URL may not use",
                "give that user the rights of docs/operations.md",
            )
        case OutOfMemoryError():
            return (
                "its memory full",
                "raise maxmemory, or set maxmemory-policy to allkeys-lru",
            )
        case ReadOnlyError():
            return "a replica, which takes no writes", "name its primary in REDIS_URL"
    if _certificate_error(error) is not None:
        return (
            "a certificate that is not trusted",
            "set REDIS_CA_FILE to the certificate that signed it, and name the host it is for",
        )
    return type(error).__name__, "check that it runs and REDIS_URL names it"


def _certificate_error(error: BaseException | None) -> ssl.SSLError | None:
    """Return the error of the encryption behind another error, or None."""
    for _ in range(8):
        if error is None:
            return None
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _client(url: str, ca_file: Path | None, call_timeout_s: float, connections_max: int) -> Redis:
    try:
        made = Redis.from_url(
            url,
            socket_timeout=call_timeout_s,
            socket_connect_timeout=min(call_timeout_s, CONNECT_TIMEOUT_S),
            # One try: a caller here has something better to do than to wait for Valkey.
            retry=Retry(NoBackoff(), 0),
            health_check_interval=15,
            max_connections=connections_max,
            decode_responses=False,
            **_tls_options(url, ca_file),
        )
        # Options are looked at only now: a connection is made and left as it is.
        made.connection_pool.make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        # Without its words: they may quote the URL, and the URL holds the password.
        raise InvalidInput(
            "REDIS_URL", "expected a URL whose options the client knows, found another"
        ) from None
    return made


def _tls_options(url: str, ca_file: Path | None) -> dict[str, Any]:
    if ca_file is None:
        return {}
    if urlsplit(url).scheme != "rediss":
        raise InvalidInput(
            "REDIS_CA_FILE", "expected REDIS_URL to begin with rediss://, found another; change one"
        )
    path = ca_file.expanduser()
    if not path.is_file():
        raise InvalidInput("REDIS_CA_FILE", f"expected a PEM file, found no file at {str(path)!r}")
    return {"ssl_ca_certs": str(path)}


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or 6379
    except ValueError:
        parts, port = urlsplit(""), 0
    if parts.scheme == "unix":
        return f"unix:{parts.path}"
    if parts.scheme not in ("redis", "rediss"):
        raise InvalidInput(
            "REDIS_URL", "expected redis://, rediss:// or unix:// with a port number, found another"
        )
    return f"{parts.hostname}:{port}"
