"""Every question about markets at EdgeX. Raises; never answers with a default.

There is none for public trades, and the tickers of all markets at once come by socket alone: rates
and the oracle's prices are asked for in lists.

Source: edgeX gitbook api/public-api/**; measured 2026-09 (getTicker without a contract is empty).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypeVar

from domain.errors import InvalidInput, VenueUnavailable
from domain.market_data import Candle, FundingRate, OrderBook, Ticker
from venues.edgex import translate_markets, wire
from venues.edgex.account_queries import ReadCatalog
from venues.edgex.catalog import Catalog
from venues.edgex.proofs import CAPABILITIES
from venues.edgex.rest import Rest
from venues.edgex.times import at_ms, to_ms
from venues.edgex.translate_markets import KLINE_TYPES
from venues.transport import Clock

INTERVALS: Final = CAPABILITIES.candle_intervals
_BOOK_DEPTHS: Final = (15, 200)
_KLINES_PAGE: Final = 1000
_KLINES_MAX: Final = 5000
_RATES_PAGE: Final = "100"
#: Contracts in one question, so that its address stays below two kilobytes.
_CONTRACTS_PER_QUESTION: Final = 100

T = TypeVar("T")


class MarketQueries:
    """Questions about markets of one network."""

    def __init__(self, rest: Rest, catalog: ReadCatalog, clock: Clock) -> None:
        self._rest = rest
        self._catalog = catalog
        self._clock = clock

    async def read_catalog(self) -> Catalog:
        """Read the metadata anew."""
        metadata = await self._rest.ask("/public/meta/getMetaData", wire.Metadata)
        return _read(lambda: Catalog(metadata))

    async def venue_time(self) -> datetime:
        """Return the venue's clock."""
        told = await self._rest.ask("/public/meta/getServerTime", wire.ServerTime)
        return _read(lambda: at_ms(told.time_millis or told.server_time or "", "timeMillis"))

    async def order_book(self, symbol: str, depth: int) -> OrderBook:
        """Return the book, at most 200 levels a side."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 to {_BOOK_DEPTHS[-1]}, found {depth}")
        level = _BOOK_DEPTHS[0] if depth <= _BOOK_DEPTHS[0] else _BOOK_DEPTHS[-1]
        contract = (await self._catalog()).find(symbol)
        answer = await self._rest.answer(
            "/public/quote/getDepth",
            list[wire.Depth],
            {"contractId": contract.contract_id, "level": str(level)},
        )
        received = self._clock()
        if len(answer.data) != 1 or answer.data[0].contract_id != contract.contract_id:
            raise VenueUnavailable(f"expected one book of {symbol} from edgex, found another")
        row = answer.data[0]
        return _read(
            lambda: translate_markets.whole_book(
                symbol,
                row,
                depth=depth,
                event_time=answer.at or received,
                received_time=received,
            )
        )

    async def candles(
        self, symbol: str, interval: str, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles that begin from `start` up to `end`, oldest first, the newest 5000."""
        if interval not in KLINE_TYPES:
            raise InvalidInput(
                "interval", f"expected one of {', '.join(INTERVALS)}, found {interval[:16]!r}"
            )
        contract = (await self._catalog()).find(symbol)
        rows = await self._rest.pages(
            "/public/quote/getKline",
            wire.Kline,
            {
                "contractId": contract.contract_id,
                "priceType": "LAST_PRICE",
                "klineType": KLINE_TYPES[interval],
                "size": str(_KLINES_PAGE),
                "filterBeginKlineTimeInclusive": str(to_ms(start)),
                # Candles that begin at `end` are wanted, too.
                "filterEndKlineTimeExclusive": str(to_ms(end) + 1),
            },
            rows_max=_KLINES_MAX,
        )
        found = _read(lambda: [translate_markets.candle(symbol, row) for row in rows])
        return tuple(sorted(found, key=lambda candle: candle.open_time))

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return the oracle's prices and present rates of every market that takes orders."""
        catalog = await self._catalog()
        wanted = [
            contract
            for contract in catalog.contracts.values()
            if contract.instrument.state != "DELISTED"
        ]
        found: list[Ticker] = []
        for begin in range(0, len(wanted), _CONTRACTS_PER_QUESTION):
            asked = wanted[begin : begin + _CONTRACTS_PER_QUESTION]
            ids = ",".join(contract.contract_id for contract in asked)
            rows = await self._rest.ask(
                "/public/funding/getLatestFundingRate",
                list[wire.FundingRateRow],
                {"contractId": ids},
            )
            found += _read(lambda rows=rows: self._tickers(catalog, rows))  # type: ignore[misc]
        if not found:
            raise VenueUnavailable("expected edgex's prices, found none")
        return tuple(found)

    def _tickers(self, catalog: Catalog, rows: list[wire.FundingRateRow]) -> list[Ticker]:
        received = self._clock()
        found = []
        for row in rows:
            symbol = catalog.symbol_of(row.contract_id)
            if symbol is not None:
                found.append(
                    translate_markets.rates_ticker(
                        symbol,
                        row,
                        funding_interval_s=catalog.find(symbol).funding_interval_s,
                        received_time=received,
                    )
                )
        return found

    async def funding_rates(self, symbol: str, since: datetime) -> tuple[FundingRate, ...]:
        """Return past rates that were settled, oldest first."""
        contract = (await self._catalog()).find(symbol)
        rows = await self._rest.pages(
            "/public/funding/getFundingRatePage",
            wire.FundingRateRow,
            {
                "contractId": contract.contract_id,
                "size": _RATES_PAGE,
                "filterSettlementFundingRate": "true",
                "filterBeginTimeInclusive": str(to_ms(since)),
            },
        )
        interval_s = contract.funding_interval_s
        found = _read(
            lambda: [
                translate_markets.funding_rate(symbol, row, interval_s=interval_s) for row in rows
            ]
        )
        return tuple(sorted(found, key=lambda rate: rate.event_time))


def _read(reader: Callable[[], T]) -> T:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader()
    except wire.WireError as error:
        raise VenueUnavailable(f"edgex's answer cannot be read: {error}") from None
