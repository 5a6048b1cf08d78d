"""Two accounts on one venue, in one worker: what befalls one never touches the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.accounts import AccountState
from domain.closing import ClosePlan, CloseState, CloseStatus
from domain.orders import Order, OrderStatus
from domain.risk_limits import RiskLimits
from tests.activities.floor import ACCOUNT_ID, BELOW, add_account, an_order, now
from tests.workflows.closing import BTC, a_plan
from tests.workflows.stage import Stage
from venues.simulation import trading
from venues.simulation.faults import FaultKind
from venues.simulation.records import Order as VenueRecord
from venues.simulation.records import Side, TimeInForce
from venues.simulation.trading import OrderRequest
from workflows import ids
from workflows.close_client import CloseAnswer, CloseWorkflows

OTHER_ID = "22222222-2222-4222-8222-222222222222"


@dataclass
class Party:
    """One of the accounts, at the exchange and here."""

    stage: Stage
    account_id: str
    address: str
    signer: str

    def trade(self, side: Side, quantity: str) -> None:
        """Take at the exchange, as a person at the venue's own page does."""
        exchange = self.stage.floor.venue.exchange
        mark = exchange.tables.markets[BTC].mark_price
        bound = mark * (Decimal("1.05") if side is Side.BUY else Decimal("0.95"))
        request = OrderRequest(
            symbol=BTC,
            side=side,
            price=bound.quantize(Decimal(1)),
            quantity=Decimal(quantity),
            time_in_force=TimeInForce.IOC,
        )
        with exchange.action("order"):
            placed = trading.place(exchange.tables, exchange.switches, self.address, request)
        assert placed.refusal is None

    @property
    def held(self) -> Decimal:
        return self.stage.floor.venue.exchange.tables.quantity_held(self.address, BTC)

    def at_venue(self) -> list[VenueRecord]:
        """Return every order of this account's with an id of ours that the exchange ever had."""
        orders = self.stage.floor.venue.exchange.tables.orders.values()
        return [
            each
            for each in orders
            if each.account == self.address and each.client_order_id is not None
        ]

    def order(self, **changes: Any) -> Order:
        return an_order(account_id=self.account_id, **changes)

    async def begin(self, *, wait_s: float = 25.0, **asked: Any) -> tuple[ClosePlan, CloseAnswer]:
        plan = a_plan(account_id=self.account_id, **asked)
        self.stage.kept_ids.add(ids.close_workflow_id(plan.account_id, plan.symbol))
        return plan, await CloseWorkflows(self.stage.client).begin(plan, wait_s=wait_s)

    async def close(self, **asked: Any) -> CloseState:
        _, answer = await self.begin(**asked)
        assert answer.state is not None
        return answer.state

    async def signers(self) -> set[str]:
        """Return who signed this account's commands, as the ledger has it."""
        rows = await self.stage.floor.storage.database.fetch_all(
            text("SELECT DISTINCT signer FROM commands WHERE account_id = :account_id"),
            {"account_id": self.account_id},
        )
        return {row.signer for row in rows}

    def set_key_valid(self, *, valid: bool) -> None:
        """Have the exchange know this account's key for a year more, or no more."""
        exchange = self.stage.floor.venue.exchange
        agent = exchange.tables.agents[self.signer]
        year_ms = 365 * 86_400_000
        with exchange.action("approve_agent"):
            agent.valid_until_ms = exchange.tables.now_ms + (year_ms if valid else -1)
            exchange.tables.touch(agent)


@pytest.fixture
async def parties(stage: Stage) -> AsyncIterator[tuple[Party, Party]]:
    """Two accounts with keys of their own."""
    floor = stage.floor
    opened = await floor.venue.simulator.open_account(Decimal(1_000_000), "other")
    await add_account(
        floor, OTHER_ID, secret=opened["private_key"], address=opened["address"], label="other"
    )
    await floor.storage.accounts.set_state(
        OTHER_ID, AccountState.ACTIVE, reason=None, signer=opened["agent_address"]
    )
    yield (
        Party(stage, ACCOUNT_ID, floor.opened["address"], floor.opened["agent_address"]),
        Party(stage, OTHER_ID, opened["address"], opened["agent_address"]),
    )


async def check_own_keys_only(*parties: Party) -> None:
    """Check that each account's commands were signed by its own key, and by no other."""
    for party in parties:
        assert await party.signers() <= {party.signer}


async def test_both_are_closed_at_once_whatever_answers_are_lost(
    stage: Stage, parties: tuple[Party, Party]
) -> None:
    one, other = parties
    one.trade(Side.BUY, "0.5")
    other.trade(Side.SELL, "0.4")
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)

    ended, partly = await asyncio.gather(one.close(), other.close(percent=Decimal(25)))

    assert (ended.status, ended.filled) == (CloseStatus.DONE, Decimal("0.5"))
    assert (partly.status, partly.filled) == (CloseStatus.DONE, Decimal("0.1"))
    assert (one.held, other.held) == (Decimal(0), Decimal("-0.3"))
    for party, side in ((one, Side.SELL), (other, Side.BUY)):
        (placed,) = party.at_venue()
        assert (placed.side, placed.reduce_only) == (side, True)
    await check_own_keys_only(one, other)


async def test_a_key_that_the_venue_forgot_stops_its_own_account_only(
    stage: Stage, parties: tuple[Party, Party]
) -> None:
    one, other = parties
    one.trade(Side.BUY, "0.5")
    other.trade(Side.BUY, "0.5")
    one.set_key_valid(valid=False)

    (_, answer), ended = await asyncio.gather(one.begin(wait_s=2), other.close())

    assert ended.status is CloseStatus.DONE
    assert other.held == 0
    assert one.held == Decimal("0.5"), "nobody's key but its own closes it"
    assert not one.at_venue()
    assert answer.state is None or answer.state.filled == 0
    placed = await stage.place(other.order())
    assert placed.status is OrderStatus.ACCEPTED
    refused = await stage.place(one.order())
    assert refused.status is OrderStatus.REJECTED
    for party in parties:
        account = await stage.floor.storage.accounts.get(party.account_id)
        assert account is not None
        assert (account.state, account.halted) == (AccountState.ACTIVE, False)
    await check_own_keys_only(one, other)

    one.set_key_valid(valid=True)
    assert (await stage.place(one.order())).status is OrderStatus.ACCEPTED


async def test_limits_and_halts_hold_the_account_they_are_set_for(
    stage: Stage, parties: tuple[Party, Party]
) -> None:
    one, other = parties
    storage = stage.floor.storage
    one.trade(Side.BUY, "0.5")
    await storage.risk.put(ACCOUNT_ID, RiskLimits(max_open_orders=1), by="local")

    answers = await asyncio.gather(
        *(stage.place(party.order()) for party in (one, other, one, other, one, other))
    )

    by_account = {
        party.account_id: [o.status for o in answers if o.account_id == party.account_id]
        for party in parties
    }
    assert by_account[OTHER_ID] == [OrderStatus.ACCEPTED] * 3
    assert sorted(by_account[ACCOUNT_ID]) == sorted(
        [OrderStatus.ACCEPTED, OrderStatus.DENIED, OrderStatus.DENIED]
    )

    await storage.halts.halt(ACCOUNT_ID, reason="drill", by="local")
    halted, placed = await asyncio.gather(stage.place(one.order()), stage.place(other.order()))
    assert (halted.status, placed.status) == (OrderStatus.DENIED, OrderStatus.ACCEPTED)
    assert (await one.close()).status is CloseStatus.DONE, "what only reduces passes"
    assert one.held == 0
    assert [each.price for each in other.at_venue()] == [BELOW] * 4


async def test_a_key_stored_under_another_account_signs_nothing(
    stage: Stage, parties: tuple[Party, Party]
) -> None:
    """The database's rows changed for each other: each box is sealed for one account by name."""
    one, other = parties
    swap = text(
        "UPDATE credentials SET account_id = CASE account_id WHEN :one THEN :other ELSE :one END,"
        " retired_at = NULL"
    )
    ids_ = {"one": ACCOUNT_ID, "other": OTHER_ID}
    database = stage.floor.storage.database
    await database.write(lambda c: c.execute(text("DROP INDEX credentials_current_key")))
    await database.write(lambda c: c.execute(swap, ids_))
    await stage.restart_worker()
    orders = [replace(party.order(), place_by=now() + timedelta(seconds=3)) for party in parties]

    ended = await asyncio.gather(*(stage.place(order, wait_s=20) for order in orders))

    assert [(order.status, order.outcome) for order in ended] == [
        (OrderStatus.EXPIRED, "not_sent"),
        (OrderStatus.EXPIRED, "not_sent"),
    ]
    assert not one.at_venue()
    assert not other.at_venue()
