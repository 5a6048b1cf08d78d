"""On which terms an account can trade now: the venue's word, remembered where it changes seldom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.terms import FEES_KEPT_S, TermsReading
from activities.terms_contracts import TermsTask
from domain.account_terms import AccountRoom, position_in
from domain.accounts import AccountSummary, FeeRates
from domain.errors import NotFound, Unavailable, VenueUnavailable
from tests.activities.floor import ACCOUNT_ID, now
from tests.domain.routing_building import NOW
from tests.workflows.closing import Holding
from tests.workflows.stage import KEYS, NAMESPACE, Stage
from venues.connector import RoomTeller
from venues.simulation.records import Side
from workflows import ids
from workflows.client import connect
from workflows.terms_client import AccountTermsReads

TASK = TermsTask(account_id=ACCOUNT_ID, symbol="BTC-PERP")


async def test_what_the_venue_says_is_returned(stage: Stage) -> None:
    stage.kept_ids.add(ids.terms_workflow_id(ACCOUNT_ID, "BTC-PERP"))
    Holding(stage).trade(Side.SELL, "0.4")
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    reads = AccountTermsReads(stage.client)
    first, second = await asyncio.gather(
        *(reads.read(account, "BTC-PERP", wait_s=10) for _ in range(2))
    )
    assert first is not None
    assert first == second, "who asks at the same time gets the same answer"
    assert first.position == Decimal("-0.4")
    assert 0 < first.available < 1_000_000
    assert first.fees.taker > first.fees.maker
    assert first.leverage >= 1
    assert first.room.open_orders_max == 1000
    assert first.room.requests_left is not None
    assert 0 <= first.room.requests_used_share < 1
    connector = await stage.floor.connector()
    assert isinstance(connector, RoomTeller)


async def test_a_venue_or_temporal_that_cannot_be_asked_says_so(stage: Stage) -> None:
    stage.kept_ids.add(ids.terms_workflow_id(ACCOUNT_ID, "BTC-PERP"))
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    await stage.floor.close_venue()
    with pytest.raises(VenueUnavailable, match="hyperliquid could not be asked"):
        await AccountTermsReads(stage.client).read(account, "BTC-PERP", wait_s=20)
    nowhere = await connect("127.0.0.1:1", NAMESPACE, KEYS)
    with pytest.raises(Unavailable):
        await AccountTermsReads(nowhere).read(account, "BTC-PERP", wait_s=20)
    await stage.stop_worker()
    assert await AccountTermsReads(stage.client).read(account, "BTC-PERP", wait_s=0.3) is None


class Counting:
    """A connector's questions, counted; `silent` is what it does not answer."""

    def __init__(self, connector: Any) -> None:
        self._connector = connector
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.fees: FeeRates | None = None

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._connector, name)

        async def counted(*arguments: Any) -> Any:
            self.asked.append(name)
            if name in self.silent:
                raise VenueUnavailable("silent")
            return await found(*arguments)

        return counted

    async def instrument(self, symbol: str) -> Any:
        return replace(await self._connector.instrument(symbol), fees=self.fees)

    def budget_left(self) -> Any:
        return self._connector.budget_left()

    async def account_room(self, account: Any) -> AccountRoom:
        self.asked.append("account_room")
        if "account_room" in self.silent:
            raise VenueUnavailable("silent")
        room: AccountRoom = await self._connector.account_room(account)
        return room


async def test_what_changes_seldom_is_asked_for_seldom(stage: Stage) -> None:
    counting = Counting(await stage.floor.connector())
    clock = [0.0]
    reading = TermsReading(
        accounts=stage.floor.storage.accounts,
        connectors=_Source(counting),
        now=now,
        monotonic=lambda: clock[0],
    )
    run = ActivityEnvironment().run
    counting.silent = {"account_room"}
    room = (await run(reading.read, TASK)).room
    known = (room.open_orders_max, room.requests_of)
    assert known == (None, Decimal(1200)), "our own budget is known"
    assert counting.asked == ["account_summary", "fee_rates", "leverage_of", "account_room"]
    counting.silent = set()
    counting.asked.clear()
    assert (await run(reading.read, TASK)).room.open_orders_max == 1000, "silence is not kept"
    assert counting.asked == ["account_summary", "account_room"]
    counting.asked.clear()
    clock[0] = FEES_KEPT_S + 1
    await run(reading.read, TASK)
    assert counting.asked == ["account_summary", "fee_rates", "leverage_of", "account_room"]
    Holding(stage).trade(Side.BUY, "0.1")
    counting.asked.clear()
    clock[0] *= 2
    assert (await run(reading.read, TASK)).position == Decimal("0.1")
    assert "leverage_of" not in counting.asked, "the position says it"


async def test_without_the_accounts_own_fees_the_published_ones_count(stage: Stage) -> None:
    counting = Counting(await stage.floor.connector())
    counting.silent = {"fee_rates"}
    reading = TermsReading(
        accounts=stage.floor.storage.accounts, connectors=_Source(counting), now=now
    )
    with pytest.raises(VenueUnavailable):
        await ActivityEnvironment().run(reading.read, TASK)
    published = FeeRates(maker=Decimal("0.0002"), taker=Decimal("0.0007"))
    counting.fees = published
    terms = await ActivityEnvironment().run(reading.read, TASK)
    assert terms.fees == published


async def test_a_connector_without_that_word_leaves_the_room_unknown(stage: Stage) -> None:
    silent = Silent(await stage.floor.connector())
    reading = TermsReading(
        accounts=stage.floor.storage.accounts, connectors=_Source(silent), now=now
    )
    terms = await ActivityEnvironment().run(reading.read, TASK)
    assert terms.room == AccountRoom()
    assert terms.room.requests_used_share == 0
    with pytest.raises(NotFound):
        await ActivityEnvironment().run(
            reading.read, TermsTask(account_id="nobody", symbol="BTC-PERP")
        )


class Silent:
    """A connector of a venue that says nothing of the room it leaves."""

    def __init__(self, connector: Any) -> None:
        self._connector = connector

    def __getattr__(self, name: str) -> Any:
        if name in ("account_room", "budget_left"):
            raise AttributeError(name)
        return getattr(self._connector, name)


class _Source:
    """Hands out one connector, whatever is asked for."""

    def __init__(self, connector: Any) -> None:
        self._connector = connector

    async def connector(self, *_: Any) -> Any:
        return self._connector

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


def test_a_market_without_a_position_is_flat() -> None:

    nothing = AccountSummary(
        account_id="a",
        equity=Decimal(1),
        available=Decimal(1),
        initial_margin=Decimal(0),
        maintenance_margin=Decimal(0),
        positions=(),
        event_time=NOW,
    )
    assert position_in(nothing, "BTC-PERP") == 0
