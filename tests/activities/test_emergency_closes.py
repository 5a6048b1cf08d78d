"""Reduce-only placements, and cancels of orders we did not place, with the database away.

The database is a real SQLite file that another connection holds locked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.contracts import CommandResult
from activities.emergency_journal import JournalIntake
from domain.commands import CommandKind
from domain.errors import Unavailable
from domain.external_orders import external_order
from domain.findings import FindingKind
from domain.instruments import OrderSide
from domain.ledger import CommandRow, NonceRule
from domain.orders import Order, OrderStatus, Origin, TimeInForce
from domain.outcomes import NotSent, SendResult
from domain.ports import OrderFilter
from tests.activities.away import Away, Killed, away, locked, short_waits
from tests.activities.floor import (
    ABOVE,
    ACCOUNT_ID,
    MARKET,
    Altered,
    Floor,
    an_order,
    now,
    place_task,
)
from tests.activities.reconciliation import Office
from venues.simulation import trading
from venues.simulation.records import Side
from venues.simulation.records import TimeInForce as VenueTimeInForce
from venues.simulation.trading import OrderRequest

__all__ = ["away", "short_waits"]


async def closing(away: Away, floor: Floor, **changes: Any) -> Order:
    """Open a position, and return the order that closes it, not yet placed."""
    opening = an_order(price=ABOVE, time_in_force=TimeInForce.IOC)
    await floor.place(opening)
    await away.access.open(ACCOUNT_ID)
    return an_order(side=OrderSide.SELL, reduce_only=True, **{**MARKET, **changes})


async def place(away: Away, order: Order, **changes: Any) -> CommandResult:
    return await away.floor.environment.run(away.orders.place, place_task(order, **changes))


async def killed_before_the_answer(away: Away, floor: Floor, order: Order) -> None:
    """Have a close sent with the database away, by a process that dies before it reads on."""

    def kill() -> None:
        raise Killed

    floor.points.actions["place.answer_read"] = [kill]
    with locked(away.home), pytest.raises(Killed):
        await place(away, order)


async def test_a_close_goes_out_and_the_ledger_learns_of_it_once(away: Away, floor: Floor) -> None:
    order = await closing(away, floor)

    with locked(away.home):
        result = await place(away, order)

        assert result.definite
        assert result.order.status is OrderStatus.FILLED
        assert "journaled" in result.answer
        assert await floor.storage.orders.get(order.order_id) is None
        assert [o.filled for o in floor.at_venue()] == [Decimal("0.01"), Decimal("0.01")]
        # Whoever tries again finds it in the journal.
        again = await place(away, order)
        assert again.order.status is OrderStatus.FILLED
    assert len(floor.at_venue()) == 2
    assert await away.absorb() == 1
    assert await away.absorb() == 0

    stored = await floor.stored(order)
    assert stored.status is OrderStatus.FILLED
    [row] = await floor.storage.ledger.of_order(order.order_id)
    assert (row.key.command, row.is_decided) == (CommandKind.PLACE, True)
    assert await floor.storage.net_positions.quantity(ACCOUNT_ID, "BTC-PERP") == 0
    found = await place(away, order)
    assert (found.definite, found.order.status) == (True, OrderStatus.FILLED)
    assert len(floor.at_venue()) == 2
    await floor.book_fills()
    assert (await floor.storage.orders.fill_total(order.order_id)).quantity == Decimal("0.01")


async def test_what_is_journaled_is_ours_when_the_account_is_reconciled(
    away: Away, floor: Floor
) -> None:
    """The database is back, and the account is compared before anybody has absorbed."""
    order = await closing(away, floor)
    with locked(away.home):
        await place(away, order)
    intake = JournalIntake(journal=away.journal, ledger=floor.storage.ledger, now=now)
    office = Office(floor, journal=intake)
    office.wait()

    _, findings = await office.reconcile()

    assert await away.journal.pending() == ()
    assert (await floor.stored(order)).status is OrderStatus.FILLED
    page = await floor.storage.orders.page(OrderFilter(owner="local"))
    assert {one.origin for one in page.orders} == {Origin.USER}
    assert {finding.kind for finding in findings} <= {FindingKind.MISSING_FILLS}


async def test_a_journaled_command_that_is_on_its_way_holds_the_comparison_up(
    away: Away, floor: Floor
) -> None:
    order = await closing(away, floor)
    await killed_before_the_answer(away, floor, order)
    intake = JournalIntake(journal=away.journal, ledger=floor.storage.ledger, now=now)

    with pytest.raises(Unavailable, match="on its way"):
        await intake.taken_in(ACCOUNT_ID)
    await intake.taken_in("another account")

    later = replace(intake, now=lambda: now() + timedelta(seconds=11))
    await later.taken_in(ACCOUNT_ID)
    assert await away.journal.pending() == ()


async def test_what_may_raise_exposure_waits_for_the_database(away: Away, floor: Floor) -> None:
    await away.access.open(ACCOUNT_ID)
    with locked(away.home), pytest.raises(Unavailable):
        await place(away, an_order())
    assert floor.at_venue() == []
    assert not (away.home / "journal").exists()


async def test_another_process_finds_it_in_the_journal(away: Away, floor: Floor) -> None:
    order = await closing(away, floor)
    with locked(away.home):
        await place(away, order)
    other = Away(floor, away.home)

    found = await place(other, order)

    assert found.order.status is OrderStatus.FILLED
    assert len(floor.at_venue()) == 2
    assert await other.absorb() == 1


async def test_killed_before_the_answer_it_is_resolved_and_never_sent_again(
    away: Away, floor: Floor
) -> None:
    order = await closing(away, floor)
    await killed_before_the_answer(away, floor, order)
    other = Away(floor, away.home)

    waiting = await place(other, order)
    assert not waiting.definite
    assert waiting.order.status is OrderStatus.UNKNOWN
    assert await other.absorb() == 0
    assert await other.absorb(later_s=11) == 1
    [row] = await floor.storage.ledger.of_order(order.order_id)
    assert not row.is_decided
    resolved = await floor.resolve(order)
    assert resolved.order.status is OrderStatus.FILLED
    assert len(floor.at_venue()) == 2


async def test_a_row_that_the_database_took_all_the_same_stands_for_it(
    away: Away, floor: Floor
) -> None:
    """The commit's answer was lost: the ledger has the command, and nobody may send that one."""
    order = await closing(away, floor)
    with locked(away.home):
        await place(away, order)
    [entry] = await away.journal.pending()
    assert entry.order is not None
    ledger = floor.storage.ledger
    draft_row = replace(entry.row, nonce=(entry.row.nonce or 0) - 5, inserted_at=now())
    await ledger.absorb(draft_row, None, entry.order)

    assert await away.absorb() == 1

    [row] = await ledger.of_order(order.order_id)
    assert row.nonce == draft_row.nonce
    assert row.is_decided
    assert (await floor.stored(order)).status is OrderStatus.FILLED


async def test_a_close_that_the_venue_refuses_is_rejected(away: Away, floor: Floor) -> None:
    await away.access.open(ACCOUNT_ID)
    order = an_order(side=OrderSide.SELL, reduce_only=True, price=Decimal(60_000))
    with locked(away.home):
        result = await place(away, order)
        assert result.order.status is OrderStatus.REJECTED
    await away.absorb()
    assert (await floor.stored(order)).status is OrderStatus.REJECTED


async def test_a_cancel_of_an_unknown_order_finds_ours_by_its_ids(away: Away, floor: Floor) -> None:
    order = await away.resting()
    account = (await floor.opened_access()).account
    connector = await floor.connector()
    [seen] = await connector.open_orders(account)
    unknown = external_order(account, seen, now())

    with locked(away.home):
        result = await away.cancel(unknown)
        assert result.order.status is OrderStatus.CANCELED
    assert await away.absorb() == 1

    assert (await floor.stored(order)).status is OrderStatus.CANCELED
    assert await floor.storage.orders.get(unknown.order_id) is None
    [cancel] = await away.cancels(order)
    assert cancel.is_decided


async def test_a_cancel_of_somebody_elses_order_is_kept_as_external(
    away: Away, floor: Floor
) -> None:
    await away.access.open(ACCOUNT_ID)
    by_hand(floor)
    account = (await floor.opened_access()).account
    [seen] = await (await floor.connector()).open_orders(account)
    unknown = external_order(account, seen, now())

    with locked(away.home):
        await away.cancel(unknown)
    assert await away.absorb() == 1
    assert await away.absorb() == 0

    kept = await floor.stored(unknown)
    assert (kept.origin, kept.status) == (Origin.EXTERNAL, OrderStatus.CANCELED)


def by_hand(floor: Floor) -> None:
    """Have somebody else place a resting order of the account."""
    exchange = floor.venue.exchange
    request = OrderRequest(
        symbol="BTC",
        side=Side.BUY,
        price=Decimal(40_000),
        quantity=Decimal("0.02"),
        time_in_force=VenueTimeInForce.GTC,
    )
    with exchange.action("order"):
        trading.place(exchange.tables, exchange.switches, floor.opened["address"], request)


async def test_an_order_that_its_nonce_names_is_journaled_by_it(
    floor: Floor, tmp_path: Path
) -> None:
    real = await floor.connector()
    sent: list[CommandRow] = []

    async def send(row: CommandRow, _access: object) -> SendResult:
        sent.append(row)
        return SendResult(outcome=NotSent(reason="test", proof="test"))

    async def compose(_command: object) -> Any:
        return lambda slot: f'{{"nonce":{slot.client_order_id}}}'

    capabilities = replace(real.capabilities, nonce_rule=NonceRule.NAMES_ORDER)
    connector = Altered(real, capabilities=capabilities, send=send, compose=compose)
    away = Away(floor, tmp_path, connectors=connector)
    order = await closing(away, floor)
    with locked(tmp_path):
        result = await place(away, order)
    (row,) = sent
    assert row.client_order_id == str(row.nonce)
    assert row.message == f'{{"nonce":{row.nonce}}}'
    assert result.order.client_order_id == row.client_order_id
