"""Markets in SQL, as workers have seen them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, bindparam, delete, insert, select

from domain.accounts import Network
from domain.errors import InvalidInput
from domain.instruments import Instrument
from domain.market_listing import MarketFilter, MarketPage
from storage import codec
from storage.engine import Database
from storage.market_listing import read_page
from storage.tables import instruments


class SqlMarketStore:
    """Implements `domain.ports.MarketStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(
        self, network: Network, instruments: Sequence[Instrument], *, seen_at: datetime
    ) -> None:
        """Replace a venue's and network's markets by these (all of one venue).

        Raises:
            InvalidInput: there are none, or they are of several venues.
        """
        venues = {instrument.venue for instrument in instruments}
        if len(venues) != 1:
            raise InvalidInput(
                "instruments", f"expected markets of one venue, found {sorted(venues)}"
            )
        venue = venues.pop()
        rows = [
            {
                "venue": venue,
                "network": network.value,
                "symbol": instrument.symbol,
                "body": codec.instruments.encode(instrument),
                "seen_at": seen_at,
            }
            for instrument in {i.symbol: i for i in instruments}.values()
        ]

        def work(connection: Connection) -> None:
            connection.execute(delete(_markets).where(*_of(venue, network)))
            connection.execute(insert(_markets), rows)

        await self._database.write(work)

    async def instruments(self, venue: str, network: Network) -> tuple[Instrument, ...]:
        """Return the markets of a venue and network, by symbol."""
        query = select(_markets.c.body).where(*_of(venue, network)).order_by(_markets.c.symbol)
        rows = await self._database.fetch_all(query)
        return tuple(codec.instruments.decode(row.body) for row in rows)

    async def instrument(self, venue: str, network: Network, symbol: str) -> Instrument | None:
        """Return one market, or None."""
        key = {"a_venue": venue, "a_network": network.value, "a_symbol": symbol}
        found = await self._database.fetch_one(_READ_ONE, key)
        return None if found is None else codec.instruments.decode(found.body)

    async def page(self, wanted: MarketFilter) -> MarketPage:
        """Return a page of markets. Raises InvalidInput for a cursor or limit we cannot take."""
        return await read_page(self._database, wanted)


_markets = instruments
# Built once: building a query takes longer than running it.
_READ_ONE = select(_markets.c.body).where(
    _markets.c.venue == bindparam("a_venue"),
    _markets.c.network == bindparam("a_network"),
    _markets.c.symbol == bindparam("a_symbol"),
)


def _of(venue: str, network: Network) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _markets.c.venue == venue, _markets.c.network == network.value
