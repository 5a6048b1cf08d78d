"""Reports that workflows have to hear: kept until somebody confirms that they did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from domain.ports import Delivery
from storage import codec
from storage.engine import Database
from storage.tables import report_deliveries


async def take_undelivered(database: Database, *, limit: int) -> tuple[Delivery, ...]:
    """Return undelivered reports, oldest first; `attempts` counts how often before this."""
    rows = await database.fetch_all(_READ_UNDELIVERED, {"at_most": limit})
    found = tuple(
        Delivery(
            delivery_id=row.delivery_id,
            report=codec.reports.decode(row.report),
            attempts=row.attempts,
        )
        for row in rows
    )
    if found:
        ids = [delivery.delivery_id for delivery in found]

        def work(connection: Connection) -> None:
            connection.execute(_COUNT_ATTEMPT, {"ids": ids})

        await database.write(work)
    return found


async def mark_delivered(
    database: Database, delivery_ids: Sequence[int], delivered_at: datetime
) -> None:
    """Remember that these were heard; those heard before keep their time."""
    if not delivery_ids:
        return
    ids = list(delivery_ids)

    def work(connection: Connection) -> None:
        connection.execute(_MARK, {"ids": ids, "now": delivered_at})

    await database.write(work)


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
