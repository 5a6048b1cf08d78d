"""A hand-written stand-in for the workflows of kill switches; behaves by script."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.errors import Unavailable
from domain.halts import HaltScope, KillSwitch


@dataclass
class ScriptedHalts:
    answering: bool = True
    never_connected: bool = False
    started: list[KillSwitch] = field(default_factory=list)
    stopped: list[HaltScope] = field(default_factory=list)

    def workflow_id(self, scope: HaltScope) -> str:
        return f"halt-{scope.slug}"

    async def start(self, state: KillSwitch) -> None:
        self._answer()
        self.started.append(state)

    async def stop(self, scope: HaltScope) -> None:
        self._answer()
        self.stopped.append(scope)

    def _answer(self) -> None:
        if self.never_connected:
            raise RuntimeError("no connection")
        if not self.answering:
            raise Unavailable("Temporal does not answer")
