"""The connection to Valkey: time limits, bounded retries, and one log line per change of state.

Whoever uses it reports how calls went; nobody else decides whether Valkey is there. Knows nothing
of what is said over it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from domain.errors import Unavailable

CALL_TIMEOUT_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 1.0
CONNECTIONS_MAX: Final = 128
BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MAX_S: Final = 5.0

#: What a call over a lost or refusing Valkey raises.
BUS_ERRORS: Final = (RedisError, OSError, TimeoutError)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Bus:
    """One Valkey server as seen by this process.

    Connecting is lazy: making a `Bus` never fails because Valkey is down.
    """

    def __init__(
        self,
        url: str,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        connections_max: int = CONNECTIONS_MAX,
    ) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            socket_timeout=call_timeout_s,
            socket_connect_timeout=min(call_timeout_s, CONNECT_TIMEOUT_S),
            # One try: a caller here has something better to do than to wait for Valkey.
            retry=Retry(NoBackoff(), 0),
            health_check_interval=15,
            max_connections=connections_max,
            decode_responses=False,
        )
        self._place = _without_credentials(url)
        self._up: bool | None = None

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
            Unavailable: Valkey does not answer; whether the command ran is unknown.
        """
        try:
            answer = await command(self._redis)
        except BUS_ERRORS as error:
            self.saw_failure(error)
            raise Unavailable(
                f"expected an answer of Valkey at {self._place}, found {type(error).__name__}; "
                "check that it runs and REDIS_URL names it"
            ) from error
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
            self._up = True
            _log.info("valkey answers", extra={"place": self._place})

    def saw_failure(self, error: BaseException) -> None:
        """Take note that Valkey did not answer; logs only when it did before."""
        if self._up is not False:
            self._up = False
            _log.warning(
                "valkey does not answer, going on without it",
                extra={"place": self._place, "error": type(error).__name__},
            )

    async def close(self) -> None:
        """Release the connections."""
        await self._redis.aclose()


def backoff_s(failures: int) -> float:
    """Return how long to wait after so many failures in a row, in seconds (at least one)."""
    doubled = BACKOFF_FIRST_S * 2 ** min(failures - 1, 16)
    return float(min(doubled, BACKOFF_MAX_S))


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix:{parts.path}"
    return f"{parts.hostname}:{parts.port or 6379}"
