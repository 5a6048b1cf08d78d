"""Pages of markets over venues, by symbol, and the cursor that leads to the next page."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final

from sqlalchemy import Select, and_, or_, select

from domain.errors import InvalidInput
from domain.market_listing import ListedMarket, MarketFilter, MarketPage
from storage import codec
from storage.engine import Database
from storage.tables import instruments

PAGE_LIMIT_MAX: Final = 1000

_CURSOR_LENGTH_MAX: Final = 300


async def read_page(database: Database, wanted: MarketFilter) -> MarketPage:
    """Return a page of markets.

    Raises:
        InvalidInput: the limit is out of bounds, or the cursor is none of ours.
        Unavailable: the database does not answer.
    """
    if not 1 <= wanted.limit <= PAGE_LIMIT_MAX:
        raise InvalidInput("limit", f"expected 1 to {PAGE_LIMIT_MAX}, found {wanted.limit}")
    rows = await database.fetch_all(_query(wanted).limit(wanted.limit + 1))
    shown = tuple(
        ListedMarket(instrument=codec.instruments.decode(row.body), seen_at=row.seen_at)
        for row in rows[: wanted.limit]
    )
    more = len(rows) > wanted.limit
    return MarketPage(markets=shown, next_cursor=_cursor_after(shown[-1]) if more else None)


def _query(wanted: MarketFilter) -> Select[Any]:
    table = instruments.c
    query = select(table.body, table.seen_at).where(
        table.network == wanted.network.value, table.venue.in_(wanted.venues)
    )
    if wanted.symbol is not None:
        query = query.where(table.symbol == wanted.symbol)
    if wanted.cursor is not None:
        symbol, venue = _read_cursor(wanted.cursor)
        query = query.where(
            or_(table.symbol > symbol, and_(table.symbol == symbol, table.venue > venue))
        )
    return query.order_by(table.symbol, table.venue)


def _cursor_after(market: ListedMarket) -> str:
    spelled = json.dumps([market.instrument.symbol, market.instrument.venue], separators=(",", ":"))
    return base64.urlsafe_b64encode(spelled.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[str, str]:
    """Return the symbol and venue that a cursor stands for.

    Raises:
        InvalidInput: it is none of ours.
    """
    try:
        if len(cursor) > _CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        symbol, venue = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if type(symbol) is not str or type(venue) is not str or "\0" in symbol + venue:
            raise ValueError("other types")
        (symbol + venue).encode()
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidInput(
            "cursor", "expected the next_cursor of an earlier page, found something else"
        ) from None
    return symbol, venue
