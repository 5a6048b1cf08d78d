"""Setting a market's leverage: asked once with a nonce of its own, then looked at. Knows no venue.

Asking twice for the same does no harm, so an answer that was lost is found out by looking, and
asked for again when the first request can no longer arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import activity

from activities.access import ConnectorSource
from domain.accounts import LeverageSetting, MarginMode
from domain.errors import InvalidInput, NotFound, RiskRefused
from domain.outcomes import Accepted, NotSent, Rejected
from domain.ports import TradingAccessSource
from domain.risk_store import RiskStore
from domain.signer_nonces import SignerNonces


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageTask:
    """What leverage and margin mode a market of an account shall have."""

    account_id: str
    symbol: str
    leverage: int
    mode: MarginMode


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageAnswer:
    """What became of asking, or looking. `refusal` says why it cannot be; `setting` is the venue's.

    `settles_at`: until then a request whose answer was lost may still arrive.
    """

    setting: LeverageSetting | None = None
    refusal: str | None = None
    settles_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageActivities:
    """The activities of `SetLeverageWorkflow`; `now` is our clock, aware UTC."""

    access: TradingAccessSource
    connectors: ConnectorSource
    nonces: SignerNonces
    risk: RiskStore
    now: Callable[[], datetime]

    @activity.defn(name="set_leverage")
    async def ask(self, task: LeverageTask) -> LeverageAnswer:
        """Ask the venue for the setting, within our own limits.

        Raises:
            Unavailable: something we need does not answer; nothing was sent.
        """
        try:
            access = await self.access.open(task.account_id)
            account = access.account
            connector = await self.connectors.connector(account.venue, account.network)
            await self._check(task, await connector.leverage_of(account, task.symbol))
            nonce = await self.nonces.take(account.venue, account.network, account.signer)
            result = await connector.set_leverage(
                access, task.symbol, task.leverage, task.mode, nonce
            )
        except (InvalidInput, NotFound, RiskRefused) as error:
            return LeverageAnswer(refusal=str(error))
        match result.outcome:
            case Accepted():
                return LeverageAnswer(
                    setting=LeverageSetting(
                        symbol=task.symbol, leverage=task.leverage, mode=task.mode
                    )
                )
            case Rejected(reason=reason) | NotSent(reason=reason, retryable=False):
                return LeverageAnswer(refusal=reason)
            case NotSent():
                return LeverageAnswer(settles_at=self.now())
        window_s = connector.proofs.admission_window_s or 0.0
        delay = timedelta(seconds=window_s + connector.proofs.visibility_delay_s)
        return LeverageAnswer(settles_at=self.now() + delay)

    async def _check(self, task: LeverageTask, present: LeverageSetting) -> None:
        """Hold a rise of leverage to our limits; a lower one always passes."""
        if task.leverage > present.leverage:
            await self.risk.check_leverage(task.account_id, Decimal(task.leverage))

    @activity.defn(name="look_at_leverage")
    async def look(self, task: LeverageTask) -> LeverageAnswer:
        """Return the venue's present setting.

        Raises:
            VenueUnavailable, VenueRefused: the venue does not say.
        """
        account = (await self.access.open(task.account_id)).account
        connector = await self.connectors.connector(account.venue, account.network)
        return LeverageAnswer(setting=await connector.leverage_of(account, task.symbol))
