"""Responses: positions, their sums, exposure, balances and profit. Decimals are strings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from api.views import View, moment
from domain.accounts import Account
from domain.net_positions import EXACT
from domain.numbers import plain
from domain.pnl import PeriodPnl
from domain.position_document import balance_document, exposed_document, position_document
from domain.positions import Exposed, OpenPosition, SeenSummary, exposed, exposed_by


class PositionView(View):
    """One open position.

    `realized_pnl`, `fees` (paid) and `funding` (received) are since it was opened; `net_pnl` is all
    of them with `unrealized_pnl`. `source` says whose word the quantity is (VENUE, or FILLS that
    came after it), `as_of` and `age_s` how old the venue's word is. null is what nobody has said.
    """

    position_id: str
    account: str
    account_id: str
    venue: str
    symbol: str
    side: str
    quantity: str
    entry_price: str | None
    mark_price: str | None
    mark_at: str | None
    notional: str | None
    unrealized_pnl: str | None
    realized_pnl: str
    fees: str
    funding: str
    net_pnl: str | None
    liquidation_price: str | None
    liquidation_distance: str | None
    leverage: str | None
    margin_mode: str | None
    initial_margin: str | None
    opened_at: str | None
    protection: str
    source: str
    as_of: str | None
    age_s: float | None


class ExposureView(View):
    """What positions of one key come to; `unpriced` of them have no mark and are in no sum."""

    key: str
    long: str
    short: str
    gross: str
    net: str
    unrealized_pnl: str
    initial_margin: str
    unpriced: int


class PositionsView(View):
    """Open positions with what they come to in all, and by symbol, venue and account.

    `unread` names accounts of which the venue's word could not be got when it was asked for.
    """

    positions: list[PositionView]
    total: ExposureView
    by_symbol: list[ExposureView]
    by_venue: list[ExposureView]
    by_account: list[ExposureView]
    unread: list[str]


class PnlRowView(View):
    """What one market of one account brought in the period."""

    account: str
    account_id: str
    symbol: str
    realized_pnl: str
    fees: str
    funding: str
    net_pnl: str
    volume: str
    fill_count: int


class PnlView(View):
    """Profit and loss of a period, with the unrealised profit of what is open now."""

    since: str | None
    rows: list[PnlRowView]
    realized_pnl: str
    fees: str
    funding: str
    net_pnl: str
    unrealized_pnl: str
    unpriced: int


class BalanceView(View):
    """An account's money by its venue's word; `source` says how it was heard, `age_s` how old."""

    account: str
    account_id: str
    venue: str
    equity: str
    available: str
    initial_margin: str
    maintenance_margin: str
    event_time: str
    as_of: str
    age_s: float
    source: str


def position_view(position: OpenPosition, label: str, now: datetime) -> PositionView:
    """Return a position's view."""
    return PositionView.model_validate(
        {
            **position_document(position),
            "account": label,
            "age_s": None if position.as_of is None else _age_s(position.as_of, now),
        }
    )


def positions_view(
    positions: Sequence[OpenPosition],
    labels: dict[str, str],
    now: datetime,
    *,
    unread: Iterable[str] = (),
) -> PositionsView:
    """Return positions with their sums."""
    by_account = [
        exposure_view(one).model_copy(update={"key": labels[one.key]})
        for one in exposed_by(positions, "account_id")
    ]
    return PositionsView(
        positions=[position_view(each, labels[each.account_id], now) for each in positions],
        total=exposure_view(exposed("total", positions)),
        by_symbol=[exposure_view(one) for one in exposed_by(positions, "symbol")],
        by_venue=[exposure_view(one) for one in exposed_by(positions, "venue")],
        by_account=by_account,
        unread=sorted(unread),
    )


def exposure_view(one: Exposed) -> ExposureView:
    """Return the view of what positions come to."""
    return ExposureView.model_validate(
        {**exposed_document(one), "key": one.key, "unpriced": one.unpriced}
    )


def pnl_view(
    rows: Sequence[PeriodPnl],
    open_now: Sequence[OpenPosition],
    labels: dict[str, str],
    since: datetime | None,
) -> PnlView:
    """Return the profit and loss of a period."""
    now = exposed("total", open_now)
    return PnlView(
        since=None if since is None else moment(since),
        rows=[_pnl_row(row, labels[row.account_id]) for row in rows],
        realized_pnl=_total(row.realized_pnl for row in rows),
        fees=_total(row.fees for row in rows),
        funding=_total(row.funding for row in rows),
        net_pnl=_total(row.net_pnl for row in rows),
        unrealized_pnl=plain(now.unrealized_pnl),
        unpriced=now.unpriced,
    )


def balance_view(account: Account, seen: SeenSummary, now: datetime) -> BalanceView:
    """Return the view of an account's money."""
    return BalanceView.model_validate(
        {
            **balance_document(seen),
            "account": account.label,
            "venue": account.venue,
            "age_s": _age_s(seen.seen_at, now),
        }
    )


def _pnl_row(row: PeriodPnl, label: str) -> PnlRowView:
    return PnlRowView(
        account=label,
        account_id=row.account_id,
        symbol=row.symbol,
        realized_pnl=plain(row.realized_pnl),
        fees=plain(row.fees),
        funding=plain(row.funding),
        net_pnl=plain(row.net_pnl),
        volume=plain(row.volume),
        fill_count=row.fill_count,
    )


def _total(values: Iterable[Decimal]) -> str:
    total = Decimal(0)
    for value in values:
        total = EXACT.add(total, value)
    return plain(total)


def _age_s(at: datetime, now: datetime) -> float:
    return round(max((now - at).total_seconds(), 0.0), 3)
