"""Comparing the venue's truth with our ledger: pure, whatever the venue and the storage.

The venue is read first and the ledger second, so that whatever the venue shows of ours is in the
ledger already. What matches nothing of ours is called EXTERNAL only when nothing of ours can be
behind it: no command on that account and symbol is undecided, and it is older than the venue's
visibility delay. Where the venue's truth is plain a repair follows; nothing is ever canceled, and
no order is ended without proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from domain.differences import (
    listed_evidence,
    missing_fills,
    order_subject,
    position_differs,
    stale_order,
    words,
)
from domain.fills import Fill, LiquiditySide, total
from domain.findings import Finding, FindingKind
from domain.order_fold import apply
from domain.orders import OrderReport, Verdict
from domain.reconciliation_views import LedgerView, ListedOrder, OrderName, VenueView

SOURCE = "reconciliation"
_FROM_FILLS = "known by its fills only"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """An order that nobody placed through us: what the venue lists, or only its fills."""

    subject: str
    listed: ListedOrder
    is_liquidation: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """An order of ours to be written again, so that it bears the id under which it is listed."""

    subject: str
    order_id: str
    listed: ListedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRepair:
    """Our count of a position to be set to the venue's, if it is still `found`."""

    subject: str
    symbol: str
    found: Decimal
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs and what to do about it.

    `fills` are to be booked, `reports` to be folded, `adoptions` and `restorations` written down.
    `lookups` are live revisions that the venue listed nowhere and has to be asked about singly.
    `again`: something can be decided only by a look after the visibility delay.
    """

    findings: tuple[Finding, ...]
    fills: tuple[Fill, ...]
    reports: tuple[OrderReport, ...]
    adoptions: tuple[Adoption, ...]
    restorations: tuple[Restoration, ...]
    lookups: tuple[OrderName, ...]
    positions: tuple[PositionRepair, ...]
    again: bool


def compare(
    venue: VenueView, ledger: LedgerView, earlier: Mapping[str, Finding] | None = None
) -> Comparison:
    """Return what differs; `earlier` are the findings of this reconciliation's looks before."""
    work = _Work(venue, ledger, earlier or {})
    work.fills()
    work.orders()
    work.live_orders()
    work.positions()
    return work.result()


class _Work:
    """One comparison under way."""

    def __init__(
        self, venue: VenueView, ledger: LedgerView, earlier: Mapping[str, Finding]
    ) -> None:
        self._venue = venue
        self._ledger = ledger
        self._earlier = earlier
        self._findings: dict[str, Finding] = {}
        self._reports: list[OrderReport] = []
        self._adoptions: list[Adoption] = []
        self._restorations: list[Restoration] = []
        self._lookups: list[OrderName] = []
        self._positions: list[PositionRepair] = []
        self._again = False
        self._listed: dict[str, list[ListedOrder]] = {}
        # A fill says so to both sides of it; who is liquidated takes.
        self._liquidations = {
            fill.venue_order_id
            for fill in (*ledger.unbooked, *ledger.unmatched)
            if fill.is_liquidation and fill.liquidity_side is LiquiditySide.TAKER
        }
        for listed in venue.orders:
            self._listed.setdefault(listed.venue_order_id, []).append(listed)

    def result(self) -> Comparison:
        return Comparison(
            findings=tuple(self._findings.values()),
            fills=self._ledger.unbooked,
            reports=tuple(self._reports),
            adoptions=tuple(self._adoptions),
            restorations=tuple(self._restorations),
            lookups=tuple(self._lookups),
            positions=tuple(self._positions),
            again=self._again,
        )

    # Fills

    def fills(self) -> None:
        """Find fills that our ledger should have had by now, and fills of nobody's order."""
        groups: dict[str, list[Fill]] = {}
        for fill in self._ledger.unbooked:
            groups.setdefault(fill.venue_order_id, []).append(fill)
        for venue_order_id, group in groups.items():
            name = self._ledger.match(group[0].client_order_id, venue_order_id)
            late = [fill for fill in group if self._venue.is_settled(fill.event_time)]
            if late:
                self._note(missing_fills(venue_order_id, late, name))
        for fill in self._ledger.unmatched:
            groups.setdefault(fill.venue_order_id, []).append(fill)
        for venue_order_id, group in groups.items():
            if venue_order_id not in self._listed:
                # The venue made it itself (a liquidation), or remembers the order no more.
                self._listed[venue_order_id] = [_from_fills(group)]

    # Orders that the venue lists

    def orders(self) -> None:
        """Fold what the venue lists into our orders; sort out what is none of ours."""
        for venue_order_id, listed in self._listed.items():
            client_order_id = next((o.client_order_id for o in listed if o.client_order_id), None)
            name = self._ledger.match(client_order_id, venue_order_id)
            if name is not None and self._fold(name, listed):
                continue
            lost = self._ledger.lost.get(venue_order_id)
            if name is not None or lost is not None:
                order_id = name.order_id if name is not None else str(lost)
                self._lose(order_id, listed)
            elif self._concerns_us(listed):
                self._meet(venue_order_id, listed)

    def _fold(self, name: OrderName, listed: Sequence[ListedOrder]) -> bool:
        """Fold descriptions of one revision into its order; False when it is not stored."""
        before = self._ledger.orders.get(name.order_id)
        if before is None or all(r.number != name.revision for r in before.revisions):
            return False
        order = before
        for one in listed:
            if one.reason == _FROM_FILLS:
                continue
            report = report_of(name, one, received_time=self._venue.read_at)
            after = apply(order, report)
            if after != order:
                self._reports.append(report)
                order = after
        is_news = order.is_terminal != before.is_terminal or (
            order.filled_quantity != before.filled_quantity
        )
        if is_news and self._venue.is_settled(_newest_time(listed)):
            self._note(stale_order(before, order, listed[0].venue_order_id))
        return True

    def _lose(self, order_id: str, listed: Sequence[ListedOrder]) -> None:
        one = listed[0]
        subject = order_subject(one.venue_order_id)
        self._restorations.append(Restoration(subject=subject, order_id=order_id, listed=one))
        # Only once it is written again can it be compared.
        self._again = True
        self._note(
            Finding(
                kind=FindingKind.LOST_ORDER,
                subject=subject,
                text=f"our record of order {order_id} was gone; {words(one)}",
                symbol=one.symbol,
                order_id=order_id,
                venue_order_id=one.venue_order_id,
                evidence=listed_evidence(one),
            )
        )

    def _concerns_us(self, listed: Sequence[ListedOrder]) -> bool:
        """Tell whether it lives, or ended since the account is known here."""
        newest = _newest_time(listed)
        ended = any(one.verdict.is_terminal for one in listed)
        return not ended or newest is None or newest >= self._venue.horizon

    def _meet(self, venue_order_id: str, listed: Sequence[ListedOrder]) -> None:
        """Decide about an order of the venue that nothing here knows."""
        one = max(listed, key=lambda each: each.verdict.rank)
        is_liquidation = venue_order_id in self._liquidations
        subject = order_subject(venue_order_id)
        waiting = None
        if one.symbol in self._ledger.undecided:
            waiting = f"a command on {one.symbol} is undecided; it may be behind it"
        elif not self._venue.is_settled(one.created_at) and subject not in self._earlier:
            waiting = "it is younger than the venue's visibility delay"
        kind = FindingKind.LIQUIDATION if is_liquidation else FindingKind.EXTERNAL_ORDER
        if waiting is not None:
            self._again = True
            kind = FindingKind.UNKNOWN_ORDER
        else:
            self._adoptions.append(
                Adoption(subject=subject, listed=one, is_liquidation=is_liquidation)
            )
        self._note(
            Finding(
                kind=kind,
                subject=subject,
                text=words(one) + ("" if waiting is None else f": not labelled yet, {waiting}"),
                symbol=one.symbol,
                venue_order_id=venue_order_id,
                evidence=listed_evidence(one),
            )
        )

    # Orders that only we list

    def live_orders(self) -> None:
        """Pick the live revisions that the venue listed nowhere."""
        venue_ids = set(self._listed)
        client_ids = {one.client_order_id for group in self._listed.values() for one in group}
        for order in self._ledger.orders.values():
            if order.is_terminal or order.order_id in self._ledger.undecided_orders:
                continue
            changed = order.updated_at or order.created_at
            if changed > self._venue.read_at - self._venue.visibility_delay:
                continue
            for revision in order.revisions:
                is_listed = (
                    revision.venue_order_id in venue_ids or revision.client_order_id in client_ids
                )
                if not revision.is_settled and not is_listed:
                    name = OrderName(order_id=order.order_id, revision=revision.number)
                    self._lookups.append(name)

    # Positions

    def positions(self) -> None:
        """Compare positions; what holds over two looks is corrected."""
        moving = {fill.symbol for fill in self._ledger.unbooked}
        moving |= self._folded_symbols()
        moving |= {one.listed.symbol for one in self._adoptions if one.listed.filled_quantity}
        for symbol in sorted({*self._venue.positions, *self._ledger.net_positions, *moving}):
            theirs = self._venue.positions.get(symbol, Decimal(0))
            ours = self._ledger.net_positions.get(symbol, Decimal(0))
            if theirs == ours and symbol not in moving:
                continue
            self._again = True
            if symbol in moving:
                # Our count moves with what is repaired now; the next look compares.
                continue
            finding = position_differs(symbol, theirs, ours)
            before = self._earlier.get(finding.subject)
            if before is not None and before.evidence == finding.evidence:
                if symbol in self._ledger.undecided:
                    text = f"{finding.text}: not corrected while a command on it is undecided"
                    finding = replace(finding, text=text)
                else:
                    self._positions.append(
                        PositionRepair(
                            subject=finding.subject, symbol=symbol, found=ours, quantity=theirs
                        )
                    )
            self._note(finding)

    def _folded_symbols(self) -> set[str]:
        return {
            self._ledger.orders[report.order_id].symbol
            for report in self._reports
            if report.filled_quantity
        }

    def _note(self, finding: Finding) -> None:
        self._findings.setdefault(finding.subject, finding)


def report_of(name: OrderName, listed: ListedOrder, *, received_time: datetime) -> OrderReport:
    """Return what the venue's description says about one revision of ours."""
    return OrderReport(
        order_id=name.order_id,
        revision=name.revision,
        verdict=listed.verdict,
        filled_quantity=listed.filled_quantity,
        average_price=listed.average_price,
        venue_order_id=listed.venue_order_id,
        reason=listed.reason,
        event_time=listed.event_time,
        received_time=received_time,
        source=SOURCE,
    )


def _newest_time(listed: Sequence[ListedOrder]) -> datetime | None:
    times = [at for at in (one.newest_time for one in listed) if at is not None]
    return max(times, default=None)


def _from_fills(fills: Sequence[Fill]) -> ListedOrder:
    """Return an order that is known by its fills alone: a market order that has ended.

    A total among them stands for those that are booked of it already, too.
    """
    whole = max((f for f in fills if f.is_total), key=lambda fill: fill.quantity, default=None)
    sums = total(fills if whole is None else [whole])
    first = min(fills, key=lambda fill: fill.event_time)
    return ListedOrder(
        client_order_id=first.client_order_id,
        venue_order_id=first.venue_order_id,
        symbol=first.symbol,
        side=first.side,
        quantity=sums.quantity,
        price=None,
        verdict=Verdict.FILLED,
        filled_quantity=sums.quantity,
        average_price=sums.average_price,
        reason=_FROM_FILLS,
        created_at=first.event_time,
        event_time=max(fill.event_time for fill in fills),
    )
