"""A hand-written stand-in for the workflows of closes, over real storage; behaves by script.

It keeps the promises of the real one: one close for a position at a time, the same one joins,
another is refused, one that has ended says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from domain.accounts import PositionSide
from domain.close_steps import begun
from domain.closing import ClosePlan, CloseState, CloseStatus, Sight
from domain.errors import Conflict, NotFound, Unavailable
from domain.instruments import Instrument, PriceRule
from storage.opening import Storage

MARKET = Instrument(
    venue="hyperliquid",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.00001"),
    price_rule=PriceRule(significant_figures=5, max_decimals=1),
    min_notional=Decimal(10),
    max_leverage=40,
)


@dataclass(frozen=True)
class CloseAnswer:
    state: CloseState | None
    decided: bool
    running_id: str | None = None


@dataclass
class ScriptedCloses:
    storage: Storage
    script: Literal["done", "rest", "gone", "silent", "queued", "away", "lost", "closed"] = "done"
    stop_script: Literal["done", "hang", "missing", "away"] = "done"
    held: Decimal = Decimal("0.5")
    running: dict[str, CloseState] = field(default_factory=dict)
    begun: list[ClosePlan] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)

    def sight(self) -> Sight:
        gone = self.script == "gone"
        return Sight(
            at=datetime.now(UTC),
            instrument=MARKET,
            side=PositionSide.FLAT if gone else PositionSide.LONG,
            quantity=Decimal(0) if gone else self.held,
            mark_price=None if gone else Decimal(45_000),
            closes_below_minimum=True,
        )

    async def begin(self, plan: ClosePlan, *, wait_s: float) -> CloseAnswer:
        if self.script == "away":
            raise Unavailable("Temporal does not answer")
        if self.script == "lost":
            raise RuntimeError("never connected")
        if self.script == "silent":
            return CloseAnswer(None, False)
        if self.script == "queued":
            return CloseAnswer(None, False, plan.close_id)
        self.begun.append(plan)
        place = f"{plan.account_id}:{plan.symbol}"
        running = self.running.get(place)
        if running is not None:
            known = running.plan
            if known.close_id != plan.close_id and not known.asks_the_same(plan):
                raise Conflict(known.close_id, code="close_running")
            return CloseAnswer(None, False, known.close_id)
        state = begun(CloseState(plan=plan), self.sight())
        if self.script == "rest":
            self.running[place] = await self.storage.closes.keep(state)
            return CloseAnswer(None, False, plan.close_id)
        if state.target is not None:
            state = self._ended(replace(state, filled=state.target), CloseStatus.DONE, "closed it")
        kept = await self.storage.closes.keep(state)
        if self.script == "closed":
            raise Conflict("the close's workflow has closed", code="workflow_closed")
        return CloseAnswer(kept, True, plan.close_id)

    async def stop(
        self, account_id: str, symbol: str, close_id: str, request_id: str, *, wait_s: float
    ) -> CloseAnswer:
        self.stops.append(request_id)
        if self.stop_script == "away":
            raise Unavailable("Temporal does not answer")
        if self.stop_script == "missing":
            raise NotFound("no workflow manages this order")
        state = self.running.get(f"{account_id}:{symbol}")
        if state is None or state.plan.close_id != close_id:
            raise Conflict("another close runs now", code="close_ended")
        if self.stop_script == "hang":
            return CloseAnswer(None, False)
        del self.running[f"{account_id}:{symbol}"]
        end = self._ended(state, CloseStatus.CANCELED, "canceled")
        return CloseAnswer(await self.storage.closes.keep(end), True, close_id)

    async def end_elsewhere(self, status: CloseStatus) -> None:
        """Have every running close end, without telling those who ask."""
        for state in self.running.values():
            await self.storage.closes.keep(self._ended(state, status, "ended"))
        self.running.clear()

    def _ended(self, state: CloseState, status: CloseStatus, reason: str) -> CloseState:
        return replace(state, status=status, reason=reason, ended_at=datetime.now(UTC))
