"""What an operator sees of an order's workflow from outside: its details and search attributes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from temporalio import workflow

from domain.lifecycle import Lifecycle, Step
from workflows import describing, policies
from workflows.ids import NEEDS_ATTENTION, ORDER_STATUS


class OrderShown:
    """Keeps details and attention true; the status where an order rests, is unknown or ends.

    That is what an operator would look for. On the way from one to the next it costs no event.
    `status_at_close`: the end goes with the workflow's close, unless that has to wait; an upsert
    before it would be the dearest event of an order's life.
    """

    def __init__(self, *, status_at_close: bool) -> None:
        self._at_close = status_at_close
        shown = workflow.info().typed_search_attributes
        self._status = shown.get(ORDER_STATUS)
        self._attention = shown.get(NEEDS_ATTENTION, False)
        self._trying_since: datetime | None = None

    def close(self, life: Lifecycle, step: Step) -> None:
        """Show an order as it is, in the task that closes its workflow."""
        if self._at_close:
            self.show(life, step, closing=True)

    def show(self, life: Lifecycle, step: Step, *, closing: bool = False) -> None:
        """Show an order as it is, and what is being done about it."""
        workflow.set_current_details(describing.details(life, step))
        status = life.order.status
        overdue = self._is_overdue(life)
        lasts = status.is_terminal or step.kind == "wait" or bool(life.unresolved)
        if self._at_close and step.kind == "settle" and not life.attempts:
            lasts = closing
        changes: list[Any] = []
        searched = describing.searched(status, self._status)
        if lasts and searched != self._status:
            changes.append(ORDER_STATUS.value_set(searched))
            self._status = searched
        if overdue != self._attention:
            changes.append(NEEDS_ATTENTION.value_set(overdue))
            self._attention = overdue
        if changes:
            workflow.upsert_search_attributes(changes)

    def _is_overdue(self, life: Lifecycle) -> bool:
        """Tell whether the same thing has been tried in vain for long."""
        if not life.unresolved and not life.attempts:
            self._trying_since = None
            return False
        if self._trying_since is None:
            self._trying_since = workflow.now()
        return workflow.now() - self._trying_since > policies.ATTENTION_AFTER
