"""Choices of accounts in SQL, and what our own books say of accounts that may be chosen."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, func, select

from domain.routing_store import AccountSituation, Route
from storage.codec import Codec
from storage.engine import Database
from storage.routing_tables import routes
from storage.tables import accounts, blocked_symbols, orders

_routes = Codec(Route)


class SqlRouteStore:
    """Implements `domain.routing_store.RouteStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = database.insert(routes).on_conflict_do_nothing(index_elements=["order_id"])

    async def keep(self, route: Route) -> Route:
        """Keep a choice, or return the one that is there."""
        values = {
            "order_id": route.order_id,
            "owner": route.owner,
            "made_at": route.made_at,
            "body": _routes.encode(route),
        }

        def work(connection: Connection) -> Route:
            if connection.execute(self._insert, values).rowcount == 1:
                return route
            found = connection.execute(_READ, {"an_order_id": route.order_id}).one()
            return _routes.decode(found.body)

        return await self._database.write(work)

    async def get(self, order_id: str) -> Route | None:
        """Return the choice of an order, or None."""
        found = await self._database.fetch_one(_READ, {"an_order_id": order_id})
        return None if found is None else _routes.decode(found.body)

    async def situations(
        self, account_ids: Sequence[str], symbol: str
    ) -> dict[str, AccountSituation]:
        """Return what our own books say of accounts in a market."""
        rows = await self._database.fetch_all(
            _SITUATIONS, {"account_ids": list(account_ids), "a_symbol": symbol}
        )
        return {
            row.account_id: AccountSituation(
                open_orders=row.open_orders,
                blocked=row.blocked,
                reconcile_due=row.reconcile_due,
                credential_expires_at=row.credential_expires_at,
            )
            for row in rows
        }


_READ = select(routes.c.body).where(routes.c.order_id == bindparam("an_order_id"))
_OPEN = (
    select(func.count())
    .where(orders.c.account_id == accounts.c.account_id, ~orders.c.ended)
    .scalar_subquery()
)
_BLOCKED = (
    select(blocked_symbols.c.reason)
    .where(
        blocked_symbols.c.account_id == accounts.c.account_id,
        blocked_symbols.c.symbol == bindparam("a_symbol"),
    )
    .limit(1)
    .scalar_subquery()
)
_SITUATIONS = select(
    accounts.c.account_id,
    accounts.c.reconcile_due,
    accounts.c.credential_expires_at,
    _OPEN.label("open_orders"),
    _BLOCKED.label("blocked"),
).where(accounts.c.account_id.in_(bindparam("account_ids", expanding=True)))
