"""The sweep of closes and brackets: none that was begun stays without a workflow.

Runs beside the worker. One whose workflow was terminated or lost goes on from what the store has;
one that was only asked for is not begun here: nobody was told that it would be. Knows the ports.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio.client import Client

from domain.bracket_store import BracketStore
from domain.brackets import BracketStatus
from domain.close_store import CloseStore
from domain.closing import CloseStatus
from domain.errors import Conflict
from workflows.bracket_client import BracketWorkflows
from workflows.close_client import CloseWorkflows

GRACE = timedelta(seconds=10)
"""Younger ones are somebody's work in progress."""
BEGIN_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class ClosingSweep:
    """Finds closes and brackets that nobody drives."""

    closes: CloseStore
    brackets: BracketStore
    close_workflows: CloseWorkflows
    bracket_workflows: BracketWorkflows
    now: Callable[[], datetime]

    @classmethod
    def over(
        cls,
        client: Client,
        closes: CloseStore,
        brackets: BracketStore,
        now: Callable[[], datetime],
    ) -> ClosingSweep:
        """Return the sweep that reaches workflows by `client`."""
        return cls(closes, brackets, CloseWorkflows(client), BracketWorkflows(client), now)

    async def run(self) -> tuple[str, ...]:
        """Sweep once; return the ids of what goes on.

        Raises:
            Unavailable: the database or Temporal does not answer; sweep again later.
        """
        before = self.now() - GRACE
        return (*await self._sweep_closes(before), *await self._sweep_brackets(before))

    async def _sweep_closes(self, before: datetime) -> list[str]:
        found: list[str] = []
        for state in await self.closes.unfinished(before=before):
            plan = state.plan
            if state.status is CloseStatus.REQUESTED:
                continue
            if await self.close_workflows.running(plan.account_id, plan.symbol) is not None:
                continue
            try:
                await self.close_workflows.begin(plan, wait_s=BEGIN_WITHIN_S)
            except Conflict:
                continue  # It has ended meanwhile, or another close runs: this one waits for it.
            found.append(plan.close_id)
        return found

    async def _sweep_brackets(self, before: datetime) -> list[str]:
        found: list[str] = []
        for state in await self.brackets.unfinished(before=before):
            bracket_id = state.plan.bracket_id
            if state.status is BracketStatus.REQUESTED:
                continue
            if await self.bracket_workflows.adopt(state.plan):
                found.append(bracket_id)
        return found
