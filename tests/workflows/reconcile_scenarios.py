"""The lives of reconciliations that are recorded."""

from __future__ import annotations

from tests.activities.floor import ACCOUNT_ID, TAKING, an_order, until
from tests.workflows.reconciling import Auditor
from tests.workflows.stage import Stage
from venues.simulation.faults import FaultKind
from venues.simulation.records import Side
from workflows.reconcile_contracts import reconcile_workflow_id


async def reconciled(stage: Stage) -> str:
    """At once, on demand, with a look that fails, a second look and a finding."""
    auditor = await Auditor.of(stage)
    await stage.place(an_order(**TAKING))
    auditor.by_hand(Side.BUY, "50000")
    stage.floor.fault(FaultKind.ERROR_BEFORE_APPLY, "historicalOrders")
    await auditor.reconcile()
    await auditor.workflows.wake(ACCOUNT_ID)
    await auditor.reconcile(full=True)
    return reconcile_workflow_id(ACCOUNT_ID)


async def reconcile_gone_on_as_new(stage: Stage) -> str:
    """The newest of several runs."""
    auditor = await Auditor.of(stage)
    await auditor.reconcile()
    first = (await auditor.handle.describe()).run_id

    async def goes_on() -> bool:
        await auditor.reconcile()
        return (await auditor.handle.describe()).run_id != first

    await until(goes_on, what="a fresh history", within_s=60)
    await auditor.reconcile()
    return reconcile_workflow_id(ACCOUNT_ID)


ALL = (reconciled, reconcile_gone_on_as_new)
GO_ON_AS_NEW = frozenset({"reconcile_gone_on_as_new"})
