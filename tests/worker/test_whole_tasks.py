"""A query between two workflow tasks: refused, asked again, and never the cause of a decision."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from temporalio import workflow
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker

from serving.whole_tasks import Told, WholeTaskRunner, is_between_tasks
from tests.workflows.stage import KEYS, NAMESPACE
from workflows import policies
from workflows.payloads import data_converter
from workflows.reaching import ASK_AGAIN, queried

WORKFLOWS = 8
WAIT = timedelta(seconds=1)


@workflow.defn(name="DecidesByTime")
class DecidesByTime:
    """Waits for a time, and looks at the clock before it goes on."""

    def __init__(self) -> None:
        self._woken: list[datetime] = []

    @workflow.run
    async def run(self) -> list[datetime]:
        for _ in range(2):
            due = workflow.now() + WAIT
            while workflow.now() < due:
                with contextlib.suppress(TimeoutError):
                    await workflow.wait_condition(lambda: False, timeout=WAIT)
                self._woken.append(workflow.now())
            # What the decision brings is in the history: a replay that decides otherwise shows.
            workflow.upsert_memo({"woken": len(self._woken)})
        return self._woken

    @workflow.query(name="woken")
    def woken(self) -> list[datetime]:
        return self._woken


async def raw_query(handle: WorkflowHandle[DecidesByTime, Any]) -> str:
    """Ask once, as the web UI does; return what is wrong with the answer, or nothing."""
    try:
        await handle.query(DecidesByTime.woken, rpc_timeout=timedelta(seconds=9))
    except WorkflowQueryFailedError as error:
        return str(error)
    return ""


async def test_a_question_to_an_evicted_workflow_moves_no_clock(temporal: str) -> None:
    """The workers are away while the timers fire; the questions are there before the tasks are."""
    client = await Client.connect(
        temporal, namespace=NAMESPACE, data_converter=data_converter(KEYS)
    )
    queue = f"whole-tasks-{uuid.uuid4()}"
    names = [f"{queue}-{number}" for number in range(WORKFLOWS)]

    def a_worker() -> Worker:
        return Worker(
            client,
            task_queue=queue,
            workflows=[DecidesByTime],
            workflow_runner=WholeTaskRunner(),
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        )

    async with a_worker():
        handles = [
            await client.start_workflow(
                DecidesByTime.run, id=name, task_queue=queue, task_timeout=policies.TASK_TIMEOUT
            )
            for name in names
        ]
        for handle in handles:
            assert await queried(handle, DecidesByTime.woken) == []
    asked = [asyncio.create_task(raw_query(handle)) for handle in handles]
    await asyncio.sleep(WAIT.total_seconds() + 0.5)
    async with a_worker():
        answers = await asyncio.gather(*asked)
        states = await asyncio.gather(*(queried(handle, DecidesByTime.woken) for handle in handles))
        ends = [await handle.result() for handle in handles]

    assert set(answers) <= {"", ASK_AGAIN}
    assert ASK_AGAIN in answers, "no question met a worker between two tasks"
    assert all(len(state) >= 1 for state in states)
    replayer = Replayer(
        workflows=[DecidesByTime],
        namespace=NAMESPACE,
        data_converter=data_converter(KEYS),
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    for handle, woken in zip(handles, ends, strict=True):
        assert len(woken) == 2
        await replayer.replay_workflow(await handle.fetch_history())


async def test_a_question_outwaits_a_task_that_a_dead_worker_has_taken(temporal: str) -> None:
    client = await Client.connect(
        temporal, namespace=NAMESPACE, data_converter=data_converter(KEYS)
    )
    queue = f"whole-tasks-{uuid.uuid4()}"
    handle = await client.start_workflow(
        DecidesByTime.run, id=queue, task_queue=queue, task_timeout=policies.TASK_TIMEOUT
    )
    asking = asyncio.create_task(queried(handle, DecidesByTime.woken))
    await asyncio.sleep(0.5)
    taken = await client.workflow_service.poll_workflow_task_queue(
        PollWorkflowTaskQueueRequest(
            namespace=NAMESPACE, task_queue=TaskQueue(name=queue), identity="about to die"
        )
    )
    assert taken.workflow_execution.workflow_id == queue

    async with Worker(
        client,
        task_queue=queue,
        workflows=[DecidesByTime],
        workflow_runner=WholeTaskRunner(),
    ):
        assert await asking == []
        await handle.terminate("seen")


def an_activation(job: str, *, events: int, size: int, at: int, replay: bool) -> WorkflowActivation:
    activation = WorkflowActivation(
        history_length=events, history_size_bytes=size, is_replaying=replay
    )
    activation.timestamp.FromSeconds(at)
    getattr(activation.jobs.add(), job).SetInParent()
    return activation


TOLD = Told(events=3, task_size_bytes=282, time_ns=1_000 * 10**9)


@pytest.mark.parametrize(
    ("job", "events", "size", "at", "replay", "is_refused"),
    [
        ("fire_timer", 7, 282, 1_000, False, True),
        ("signal_workflow", 5, 282, 1_000, False, True),
        # A started task, by its size or by its time.
        ("fire_timer", 8, 645, 1_003, False, False),
        ("fire_timer", 8, 645, 1_000, False, False),
        ("fire_timer", 8, 282, 1_003, False, False),
        # Within a task: a local activity has ended.
        ("resolve_activity", 3, 282, 1_000, False, False),
        # A question, the end of a cached workflow, a replay.
        ("query_workflow", 7, 282, 1_000, False, False),
        ("remove_from_cache", 7, 282, 1_000, False, False),
        ("fire_timer", 7, 282, 1_000, True, False),
    ],
)
def test_what_is_between_two_tasks(
    job: str, events: int, size: int, at: int, replay: bool, is_refused: bool
) -> None:
    activation = an_activation(job, events=events, size=size, at=at, replay=replay)

    assert is_between_tasks(TOLD, activation) is is_refused


def test_the_first_activation_and_a_server_without_sizes_are_let_through() -> None:
    activation = an_activation("fire_timer", events=7, size=0, at=1_000, replay=False)

    assert not is_between_tasks(None, activation)
    assert not is_between_tasks(Told.by(activation), activation)
