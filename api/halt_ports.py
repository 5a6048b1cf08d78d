"""What the API needs of the workflows of kill switches, by structure.

`workflows.halt_client.KillSwitchWorkflows` fits; only `api.main` knows it by name.
"""

from __future__ import annotations

from typing import Protocol

from domain.halts import HaltScope, KillSwitch


class HaltDesk(Protocol):
    """The workflows of kill switches, as one façade; every method is safe to repeat."""

    def workflow_id(self, scope: HaltScope) -> str:
        """Return the id of the workflow that stops a scope."""
        ...

    async def start(self, state: KillSwitch) -> None:
        """Start the workflow, or tell the one that runs what is asked now."""
        ...

    async def stop(self, scope: HaltScope) -> None:
        """End the workflow that stops a scope, if one runs."""
        ...
