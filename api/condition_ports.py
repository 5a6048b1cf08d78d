"""What the API needs of the workflows of conditional closes, by structure.

`workflows.condition_client.ConditionWorkflows` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.guarding import GuardPlan, GuardState


class ConditionAnswer(Protocol):
    """What became of a request within the time waited."""

    @property
    def state(self) -> GuardState | None:
        """The guard as far as it is known."""
        ...

    @property
    def decided(self) -> bool:
        """Whether `state` is the answer to what was asked."""
        ...


class ConditionDesk(Protocol):
    """The workflows of guards, as one façade; every method is safe to repeat."""

    async def begin(self, plan: GuardPlan, *, wait_s: float) -> ConditionAnswer:
        """Begin a guard, or join it, and wait until it watches or is refused."""
        ...

    async def change(self, plan: GuardPlan, request_id: str, *, wait_s: float) -> ConditionAnswer:
        """Have a guard watch other conditions."""
        ...

    async def cancel(self, condition_id: str, request_id: str, *, wait_s: float) -> ConditionAnswer:
        """Have a guard watch no more."""
        ...
