"""The lives of split orders that are recorded; each returns the id of the workflow to be kept."""

from __future__ import annotations

from domain.splits import SplitPlan, SplitStatus, leg_order_id
from tests.activities.floor import ACCOUNT_ID, until
from tests.workflows.splitting import FIRST, OTHER_ID, SECOND, Splitting, a_split, open_splitting
from tests.workflows.stage import Stage
from workflows import ids
from workflows.terms_client import AccountTermsReads


async def split_filled(stage: Stage) -> str:
    async with open_splitting(stage, stage.floor.monkeypatch) as desk:
        plan = await _filled(desk)
    return ids.split_workflow_id(plan.split_id)


async def split_child(stage: Stage) -> str:
    """A child, which tells its parent."""
    async with open_splitting(stage, stage.floor.monkeypatch) as desk:
        plan = await _filled(desk)
    return ids.order_workflow_id(leg_order_id(plan.split_id, 0))


async def split_refused_and_canceled(stage: Stage) -> str:
    async with open_splitting(stage, stage.floor.monkeypatch) as desk:
        await stage.floor.storage.halts.halt(OTHER_ID, reason="recorded", by="local")
        plan = await desk.start(a_split())
        await _until_live(desk, 1)
        await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)
        await desk.until_ended(plan, SplitStatus.CANCELED)
    return ids.split_workflow_id(plan.split_id)


async def split_after_a_termination(stage: Stage) -> str:
    """A second run, which begins children once more and cancels them."""
    async with open_splitting(stage, stage.floor.monkeypatch) as desk:
        plan = await desk.start(a_split())
        await desk.until_resting()
        await desk.terminate(plan)
        await desk.sweep.run()
        await desk.fill(FIRST, "0.01")
        await desk.workflows.cancel(plan.split_id, "c1", wait_s=20)
        await desk.until_ended(plan, SplitStatus.PARTLY_FILLED)
    return ids.split_workflow_id(plan.split_id)


async def split_goes_on_as_new(stage: Stage) -> str:
    """The newest of several runs, each long by the recorder's measure."""
    workflow_id, _ = await many_runs(stage)
    return workflow_id


async def many_runs(stage: Stage) -> tuple[str, str]:
    """Live through several runs; return the workflow's id and that of its first run."""
    async with open_splitting(stage, stage.floor.monkeypatch) as desk:
        plan = await desk.start(a_split())
        handle = stage.client.get_workflow_handle(ids.split_workflow_id(plan.split_id))
        first_run = (await handle.describe()).run_id
        await desk.until_resting()
        for _ in range(6):
            await desk.fill(FIRST, "0.004")
            await desk.until_known(plan)
        await desk.fill(FIRST)
        await desk.fill(SECOND)
        await desk.until_ended(plan, SplitStatus.FILLED)
    return ids.split_workflow_id(plan.split_id), first_run


async def terms_read(stage: Stage) -> str:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    terms = await AccountTermsReads(stage.client).read(account, "BTC-PERP", wait_s=10)
    assert terms is not None
    return ids.terms_workflow_id(ACCOUNT_ID, "BTC-PERP")


async def _filled(desk: Splitting) -> SplitPlan:
    plan = await desk.start(a_split())
    await desk.until_resting()
    await desk.fill(SECOND)
    await desk.fill(FIRST, "0.01")
    await desk.until_known(plan)
    await desk.fill(FIRST)
    await desk.until_ended(plan, SplitStatus.FILLED)
    return plan


async def _until_live(desk: Splitting, count: int) -> None:
    await until(lambda: len(desk.live()) == count, what=f"{count} at the exchange")


ALL = (
    split_filled,
    split_child,
    split_refused_and_canceled,
    split_after_a_termination,
    split_goes_on_as_new,
    terms_read,
)
GO_ON_AS_NEW = frozenset({"split_goes_on_as_new", "split_first_of_several_runs"})
