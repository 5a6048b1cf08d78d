"""How a position, an exposure and a balance are spelled outside: the same in REST and on sockets.

Numbers are strings without exponent, times RFC 3339 in UTC; None is what nobody has said.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from domain.numbers import plain
from domain.positions import Exposed, OpenPosition, SeenSummary

Document = dict[str, str | None]


def position_document(position: OpenPosition) -> Document:
    """Return a position's fields, without what depends on who asks and when."""
    return {
        "position_id": position.position_id,
        "account_id": position.account_id,
        "venue": position.venue,
        "symbol": position.symbol,
        "side": position.side.value,
        "quantity": plain(position.quantity),
        "entry_price": _plain(position.entry_price),
        "mark_price": _plain(position.mark_price),
        "mark_at": _moment(position.mark_at),
        "notional": _plain(position.notional),
        "unrealized_pnl": _plain(position.unrealized_pnl),
        "realized_pnl": plain(position.realized_pnl),
        "fees": plain(position.fees),
        "funding": plain(position.funding),
        "net_pnl": _plain(position.net_pnl),
        "liquidation_price": _plain(position.liquidation_price),
        "liquidation_distance": _plain(position.liquidation_distance),
        "leverage": _plain(position.leverage),
        "margin_mode": position.margin_mode.value if position.margin_mode else None,
        "initial_margin": _plain(position.initial_margin),
        "opened_at": _moment(position.opened_at),
        "protection": position.protection.value,
        "source": position.source.value,
        "as_of": _moment(position.as_of),
    }


def exposed_document(one: Exposed) -> Document:
    """Return the fields of what positions come to, without its key."""
    return {
        "long": plain(one.long),
        "short": plain(one.short),
        "gross": plain(one.gross),
        "net": plain(one.net),
        "unrealized_pnl": plain(one.unrealized_pnl),
        "initial_margin": plain(one.initial_margin),
    }


def balance_document(seen: SeenSummary) -> Document:
    """Return the fields of an account's money by its venue's word."""
    summary = seen.summary
    return {
        "account_id": summary.account_id,
        "equity": plain(summary.equity),
        "available": plain(summary.available),
        "initial_margin": plain(summary.initial_margin),
        "maintenance_margin": plain(summary.maintenance_margin),
        "event_time": _moment(summary.event_time),
        "as_of": _moment(seen.seen_at),
        "source": seen.source,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
