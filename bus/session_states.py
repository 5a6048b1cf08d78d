"""The state of accounts' sessions: workers and streaming processes say it, the API reads it.

Each statement is one key with its time, kept for a while after its speaker fell silent, so that its
age can be told. No command depends on it; workers read of feeds alone, to know whether one may be
waited for. Knows no venue.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final, TypeVar

import msgspec
from redis.asyncio import Redis

from bus.connection import Bus, as_bytes
from domain.accounts import Account
from domain.session_states import AccountSession, FeedSession, PlaceSession, TradingSession

KEY: Final = "perp-dex:session:"
#: What is said every few seconds; its age is told for an hour.
EXPIRES_S: Final = 3600
#: What a key proved to be is found out a few times a day.
RIGHTS_EXPIRE_S: Final = 7 * 24 * 3600

T = TypeVar("T")

#: A key, what is said under it, and for how many seconds it is kept.
_Said = tuple[str, PlaceSession | TradingSession | FeedSession, int]

_log = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()


class SessionStatesOnBus:
    """Implements `domain.session_states.SessionStates`, and says what it tells."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def say_trading(
        self, places: Iterable[PlaceSession], accounts: Iterable[TradingSession]
    ) -> None:
        """Say what a worker knows of places and accounts. Raises Unavailable: say it again."""
        said: list[_Said] = [
            (self._place(one.venue, one.network), one, EXPIRES_S) for one in places
        ]
        said.extend(
            (self._account("trading", one.account_id), one, RIGHTS_EXPIRE_S) for one in accounts
        )
        await self._say(said)

    async def say_feeds(self, feeds: Iterable[FeedSession]) -> None:
        """Say what a follower knows of accounts' feeds. Raises Unavailable: say it again."""
        await self._say([(self._account("feed", one.account_id), one, EXPIRES_S) for one in feeds])

    async def read(self, account: Account) -> AccountSession:
        """Return what was said last of an account's session. Raises Unavailable."""
        keys = [
            self._place(account.venue, account.network.value),
            self._account("trading", account.account_id),
            self._account("feed", account.account_id),
        ]
        place, trading, feed = await self._bus.call(lambda redis: redis.mget(keys))
        return AccountSession(
            place=_read(place, PlaceSession),
            trading=_read(trading, TradingSession),
            feed=_read(feed, FeedSession),
        )

    async def feed_of(self, account_id: str) -> FeedSession | None:
        """Return what was said last of an account's feed. Raises Unavailable."""
        key = self._account("feed", account_id)
        return _read(await self._bus.call(lambda redis: redis.get(key)), FeedSession)

    async def _say(self, said: list[_Said]) -> None:
        if not said:
            return
        written = [(key, _encoder.encode(statement), lasts) for key, statement, lasts in said]
        await self._bus.call(lambda redis: _write(redis, written))

    def _place(self, venue: str, network: str) -> str:
        return self._bus.key(f"{KEY}place:{venue}:{network}")

    def _account(self, who: str, account_id: str) -> str:
        return self._bus.key(f"{KEY}{who}:{account_id}")


async def _write(redis: Redis, written: list[tuple[str, bytes, int]]) -> None:
    async with redis.pipeline(transaction=False) as together:
        for key, data, lasts in written:
            together.set(key, data, ex=lasts)
        await together.execute()


def _read(data: bytes | str | None, kind: type[T]) -> T | None:
    if data is None:
        return None
    try:
        return msgspec.msgpack.decode(as_bytes(data), type=kind)
    except msgspec.DecodeError as error:
        # Of a process of another version: for this one nothing is known.
        _log.warning("expected a session's state, found other bytes", extra={"error": str(error)})
        return None
