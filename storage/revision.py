"""The schema revision this code is written for, and what is said when the database has another."""

from __future__ import annotations

from domain.errors import CorruptState

HEAD = "0011"
UPGRADE_COMMAND = "perp-dex db upgrade"


class WrongRevision(CorruptState):
    """The database's schema is not the one this code is written for; nothing may be written."""

    code = "wrong_schema"


def wrong_revision(found: str | None) -> WrongRevision:
    """Return the error for a database at revision `found` (None: it has no schema yet)."""
    if found is None:
        return WrongRevision(
            f"expected the database schema at revision {HEAD}, found none; run: {UPGRADE_COMMAND}"
        )
    return WrongRevision(
        f"expected the database schema at revision {HEAD}, found {found}; run: {UPGRADE_COMMAND} "
        "(or start the version of perp-dex that the schema belongs to)"
    )
