"""Stores, ledgers and feeds that fail or see less, around the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.errors import Unavailable
from domain.ledger import CommandRow, CommandSlot, Inserted


class Forgetful:
    """A ledger that reserves elsewhere: what it sends, our storage never knew."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    async def reserve(self, draft: Any, *, spell_client_order_id: Any, compose: Any) -> Any:
        now = datetime.now(UTC)
        until_time = now + timedelta(seconds=60)
        slot = CommandSlot(
            client_order_id=spell_client_order_id(0),
            nonce=int(now.timestamp() * 1000),
            admitted_until=until_time,
        )
        return Inserted(
            row=CommandRow(
                key=draft.key,
                account_id=draft.account_id,
                venue=draft.venue,
                network=draft.network,
                symbol=draft.symbol,
                signer=draft.signer,
                lane=draft.lane,
                target_revision=0,
                client_order_id=slot.client_order_id,
                nonce=slot.nonce,
                admitted_until=slot.admitted_until,
                message=compose(slot),
                inserted_at=now,
                send_by=until_time,
            )
        )


class Blind:
    """A store in which our own commit is not visible yet."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.sees_nothing = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def find(self, account_id: str, **ids: Any) -> Any:
        return None if self.sees_nothing else await self._store.find(account_id, **ids)


class Away:
    """A store that does not answer for a while."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.is_away = False
        self.refused = 0

    def __getattr__(self, name: str) -> Any:
        if self.is_away:
            self.refused += 1
            raise Unavailable("the database does not answer")
        return getattr(self._store, name)


class Breaking:
    """A venue whose first two feeds break."""

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self.broken = 0
        self._made = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spec, name)

    def account_feed(self, network: Any) -> Any:
        self._made += 1
        # The first one made is only looked at.
        if self._made in (2, 3):
            return BrokenFeed(self, ends=self._made == 3)
        return self._spec.account_feed(network)


class BrokenFeed:
    def __init__(self, venue: Breaking, *, ends: bool) -> None:
        self._venue = venue
        self._ends = ends

    async def events(self) -> AsyncIterator[Any]:
        self._venue.broken += 1
        if not self._ends:
            raise RuntimeError("a defect of the feed")
        nothing: tuple[Any, ...] = ()
        for event in nothing:
            yield event

    async def watch(self, accounts: Any) -> None:
        pass

    async def close(self) -> None:
        pass
