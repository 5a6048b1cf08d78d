"""Pages of orders, newest first, and the cursor that leads to the next page."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, or_, select

from domain.errors import InvalidInput
from domain.identifiers import check_order_id
from domain.orders import Order
from domain.ports import OrderFilter, OrderPage
from storage import codec
from storage.engine import Database
from storage.tables import orders

PAGE_LIMIT_MAX = 1000

_CURSOR_LENGTH_MAX = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def read_page(database: Database, wanted: OrderFilter) -> OrderPage:
    """Return a page of orders.

    Raises:
        InvalidInput: the limit is out of bounds, or the cursor is none of ours.
        Unavailable: the database does not answer.
    """
    if not 1 <= wanted.limit <= PAGE_LIMIT_MAX:
        raise InvalidInput("limit", f"expected 1 to {PAGE_LIMIT_MAX}, found {wanted.limit}")
    rows = await database.fetch_all(_query(wanted).limit(wanted.limit + 1))
    found = [codec.orders.decode(row.body) for row in rows]
    shown = tuple(found[: wanted.limit])
    more = len(found) > wanted.limit
    return OrderPage(orders=shown, next_cursor=cursor_after(shown[-1]) if more else None)


def cursor_after(order: Order) -> str:
    """Return the cursor of what is older than `order`."""
    created_us = (order.created_at - _EPOCH) // timedelta(microseconds=1)
    spelled = json.dumps([created_us, order.order_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(spelled.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[datetime, str]:
    """Return the time and order id that a cursor stands for.

    Raises:
        InvalidInput: it is none of ours.
    """
    try:
        if len(cursor) > _CURSOR_LENGTH_MAX:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        created_us, order_id = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if type(created_us) is not int or type(order_id) is not str:
            raise ValueError("other types")
        return _EPOCH + timedelta(microseconds=created_us), check_order_id(order_id)
    except (ValueError, TypeError, OverflowError, binascii.Error, InvalidInput):
        raise InvalidInput(
            "cursor", "expected the next_cursor of an earlier page, found something else"
        ) from None


def _query(wanted: OrderFilter) -> Select[Any]:
    query = select(orders.c.body).where(orders.c.owner == wanted.owner)
    if wanted.account_id is not None:
        query = query.where(orders.c.account_id == wanted.account_id)
    if wanted.account_ids is not None:
        query = query.where(orders.c.account_id.in_(wanted.account_ids))
    if wanted.venue is not None:
        query = query.where(orders.c.venue == wanted.venue)
    if wanted.symbol is not None:
        query = query.where(orders.c.symbol == wanted.symbol)
    if wanted.statuses is not None:
        query = query.where(orders.c.status.in_(wanted.statuses))
    if wanted.created_from is not None:
        query = query.where(orders.c.created_at >= wanted.created_from)
    if wanted.created_until is not None:
        query = query.where(orders.c.created_at < wanted.created_until)
    if wanted.cursor is not None:
        created_at, order_id = read_cursor(wanted.cursor)
        query = query.where(
            or_(
                orders.c.created_at < created_at,
                and_(orders.c.created_at == created_at, orders.c.order_id < order_id),
            )
        )
    return query.order_by(orders.c.created_at.desc(), orders.c.order_id.desc())
