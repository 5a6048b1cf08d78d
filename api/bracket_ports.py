"""What the API needs of the workflows of brackets, by structure.

`workflows.bracket_client.BracketWorkflows` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.brackets import BracketPlan, BracketState


class BracketAnswer(Protocol):
    """What became of a request within the time waited."""

    @property
    def state(self) -> BracketState | None:
        """The bracket as far as it is known."""
        ...

    @property
    def decided(self) -> bool:
        """Whether nothing of the bracket is live any more."""
        ...


class BracketDesk(Protocol):
    """The workflows of brackets, as one façade; every method is safe to repeat."""

    async def start(self, plan: BracketPlan) -> None:
        """Start a bracket's workflow, once per entry."""
        ...

    async def end(self, bracket_id: str, request_id: str, *, wait_s: float) -> BracketAnswer:
        """Cancel a bracket's entry and exits."""
        ...
