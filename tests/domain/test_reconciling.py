"""Comparing as plain data: what is called missing, external, lost or different, and what waits."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.differences import Money, balance_jump, unseen_order
from domain.fills import Fill, LiquiditySide
from domain.findings import FindingKind, FindingState, reconciliation_id_for
from domain.instruments import OrderSide
from domain.orders import Concern, Order, Revision, Verdict
from domain.reconciliation_views import (
    LedgerView,
    ListedOrder,
    OrderName,
    VenueView,
    order_id_in,
)
from domain.reconciling import Comparison, compare
from tests.domain.building import an_order

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
OLD = NOW - timedelta(minutes=10)
DELAY = timedelta(seconds=5)


def venue(**changes: Any) -> VenueView:
    view = VenueView(
        read_at=NOW,
        venue_time=NOW,
        visibility_delay=DELAY,
        horizon=NOW - timedelta(days=1),
        orders=(),
        fills=(),
        positions={},
    )
    return replace(view, **changes)


def ledger(*orders: Order, **changes: Any) -> LedgerView:
    by_client, by_venue = {}, {}
    for order in orders:
        for revision in order.revisions:
            name = OrderName(order_id=order.order_id, revision=revision.number)
            by_client[revision.client_order_id] = name
            if revision.venue_order_id is not None:
                by_venue[revision.venue_order_id] = name
    view = LedgerView(
        orders={order.order_id: order for order in orders},
        by_client_id=by_client,
        by_venue_id=by_venue,
    )
    return replace(view, **changes)


def ours(verdict: Verdict = Verdict.ACCEPTED, **changes: Any) -> Order:
    revision = Revision(
        number=0,
        client_order_id="0xc1",
        quantity=Decimal(1),
        price=Decimal(45_000),
        venue_order_id="v1",
        verdict=verdict,
    )
    fields = {"quantity": Decimal(1), "revisions": (revision,), "created_at": OLD}
    return replace(an_order(), **{**fields, "updated_at": OLD, **changes})


def listed(**changes: Any) -> ListedOrder:
    order = ListedOrder(
        client_order_id="0xc1",
        venue_order_id="v1",
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        quantity=Decimal(1),
        price=Decimal(45_000),
        verdict=Verdict.ACCEPTED,
        filled_quantity=Decimal(0),
        created_at=OLD,
        is_open=True,
    )
    return replace(order, **changes)


def fill(trade_id: str = "t1", **changes: Any) -> Fill:
    made = Fill(
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        trade_id=trade_id,
        venue_order_id="v1",
        client_order_id=None,
        side=OrderSide.BUY,
        price=Decimal(45_000),
        quantity=Decimal("0.5"),
        fee=Decimal(0),
        fee_currency="USDC",
        liquidity_side=LiquiditySide.TAKER,
        event_time=OLD,
    )
    return replace(made, **changes)


def kinds(comparison: Comparison) -> list[FindingKind]:
    return [finding.kind for finding in comparison.findings]


def test_a_total_stands_for_what_is_booked_of_its_order_already() -> None:
    booked = fill("0.5-of-1")
    whole = fill("1-of-1", quantity=Decimal(1), is_total=True)
    found = compare(venue(fills=(whole,)), ledger(unbooked=(whole,), unmatched=(booked,)))
    (adoption,) = found.adoptions
    assert adoption.listed.quantity == adoption.listed.filled_quantity == Decimal(1)


def test_nothing_differs_where_both_say_the_same() -> None:
    found = compare(venue(orders=(listed(),)), ledger(ours()))
    assert (found.findings, found.reports, found.lookups, found.again) == ((), (), (), False)


def test_an_ended_order_is_folded_and_told_once_it_is_old() -> None:
    ended = listed(verdict=Verdict.CANCELED, event_time=OLD, is_open=False)
    found = compare(venue(orders=(ended,)), ledger(ours()))
    assert kinds(found) == [FindingKind.STALE_ORDER]
    (report,) = found.reports
    assert (report.verdict, report.source) == (Verdict.CANCELED, "reconciliation")
    fresh = replace(ended, event_time=NOW)
    found = compare(venue(orders=(fresh,)), ledger(ours()))
    assert (kinds(found), len(found.reports)) == ([], 1)


def test_every_description_of_an_order_counts_whatever_comes_first() -> None:
    rows = (
        listed(verdict=Verdict.ACCEPTED),
        listed(verdict=Verdict.FILLED, filled_quantity=Decimal(1), event_time=OLD),
    )
    for orders in (rows, rows[::-1]):
        found = compare(venue(orders=orders), ledger(ours()))
        assert [report.verdict for report in found.reports] == [Verdict.FILLED]


def test_fills_that_should_be_here_are_missed_and_fresh_ones_only_booked() -> None:
    late, fresh = fill("t1"), fill("t2", event_time=NOW)
    sides = ledger(ours(), unbooked=(late, fresh))
    found = compare(venue(orders=(listed(),), fills=(late, fresh)), sides)
    (finding,) = found.findings
    assert (finding.kind, finding.evidence["trade_ids"]) == (FindingKind.MISSING_FILLS, "t1")
    assert finding.order_id == ours().order_id
    assert found.fills == (late, fresh)
    assert found.again, "the position moves with what is booked now"


@pytest.mark.parametrize("undecided", [frozenset({"BTC-PERP"}), frozenset({"ETH-PERP"})])
def test_nothing_is_external_while_a_command_on_its_symbol_is_undecided(
    undecided: frozenset[str],
) -> None:
    unknown = listed(client_order_id=None, venue_order_id="v9")
    found = compare(venue(orders=(unknown,)), ledger(undecided=undecided))
    if "BTC-PERP" in undecided:
        assert (kinds(found), found.adoptions) == ([FindingKind.UNKNOWN_ORDER], ())
        assert found.again
    else:
        assert kinds(found) == [FindingKind.EXTERNAL_ORDER]
        assert [adoption.listed for adoption in found.adoptions] == [unknown]


def test_nothing_is_external_before_the_visibility_delay() -> None:
    young = listed(client_order_id=None, venue_order_id="v9", created_at=NOW)
    first = compare(venue(orders=(young,)), ledger())
    assert (kinds(first), first.adoptions, first.again) == (
        [FindingKind.UNKNOWN_ORDER],
        (),
        True,
    )
    earlier = {finding.subject: finding for finding in first.findings}
    second = compare(venue(orders=(young,)), ledger(), earlier)
    assert (kinds(second), len(second.adoptions)) == ([FindingKind.EXTERNAL_ORDER], 1)
    timeless = replace(young, created_at=None)
    assert compare(venue(orders=(timeless,)), ledger()).adoptions == ()


def test_what_ended_before_the_account_came_here_is_not_our_business() -> None:
    ended = listed(
        client_order_id=None,
        venue_order_id="v9",
        verdict=Verdict.CANCELED,
        event_time=NOW - timedelta(days=2),
    )
    assert compare(venue(orders=(ended,)), ledger()).findings == ()
    resting = replace(ended, verdict=Verdict.ACCEPTED, event_time=None)
    assert kinds(compare(venue(orders=(resting,)), ledger())) == [FindingKind.EXTERNAL_ORDER]


@pytest.mark.parametrize(
    ("side", "kind"),
    [
        (LiquiditySide.TAKER, FindingKind.LIQUIDATION),
        # Who trades against a liquidation has it in the fill as well.
        (LiquiditySide.MAKER, FindingKind.EXTERNAL_ORDER),
    ],
)
def test_fills_of_nobodys_order_are_adopted_as_one(side: LiquiditySide, kind: FindingKind) -> None:
    fills = (
        fill("t1", is_liquidation=True, liquidity_side=side, venue_order_id="v7"),
        fill("t2", is_liquidation=True, liquidity_side=side, venue_order_id="v7"),
    )
    found = compare(venue(fills=fills), ledger(unmatched=fills))
    assert kinds(found) == [kind]
    (adoption,) = found.adoptions
    assert (adoption.listed.quantity, adoption.listed.verdict) == (Decimal(1), Verdict.FILLED)
    assert adoption.is_liquidation is (kind is FindingKind.LIQUIDATION)


def test_an_order_whose_row_is_gone_is_written_again() -> None:
    order = ours()
    without_row = replace(ledger(order), orders={})
    found = compare(venue(orders=(listed(),)), without_row)
    assert kinds(found) == [FindingKind.LOST_ORDER]
    assert [(each.order_id, each.listed) for each in found.restorations] == [
        (order.order_id, listed())
    ]
    nameless = ledger(lost={"v1": order.order_id})
    assert compare(venue(orders=(listed(),)), nameless).restorations == found.restorations


def test_live_orders_that_are_listed_nowhere_are_looked_up_when_they_had_time() -> None:
    order = ours()
    name = OrderName(order_id=order.order_id, revision=0)
    assert compare(venue(), ledger(order)).lookups == (name,)
    assert compare(venue(), ledger(replace(order, updated_at=NOW))).lookups == ()
    undecided = ledger(order, undecided_orders=frozenset({order.order_id}))
    assert compare(venue(), undecided).lookups == ()
    ended = replace(order, revisions=(replace(order.revisions[0], verdict=Verdict.CANCELED),))
    assert compare(venue(), ledger(ended)).lookups == ()
    by_other_id = listed(client_order_id=None)
    assert compare(venue(orders=(by_other_id,)), ledger(order)).lookups == ()


def test_a_position_is_corrected_when_the_same_difference_is_seen_twice() -> None:
    there = venue(positions={"BTC-PERP": Decimal(2)})
    here = ledger(net_positions={"BTC-PERP": Decimal("1.5"), "ETH-PERP": Decimal(0)})
    first = compare(there, here)
    (finding,) = first.findings
    assert (finding.subject, finding.state) == ("position:BTC-PERP", FindingState.OPEN)
    assert (first.positions, first.again) == ((), True)
    earlier = {finding.subject: finding}
    second = compare(there, here, earlier)
    (repair,) = second.positions
    assert (repair.found, repair.quantity) == (Decimal("1.5"), Decimal(2))
    moved = ledger(net_positions={"BTC-PERP": Decimal("1.6")})
    assert compare(there, moved, earlier).positions == ()
    undecided = replace(here, undecided=frozenset({"BTC-PERP"}))
    held = compare(there, undecided, earlier)
    assert held.positions == ()
    assert "undecided" in held.findings[0].text


def test_a_position_is_not_judged_while_it_moves() -> None:
    there = venue(positions={"BTC-PERP": Decimal("0.5")}, orders=(listed(),), fills=(fill(),))
    found = compare(there, ledger(ours(), unbooked=(fill(),)))
    assert kinds(found) == [FindingKind.MISSING_FILLS]
    assert found.again


def test_an_unseen_order_is_told_but_never_ended() -> None:
    accepted = unseen_order(ours(), 0, read_at=NOW)
    assert "not ended without proof" in accepted.text
    pending = ours(Verdict.SUBMITTED, concern=Concern.NONE)
    assert "nobody's word but ours" in unseen_order(pending, 0, read_at=NOW).text


@pytest.mark.parametrize(
    ("now", "jumps"), [("108", False), ("108.009", False), ("1108", True), ("8", True)]
)
def test_money_that_nothing_explains_is_a_jump(now: str, jumps: bool) -> None:
    money = Money(
        before=Decimal(100),
        now=Decimal(now),
        realized=Decimal(10),
        fees=Decimal(1),
        funding=Decimal(-1),
        movements=3,
    )
    found = balance_jump(money, NOW)
    assert (found is not None) is jumps
    if found is not None:
        assert ("came in" in found.text) is (Decimal(now) > 108)
        assert found.state is FindingState.NOTED


def test_ids_are_read_back_and_derived_the_same_for_ever() -> None:
    order_id = "00000000-0000-5000-8000-00000000000a"
    assert order_id_in("0x" + order_id.replace("-", "")) == order_id
    assert order_id_in("0x12") is None
    assert order_id_in("z" * 32) is None
    assert order_id_in(None) is None
    assert reconciliation_id_for("a", "k") == reconciliation_id_for("a", "k")
    assert reconciliation_id_for("a", "k") != reconciliation_id_for("b", "k")
