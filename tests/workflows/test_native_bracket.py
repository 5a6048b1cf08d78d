"""Brackets whose exits leave in the entry's own request: woken by the venue, watched by us."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.brackets import BracketState, BracketStatus, ExitRule, LegKind, ProtectedBy
from domain.commands import CommandKind
from domain.errors import Conflict
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow
from domain.orders import Order, OrderStatus
from domain.positions import Protection
from storage.protection import read_protections
from tests.activities.floor import ACCOUNT_ID, MARKET, an_order, now, until
from tests.workflows.bracketing import Desk
from tests.workflows.halting import open_halting
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from venues.simulation.records import Order as VenueRecord
from venues.simulation.records import OrderStatus as VenueStatus
from venues.simulation.records import Reason, Side
from workflows import ids

RESTING: dict[str, Any] = {"quantity": Decimal("0.1"), "price": Decimal(60_000)}
BOUGHT: dict[str, Any] = {**MARKET, "quantity": Decimal("0.1")}


class NativeDesk(Desk):
    """Brackets that are native unless told otherwise."""

    async def native(self, entry: Order, **rules: Any) -> None:
        await self.bracket(entry, native=True, **rules)

    async def until_known(self, holds: Any, what: str) -> BracketState:
        async def seen() -> BracketState | None:
            state = await self.now()
            return state if holds(state) else None

        found: BracketState = await until(seen, what=what)
        return found

    async def until_kept_by(self, who: ProtectedBy) -> BracketState:
        return await self.until_known(lambda s: s.protected_by is who, f"exits kept by {who}")

    def awake(self) -> list[VenueRecord]:
        return [o for o in self.exits() if o.status is VenueStatus.UNTRIGGERED]

    async def position_protection(self) -> Protection:
        """Return who closes the position when it goes wrong, as positions show it."""
        found = await read_protections(self.floor.storage.database, ACCOUNT_ID)
        return found.get("BTC-PERP", Protection.NONE)

    async def is_protected_by_venue(self) -> bool:
        return await self.position_protection() is Protection.VENUE

    async def rows(self) -> list[CommandRow]:
        """Return the rows of the first placement of entry and joint exits."""
        state = await self.now()
        order_ids = [state.plan.bracket_id, *(leg.order_id for leg in state.legs if leg.joint)]
        found = [
            await self.floor.storage.ledger.read(
                CommandKey(order_id=order_id, command=CommandKind.PLACE, revision=0)
            )
            for order_id in order_ids
        ]
        assert all(found)
        return [row for row in found if row is not None]

    async def hear_all(self) -> None:
        """Tell the workflows of fills and of ends, as streaming does."""
        await self.hear()
        await self.tell_ends()

    async def until_ended_hearing(self, status: BracketStatus) -> BracketState:
        await self.hear_all()
        return await self.until_ended(status)

    async def orders(self) -> dict[str, Order]:
        """Return the bracket's orders in the store, by what they are for."""
        state = await self.now()
        named = {"entry": state.plan.bracket_id}
        named |= {
            f"{leg.kind.value}{'' if leg.joint else ' own'}": leg.order_id for leg in state.legs
        }
        found = {name: await self.floor.storage.orders.get(each) for name, each in named.items()}
        return {name: order for name, order in found.items() if order is not None}


@pytest.fixture
def desk(stage: Stage) -> Iterator[NativeDesk]:
    yield NativeDesk(stage)


async def test_one_signed_request_and_the_venue_keeps_the_exits(desk: NativeDesk) -> None:
    await desk.native(an_order(**BOUGHT))
    state = await desk.until_kept_by(ProtectedBy.VENUE)

    assert [leg.kind for leg in state.legs] == [LegKind.STOP_LOSS, LegKind.TAKE_PROFIT]
    entry, *exits = await desk.rows()
    assert '"grouping":"normalTpsl"' in entry.message
    assert [row.message for row in exits] == ["", ""], "one row bears the message"
    assert {row.carried_by for row in exits} == {entry.key.order_id}
    assert {row.nonce for row in exits} == {entry.nonce}
    ids_at_venue = {order.client_order_id for order in desk.floor.at_venue()}
    assert ids_at_venue == {row.client_order_id for row in (entry, *exits)}
    assert len(ids_at_venue) == 3
    await until(lambda: len(desk.awake()) == 2, what="two exits awake")

    desk.set_price("70100")
    end = await desk.until_ended_hearing(BracketStatus.DONE)

    assert end.reason == "closed by TAKE_PROFIT 0.1"
    assert end.failures == 0
    assert desk.held == 0
    assert not desk.exits()
    orders = await desk.orders()
    assert orders["STOP_LOSS"].status is OrderStatus.CANCELED
    assert len(desk.floor.at_venue()) == 3, "nothing else was ever placed"


async def test_the_stop_of_a_short(desk: NativeDesk) -> None:
    """The stop closes it all, and the venue itself takes the target away."""
    entry = an_order(**{**BOUGHT, "side": OrderSide.SELL})
    below = ExitRule(price=Decimal(60_000))
    await desk.native(entry, take_profit=below, stop_loss=ExitRule(price=Decimal(68_000)))
    await desk.until_kept_by(ProtectedBy.VENUE)

    desk.set_price("68400")
    end = await desk.until_ended_hearing(BracketStatus.DONE)

    assert end.reason == "closed by STOP_LOSS 0.1"
    assert desk.held == 0
    words = {o.client_order_id: o.reason for o in desk.floor.at_venue()}
    assert Reason.SIBLING_FILLED in words.values()


async def test_exits_sleep_until_the_entry_has_filled_wholly(desk: NativeDesk) -> None:
    desk.set_price("61000")
    await desk.native(an_order(**RESTING), take_profit=ExitRule(percent=Decimal(5)))
    state = await desk.until_kept_by(ProtectedBy.VENUE)
    assert {leg.trigger_price for leg in state.legs} == {Decimal(55_000), Decimal(63_000)}
    assert not desk.awake()
    assert await desk.position_protection() is Protection.NONE, "there is none to protect"

    desk.exchange_fill(desk.entry(), "0.1")
    await desk.hear()

    await until(desk.is_protected_by_venue, what="a position that is known to be protected")
    await desk.until_known(lambda s: s.status is BracketStatus.PROTECTING, "a filled entry")
    assert len(desk.awake()) == 2
    assert (await desk.now()).protected_by is ProtectedBy.VENUE
    desk.set_price("54000")
    await desk.until_ended_hearing(BracketStatus.DONE)
    assert desk.held == 0


async def test_what_fills_before_that_is_protected_by_us(desk: NativeDesk) -> None:
    await desk.native(an_order(**RESTING))
    await desk.until_kept_by(ProtectedBy.VENUE)

    desk.exchange_fill(desk.entry(), "0.04")
    await desk.hear()
    await until(lambda: len(desk.awake()) == 2, what="exits of what is filled")
    assert [o.quantity for o in desk.awake()] == [Decimal("0.04")] * 2
    await desk.until_kept_by(ProtectedBy.WORKFLOW)

    desk.exchange_fill(desk.entry(), "0.06")
    await desk.hear()
    await until(
        lambda: [o.quantity for o in desk.awake()] == [Decimal("0.1")] * 2,
        what="the venue's exits alone",
    )
    await desk.until_kept_by(ProtectedBy.VENUE)
    desk.set_price("54000")
    end = await desk.until_ended_hearing(BracketStatus.DONE)
    assert end.reason == "closed by STOP_LOSS 0.1"
    assert desk.held == 0


async def test_exits_that_ask_for_more_than_is_open_are_replaced(desk: NativeDesk) -> None:
    """Our target closed the first part; so the venue's, of the whole, would reach for more."""
    desk.set_price("61000")
    await desk.native(an_order(**RESTING), take_profit=ExitRule(price=Decimal(62_000)))
    await desk.until_kept_by(ProtectedBy.VENUE)
    desk.exchange_fill(desk.entry(), "0.04")
    await desk.hear()
    await until(lambda: len(desk.awake()) == 2, what="exits of what is filled")
    desk.set_price("62100")
    await desk.hear_all()
    await desk.until_known(
        lambda s: not s.open_quantity and all(leg.is_terminal or leg.joint for leg in s.legs),
        "a part closed, and the stop of it gone",
    )

    desk.set_price("61000")
    desk.exchange_fill(desk.entry(), "0.06")
    await desk.hear()
    await until(
        lambda: [o.quantity for o in desk.exits()] == [Decimal("0.06")] * 2,
        what="exits of what is open, and no others",
    )
    desk.set_price("54000")
    await desk.until_ended_hearing(BracketStatus.DONE)
    assert desk.held == 0


async def test_an_entry_canceled_in_part_keeps_exits_of_ours(desk: NativeDesk) -> None:
    """The venue lets the sleeping exits go with their entry; what filled has ours by then."""
    await desk.native(an_order(**RESTING))
    await desk.until_kept_by(ProtectedBy.VENUE)
    desk.exchange_fill(desk.entry(), "0.04")
    await desk.hear()
    await until(lambda: len(desk.awake()) == 2, what="exits of what is filled")

    await desk.stage.workflows.cancel(desk.plan.bracket_id, "c1", wait_s=20)

    state = await desk.until_known(
        lambda s: (
            s.status is BracketStatus.PROTECTING
            and all(leg.is_terminal for leg in s.legs if leg.joint)
        ),
        "the end of the sleeping exits, proven",
    )
    assert state.failures == 0
    assert [o.quantity for o in desk.exits()] == [Decimal("0.04")] * 2
    orders = await desk.orders()
    assert orders["STOP_LOSS"].status is OrderStatus.CANCELED
    desk.set_price("54000")
    end = await desk.until_ended_hearing(BracketStatus.DONE)
    assert end.reason == "closed by STOP_LOSS 0.04"
    assert desk.held == 0


async def test_an_entry_canceled_unfilled_takes_its_exits_along(desk: NativeDesk) -> None:
    await desk.native(an_order(**RESTING))
    await desk.until_kept_by(ProtectedBy.VENUE)

    await desk.stage.workflows.cancel(desk.plan.bracket_id, "c1", wait_s=20)

    end = await desk.until_ended(BracketStatus.NOT_ENTERED)
    assert end.protected_by is None
    assert not [o for o in desk.floor.at_venue() if o.status.is_live]
    assert {order.status for order in (await desk.orders()).values()} == {OrderStatus.CANCELED}


async def test_ending_one_that_rests(desk: NativeDesk) -> None:
    await desk.native(an_order(**RESTING))
    await desk.until_kept_by(ProtectedBy.VENUE)

    answer = await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)

    assert answer.decided
    assert not [o for o in desk.floor.at_venue() if o.status.is_live]
    assert {order.status for order in (await desk.orders()).values()} == {OrderStatus.CANCELED}


@pytest.mark.parametrize(
    "kind", [FaultKind.DROP_AFTER_APPLY, FaultKind.ERROR_AFTER_APPLY, FaultKind.GARBLE]
)
async def test_a_lost_answer_is_found_out_for_each(desk: NativeDesk, kind: FaultKind) -> None:
    desk.floor.fault(kind)

    await desk.native(an_order(**BOUGHT))
    await desk.until_kept_by(ProtectedBy.VENUE)

    assert len(desk.floor.at_venue()) == 3, "each placed once"
    assert [row.outcome.kind for row in await desk.rows() if row.outcome] == ["accepted"] * 3
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)
    assert not desk.exits()


@pytest.mark.parametrize("kind", [FaultKind.DROP_BEFORE_APPLY, FaultKind.ERROR_BEFORE_APPLY])
async def test_a_lost_request_is_placed_anew_as_a_whole(desk: NativeDesk, kind: FaultKind) -> None:
    desk.floor.fault(kind)

    await desk.native(an_order(**BOUGHT))
    await desk.until_kept_by(ProtectedBy.VENUE)

    assert len(desk.floor.at_venue()) == 3, "the first request made no order"
    first = await desk.rows()
    assert [row.outcome.kind for row in first if row.outcome] == ["not_sent"] * 3
    rows = await desk.floor.storage.ledger.of_order(desk.plan.bracket_id)
    assert len([row for row in rows if row.key.command is CommandKind.NOOP]) == 1
    orders = await desk.orders()
    assert {len(order.revisions) for order in orders.values()} == {2}
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_what_the_venue_takes_no_request_of_is_tried_again(desk: NativeDesk) -> None:
    """Refused at the door, so provably unsent: nothing has to be found out."""
    desk.floor.fault(FaultKind.RATE_LIMIT)

    await desk.native(an_order(**BOUGHT))
    await until(
        lambda: desk.floor.storage.ledger.read(
            CommandKey(order_id=desk.plan.bracket_id, command=CommandKind.PLACE, revision=0)
        ),
        what="the first request in the ledger",
    )
    await desk.floor.forget_rate_limit()
    await desk.until_kept_by(ProtectedBy.VENUE)

    assert len(desk.floor.at_venue()) == 3
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_a_request_that_never_comes_through_expires_as_a_whole(desk: NativeDesk) -> None:
    await desk.floor.close_venue()

    await desk.native(an_order(**RESTING, place_by=now() + timedelta(seconds=3)))

    async def over() -> bool:
        orders = (await desk.orders()).values()
        return bool(orders) and all(order.is_terminal for order in orders)

    # Where an answer came late or not at all, the fence and the exchange's delays come first.
    await until(over, what="an entry and exits that have ended", within_s=60)
    await desk.until_ended(BracketStatus.NOT_ENTERED)
    orders = await desk.orders()
    assert orders["entry"].status is OrderStatus.EXPIRED
    # An exit whose own time is not over when the entry's is heard of is canceled with it.
    assert {order.status for order in orders.values()} <= {
        OrderStatus.EXPIRED,
        OrderStatus.CANCELED,
    }
    assert {order.outcome for order in orders.values()} == {"not_sent"}
    assert not desk.floor.at_venue()


async def test_an_entry_that_takes_a_part_only(desk: NativeDesk) -> None:
    """What of an immediate entry found no match is dropped: the exits of the whole go too."""
    await desk.native(an_order(**{**BOUGHT, "quantity": Decimal(8)}, max_slippage_bps=2))

    state = await desk.until_known(
        lambda s: (
            s.status is BracketStatus.PROTECTING
            and all(leg.is_terminal for leg in s.legs if leg.joint)
        ),
        "exits of ours alone",
    )

    assert 0 < state.entered < 8
    assert state.protected_by is ProtectedBy.WORKFLOW
    assert state.failures == 0
    assert [o.quantity for o in desk.exits()] == [state.entered] * 2
    desk.set_price("54000")
    await desk.until_ended_hearing(BracketStatus.DONE)
    assert desk.held == 0


async def test_a_refused_entry_refuses_all(desk: NativeDesk) -> None:
    await desk.native(an_order(**{**RESTING, "quantity": Decimal(5_000)}))

    end = await desk.until_ended(BracketStatus.NOT_ENTERED)

    assert end.reason.startswith("REJECTED")
    assert {order.status for order in (await desk.orders()).values()} == {OrderStatus.REJECTED}


async def test_a_stop_that_the_venue_refuses_becomes_a_market_close(desk: NativeDesk) -> None:
    """The price is below the stop already: the venue takes no such trigger, joint or alone."""
    await desk.native(
        an_order(**BOUGHT), take_profit=None, stop_loss=ExitRule(price=Decimal(66_000))
    )

    end = await desk.until_ended_hearing(BracketStatus.DONE)

    assert "CLOSE 0.1" in end.reason
    assert desk.held == 0


async def test_an_awake_exit_canceled_at_the_venue_is_replaced(desk: NativeDesk) -> None:
    await desk.native(an_order(**BOUGHT))
    await desk.until_kept_by(ProtectedBy.VENUE)
    await until(lambda: len(desk.awake()) == 2, what="two exits awake")
    stop = next(o for o in desk.awake() if o.trigger and not o.trigger.is_take_profit)

    desk.cancel_at_venue(stop)
    await desk.tell_ends()

    await desk.until_kept_by(ProtectedBy.WORKFLOW)
    await desk.until_protected("0.1")
    assert (await desk.now()).failures == 1
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_a_position_closed_by_hand_ends_it(desk: NativeDesk) -> None:
    await desk.native(an_order(**BOUGHT))
    await desk.until_kept_by(ProtectedBy.VENUE)

    desk.trade(Side.SELL, "0.1")
    await until(lambda: not desk.exits(), what="no exits, since there is nothing to reduce")
    await desk.tell_ends()

    await desk.until_ended(BracketStatus.POSITION_GONE)


async def test_no_modify(desk: NativeDesk) -> None:
    await desk.native(an_order(**RESTING))
    state = await desk.until_kept_by(ProtectedBy.VENUE)

    for order_id in (state.plan.bracket_id, state.legs[0].order_id):
        with pytest.raises(Conflict, match="end the bracket and place another"):
            await desk.stage.workflows.modify(
                order_id, "m", quantity=None, price=Decimal(59_000), wait_s=5
            )
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_the_entry_asked_for_by_the_api_takes_what_the_bracket_placed(
    desk: NativeDesk,
) -> None:
    """The API starts the bracket, then the entry's workflow, and waits for the outcome there."""
    entry = replace(an_order(**BOUGHT), joint=True)
    entry = replace(entry, parent_id=entry.order_id)
    asking = asyncio.create_task(desk.stage.place(entry))
    await until(lambda: _runs(desk, entry), what="the entry's workflow")
    assert not desk.floor.at_venue(), "it places nothing by itself"

    await desk.native(entry)

    placed = await asking
    assert placed.status is OrderStatus.FILLED
    assert len(desk.floor.at_venue()) == 3
    await desk.until_kept_by(ProtectedBy.VENUE)
    await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=20)


async def test_the_entry_asked_for_by_the_api_hears_that_it_is_refused(desk: NativeDesk) -> None:
    await desk.floor.storage.halts.halt(ACCOUNT_ID, reason="a drill", by="test")
    entry = replace(an_order(**BOUGHT), joint=True)
    entry = replace(entry, parent_id=entry.order_id)
    asking = asyncio.create_task(desk.stage.place(entry))
    await until(lambda: _runs(desk, entry), what="the entry's workflow")

    await desk.native(entry)

    assert (await asking).status is OrderStatus.DENIED
    assert "a drill" in await desk.stage.ended(entry)


async def _runs(desk: NativeDesk, order: Order) -> bool:
    return await desk.stage.workflows.is_running(order.order_id) is True


async def test_an_entry_whose_bracket_never_comes_expires(desk: NativeDesk) -> None:
    entry = an_order(**RESTING, place_by=now() + timedelta(seconds=0.5))

    placed = await desk.stage.place(replace(entry, joint=True, parent_id=entry.order_id))

    assert placed.status is OrderStatus.EXPIRED
    assert placed.reason == "not_sent"
    assert not desk.floor.at_venue()


async def test_one_whose_end_was_wanted_before_it_began_sends_nothing(desk: NativeDesk) -> None:
    await desk.stage.stop_worker()
    await desk.native(an_order(**BOUGHT))
    answer = await desk.brackets.end(desk.plan.bracket_id, "end", wait_s=0.4)
    assert not answer.decided
    handle = desk.stage.client.get_workflow_handle(ids.bracket_workflow_id(desk.plan.bracket_id))
    kept = [
        event
        async for event in handle.fetch_history_events()
        if event.HasField("workflow_execution_cancel_requested_event_attributes")
    ]
    assert len(kept) == 1, "kept, though no worker has heard it"

    await desk.stage.start_worker()

    end = await desk.until_ended(BracketStatus.CANCELED)
    assert not end.legs
    assert not desk.floor.at_venue()
    entry = (await desk.orders())["entry"]
    assert (entry.status, entry.reason) == (OrderStatus.CANCELED, "canceled_before_sent")


async def test_another_worker_goes_on(desk: NativeDesk) -> None:
    await desk.native(an_order(**RESTING))
    await desk.until_kept_by(ProtectedBy.VENUE)

    await desk.stage.stop_worker()
    desk.exchange_fill(desk.entry(), "0.1")
    desk.set_price("54000")
    assert desk.held == 0, "the venue closed it while nothing of ours ran"
    await desk.stage.start_worker()

    await desk.until_ended_hearing(BracketStatus.DONE)


async def test_a_halted_account_denies_it(desk: NativeDesk) -> None:
    await desk.floor.storage.halts.halt(ACCOUNT_ID, reason="a drill", by="test")

    await desk.native(an_order(**BOUGHT))

    end = await desk.until_ended(BracketStatus.NOT_ENTERED)
    assert "a drill" in end.reason
    assert not desk.floor.at_venue()


async def test_a_kill_switch_takes_all_of_it(
    stage: Stage, desk: NativeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.native(an_order(**RESTING))
    await desk.until_kept_by(ProtectedBy.VENUE)

    async with open_halting(stage, monkeypatch) as halting:
        begun = await halting.halt()
        end = await halting.until_stage(begun)

    assert end.accounts[0].still_open == ()
    assert not [o for o in desk.floor.at_venue() if o.status.is_live]
    await desk.until_ended(BracketStatus.NOT_ENTERED)
    assert {order.status for order in (await desk.orders()).values()} == {OrderStatus.CANCELED}
