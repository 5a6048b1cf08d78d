"""A hand-written stand-in for looking at an account at its venue."""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.accounts import Account
from domain.positions import SeenSummary
from storage.opening import Storage


@dataclass
class ScriptedReader:
    """Answers what it was given, keeping it first as a worker does; `error` is raised instead."""

    storage: Storage
    seen: SeenSummary | None = None
    error: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def read(self, account: Account, *, wait_s: float) -> SeenSummary | None:
        self.asked.append(account.account_id)
        if self.error is not None:
            raise self.error
        if self.seen is not None:
            await self.storage.positions.save_summary(
                self.seen.summary, seen_at=self.seen.seen_at, source=self.seen.source
            )
        return self.seen
