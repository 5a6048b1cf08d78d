"""Reports that workflows have to hear: kept until somebody confirms that they did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from domain.ports import Delivery
from storage import codec
from storage.engine import Database
from storage.tables import report_deliveries

_TAKEN_MAX = 50_000


class Deliveries:
    """The reports that wait, and which of them this process has taken before.

    A report is taken once, as a rule, and told at once: only a repeated attempt is written down.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._taken: set[int] = set()

    async def take(self, *, limit: int) -> tuple[Delivery, ...]:
        """Return undelivered reports, oldest first; `attempts` counts how often before this."""
        rows = await self._database.fetch_all(_READ_UNDELIVERED, {"at_most": limit})
        again = [row.delivery_id for row in rows if row.delivery_id in self._taken]
        if again:

            def work(connection: Connection) -> None:
                connection.execute(_COUNT_ATTEMPT, {"ids": again})

            await self._database.write(work)
        if len(self._taken) > _TAKEN_MAX:
            self._taken.clear()
        self._taken.update(row.delivery_id for row in rows)
        repeated = frozenset(again)
        return tuple(
            Delivery(
                delivery_id=row.delivery_id,
                report=codec.reports.decode(row.report),
                attempts=row.attempts + (row.delivery_id in repeated),
            )
            for row in rows
        )

    async def mark(self, delivery_ids: Sequence[int], delivered_at: datetime) -> None:
        """Remember that these were heard; those heard before keep their time."""
        if not delivery_ids:
            return
        ids = list(delivery_ids)

        def work(connection: Connection) -> None:
            connection.execute(_MARK, {"ids": ids, "now": delivered_at})

        await self._database.write(work)
        self._taken.difference_update(ids)


_IDS = report_deliveries.c.delivery_id.in_(bindparam("ids", expanding=True))
_READ_UNDELIVERED = (
    select(report_deliveries)
    .where(report_deliveries.c.delivered_at.is_(None))
    .order_by(report_deliveries.c.delivery_id)
    .limit(bindparam("at_most"))
)
_COUNT_ATTEMPT = (
    update(report_deliveries).where(_IDS).values(attempts=report_deliveries.c.attempts + 1)
)
_MARK = (
    update(report_deliveries)
    .where(_IDS, report_deliveries.c.delivered_at.is_(None))
    .values(delivered_at=bindparam("now"))
)
