"""Ask for books, prices and the past across processes: who has no venue asks, who has one answers.

Requests and replies are short-lived Valkey lists: a request nobody takes in time is dropped, a
reply nobody awaits expires. Knows no venue; the answer comes from a function given in.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import msgspec
from redis.asyncio import Redis

from bus.connection import Bus, as_bytes, backoff_s
from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError, Unavailable, VenueRefused, VenueUnavailable
from domain.latest_prices import LatestPrice
from domain.market_data import OrderBook
from domain.market_past import MarketPast, PastQuestion

REQUESTS_KEY: Final = "perp-dex:book-requests"
REPLY_KEY: Final = "perp-dex:book-reply:"
DEADLINE_S: Final = 2.0
DEPTH_MAX: Final = 100
WAITING_MAX: Final = 64
ANSWERING_MAX: Final = 16
REQUESTS_MAX: Final = 1_000
_EXPIRY_S: Final = 10
#: The share of the time that somebody waits in which the venue has to have answered; the rest is
#: for the way back, so that a silent venue is told from a streaming process that is not there.
_VENUES_SHARE: Final = 0.9
_TAKE_TIMEOUT_S: Final = 0.5

_log = logging.getLogger(__name__)


class BookRequest(msgspec.Struct, frozen=True, kw_only=True, tag="book"):
    """One request. `until_ms` is the wall clock after which nobody waits for the answer."""

    request_id: str
    venue: str
    network: Network
    symbol: str
    depth: int
    until_ms: int


class PriceRequest(msgspec.Struct, frozen=True, kw_only=True, tag="price"):
    """A request for a market's present prices. `until_ms` as in `BookRequest`."""

    request_id: str
    venue: str
    network: Network
    symbol: str
    until_ms: int


class PastRequest(msgspec.Struct, frozen=True, kw_only=True, tag="past"):
    """A request for a market's past. `until_ms` as in `BookRequest`."""

    request_id: str
    question: PastQuestion
    until_ms: int


class MarketReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: what was asked for, or an error of `domain.errors` by its code."""

    book: OrderBook | None = None
    price: LatestPrice | None = None
    past: MarketPast | None = None
    code: str | None = None
    field: str | None = None
    message: str = ""


_encoder = msgspec.msgpack.Encoder()
_request_decoder: msgspec.msgpack.Decoder[BookRequest | PriceRequest | PastRequest] = (
    msgspec.msgpack.Decoder(BookRequest | PriceRequest | PastRequest)
)
_reply_decoder = msgspec.msgpack.Decoder(MarketReply)

Answer = Callable[[BookRequest], Awaitable[OrderBook]]
PriceAnswer = Callable[[PriceRequest], Awaitable[LatestPrice]]
PastAnswer = Callable[[PastQuestion], Awaitable[MarketPast]]
_Request = BookRequest | PriceRequest | PastRequest


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
        request = BookRequest(
            request_id=uuid.uuid4().hex,
            venue=venue,
            network=network,
            symbol=symbol,
            depth=depth,
            until_ms=self._until_ms(),
        )
        reply = await self._within_the_deadline(request, f"a book of {venue}:{symbol}")
        if reply.book is None:
            raise Unavailable("expected a book in the reply, found none")
        return reply.book

    async def request_price(self, venue: str, network: Network, symbol: str) -> LatestPrice:
        """Return a market's present prices, about a second old at most.

        Raises:
            As `request_book`.
        """
        request = PriceRequest(
            request_id=uuid.uuid4().hex,
            venue=venue,
            network=network,
            symbol=symbol,
            until_ms=self._until_ms(),
        )
        reply = await self._within_the_deadline(request, f"prices of {venue}:{symbol}")
        if reply.price is None:
            raise Unavailable("expected prices in the reply, found none")
        return reply.price

    async def request_past(self, question: PastQuestion) -> MarketPast:
        """Return what a market's past holds of what is asked.

        Raises:
            As `request_book`; InvalidInput also where the venue does not tell this at all.
        """
        question.check(datetime.now(UTC))
        request = PastRequest(
            request_id=uuid.uuid4().hex, question=question, until_ms=self._until_ms()
        )
        wanted = f"{question.query} of {question.venue}:{question.symbol}"
        reply = await self._within_the_deadline(request, wanted)
        if reply.past is None:
            raise Unavailable("expected a market's past in the reply, found none")
        return reply.past

    def _until_ms(self) -> int:
        return _now_ms() + int(self._deadline_s * 1000)

    async def _within_the_deadline(self, request: _Request, wanted: str) -> MarketReply:
        if self._waiting >= WAITING_MAX:
            raise Unavailable(
                f"expected fewer than {WAITING_MAX} market requests at once; try again"
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._ask(request)
        except TimeoutError:
            raise Unavailable(
                f"expected {wanted} within {self._deadline_s:g} s, found none; "
                "check that the streaming process runs"
            ) from None
        finally:
            self._waiting -= 1

    async def _ask(self, request: _Request) -> MarketReply:
        requests = self._bus.key(REQUESTS_KEY)
        await self._bus.call(lambda redis: _push_request(redis, requests, _encoder.encode(request)))
        key = self._bus.key(REPLY_KEY + request.request_id)
        while True:
            taken = await self._bus.call(lambda redis: redis.blpop([key], timeout=_TAKE_TIMEOUT_S))
            if taken is not None:
                return _reply_in(as_bytes(taken[1]))


class MarketAnswers:
    """The answering side: takes requests and has `answer` find the book, `price` the prices.

    `past` finds what a market's past holds.
    """

    def __init__(
        self,
        bus: Bus,
        answer: Answer,
        price: PriceAnswer | None = None,
        past: PastAnswer | None = None,
    ) -> None:
        self._bus = bus
        self._answer = answer
        self._price = price
        self._past = past

    async def run(self) -> None:
        """Answer until cancelled; with Valkey away, wait for it."""
        failures = 0
        requests = self._bus.key(REQUESTS_KEY)
        places = asyncio.Semaphore(ANSWERING_MAX)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await places.acquire()
                try:
                    taken = await self._bus.call(
                        lambda redis: redis.blpop([requests], timeout=_TAKE_TIMEOUT_S)
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
            _log.warning(
                "expected a market request, found other bytes", extra={"error": str(error)}
            )
            return
        remaining_s = (request.until_ms - _now_ms()) / 1000
        if remaining_s <= 0:
            return
        try:
            # No answer later than anybody waits, whatever the request claims.
            async with asyncio.timeout(min(remaining_s, _EXPIRY_S)):
                reply = await self._reply_within(_VENUES_SHARE * remaining_s, request)
                key = self._bus.key(REPLY_KEY + request.request_id)
                await self._bus.call(lambda redis: _push_reply(redis, key, _encoder.encode(reply)))
        except (TimeoutError, Unavailable):
            # The asking side says so to its caller; the bus logs its own state.
            return

    async def _reply_within(self, seconds: float, request: _Request) -> MarketReply:
        try:
            async with asyncio.timeout(seconds):
                return await self._reply_to(request)
        except TimeoutError:
            return MarketReply(
                code=VenueUnavailable.code,
                message=(
                    f"expected the venue's answer within {seconds:.1f} s, found none; try again"
                ),
            )

    async def _reply_to(self, request: _Request) -> MarketReply:
        try:
            if isinstance(request, PastRequest):
                if self._past is None:
                    raise Unavailable("expected a process that reads the past, found another")
                return MarketReply(past=await self._past(request.question))
            if isinstance(request, PriceRequest):
                if self._price is None:
                    raise Unavailable("expected a process that knows prices, found another")
                return MarketReply(price=await self._price(request))
            _check_depth(request.depth)
            return MarketReply(book=await self._answer(request))
        except InvalidInput as error:
            return MarketReply(code=error.code, field=error.field, message=error.message)
        except PerpDexError as error:
            return MarketReply(code=error.code, message=str(error))
        except TimeoutError:
            raise
        except Exception:  # noqa: BLE001 - one bad answer must not end the process
            _log.exception("a market request could not be answered")
            return MarketReply(code=Unavailable.code, message="the streaming process failed")


async def _push_request(redis: Redis, key: str, data: bytes) -> None:
    async with redis.pipeline(transaction=True) as together:
        together.rpush(key, data)
        # With nobody taking requests the list stays short and is gone after a while.
        together.ltrim(key, -REQUESTS_MAX, -1)
        together.expire(key, _EXPIRY_S)
        await together.execute()


async def _push_reply(redis: Redis, key: str, data: bytes) -> None:
    async with redis.pipeline(transaction=True) as together:
        together.rpush(key, data)
        together.expire(key, _EXPIRY_S)
        await together.execute()


def _reply_in(data: bytes) -> MarketReply:
    try:
        reply = _reply_decoder.decode(data)
    except msgspec.DecodeError as error:
        raise Unavailable(f"expected a reply, found other bytes: {error}") from error
    if reply.code is None:
        return reply
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
