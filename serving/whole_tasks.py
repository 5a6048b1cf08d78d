"""A workflow runner that lets workflows see their history by whole workflow tasks only.

A query that reaches a worker which does not have the workflow in its cache brings the history as
it stands, and with it what has happened since the last workflow task was started: the next task is
scheduled, and this worker has not got it yet. The SDK (seen with temporalio 1.35) hands these
events to the workflow at once, at the *last* task's time and without what may still join them in
the next task. What the workflow then decides becomes the next task's answer. A replay has the
right time and order, and may decide otherwise: from then on the workflow can never go on.

Such an activation is refused. The query fails with `ASK_AGAIN`, the workflow is dropped from the
cache, and the next task replays it. Knows no workflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import SerializationContext, StorageDriverStoreContext
from temporalio.worker import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.workflow import Info

from workflows.reaching import ASK_AGAIN

_NO_JOBS_OF_HISTORY: Final = frozenset({"query_workflow", "remove_from_cache"})


class WholeTaskRunner(WorkflowRunner):
    """Runs workflows without a sandbox, and refuses what no started task has brought.

    The import contracts keep workflows deterministic; the sandbox would re-import their modules for
    each order. A test loads every workflow in the sandbox.
    """

    def __init__(self) -> None:
        self._inner = UnsandboxedWorkflowRunner()

    def prepare_workflow(self, defn: Any) -> None:
        """Make a definition ready to be used."""
        self._inner.prepare_workflow(defn)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return an instance that refuses an activation between two tasks."""
        return _WholeTaskInstance(self._inner.create_instance(det))


@dataclass(frozen=True, slots=True)
class Told:
    """How far a workflow has been told its history, by its newest activation.

    Attributes:
        events: how many events of its history.
        task_size_bytes: the history's size as the newest started task says it; each says a larger
            one than the task before. 0: the server says none.
        time_ns: the workflow's time, which each started task moves on.
    """

    events: int
    task_size_bytes: int
    time_ns: int

    @classmethod
    def by(cls, activation: WorkflowActivation) -> Told:
        """Return what an activation tells."""
        return cls(
            events=activation.history_length,
            task_size_bytes=activation.history_size_bytes,
            time_ns=activation.timestamp.ToNanoseconds(),
        )


def is_between_tasks(told: Told | None, activation: WorkflowActivation) -> bool:
    """Tell whether an activation brings new events that belong to no started task.

    In a replay each event's task is known, so that only the newest events can be such.
    """
    if told is None or activation.is_replaying or not told.task_size_bytes:
        return False
    now = Told.by(activation)
    is_new = now.events > told.events and any(
        job.WhichOneof("variant") not in _NO_JOBS_OF_HISTORY for job in activation.jobs
    )
    is_same_task = (now.task_size_bytes, now.time_ns) == (told.task_size_bytes, told.time_ns)
    return is_new and is_same_task


class _WholeTaskInstance(WorkflowInstance):
    def __init__(self, inner: WorkflowInstance) -> None:
        self._inner = inner
        self._told: Told | None = None

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if is_between_tasks(self._told, act):
            refused = WorkflowActivationCompletion()
            refused.failed.failure.message = ASK_AGAIN
            return refused
        self._told = Told.by(act)
        return self._inner.activate(act)

    def get_serialization_context(self, command_info: Any) -> SerializationContext | None:
        return self._inner.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> StorageDriverStoreContext:
        return self._inner.get_external_store_context(command_info)

    def get_info(self) -> Info:
        return self._inner.get_info()

    def get_thread_id(self) -> int | None:
        return self._inner.get_thread_id()
