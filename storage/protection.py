"""Which positions of an account are protected, by whom: read from guards and brackets."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from domain.brackets import BracketState, BracketStatus
from domain.guarding import GuardState, GuardStatus
from domain.positions import Protection
from domain.protection import protections
from storage.closing_tables import brackets
from storage.codec import Codec
from storage.condition_tables import conditions
from storage.engine import Database

_states = Codec(GuardState)
_brackets = Codec(BracketState)


async def read_protections(database: Database, account_id: str) -> dict[str, Protection]:
    """Return by symbol who closes an account's position when it goes wrong.

    Raises:
        Unavailable: the database does not answer.
    """
    wanted = {"an_account_id": account_id}
    guards = await database.fetch_all(_GUARDS, wanted)
    bracketed = await database.fetch_all(_BRACKETED, wanted)
    states = (_brackets.decode(row.body) for row in bracketed)
    return protections(
        (_states.decode(row.body) for row in guards),
        (state.plan.entry.symbol for state in states if state.has_awake_stop),
    )


_GUARDS = select(conditions.c.body).where(
    conditions.c.account_id == bindparam("an_account_id"),
    ~conditions.c.ended,
    conditions.c.status.in_((GuardStatus.WATCHING.value, GuardStatus.CLOSING.value)),
)
_BRACKETED = select(brackets.c.body).where(
    brackets.c.account_id == bindparam("an_account_id"),
    ~brackets.c.ended,
    brackets.c.status.in_((BracketStatus.ENTERING.value, BracketStatus.PROTECTING.value)),
)
