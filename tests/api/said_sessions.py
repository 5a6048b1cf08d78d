"""What workers and feeds say of sessions, without Valkey between."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from domain.accounts import Account
from domain.session_states import (
    AccountSession,
    BudgetLeft,
    CircuitState,
    FeedSession,
    MeasuredClock,
    PlaceSession,
    ProvenRights,
    TradingSession,
)
from serving.settings import now


@dataclass
class SaidSessions:
    """Implements `domain.session_states.SessionStates`."""

    said: AccountSession = field(default_factory=AccountSession)
    error: Exception | None = None

    async def read(self, account: Account) -> AccountSession:
        if self.error is not None:
            raise self.error
        return self.said


def a_session(account_id: str, *, ago: timedelta = timedelta(0)) -> AccountSession:
    """Return everything that can be said of a session, said so long ago."""
    at = now() - ago
    return AccountSession(
        place=PlaceSession(
            venue="hyperliquid",
            network="paper",
            said_at=at,
            circuit=CircuitState(is_open=True, retry_in_s=5.0, unanswered=8),
            clock=MeasuredClock(
                offset_s=0.012, uncertainty_s=0.003, is_beyond_bound=False, measured_at=at
            ),
            budget=BudgetLeft(unit="weight per minute", left=900.5, capacity=1200, per_s=20),
        ),
        trading=TradingSession(
            account_id=account_id,
            said_at=at,
            rights=ProvenRights(
                signer="0xagent",
                owner_address="0xmm",
                power="agent",
                expires_at=at + timedelta(days=3),
                refusal=None,
                proved_at=at,
            ),
        ),
        feed=FeedSession(
            account_id=account_id,
            said_at=at,
            live=True,
            since=at - timedelta(minutes=5),
            reason="subscribed",
            channels={"orders": at - timedelta(seconds=2)},
            tokens={"read": at + timedelta(hours=8)},
        ),
    )
