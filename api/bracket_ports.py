"""What the API needs of the workflows of brackets, by structure.

`workflows.bracket_client.BracketWorkflows` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.brackets import BracketPlan, BracketState
from domain.parent_orders import EndAnswer


class BracketDesk(Protocol):
    """The workflows of brackets, as one façade; every method is safe to repeat."""

    async def start(self, plan: BracketPlan) -> None:
        """Start a bracket's workflow, once per entry."""
        ...

    async def end(
        self, bracket_id: str, request_id: str, *, wait_s: float
    ) -> EndAnswer[BracketState]:
        """Cancel a bracket's entry and exits."""
        ...
