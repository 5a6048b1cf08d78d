"""What the API needs of the workflows of closes, by structure.

`workflows.close_client.CloseWorkflows` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.closing import ClosePlan, CloseState


class CloseAnswer(Protocol):
    """What became of a request within the time waited."""

    @property
    def state(self) -> CloseState | None:
        """The close as far as it is known."""
        ...

    @property
    def decided(self) -> bool:
        """Whether the close has ended."""
        ...

    @property
    def running_id(self) -> str | None:
        """The close that the request stands for now, its own or one it joined; None: unknown."""
        ...


class CloseDesk(Protocol):
    """The workflows of closes, as one façade; every method is safe to repeat."""

    async def begin(self, plan: ClosePlan, *, wait_s: float) -> CloseAnswer:
        """Begin a close, or join the one that runs, and wait for its end."""
        ...

    async def stop(
        self, account_id: str, symbol: str, close_id: str, request_id: str, *, wait_s: float
    ) -> CloseAnswer:
        """Ask for a close's end."""
        ...
