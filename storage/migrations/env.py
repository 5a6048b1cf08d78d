"""How Alembic runs here: on the connection that `storage.schema` hands over, in its transaction."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from storage.all_tables import metadata


def run(connection: Connection) -> None:
    """Run what was asked for; the caller begins and commits."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    context.run_migrations()


run(context.config.attributes["connection"])
