"""Ask for an order book across processes: who has no venue asks, who has one answers.

Requests and replies are short-lived Valkey lists: a request nobody takes in time is dropped, a
reply nobody awaits expires. Knows no venue; the answer comes from a function given in.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from redis.asyncio import Redis

from bus.connection import Bus, as_bytes, backoff_s
from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError, Unavailable, VenueRefused, VenueUnavailable
from domain.market_data import OrderBook

REQUESTS_KEY: Final = "perp-dex:book-requests"
REPLY_KEY: Final = "perp-dex:book-reply:"
DEADLINE_S: Final = 2.0
DEPTH_MAX: Final = 100
WAITING_MAX: Final = 64
ANSWERING_MAX: Final = 16
REQUESTS_MAX: Final = 1_000
_EXPIRY_S: Final = 10
_TAKE_TIMEOUT_S: Final = 0.5

_log = logging.getLogger(__name__)


class BookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `until_ms` is the wall clock after which nobody waits for the answer."""

    request_id: str
    venue: str
    network: Network
    symbol: str
    depth: int
    until_ms: int


class BookReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: a book, or an error of `domain.errors` by its code."""

    book: OrderBook | None = None
    code: str | None = None
    field: str | None = None
    message: str = ""


_encoder = msgspec.msgpack.Encoder()
_request_decoder = msgspec.msgpack.Decoder(BookRequest)
_reply_decoder = msgspec.msgpack.Decoder(BookReply)

Answer = Callable[[BookRequest], Awaitable[OrderBook]]


class MarketRequests:
    """The asking side; bounded, and never slower than its deadline."""

    def __init__(self, bus: Bus, *, deadline_s: float = DEADLINE_S) -> None:
        self._bus = bus
        self._deadline_s = deadline_s
        self._waiting = 0

    async def request_book(
        self, venue: str, network: Network, symbol: str, depth: int = 20
    ) -> OrderBook:
        """Return a venue's present book, at most about half a second old.

        Raises:
            InvalidInput: the venue has no such market, or `depth` is not 1 to 100.
            VenueUnavailable: the venue does not answer.
            VenueRefused: the venue refuses.
            Unavailable: Valkey or the streaming process does not answer in time.
        """
        _check_depth(depth)
        if self._waiting >= WAITING_MAX:
            raise Unavailable(f"expected fewer than {WAITING_MAX} book requests at once; try again")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._ask(venue, network, symbol, depth)
        except TimeoutError:
            raise Unavailable(
                f"expected a book of {venue}:{symbol} within {self._deadline_s:g} s, found none; "
                "check that the streaming process runs"
            ) from None
        finally:
            self._waiting -= 1

    async def _ask(self, venue: str, network: Network, symbol: str, depth: int) -> OrderBook:
        request = BookRequest(
            request_id=uuid.uuid4().hex,
            venue=venue,
            network=network,
            symbol=symbol,
            depth=depth,
            until_ms=_now_ms() + int(self._deadline_s * 1000),
        )
        await self._bus.call(lambda redis: _push_request(redis, _encoder.encode(request)))
        key = REPLY_KEY + request.request_id
        while True:
            taken = await self._bus.call(lambda redis: redis.blpop([key], timeout=_TAKE_TIMEOUT_S))
            if taken is not None:
                return _book_in(as_bytes(taken[1]))


class MarketAnswers:
    """The answering side: takes requests and has `answer` find the book."""

    def __init__(self, bus: Bus, answer: Answer) -> None:
        self._bus = bus
        self._answer = answer

    async def run(self) -> None:
        """Answer until cancelled; with Valkey away, wait for it."""
        failures = 0
        places = asyncio.Semaphore(ANSWERING_MAX)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await places.acquire()
                try:
                    taken = await self._bus.call(
                        lambda redis: redis.blpop([REQUESTS_KEY], timeout=_TAKE_TIMEOUT_S)
                    )
                except Unavailable:
                    places.release()
                    failures += 1
                    await asyncio.sleep(backoff_s(failures))
                    continue
                failures = 0
                if taken is None:
                    places.release()
                    continue
                task = tasks.create_task(self._serve(as_bytes(taken[1])))
                task.add_done_callback(lambda _: places.release())

    async def _serve(self, data: bytes) -> None:
        try:
            request = _request_decoder.decode(data)
        except msgspec.DecodeError as error:
            _log.warning("expected a book request, found other bytes", extra={"error": str(error)})
            return
        remaining_s = (request.until_ms - _now_ms()) / 1000
        if remaining_s <= 0:
            return
        try:
            # No answer later than anybody waits, whatever the request claims.
            async with asyncio.timeout(min(remaining_s, _EXPIRY_S)):
                reply = await self._reply_to(request)
                key = REPLY_KEY + request.request_id
                await self._bus.call(lambda redis: _push_reply(redis, key, _encoder.encode(reply)))
        except (TimeoutError, Unavailable):
            # The asking side says so to its caller; the bus logs its own state.
            return

    async def _reply_to(self, request: BookRequest) -> BookReply:
        try:
            _check_depth(request.depth)
            return BookReply(book=await self._answer(request))
        except InvalidInput as error:
            return BookReply(code=error.code, field=error.field, message=error.message)
        except PerpDexError as error:
            return BookReply(code=error.code, message=str(error))
        except TimeoutError:
            raise
        except Exception:  # noqa: BLE001 - one bad answer must not end the process
            _log.exception("a book request could not be answered")
            return BookReply(code=Unavailable.code, message="the streaming process failed")


async def _push_request(redis: Redis, data: bytes) -> None:
    async with redis.pipeline(transaction=True) as together:
        together.rpush(REQUESTS_KEY, data)
        # With nobody taking requests the list stays short and is gone after a while.
        together.ltrim(REQUESTS_KEY, -REQUESTS_MAX, -1)
        together.expire(REQUESTS_KEY, _EXPIRY_S)
        await together.execute()


async def _push_reply(redis: Redis, key: str, data: bytes) -> None:
    async with redis.pipeline(transaction=True) as together:
        together.rpush(key, data)
        together.expire(key, _EXPIRY_S)
        await together.execute()


def _book_in(data: bytes) -> OrderBook:
    try:
        reply = _reply_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable(f"expected a book in the reply, found other bytes: {error}") from error
    if reply.book is not None:
        return reply.book
    if reply.code == InvalidInput.code:
        raise InvalidInput(reply.field or "symbol", reply.message)
    if reply.code == VenueRefused.code:
        raise VenueRefused(reply.message)
    if reply.code == VenueUnavailable.code:
        raise VenueUnavailable(reply.message)
    raise Unavailable(reply.message)


def _check_depth(depth: int) -> None:
    if not 1 <= depth <= DEPTH_MAX:
        raise InvalidInput("depth", f"expected 1 to {DEPTH_MAX}, found {depth}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
