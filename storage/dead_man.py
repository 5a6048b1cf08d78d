"""Dead man's switches in SQL: what is wanted, what the venue confirmed, how often one went off."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update
from sqlalchemy.exc import IntegrityError

from domain.accounts import AccountState
from domain.dead_man import DeadManState, DeadManSwitch, Keeper
from domain.errors import NotFound
from storage.clock import Clock, utc_now
from storage.engine import Database
from storage.halt_tables import dead_man_switches, dead_man_triggers, signs_of_life
from storage.tables import accounts


class SqlDeadManStore:
    """Implements `domain.dead_man.DeadManStore` and `domain.dead_man.WatchedSwitches`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        wanted = database.insert(dead_man_switches)
        self._want = wanted.on_conflict_do_update(
            index_elements=["account_id"],
            set_={
                name: wanted.excluded[name]
                for name in ("after_s", "state", "renew_at", "reason", "set_by", "set_at")
            }
            | {"updated_at": wanted.excluded.updated_at},
        )
        self._note = database.insert(dead_man_triggers).on_conflict_do_nothing(
            index_elements=["account_id", "due_at"]
        )
        said = database.insert(signs_of_life)
        self._sign = said.on_conflict_do_update(
            index_elements=["part", "scope"], set_={"seen_at": said.excluded.seen_at}
        )

    async def want(self, account_id: str, after_s: int | None, *, by: str) -> DeadManSwitch:
        """Keep what an account's owner wants; a worker does it next; see the port."""
        state = DeadManState.DISARMING if after_s is None else DeadManState.ARMING
        now = self._now()
        values = {
            "account_id": account_id,
            "after_s": after_s,
            "state": state.value,
            "renew_at": now,
            "reason": "",
            "set_by": by,
            "set_at": now,
            "updated_at": now,
        }

        def work(connection: Connection) -> DeadManSwitch:
            try:
                connection.execute(self._want, values)
            except IntegrityError:
                raise NotFound(f"no account {account_id!r}") from None
            return _read(connection.execute(_ONE, {"an_account_id": account_id}).one())

        return await self._database.write(work)

    async def get(self, account_id: str) -> DeadManSwitch | None:
        """Return an account's switch, or None."""
        found = await self._database.fetch_one(_ONE, {"an_account_id": account_id})
        return None if found is None else _read(found)

    async def claim(self, *, lease: timedelta) -> tuple[DeadManSwitch, ...]:
        """Return the switches that are due, and keep them from other workers; see the port."""
        now = self._now()
        due = select(dead_man_switches).where(dead_man_switches.c.renew_at <= now)
        if await self._database.fetch_one(due) is None:
            return ()
        if not self._database.is_sqlite:
            due = due.with_for_update(skip_locked=True)

        def work(connection: Connection) -> tuple[DeadManSwitch, ...]:
            claimed = tuple(_read(row) for row in connection.execute(due))
            for switch in claimed:
                connection.execute(_LEASE, {"an_id": switch.account_id, "renew_at": now + lease})
            return claimed

        return await self._database.write(work)

    async def keep(self, switch: DeadManSwitch) -> DeadManSwitch:
        """Write what became of a claimed switch, unless something else is wanted by now."""

        def work(connection: Connection) -> DeadManSwitch:
            query = _ONE if self._database.is_sqlite else _ONE.with_for_update()
            known = _read(connection.execute(query, {"an_account_id": switch.account_id}).one())
            kept = switch
            if (known.after_s, known.set_at) != (switch.after_s, switch.set_at):
                # What the venue has confirmed holds all the same; the new wish is due at once.
                kept = replace(known, armed_until=switch.armed_until, kept_by=switch.kept_by)
            connection.execute(_WRITE, _values(kept) | {"updated_at": self._now()})
            return kept

        return await self._database.write(work)

    async def note_trigger(self, account_id: str, due_at: datetime) -> bool:
        """Remember, once, that a switch went off; tell whether it was not known before."""
        values = {"account_id": account_id, "due_at": due_at}

        def work(connection: Connection) -> bool:
            return connection.execute(self._note, values).rowcount > 0

        return await self._database.write(work)

    async def has_trigger(self, account_id: str, due_at: datetime) -> bool:
        """Tell whether it is known that a switch went off at a time."""
        query = select(dead_man_triggers.c.trigger_id).where(
            dead_man_triggers.c.account_id == account_id, dead_man_triggers.c.due_at == due_at
        )
        return await self._database.fetch_one(query) is not None

    async def wanted(self) -> tuple[DeadManSwitch, ...]:
        """Return every switch that is wanted, of accounts that may trade; see the port."""
        return tuple(_read(row) for row in await self._database.fetch_all(_WANTED))

    async def give_sign(self, part: str, scope: str = "") -> None:
        """Write that a part of ours works now; see the port."""
        values = {"part": part, "scope": scope, "seen_at": self._now()}

        def work(connection: Connection) -> None:
            connection.execute(self._sign, values)

        await self._database.write(work)

    async def sign(self, part: str, scope: str = "") -> datetime | None:
        """Return when a part of ours said last that it works; see the port."""
        found = await self._database.fetch_one(_SEEN, {"a_part": part, "a_scope": scope})
        return None if found is None else found.seen_at

    async def triggers(self, account_id: str, *, since: datetime) -> int:
        """Return how often an account's switch went off since a time."""
        count = select(func.count()).where(
            dead_man_triggers.c.account_id == account_id, dead_man_triggers.c.due_at >= since
        )
        found = await self._database.fetch_one(count)
        return 0 if found is None else int(found[0])


def _read(row: Row[Any]) -> DeadManSwitch:
    return DeadManSwitch(
        account_id=row.account_id,
        after_s=row.after_s,
        state=DeadManState(row.state),
        set_by=row.set_by,
        set_at=row.set_at,
        armed_until=row.armed_until,
        renew_at=row.renew_at,
        reason=row.reason,
        kept_by=None if row.kept_by is None else Keeper(row.kept_by),
    )


def _values(switch: DeadManSwitch) -> dict[str, Any]:
    return {
        "an_id": switch.account_id,
        "state": switch.state.value,
        "armed_until": switch.armed_until,
        "renew_at": switch.renew_at,
        "reason": switch.reason,
        "kept_by": None if switch.kept_by is None else switch.kept_by.value,
    }


_ONE = select(dead_man_switches).where(dead_man_switches.c.account_id == bindparam("an_account_id"))
_WANTED = (
    select(dead_man_switches)
    .join(accounts, accounts.c.account_id == dead_man_switches.c.account_id)
    .where(dead_man_switches.c.after_s.is_not(None), accounts.c.state == AccountState.ACTIVE.value)
)
_SEEN = select(signs_of_life.c.seen_at).where(
    signs_of_life.c.part == bindparam("a_part"), signs_of_life.c.scope == bindparam("a_scope")
)
_LEASE: Any = (
    update(dead_man_switches)
    .where(dead_man_switches.c.account_id == bindparam("an_id"))
    .values(renew_at=bindparam("renew_at"))
)
_WRITE: Any = (
    update(dead_man_switches)
    .where(dead_man_switches.c.account_id == bindparam("an_id"))
    .values(
        state=bindparam("state"),
        armed_until=bindparam("armed_until"),
        renew_at=bindparam("renew_at"),
        reason=bindparam("reason"),
        kept_by=bindparam("kept_by"),
        updated_at=bindparam("updated_at"),
    )
)
