"""The findings of a reconciliation in words and evidence. Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from domain.fills import Fill, total
from domain.findings import Finding, FindingKind, FindingState
from domain.numbers import plain
from domain.orders import Order
from domain.reconciliation_views import ListedOrder, OrderName

_EVIDENCE_IDS = 20


def order_subject(venue_order_id: str) -> str:
    """Return the subject of findings about an order at the venue."""
    return f"order:{venue_order_id}"


def unseen_order(order: Order, revision: int, *, read_at: datetime) -> Finding:
    """Return the finding of a live order that no look-up at the venue shows."""
    subject = f"unseen:{order.order_id}/{revision}"
    by_operator = order.outcome == "pending"
    text = (
        f"order {order.order_id} is {order.status.value} here and the venue knows no such order"
        + (
            "; its acceptance is nobody's word but ours: cancel it, or resolve it as absent"
            if by_operator
            else "; it is not ended without proof"
        )
    )
    return Finding(
        kind=FindingKind.UNSEEN_ORDER,
        subject=subject,
        text=text,
        symbol=order.symbol,
        order_id=order.order_id,
        venue_order_id=order.venue_order_id,
        evidence={
            "client_order_id": order.client_order_id or "",
            "asked": "by id, in open orders, history and fills",
            "read_at": read_at.isoformat(),
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What an account's balance did between two readings of it, in quote units."""

    before: Decimal
    now: Decimal
    realized: Decimal
    fees: Decimal
    funding: Decimal
    movements: int

    @property
    def unexplained(self) -> Decimal:
        """What neither trades nor funding explain."""
        return self.now - self.before - self.realized + self.fees - self.funding

    @property
    def tolerance(self) -> Decimal:
        """What the venue's rounding of each movement may come to."""
        return Decimal("0.01") + Decimal("0.000001") * self.movements


def balance_jump(money: Money, at: datetime) -> Finding | None:
    """Return the finding of money that came or went otherwise than by trading, or None."""
    jump = money.unexplained
    if abs(jump) <= money.tolerance:
        return None
    word = "came in" if jump > 0 else "went out"
    return Finding(
        kind=FindingKind.BALANCE_JUMP,
        subject="balance",
        text=f"{plain(abs(jump))} {word} that no fill, fee or funding explains",
        state=FindingState.NOTED,
        evidence={
            "balance_before": plain(money.before),
            "balance_now": plain(money.now),
            "realized_pnl": plain(money.realized),
            "fees": plain(money.fees),
            "funding": plain(money.funding),
            "at": at.isoformat(),
        },
    )


def missing_fills(venue_order_id: str, fills: Sequence[Fill], name: OrderName | None) -> Finding:
    """Return the finding of fills that our ledger should have had."""
    sums = total(fills)
    ids = [fill.trade_id for fill in fills]
    return Finding(
        kind=FindingKind.MISSING_FILLS,
        subject=f"fills:{venue_order_id}",
        text=f"{len(fills)} fills of order {venue_order_id}, {plain(sums.quantity)} in all, "
        "were not booked",
        symbol=fills[0].symbol,
        order_id=None if name is None else name.order_id,
        venue_order_id=venue_order_id,
        evidence={
            "trade_ids": ",".join(ids[:_EVIDENCE_IDS]) + ("…" if len(ids) > _EVIDENCE_IDS else ""),
            "count": str(len(fills)),
            "quantity": plain(sums.quantity),
            "first": min(fill.event_time for fill in fills).isoformat(),
            "last": max(fill.event_time for fill in fills).isoformat(),
        },
    )


def stale_order(before: Order, after: Order, venue_order_id: str) -> Finding:
    """Return the finding of an order of which the venue says more than we knew."""
    return Finding(
        kind=FindingKind.STALE_ORDER,
        subject=order_subject(venue_order_id),
        text=f"order {after.order_id} was {before.status.value}, filled "
        f"{plain(before.filled_quantity)}, here; at the venue it is {after.status.value}, filled "
        f"{plain(after.filled_quantity)}",
        symbol=after.symbol,
        order_id=after.order_id,
        venue_order_id=venue_order_id,
        evidence={
            "status_here": before.status.value,
            "filled_here": plain(before.filled_quantity),
            "status_there": after.status.value,
            "filled_there": plain(after.filled_quantity),
        },
    )


def position_differs(symbol: str, theirs: Decimal, ours: Decimal) -> Finding:
    """Return the finding of a position that is not what our fills come to."""
    return Finding(
        kind=FindingKind.POSITION_DIFFERS,
        subject=f"position:{symbol}",
        text=f"{symbol}: the venue holds {plain(theirs)}, our fills come to {plain(ours)}",
        symbol=symbol,
        evidence={"venue": plain(theirs), "ours": plain(ours)},
    )


def words(listed: ListedOrder) -> str:
    """Return one line about an order of the venue."""
    price = "market" if listed.price is None else plain(listed.price)
    return (
        f"{listed.side.value} {plain(listed.quantity)} {listed.symbol} @ {price} "
        f"(venue order {listed.venue_order_id}, {listed.verdict.value})"
    )


def listed_evidence(listed: ListedOrder) -> dict[str, str]:
    """Return what the venue lists of an order."""
    evidence = {
        "side": listed.side.value,
        "quantity": plain(listed.quantity),
        "verdict": listed.verdict.value,
    }
    if listed.client_order_id is not None:
        evidence["client_order_id"] = listed.client_order_id
    if listed.filled_quantity is not None:
        evidence["filled_quantity"] = plain(listed.filled_quantity)
    if listed.created_at is not None:
        evidence["created_at"] = listed.created_at.isoformat()
    return evidence
