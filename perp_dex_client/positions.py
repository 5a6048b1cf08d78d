"""Positions, profit and balances over the API: what to ask, and what comes back, typed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.transport import Transport

T = TypeVar("T")

_LIVE_WITHIN_S: Final = 15.0


class LivePosition(msgspec.Struct, frozen=True, kw_only=True):
    """One open position, in quote units.

    `realized_pnl`, `fees` (paid) and `funding` (received) are since it was opened, `net_pnl` is all
    of them with `unrealized_pnl`. None: nobody has said.
    """

    position_id: str
    account_id: str
    venue: str
    symbol: str
    side: str
    quantity: Decimal
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    protection: str
    source: str
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    mark_at: datetime | None = None
    notional: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    net_pnl: Decimal | None = None
    liquidation_price: Decimal | None = None
    liquidation_distance: Decimal | None = None
    leverage: Decimal | None = None
    margin_mode: str | None = None
    initial_margin: Decimal | None = None
    opened_at: datetime | None = None
    as_of: datetime | None = None


class Position(LivePosition, frozen=True, kw_only=True):
    """One open position with its account's label, and the age of the venue's word."""

    account: str
    age_s: float | None = None


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """What positions of one key come to; `unpriced` of them have no mark and are in no sum."""

    key: str
    long: Decimal
    short: Decimal
    gross: Decimal
    net: Decimal
    unrealized_pnl: Decimal
    initial_margin: Decimal
    unpriced: int


class Positions(msgspec.Struct, frozen=True, kw_only=True):
    """Open positions and what they come to; `unread` accounts could not be asked just now."""

    positions: tuple[Position, ...]
    total: Exposure
    by_symbol: tuple[Exposure, ...]
    by_venue: tuple[Exposure, ...]
    by_account: tuple[Exposure, ...]
    unread: tuple[str, ...]


class PnlRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one market of one account brought in the period."""

    account: str
    account_id: str
    symbol: str
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    volume: Decimal
    fill_count: int


class Pnl(msgspec.Struct, frozen=True, kw_only=True):
    """Profit and loss of a period, with the unrealised profit of what is open now."""

    rows: tuple[PnlRow, ...]
    realized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    unrealized_pnl: Decimal
    unpriced: int
    since: datetime | None = None


class LiveBalance(msgspec.Struct, frozen=True, kw_only=True):
    """An account's money by its venue's word, heard at `as_of`."""

    account_id: str
    equity: Decimal
    available: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    event_time: datetime
    as_of: datetime
    source: str


class Balance(LiveBalance, frozen=True, kw_only=True):
    """An account's money with its account's label, and the age of the venue's word."""

    account: str
    venue: str
    age_s: float


class PositionsApi:
    """The positions of the API; `PerpDexClient.positions`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def all(
        self,
        *,
        venue: str | None = None,
        account: str | None = None,
        group: str | None = None,
        symbol: str | None = None,
        live: bool = False,
    ) -> Positions:
        """Return open positions; `live` has the venues asked first."""
        wanted = {"venue": venue, "account": account, "group": group, "symbol": symbol}
        return await self._get("/api/v1/positions", wanted, Positions, live=live)

    async def of(self, position_id: str, *, live: bool = False) -> Positions:
        """Return a symbol's positions over all accounts, or that of `account:symbol` alone."""
        path = f"/api/v1/positions/{quote(position_id, safe=':')}"
        return await self._get(path, {}, Positions, live=live)

    async def pnl(
        self,
        *,
        days: int | None = None,
        venue: str | None = None,
        account: str | None = None,
        group: str | None = None,
        symbol: str | None = None,
    ) -> Pnl:
        """Return profit and loss of the last `days`, or of all time."""
        wanted = {
            "days": None if days is None else str(days),
            "venue": venue,
            "account": account,
            "group": group,
            "symbol": symbol,
        }
        return await self._get("/api/v1/pnl", wanted, Pnl)

    async def balance(self, account: str, *, live: bool = True) -> Balance:
        """Return an account's money, by its venue's word now or, not `live`, its last one."""
        path = f"/api/v1/accounts/{quote(account, safe='')}/balance"
        return await self._get(path, {}, Balance, live=live)

    async def _get(
        self, path: str, wanted: dict[str, str | None], kind: type[T], *, live: bool | None = None
    ) -> T:
        query: dict[str, str] = {name: value for name, value in wanted.items() if value is not None}
        if live is not None:
            query["live"] = "true" if live else "false"
        answer = await self._transport.call(
            "GET", path, query=query, repeatable=True, answer_within_s=_LIVE_WITHIN_S
        )
        return _as(answer.document, kind)


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected {kind.__name__} from the API: {error}") from error
