"""Markets over the API, typed: what can be traded over all venues, and what their past holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.models import Market
from perp_dex_client.transport import Transport

T = TypeVar("T")

_PAGE = 500


class MarketPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of markets, by symbol and then venue."""

    markets: tuple[Market, ...]
    next_cursor: str | None = None
    has_more: bool = False


class PastTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A public execution; `aggressor_side` is the taker's, None where the venue does not say."""

    trade_id: str
    price: Decimal
    quantity: Decimal
    event_time: datetime
    received_time: datetime
    aggressor_side: str | None = None


class MarketTrades(msgspec.Struct, frozen=True, kw_only=True):
    """A market's last trades, newest first, as of `as_of`; `stale`: it is an older answer."""

    venue: str
    symbol: str
    network: str
    source: str
    as_of: datetime
    age_ms: int
    stale: bool
    trades: tuple[PastTrade, ...]


class FundingRate(msgspec.Struct, frozen=True, kw_only=True):
    """A funding rate per `interval_s` seconds; `annual_rate` is the same over 365 days."""

    rate: Decimal
    interval_s: int
    annual_rate: Decimal
    event_time: datetime


class MarketFunding(msgspec.Struct, frozen=True, kw_only=True):
    """What funding is now, where the venue says, and what it was, newest first."""

    venue: str
    symbol: str
    network: str
    source: str
    as_of: datetime
    age_ms: int
    stale: bool
    rates: tuple[FundingRate, ...]
    present: FundingRate | None = None


class Candle(msgspec.Struct, frozen=True, kw_only=True):
    """One interval of trading; `closed` False: it goes on."""

    open_time: datetime
    close_time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    closed: bool


class MarketCandles(msgspec.Struct, frozen=True, kw_only=True):
    """A market's candles, oldest first; an interval without a trade may be missing."""

    venue: str
    symbol: str
    network: str
    source: str
    as_of: datetime
    age_ms: int
    stale: bool
    interval: str
    candles: tuple[Candle, ...]


class MarketsApi:
    """Markets of the API; `PerpDexClient.market_data`. Without `venue` the default account's.

    What is asked of a venue raises ServiceBusy when nobody who reaches it answers, and
    InvalidRequest where the venue does not tell this.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def page(
        self,
        *,
        venue: str | None = None,
        network: str | None = None,
        symbol: str | None = None,
        limit: int = 200,
        cursor: str | None = None,
    ) -> MarketPage:
        """Return a page of the markets of all venues, or of one, or of one symbol."""
        wanted = {
            "venue": venue,
            "network": network,
            "symbol": symbol,
            "limit": str(limit),
            "cursor": cursor,
        }
        return await self._get("/api/v1/markets", MarketPage, wanted)

    async def all(
        self, *, venue: str | None = None, network: str | None = None, symbol: str | None = None
    ) -> AsyncIterator[Market]:
        """Yield markets, over as many pages as it takes."""
        cursor: str | None = None
        while True:
            page = await self.page(
                venue=venue, network=network, symbol=symbol, limit=_PAGE, cursor=cursor
            )
            for market in page.markets:
                yield market
            cursor = page.next_cursor
            if cursor is None or not page.markets:
                return

    async def trades(
        self,
        symbol: str,
        *,
        limit: int = 100,
        venue: str | None = None,
        network: str | None = None,
    ) -> MarketTrades:
        """Return a market's last trades, at most 500."""
        wanted = {"venue": venue, "network": network, "limit": str(limit)}
        return await self._get(_path(symbol, "trades"), MarketTrades, wanted)

    async def funding(
        self,
        symbol: str,
        *,
        since: datetime | None = None,
        limit: int = 100,
        venue: str | None = None,
        network: str | None = None,
    ) -> MarketFunding:
        """Return a market's funding, at most 90 days back; without `since` of seven days."""
        wanted = {
            "venue": venue,
            "network": network,
            "since": None if since is None else since.isoformat(),
            "limit": str(limit),
        }
        return await self._get(_path(symbol, "funding"), MarketFunding, wanted)

    async def candles(
        self,
        symbol: str,
        interval: str = "1h",
        *,
        until: datetime | None = None,
        limit: int = 100,
        venue: str | None = None,
        network: str | None = None,
    ) -> MarketCandles:
        """Return a market's last candles, at most 500."""
        wanted = {
            "venue": venue,
            "network": network,
            "interval": interval,
            "until": None if until is None else until.isoformat(),
            "limit": str(limit),
        }
        return await self._get(_path(symbol, "candles"), MarketCandles, wanted)

    async def _get(self, path: str, kind: type[T], wanted: dict[str, str | None]) -> T:
        query = {name: text for name, text in wanted.items() if text is not None}
        answer = await self._transport.call("GET", path, query=query, repeatable=True)
        return _as(answer.document, kind)


def _path(symbol: str, what: str) -> str:
    return f"/api/v1/markets/{quote(symbol, safe='')}/{what}"


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected markets from the API: {error}") from error
