"""On which terms an account can trade one market now: money, fees, leverage, position, room.

What a venue says of an account, and nothing decided from it. Knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.accounts import AccountSummary, FeeRates, PositionSide


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRoom:
    """How much more a venue takes of an account; None where it does not say.

    `open_orders_max` is how many orders may rest at once. `requests_left` of `requests_of` requests
    (or credits) of the budget that the account shares are left now.
    """

    open_orders_max: int | None = None
    requests_left: Decimal | None = None
    requests_of: Decimal | None = None

    @property
    def requests_used_share(self) -> Decimal:
        """Return which share of the request budget is used, 0 where the venue does not say."""
        if self.requests_left is None or not self.requests_of:
            return Decimal(0)
        share = 1 - self.requests_left / self.requests_of
        return min(max(share, Decimal(0)), Decimal(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTerms:
    """What an account has and pays in one market, by its venue's word of `seen_at` (our clock).

    `available` is free margin in quote units, `position` the quantity held (below zero: short),
    `leverage` what a new position there is margined by.
    """

    account_id: str
    symbol: str
    available: Decimal
    position: Decimal
    fees: FeeRates
    leverage: Decimal
    seen_at: datetime
    room: AccountRoom = AccountRoom()


def position_in(summary: AccountSummary, symbol: str) -> Decimal:
    """Return how much of a market an account holds; below zero for a short."""
    for position in summary.positions:
        if position.symbol == symbol:
            signs = {PositionSide.LONG: 1, PositionSide.SHORT: -1, PositionSide.FLAT: 0}
            return position.quantity * signs[position.side]
    return Decimal(0)
