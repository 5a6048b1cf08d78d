"""The lives of workflows that are recorded: ordinary ones and odd ones.

Each function lives through one and returns the ids of the workflows (and runs) to be kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest

from domain.accounts import MarginMode
from domain.orders import Order, OrderStatus, Verdict
from sealing.box import BoxLabel, CredentialPart, seal
from tests.activities.floor import ABOVE, ACCOUNT_ID, MARKET, TAKING, an_order, place_task, until
from tests.workflows import (
    closing_scenarios,
    guard_scenarios,
    halt_scenarios,
    reconcile_scenarios,
    split_scenarios,
)
from tests.workflows.stage import NAMESPACE, Stage, a_report
from venues.simulation.faults import FaultKind
from workflows import ids
from workflows.account_read_client import AccountReads
from workflows.leverage_client import Leverages
from workflows.rotation_client import Rotations

SUGGEST_AFTER_EVENTS = 30
"""After how many events the recorder's server suggests to continue as new."""


@dataclass(frozen=True)
class Kept:
    """A history to keep; `run_id` None is the newest run."""

    workflow_id: str
    run_id: str | None = None


Scenario = Callable[[Stage], Awaitable[Kept]]


def _kept(order: Order) -> Kept:
    return Kept(ids.order_workflow_id(order.order_id))


async def filled(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    await stage.fill()
    await stage.ended(order)
    return _kept(order)


async def filled_status_at_close(stage: Stage) -> Kept:
    """As every order today; `filled` and the others were recorded before."""
    return await filled(stage)


async def filled_in_parts(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    await stage.fill("0.004")
    await stage.fill()
    await stage.ended(order)
    return _kept(order)


async def fill_before_answer(stage: Stage) -> Kept:
    order = an_order(price=ABOVE)
    stage.floor.fault(FaultKind.DELAY_ANSWER, delay_ms=600)
    placing = asyncio.create_task(stage.place(order))
    await stage.until_placed(order)
    await stage.deliver()
    await placing
    await stage.ended(order)
    return _kept(order)


async def activity_run_again(stage: Stage) -> Kept:
    """A report between the ledger's commit and the task's end."""
    order = an_order(**MARKET)
    loop = asyncio.get_running_loop()
    report = a_report(order, Verdict.FILLED, "0.01")
    told: list[asyncio.Task[object]] = []

    def tell() -> None:
        told.append(loop.create_task(stage.workflows.report(order.order_id, report)))

    stage.floor.points.actions["place.outcome_committed"] = [tell]
    await stage.place(order)
    await stage.ended(order)
    return _kept(order)


async def rejected(stage: Stage) -> Kept:
    order = an_order(quantity=Decimal(5_000))
    await stage.place(order)
    await stage.ended(order)
    return _kept(order)


async def denied(stage: Stage) -> Kept:
    order = an_order(quantity=Decimal("0.000001"))
    await stage.place(order)
    await stage.ended(order)
    return _kept(order)


async def canceled(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    await stage.fill("0.004")
    await stage.workflows.cancel(order.order_id, "c1", wait_s=20)
    await stage.ended(order)
    return _kept(order)


async def canceled_by_request(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    await stage.handle(order).cancel()
    await stage.ended(order)
    return _kept(order)


async def modified(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    await stage.fill("0.004")
    await _modify(stage, order, price="59000", quantity="0.02")
    await stage.fill()
    await stage.ended(order)
    return _kept(order)


async def modified_unheard(stage: Stage) -> Kept:
    """Asked while no worker runs: one is carried out, the next one, of too little, refused."""
    order = an_order(place_by=an_order().created_at + timedelta(seconds=120))
    await stage.place(order)
    await stage.stop_worker()
    for name, price, quantity in (("m1", "59000", None), ("m2", None, "0.004")):
        await stage.workflows.modify(
            order.order_id,
            name,
            price=None if price is None else Decimal(price),
            quantity=None if quantity is None else Decimal(quantity),
            wait_s=0.3,
        )
    await stage.fill("0.004")
    await stage.start_worker()

    async def is_told() -> bool:
        lines = await stage.floor.timeline(order)
        return any(line.startswith("modify m2: refused") for line in lines)

    await until(is_told, what="both answers")
    await stage.fill()
    await stage.ended(order)
    return _kept(order)


async def _modify(
    stage: Stage, order: Order, *, price: str | None = None, quantity: str | None = None
) -> None:
    answer = await stage.workflows.modify(
        order.order_id,
        "m1",
        price=None if price is None else Decimal(price),
        quantity=None if quantity is None else Decimal(quantity),
        wait_s=20,
    )
    assert answer.decided


async def replacement_refused(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    await _modify(stage, order, quantity="5000")
    await stage.ended(order)
    return _kept(order)


async def unknown_then_resting(stage: Stage) -> Kept:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    await stage.place(order)
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY, "cancel")
    await stage.workflows.cancel(order.order_id, "c1", wait_s=20)
    await stage.ended(order)
    return _kept(order)


async def unknown_then_absent(stage: Stage) -> Kept:
    """Fenced off by its nonce, and placed again as a new revision."""
    order = an_order(**TAKING)
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY)
    await stage.place(order)
    await stage.ended(order)
    return _kept(order)


async def resolved_by_operator(stage: Stage) -> Kept:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY)
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "orderStatus", count=None)
    placing = asyncio.create_task(stage.try_place(order, wait_s=20))

    async def is_unknown() -> bool:
        kept = await stage.floor.storage.orders.get(order.order_id)
        return kept is not None and kept.status is OrderStatus.UNKNOWN

    await until(is_unknown, what="an unknown order")
    await stage.workflows.resolve(
        order.order_id, "r1", verdict="absent", reason="seen at the venue", by="local"
    )
    await placing
    await stage.ended(order)
    return _kept(order)


async def expired_unsent(stage: Stage) -> Kept:
    order = an_order()
    order = an_order(place_by=order.created_at + timedelta(seconds=1))
    stage.floor.fault(FaultKind.RATE_LIMIT, count=None)
    await stage.place(order)
    await stage.ended(order)
    return _kept(order)


async def adopted(stage: Stage) -> Kept:
    order = an_order()
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY)
    await stage.floor.environment.run(stage.floor.orders.place, place_task(order))
    stage.orders.append(order)
    await stage.workflows.adopt(order)
    await until(lambda: _rests(stage, order), what="the order in its workflow")
    await stage.fill()
    await stage.ended(order)
    return _kept(order)


async def _rests(stage: Stage, order: Order) -> bool:
    return (await stage.state(order)).status is OrderStatus.ACCEPTED


async def reset(stage: Stage) -> Kept:
    order = an_order()
    await stage.place(order)
    first_task = next(
        event.event_id
        for event in await stage.events(order)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    )
    await stage.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=NAMESPACE,
            workflow_execution=WorkflowExecution(
                workflow_id=ids.order_workflow_id(order.order_id),
                run_id=(await stage.handle(order).describe()).run_id,
            ),
            reason="recorded",
            workflow_task_finish_event_id=first_task,
            request_id="reset",
        )
    )
    await until(lambda: _rests(stage, order), what="the order in its new run")
    await stage.fill()
    await stage.ended(order)
    return _kept(order)


async def reconsidered(stage: Stage) -> Kept:
    """A cancel in the ledger that the workflow never heard of."""
    order = an_order()
    await stage.place(order)
    stage.floor.fault(FaultKind.DROP_BEFORE_APPLY, "cancel")
    await stage.floor.cancel(order)
    await stage.workflows.reconsider(order.order_id)
    await stage.ended(order)
    return _kept(order)


async def goes_on_as_new(stage: Stage) -> Kept:
    """The first of two runs."""
    order = an_order(quantity=Decimal("0.02"))
    await stage.place(order)
    run_id = (await stage.handle(order).describe()).run_id
    await _many_fills(stage, order)
    return Kept(ids.order_workflow_id(order.order_id), run_id)


async def gone_on_as_new(stage: Stage) -> Kept:
    """The newest of two runs."""
    order = an_order(quantity=Decimal("0.02"))
    await stage.place(order)
    await _many_fills(stage, order)
    return _kept(order)


async def _many_fills(stage: Stage, order: Order) -> None:
    for number in range(1, 9):
        await stage.fill("0.001")
        wanted = Decimal(number) / 1000

        async def has_filled(wanted: Decimal = wanted) -> bool:
            return (await stage.state(order)).filled_quantity == wanted

        await until(has_filled, what=f"{wanted} filled in the workflow")
    await stage.fill()
    await stage.ended(order)


async def account_verified(stage: Stage) -> Kept:
    account = await stage.workflows.verify_account(ACCOUNT_ID, "hyperliquid", wait_s=10)
    assert account is not None
    return Kept(ids.account_workflow_id(ACCOUNT_ID))


async def account_read(stage: Stage) -> Kept:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    assert await AccountReads(stage.client).read(account, wait_s=10) is not None
    return Kept(ids.account_read_workflow_id(ACCOUNT_ID))


async def kill_switch(stage: Stage) -> Kept:
    return Kept(await halt_scenarios.kill_switch(stage))


async def account_halted(stage: Stage) -> Kept:
    return Kept(await halt_scenarios.account_halted(stage))


async def account_halt_gone_on_as_new(stage: Stage) -> Kept:
    return Kept(await halt_scenarios.account_halt_gone_on_as_new(stage))


async def split_first_of_several_runs(stage: Stage) -> Kept:
    return Kept(*await split_scenarios.many_runs(stage))


async def leverage_set(stage: Stage) -> Kept:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    stage.floor.fault(FaultKind.DROP_AFTER_APPLY, action="updateLeverage")
    leverages = Leverages(stage.client)
    await leverages.set(account, "BTC-PERP", 7, MarginMode.ISOLATED, wait_s=20)
    return Kept(ids.leverage_workflow_id(ACCOUNT_ID, "BTC-PERP"))


async def credential_refused(stage: Stage) -> Kept:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    label = BoxLabel(account_id=ACCOUNT_ID, venue="hyperliquid", part=CredentialPart.TRADING)
    sealed = seal(b"0x" + b"7" * 64, stage.floor.key.public, label)
    await stage.floor.storage.rotation.propose(ACCOUNT_ID, trading=sealed, feed=None)
    result = await Rotations(stage.client).rotate(account, wait_s=20)
    assert result is not None
    assert result.refusal is not None
    return Kept(ids.rotation_workflow_id(ACCOUNT_ID))


SCENARIOS: dict[str, Scenario] = {
    scenario.__name__: scenario
    for scenario in (
        filled,
        filled_status_at_close,
        filled_in_parts,
        fill_before_answer,
        activity_run_again,
        rejected,
        denied,
        canceled,
        canceled_by_request,
        modified,
        modified_unheard,
        replacement_refused,
        unknown_then_resting,
        unknown_then_absent,
        resolved_by_operator,
        expired_unsent,
        adopted,
        reset,
        reconsidered,
        goes_on_as_new,
        gone_on_as_new,
        account_verified,
        account_read,
        leverage_set,
        credential_refused,
        kill_switch,
        account_halted,
        account_halt_gone_on_as_new,
        split_first_of_several_runs,
    )
}


def _of(live: Callable[[Stage], Awaitable[str]]) -> Scenario:
    async def scenario(stage: Stage) -> Kept:
        return Kept(await live(stage))

    return scenario


SCENARIOS |= {
    each.__name__: _of(each)
    for each in (
        *closing_scenarios.ALL,
        *guard_scenarios.ALL,
        *reconcile_scenarios.ALL,
        *split_scenarios.ALL,
    )
}

GO_ON_AS_NEW = (
    frozenset({"goes_on_as_new", "gone_on_as_new", "account_halt_gone_on_as_new"})
    | closing_scenarios.GO_ON_AS_NEW
    | guard_scenarios.GO_ON_AS_NEW
    | reconcile_scenarios.GO_ON_AS_NEW
    | split_scenarios.GO_ON_AS_NEW
)
"""Those that need a server which suggests it."""
