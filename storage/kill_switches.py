"""Kill switches in SQL: the halt and the row that begins one are written in one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Select, bindparam, or_, select, update

from domain.accounts import AccountState
from domain.errors import Conflict
from domain.halt_store import Halt, HaltedAccount
from domain.halts import HaltLevel, HaltScope, HaltStage, KillSwitch
from storage.clock import Clock, utc_now
from storage.codec import Codec
from storage.engine import Database
from storage.halt_tables import kill_switches
from storage.halts import HaltStore
from storage.tables import accounts

_bodies = Codec(KillSwitch)


class SqlKillSwitchStore:
    """Implements `domain.halt_store.KillSwitchStore` and `HaltBoard`."""

    def __init__(self, database: Database, *, now: Clock = utc_now) -> None:
        self._database = database
        self._now = now
        self._halts = HaltStore(database, now=now)
        self._insert = database.insert(kill_switches).on_conflict_do_nothing()

    async def halted(self) -> tuple[Halt, ...]:
        """Return the halts in force, the general one first."""
        return await self._halts.halted()

    async def begin(self, asked: KillSwitch) -> KillSwitch:
        """Halt the scope and keep `asked` as running, or upgrade the one that runs; see the port.

        Raises:
            NotFound: there is no such account.
        """

        def work(connection: Connection) -> KillSwitch:
            self._halts.set_in(
                connection, asked.scope, halted=True, reason=asked.reason, by=asked.requested_by
            )
            # The halt's row is held until the commit: nobody else begins one of this scope now.
            known = self._read(connection, _KEY_IS_SCOPE, {"a_scope": asked.scope.key})
            if known is not None:
                upgraded = known.upgraded(flatten=asked.flatten)
                if upgraded != known:
                    self._update(connection, upgraded)
                return upgraded
            connection.execute(self._insert, self._values(asked))
            return asked

        return await self._database.write(work)

    async def resume(
        self, scope: HaltScope, *, reason: str, by: str, forced: bool
    ) -> KillSwitch | None:
        """Lift a scope's halt; return the kill switch that was stopped for it; see the port.

        Raises:
            Conflict: nothing is halted by this scope, or its kill switch runs still.
        """

        def work(connection: Connection) -> KillSwitch | None:
            if self._halts.read_in(connection, scope) is None:
                raise Conflict(f"no halt of {scope} is in force", code="not_halted")
            # First the halt's row, whose lock keeps a kill switch from beginning meanwhile.
            self._halts.set_in(connection, scope, halted=False, reason=reason, by=by)
            running = self._read(connection, _KEY_IS_SCOPE, {"a_scope": scope.key})
            if running is not None and not forced:
                raise Conflict(
                    f"the kill switch of {scope} is still {running.shown_stage}; wait for it, or "
                    "force the resume: it stops then, and leaves open what is open",
                    code="kill_switch_running",
                )
            if running is None:
                return None
            stopped = replace(running, stage=HaltStage.STOPPED, ended_at=self._now())
            self._update(connection, stopped)
            return stopped

        return await self._database.write(work, repeat=False)

    async def keep(self, state: KillSwitch) -> KillSwitch:
        """Write how far a kill switch is; one that has ended stays so; return what is kept.

        That positions are to be closed too is never forgotten, whoever writes last.
        """

        def work(connection: Connection) -> KillSwitch:
            known = self._read(connection, _KEY_IS_ID, {"an_id": state.kill_switch_id})
            if known is None:
                connection.execute(self._insert, self._values(state))
                return state
            if known.stage.is_terminal:
                return known
            written = state
            if known.flatten and not state.flatten:
                written = replace(state.upgraded(flatten=True), ended_at=None).at_stage()
            self._update(connection, written)
            return written

        return await self._database.write(work)

    async def get(self, kill_switch_id: str) -> KillSwitch | None:
        """Return a kill switch, or None."""
        return await self._database.read(
            lambda connection: self._read(
                connection, _KEY_IS_ID, {"an_id": kill_switch_id}, locks=False
            )
        )

    async def running(self) -> tuple[KillSwitch, ...]:
        """Return those that have not ended, oldest first."""
        query = (
            select(kill_switches.c.body)
            .where(~kill_switches.c.ended)
            .order_by(kill_switches.c.requested_at, kill_switches.c.kill_switch_id)
        )
        return tuple(_bodies.decode(row.body) for row in await self._database.fetch_all(query))

    async def newest(self, *, limit: int) -> tuple[KillSwitch, ...]:
        """Return kill switches, newest first."""
        query = (
            select(kill_switches.c.body)
            .order_by(kill_switches.c.requested_at.desc(), kill_switches.c.kill_switch_id)
            .limit(limit)
        )
        return tuple(_bodies.decode(row.body) for row in await self._database.fetch_all(query))

    async def accounts(self, scope: HaltScope) -> tuple[HaltedAccount, ...]:
        """Return the accounts of a scope that may have something open, oldest first.

        Those whose new credential is being checked are among them: the old one has traded.
        """
        query = (
            select(accounts.c.account_id, accounts.c.venue, accounts.c.owner)
            .where(
                or_(
                    accounts.c.state == AccountState.ACTIVE.value,
                    (accounts.c.state == AccountState.PENDING.value) & (accounts.c.signer != ""),
                )
            )
            .order_by(accounts.c.created_at, accounts.c.account_id)
        )
        if scope.level is HaltLevel.VENUE:
            query = query.where(accounts.c.venue == scope.name)
        elif scope.level is HaltLevel.ACCOUNT:
            query = query.where(accounts.c.account_id == scope.name)
        return tuple(
            HaltedAccount(account_id=row.account_id, venue=row.venue, owner=row.owner)
            for row in await self._database.fetch_all(query)
        )

    def _read(
        self,
        connection: Connection,
        query: Select[Any],
        named: dict[str, str],
        *,
        locks: bool = True,
    ) -> KillSwitch | None:
        if locks and not self._database.is_sqlite:
            query = query.with_for_update()
        body = connection.execute(query, named).scalar()
        return None if body is None else _bodies.decode(body)

    def _update(self, connection: Connection, state: KillSwitch) -> None:
        values = self._values(state)
        changed = {name: values[name] for name in ("updated_at", "ended", "body")}
        connection.execute(_WRITE, {"an_id": state.kill_switch_id} | changed)

    def _values(self, state: KillSwitch) -> dict[str, Any]:
        return {
            "kill_switch_id": state.kill_switch_id,
            "scope": state.scope.key,
            "requested_at": state.requested_at,
            "updated_at": self._now(),
            "ended": state.stage.is_terminal,
            "body": _bodies.encode(state),
        }


_KEY_IS_ID = select(kill_switches.c.body).where(
    kill_switches.c.kill_switch_id == bindparam("an_id")
)
_KEY_IS_SCOPE = select(kill_switches.c.body).where(
    kill_switches.c.scope == bindparam("a_scope"), ~kill_switches.c.ended
)
_WRITE: Any = (
    update(kill_switches)
    .where(kill_switches.c.kill_switch_id == bindparam("an_id"))
    .values(updated_at=bindparam("updated_at"), ended=bindparam("ended"), body=bindparam("body"))
)
