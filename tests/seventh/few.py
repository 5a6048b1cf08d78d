"""The connector of the seventh venue: it refuses, unsent, what the venue does not declare.

Copied into the venue's folder, where its other files are beside it.
"""

from __future__ import annotations

import importlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from domain.accounts import MarginMode, TradingAccess
from domain.commands import Command, PlaceOrder
from domain.errors import InvalidInput
from domain.market_data import FundingRate, Trade
from domain.outcomes import SendResult
from venues.connector import MessageComposer

_ROOM = __name__.rpartition(".")[0]

if TYPE_CHECKING:
    from venues.pacifica.connector import PacificaConnector as _Whole
else:
    _Whole = importlib.import_module(f"{_ROOM}.connector").SeventhConnector


class FewConnector(_Whole):
    """What a small venue can do, and nothing else."""

    async def compose(self, command: Command) -> MessageComposer:
        """Compose what the venue takes. Raises InvalidInput for what it does not declare."""
        if isinstance(command, PlaceOrder):
            if command.order_type not in self.capabilities.order_types:
                raise InvalidInput("order_type", f"expected LIMIT or MARKET on {self.venue}")
            if command.post_only:
                raise InvalidInput("post_only", f"expected false on {self.venue}")
        return await super().compose(command)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage, across the account alone. Raises InvalidInput for another mode."""
        if mode not in self.capabilities.margin_modes:
            raise InvalidInput("mode", f"expected CROSS on {self.venue}")
        return await super().set_leverage(access, symbol, leverage, mode, nonce)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Refuse: the venue does not tell."""
        raise self._nothing_past()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Refuse: the venue does not tell."""
        raise self._nothing_past()

    def _nothing_past(self) -> Any:
        return InvalidInput("venue", f"{self.venue} tells nothing of a market's past")
