"""Orders and queries against the simulated exchange, with its ledger as the witness."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from domain.accounts import PositionSide, SecretText, TradingAccess
from domain.commands import CancelOrder, CommandKind
from domain.instruments import OrderSide
from domain.orders import OrderType, Verdict
from domain.outcomes import Accepted, Rejected
from tests.venues.desk import report_of
from tests.venues.hyperliquid.building import place
from tests.venues.hyperliquid.desk import RESTING, Desk, desk
from venues.batches import BatchMember
from venues.hyperliquid.actions import Grouping
from venues.simulation.ownership import open_account

__all__ = ["desk"]


async def test_keys(desk: Desk) -> None:
    check = await desk.connector.check_signer(desk.access)
    assert (check.refusal, check.owner_address) == (None, desk.account.address)
    assert check.expires_at is not None
    master = TradingAccess(account=desk.account, credential=SecretText(desk.master_key))
    refused = await desk.connector.check_signer(master)
    assert refused.refusal is not None
    stranger = TradingAccess(account=desk.account, credential=SecretText("0x" + "11" * 32))
    assert "unknown on paper" in ((await desk.connector.check_signer(stranger)).refusal or "")


async def test_market_order_fills_and_a_close_is_cut_to_the_position(desk: Desk) -> None:
    since = await desk.connector.venue_time(desk.account)
    bound = await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 100)
    order = place(order_type=OrderType.MARKET, quantity=Decimal("0.01"), price=bound)
    row, outcome = await desk.send(order)
    report = report_of(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.FILLED, Decimal("0.01"))
    fills = await desk.connector.fills(desk.account, since=since)
    assert {fill.client_order_id for fill in fills} <= {row.client_order_id, None}
    assert sum(fill.quantity for fill in fills) == Decimal("0.01")
    summary = await desk.connector.account_summary(desk.account)
    (position,) = summary.positions
    assert (position.side, position.quantity) == (PositionSide.LONG, Decimal("0.01"))
    close = place(
        side=OrderSide.SELL,
        order_type=OrderType.MARKET,
        quantity=Decimal("0.05"),
        price=await desk.connector.price_bound("BTC-PERP", OrderSide.SELL, 100),
        reduce_only=True,
    )
    close_row, closed = await desk.send(close)
    report = report_of(closed)
    assert (report.verdict, report.filled_quantity) == (Verdict.CANCELED, Decimal("0.01"))
    # A look-up concludes nothing from missing fills before all of them can be seen.
    found = await desk.find(close_row)
    assert (found.verdict, found.filled_quantity) == (Verdict.PARTIALLY_FILLED, Decimal("0.01"))
    assert (await desk.connector.account_summary(desk.account)).positions == ()
    _, nothing_left = await desk.send(close)
    assert isinstance(nothing_left, Rejected)
    assert nothing_left.code == "reduce_only_would_increase"


async def test_refusals(desk: Desk) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"post_only": True, "price": Decimal(70000)}, "post_only_would_cross"),
        ({"quantity": Decimal(1000)}, "insufficient_margin"),
        ({"reduce_only": True}, "reduce_only_would_increase"),
        (
            {
                "order_type": OrderType.STOP_MARKET,
                "trigger_price": Decimal(70000),
                "side": OrderSide.SELL,
            },
            "invalid_trigger_price",
        ),
    ]
    for changes, code in cases:
        row, outcome = await desk.send(replace(RESTING, **changes))
        assert isinstance(outcome, Rejected), outcome
        assert outcome.code == code
        assert outcome.report is not None
        assert outcome.report.verdict is Verdict.REJECTED
        assert all(not order.status.is_live for order in desk.at_venue(row))


async def test_a_position_bound_exit_waits_and_goes_with_its_position(desk: Desk) -> None:
    bound = await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 100)
    await desk.send(place(order_type=OrderType.MARKET, quantity=Decimal("0.01"), price=bound))
    stop = place(
        side=OrderSide.SELL,
        order_type=OrderType.STOP_MARKET,
        quantity=Decimal("0.01"),
        price=Decimal(50_000),
        trigger_price=Decimal(55_000),
        reduce_only=True,
        position_bound=True,
    )
    row, outcome = await desk.send(stop)
    assert report_of(outcome).verdict is Verdict.ACCEPTED
    assert '"grouping":"positionTpsl"' in row.message
    seen = await desk.find(row)
    assert (seen.verdict, seen.trigger_price) == (Verdict.ACCEPTED, Decimal(55_000))

    low = await desk.connector.price_bound("BTC-PERP", OrderSide.SELL, 100)
    close = replace(stop, order_type=OrderType.MARKET, price=low, trigger_price=None)
    await desk.send(replace(close, position_bound=False))

    assert await desk.connector.open_orders(desk.account) == ()
    assert (await desk.find(row)).verdict.is_terminal


async def test_bracket_is_one_action(desk: Desk) -> None:
    exit_order = replace(
        RESTING,
        side=OrderSide.SELL,
        reduce_only=True,
        order_type=OrderType.STOP_MARKET,
        trigger_price=Decimal(55000),
        price=Decimal(50000),
    )
    commands = [RESTING, exit_order]
    compose = await desk.connector.compose_place_batch(commands, grouping=Grouping.PARENT_AND_EXITS)
    slots = [desk.slot() for _ in commands]
    row = desk.row(CommandKind.PLACE, compose(slots), slots[0])
    members = [
        BatchMember(order_id=f"order-{n}", revision=0, client_order_id=slot.client_order_id)
        for n, slot in enumerate(slots)
    ]
    result = await desk.connector.send_batch(row, desk.access, members)
    parent, child = (report_of(outcome) for outcome in result.outcomes)
    assert (parent.verdict, parent.order_id) == (Verdict.ACCEPTED, "order-0")
    assert (child.verdict, child.venue_order_id) == (Verdict.ACCEPTED, None)
    listed = await desk.connector.open_orders(desk.account)
    assert {order.client_order_id for order in listed} == {s.client_order_id for s in slots}
    cancels = [
        CancelOrder(symbol="BTC-PERP", client_order_id=slot.client_order_id)
        for slot in reversed(slots)
    ]
    cancel_all = await desk.connector.compose_cancel_batch(cancels)
    cancel_row = desk.row(CommandKind.CANCEL, cancel_all(slots), desk.slot())
    result = await desk.connector.send_batch(cancel_row, desk.access, members[::-1])
    assert isinstance(result.outcomes[1], Accepted)
    assert await desk.connector.open_orders(desk.account) == ()


async def test_sub_account_trades_through_its_masters_agent(desk: Desk) -> None:
    address = "0x" + "5b" * 20
    exchange = desk.venue.exchange
    with exchange.action("open sub-account") as receipt:
        open_account(
            exchange.tables, address, Decimal(10_000), master=desk.account.address, name="sub"
        )
    await exchange.durable(receipt)
    desk.account = replace(desk.account, address=address)
    check = await desk.connector.check_signer(desk.access)
    assert check.refusal is None
    row, _ = await desk.accepted(RESTING)
    (order,) = desk.at_venue(row)
    assert order.account == address
