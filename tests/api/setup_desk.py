"""Hand-written stand-ins for the workflows of credentials and leverage."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from domain.accounts import Account, LeverageSetting, MarginMode, SignerFacts
from storage.opening import Storage


@dataclass(frozen=True)
class Rotated:
    account: Account
    refusal: str | None = None


@dataclass
class ScriptedRotations:
    """Takes the candidate, refuses it, or does not answer in time; `error` is raised instead."""

    storage: Storage
    refusal: str | None = None
    in_time: bool = True
    error: Exception | None = None

    async def rotate(self, account: Account, *, wait_s: float) -> Rotated | None:
        if self.error is not None:
            raise self.error
        if not self.in_time:
            return None
        if self.refusal is not None:
            await self.storage.rotation.drop(account.account_id)
            return Rotated(account, self.refusal)
        facts = SignerFacts(signer="0xnew", master_address=None, power="agent", expires_at=None)
        return Rotated(await self.storage.rotation.promote(account.account_id, facts))


@dataclass(frozen=True)
class Answered:
    setting: LeverageSetting | None = None
    refusal: str | None = None
    settles_at: datetime | None = None


@dataclass
class ScriptedLeverages:
    """Sets what is asked, refuses, or does not answer in time."""

    refusal: str | None = None
    in_time: bool = True
    asked: list[tuple[str, str, int, MarginMode]] = field(default_factory=list)

    async def set(
        self, account: Account, symbol: str, leverage: int, mode: MarginMode, *, wait_s: float
    ) -> Answered | None:
        self.asked.append((account.account_id, symbol, leverage, mode))
        if not self.in_time:
            return None
        if self.refusal is not None:
            return Answered(refusal=self.refusal)
        return Answered(LeverageSetting(symbol=symbol, leverage=leverage, mode=mode))
