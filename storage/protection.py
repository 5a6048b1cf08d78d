"""Which positions of an account are protected, by whom: read from guards and brackets."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from domain.brackets import BracketStatus
from domain.guarding import GuardState, GuardStatus
from domain.positions import Protection
from domain.protection import protections
from storage.closing_tables import brackets
from storage.codec import Codec
from storage.condition_tables import conditions
from storage.engine import Database

_states = Codec(GuardState)


async def read_protections(database: Database, account_id: str) -> dict[str, Protection]:
    """Return by symbol who closes an account's position when it goes wrong.

    Raises:
        Unavailable: the database does not answer.
    """
    wanted = {"an_account_id": account_id}
    guards = await database.fetch_all(_GUARDS, wanted)
    bracketed = await database.fetch_all(_BRACKETED, wanted)
    return protections(
        (_states.decode(row.body) for row in guards), (row.symbol for row in bracketed)
    )


_GUARDS = select(conditions.c.body).where(
    conditions.c.account_id == bindparam("an_account_id"),
    ~conditions.c.ended,
    conditions.c.status.in_((GuardStatus.WATCHING.value, GuardStatus.CLOSING.value)),
)
_BRACKETED = select(brackets.c.symbol).where(
    brackets.c.account_id == bindparam("an_account_id"),
    brackets.c.status == BracketStatus.PROTECTING.value,
)
