"""The connector and the feeds against the simulated exchange, with its ledger as the witness."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from domain.accounts import Account, MarginMode, Network, PositionSide, SecretText, TradingAccess
from domain.commands import BurnNonce, CancelOrder, Command, CommandKind
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderType, TimeInForce, Verdict
from domain.outcomes import Accepted, NotSent, Outcome, Rejected, Unknown
from tests.venues.hyperliquid.building import account, place
from tests.venues.hyperliquid.test_stream import Reader
from venues.connector import FeedState, FillsSeen, OrdersSeen, VenueOrder
from venues.hyperliquid.account_stream import HyperliquidAccountFeed
from venues.hyperliquid.actions import Grouping
from venues.hyperliquid.batch import BatchMember
from venues.hyperliquid.connector import HyperliquidConnector
from venues.hyperliquid.market_stream import (
    BookSeen,
    CandleSeen,
    Channel,
    ChannelKind,
    HyperliquidMarketFeed,
    TickerSeen,
    TradesSeen,
)
from venues.simulation.faults import FaultKind
from venues.simulation.ownership import open_account
from venues.simulation.records import Reason
from venues.simulation.server import RunningSimulator, running_simulator


@dataclass
class Desk:
    """One funded account with its connector, and what a ledger would do for it."""

    venue: RunningSimulator
    connector: HyperliquidConnector
    account: Account
    key: str
    master_key: str
    numbers: count[int]
    last_nonce: int = 0

    @property
    def access(self) -> TradingAccess:
        return TradingAccess(account=self.account, credential=SecretText(self.key))

    def slot(self) -> CommandSlot:
        now = datetime.now(UTC)
        self.last_nonce = max(int(now.timestamp() * 1000), self.last_nonce + 1)
        order_id = f"00000000-0000-4000-8000-{next(self.numbers):012d}"
        return CommandSlot(
            client_order_id=self.connector.client_order_id(order_id, 0, 0),
            nonce=self.last_nonce,
            admitted_until=now + timedelta(seconds=10),
        )

    def row(self, kind: CommandKind, message: str, slot: CommandSlot) -> CommandRow:
        now = datetime.now(UTC)
        return CommandRow(
            key=CommandKey(order_id="order", command=kind, revision=0),
            account_id=self.account.account_id,
            venue="hyperliquid",
            network=Network.PAPER,
            symbol="",
            signer=self.account.signer,
            lane="",
            target_revision=0,
            client_order_id=slot.client_order_id,
            nonce=slot.nonce,
            admitted_until=slot.admitted_until,
            message=message,
            inserted_at=now,
            send_by=now + timedelta(seconds=5),
        )

    async def reserve(self, command: Command) -> CommandRow:
        slot = self.slot()
        if isinstance(command, BurnNonce):
            slot = replace(slot, nonce=command.nonce)
        compose = await self.connector.compose(command)
        return self.row(CommandKind(command.kind), compose(slot), slot)

    async def send(self, command: Command) -> tuple[CommandRow, Outcome]:
        row = await self.reserve(command)
        return row, (await self.connector.send(row, self.access)).outcome

    async def accepted(self, command: Command) -> tuple[CommandRow, VenueOrder]:
        """Send a placement that has to be taken, and look it up."""
        row, outcome = await self.send(command)
        assert isinstance(outcome, Accepted), outcome
        return row, await self.find(row)

    async def find(self, row: CommandRow) -> VenueOrder:
        found = await self.connector.find_order(
            self.account, symbol="", client_order_id=row.client_order_id
        )
        assert found.order is not None
        return found.order

    def at_venue(self, row: CommandRow) -> list[Any]:
        """Return every order of the exchange's own ledger with the row's client order id."""
        orders = self.venue.exchange.tables.orders.values()
        return [order for order in orders if order.client_order_id == row.client_order_id]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_simulator() as venue:
        opened = await venue.simulator.open_account(Decimal(100_000), "desk")
        connector = HyperliquidConnector(Network.PAPER, venue.url)
        await connector.start()
        try:
            yield Desk(
                venue=venue,
                connector=connector,
                account=replace(account(address=opened["address"]), signer=opened["agent_address"]),
                key=opened["private_key"],
                master_key=opened["master_private_key"],
                numbers=count(1),
            )
        finally:
            await connector.close()


RESTING = place(quantity=Decimal("0.01"), price=Decimal(60000))
TAKING = place(quantity=Decimal("0.01"), price=Decimal(66000), time_in_force=TimeInForce.IOC)


def outcome_report(outcome: Outcome) -> Any:
    assert isinstance(outcome, Accepted)
    assert outcome.report is not None
    return outcome.report


async def test_keys(desk: Desk) -> None:
    check = await desk.connector.check_signer(desk.access)
    assert (check.refusal, check.owner_address) == (None, desk.account.address)
    assert check.expires_at is not None
    master = TradingAccess(account=desk.account, credential=SecretText(desk.master_key))
    refused = await desk.connector.check_signer(master)
    assert refused.refusal is not None
    stranger = TradingAccess(account=desk.account, credential=SecretText("0x" + "11" * 32))
    assert "unknown on paper" in ((await desk.connector.check_signer(stranger)).refusal or "")


async def test_place_rest_look_up_cancel(desk: Desk) -> None:
    row, outcome = await desk.send(RESTING)
    report = outcome_report(outcome)
    assert report.verdict is Verdict.ACCEPTED
    order = await desk.find(row)
    assert order.venue_order_id == report.venue_order_id
    assert (order.verdict, order.filled_quantity) == (Verdict.ACCEPTED, Decimal(0))
    (listed,) = await desk.connector.open_orders(desk.account)
    assert listed.client_order_id == row.client_order_id
    by_oid = CancelOrder(
        symbol="BTC-PERP",
        client_order_id=row.client_order_id,
        venue_order_id=order.venue_order_id,
    )
    _, canceled = await desk.send(by_oid)
    assert outcome_report(canceled).verdict is Verdict.CANCELED
    assert (await desk.find(row)).verdict is Verdict.CANCELED
    _, again = await desk.send(replace(by_oid, venue_order_id=None))
    assert isinstance(again, Rejected)
    assert again.code == "no_such_order"
    history = await desk.connector.order_history(desk.account)
    assert history[0].client_order_id == row.client_order_id
    assert await desk.connector.open_orders(desk.account) == ()


async def test_cancel_by_client_order_id(desk: Desk) -> None:
    row, _ = await desk.send(RESTING)
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    assert isinstance((await desk.send(cancel))[1], Accepted)


async def test_market_order_fills_and_a_close_is_cut_to_the_position(desk: Desk) -> None:
    since = await desk.connector.venue_time(desk.account)
    bound = await desk.connector.price_bound("BTC-PERP", OrderSide.BUY, 100)
    order = place(order_type=OrderType.MARKET, quantity=Decimal("0.01"), price=bound)
    row, outcome = await desk.send(order)
    report = outcome_report(outcome)
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
    report = outcome_report(closed)
    assert (report.verdict, report.filled_quantity) == (Verdict.CANCELED, Decimal("0.01"))
    # A look-up concludes nothing from missing fills before all of them can be seen.
    found = await desk.find(close_row)
    assert (found.verdict, found.filled_quantity) == (Verdict.PARTIALLY_FILLED, Decimal("0.01"))
    assert (await desk.connector.account_summary(desk.account)).positions == ()
    _, nothing_left = await desk.send(close)
    assert isinstance(nothing_left, Rejected)
    assert nothing_left.code == "reduce_only_would_increase"


async def test_immediate_order_without_match_is_canceled_in_answer_and_look_up(desk: Desk) -> None:
    row, outcome = await desk.send(replace(TAKING, price=Decimal(60000)))
    report = outcome_report(outcome)
    assert (report.verdict, report.filled_quantity) == (Verdict.CANCELED, Decimal(0))
    assert report.reason.startswith("Order could not immediately match")
    found = await desk.find(row)
    assert (found.verdict, found.filled_quantity) == (Verdict.CANCELED, Decimal(0))


async def test_refusals(desk: Desk) -> None:
    for changes, code in [
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
    ]:
        row, outcome = await desk.send(replace(RESTING, **changes))
        assert isinstance(outcome, Rejected), outcome
        assert outcome.code == code
        assert outcome.report is not None
        assert outcome.report.verdict is Verdict.REJECTED
        assert all(not order.status.is_live for order in desk.at_venue(row))


async def test_triggers_rest_with_their_price_shown(desk: Desk) -> None:
    row, found = await desk.accepted(
        replace(
            RESTING,
            order_type=OrderType.STOP_MARKET,
            side=OrderSide.SELL,
            trigger_price=Decimal(55000),
            price=Decimal(50000),
        )
    )
    assert (found.verdict, found.trigger_price) == (Verdict.ACCEPTED, Decimal(55000))
    assert found.client_order_id == row.client_order_id


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
    parent, child = (outcome_report(outcome) for outcome in result.outcomes)
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


async def test_burning_a_nonce_before_and_after_the_order(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    assert row.nonce is not None
    noop, outcome = await desk.send(BurnNonce(nonce=row.nonce))
    assert outcome == Accepted()
    late = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(late, Unknown)
    assert "duplicate nonce" in late.reason
    assert desk.at_venue(row) == []
    again = (await desk.connector.resend(noop, desk.access)).outcome
    assert isinstance(again, Rejected)
    assert again.code == "nonce_used"
    placed, _ = await desk.send(RESTING)
    assert placed.nonce is not None
    _, too_late = await desk.send(BurnNonce(nonce=placed.nonce))
    assert isinstance(too_late, Rejected)
    assert too_late.code == "nonce_used"
    assert (await desk.find(placed)).verdict is Verdict.ACCEPTED


async def test_expired_command_is_never_admitted(desk: Desk) -> None:
    row = await desk.reserve(RESTING)
    row = replace(row, admitted_until=datetime.now(UTC) - timedelta(seconds=1))
    outcome = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.proof) == ("admission_expired", "Action already expired")
    assert desk.at_venue(row) == []


AMBIGUOUS = [
    (FaultKind.DROP_BEFORE_APPLY, False),
    (FaultKind.DROP_AFTER_APPLY, True),
    (FaultKind.ERROR_BEFORE_APPLY, False),
    (FaultKind.ERROR_AFTER_APPLY, True),
    (FaultKind.GARBLE, True),
]


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_ambiguous_answers_are_unknown_and_a_resend_never_makes_a_second_order(
    desk: Desk, kind: FaultKind, applied: bool
) -> None:
    desk.venue.faults.add(kind, action="order")
    row, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Unknown), outcome
    assert len(desk.at_venue(row)) == int(applied)
    for _ in range(3):
        again = (await desk.connector.resend(row, desk.access)).outcome
        if applied:
            assert isinstance(again, Unknown)
            assert "duplicate nonce" in again.reason
        else:
            # The first resend is admitted, the others are its duplicates.
            assert isinstance(again, Accepted | Unknown)
        assert len(desk.at_venue(row)) == 1
    assert (await desk.find(row)).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(("kind", "applied"), AMBIGUOUS)
async def test_a_burnt_nonce_tells_what_became_of_an_ambiguous_order(
    desk: Desk, kind: FaultKind, applied: bool
) -> None:
    desk.venue.faults.add(kind, action="order")
    row, _ = await desk.send(RESTING)
    assert row.nonce is not None
    _, outcome = await desk.send(BurnNonce(nonce=row.nonce))
    if applied:
        assert isinstance(outcome, Rejected)
        assert outcome.code == "nonce_used"
        assert (await desk.find(row)).verdict is Verdict.ACCEPTED
    else:
        assert outcome == Accepted()
        assert isinstance((await desk.connector.resend(row, desk.access)).outcome, Unknown)
        assert desk.at_venue(row) == []


async def test_late_answer_is_unknown_within_the_command_timeout(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DELAY_ANSWER, action="order", delay_ms=4000)
    async with asyncio.timeout(3.5):
        row, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Unknown)
    assert "within 2 s" in outcome.reason
    assert (await desk.find(row)).verdict is Verdict.ACCEPTED


async def test_rate_limit_is_not_sent(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.RATE_LIMIT, action="order")
    row, outcome = await desk.send(RESTING)
    assert isinstance(outcome, NotSent)
    assert outcome.retryable
    assert desk.at_venue(row) == []


async def test_upgrade_gate(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.UPGRADE_GATE, count=None)
    _, outcome = await desk.send(RESTING)
    assert isinstance(outcome, Rejected)
    assert outcome.code == "post_only_period"
    _, post_only = await desk.send(replace(RESTING, post_only=True))
    assert isinstance(post_only, Accepted)


async def test_ambiguous_cancel(desk: Desk) -> None:
    row, _ = await desk.send(RESTING)
    desk.venue.faults.add(FaultKind.DROP_AFTER_APPLY, action="cancel")
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    cancel_row, outcome = await desk.send(cancel)
    assert isinstance(outcome, Unknown)
    assert isinstance((await desk.connector.resend(cancel_row, desk.access)).outcome, Unknown)
    assert (await desk.find(row)).verdict is Verdict.CANCELED


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


async def test_leverage_and_scheduled_cancel(desk: Desk) -> None:
    slot = desk.slot()
    assert slot.nonce is not None
    result = await desk.connector.set_leverage(
        desk.access, "BTC-PERP", 7, MarginMode.ISOLATED, slot.nonce
    )
    assert result.outcome == Accepted()
    await desk.send(TAKING)
    (position,) = (await desk.connector.account_summary(desk.account)).positions
    assert (position.leverage, position.margin_mode) == (Decimal(7), MarginMode.ISOLATED)
    at = datetime.now(UTC) + timedelta(minutes=5)
    for when in (at, None):
        nonce = desk.slot().nonce
        assert nonce is not None
        result = await desk.connector.schedule_cancel(desk.access, when, nonce)
        assert result.outcome == Accepted()


async def test_market_data_and_rates(desk: Desk) -> None:
    connector = desk.connector
    await desk.send(TAKING)
    book = await connector.order_book("BTC-PERP", depth=5)
    assert len(book.bids) == len(book.asks) == 5
    assert book.bids[0].price < book.asks[0].price
    tickers = {ticker.symbol: ticker for ticker in await connector.tickers()}
    assert tickers["BTC-PERP"].mark_price is not None
    assert "MATIC-PERP" not in tickers
    (trade, *_) = await connector.recent_trades("BTC-PERP")
    assert trade.aggressor_side is OrderSide.BUY
    end = datetime.now(UTC)
    candles = await connector.candles("BTC-PERP", "1m", start=end - timedelta(hours=1), end=end)
    assert all(candle.low <= candle.close <= candle.high for candle in candles)
    await connector.funding_rates("BTC-PERP", since=end - timedelta(hours=3))
    await connector.funding_payments(desk.account, since=end - timedelta(hours=3))
    rates = await connector.fee_rates(desk.account)
    assert Decimal(0) < rates.taker < Decimal("0.01")
    offset = abs(await connector.venue_time(desk.account) - datetime.now(UTC))
    assert offset < timedelta(seconds=2)


async def test_account_feed_tells_orders_and_fills_and_heals(desk: Desk) -> None:
    feed = HyperliquidAccountFeed(desk.venue.url)
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    row, _ = await desk.send(RESTING)
    seen = await reader.next(OrdersSeen)
    assert seen.orders[0].client_order_id == row.client_order_id
    assert seen.orders[0].verdict is Verdict.ACCEPTED
    taken, _ = await desk.send(TAKING)
    fills = await reader.next(FillsSeen)
    assert sum(fill.quantity for fill in fills.fills) == Decimal("0.01")
    assert not fills.is_snapshot
    await desk.venue.simulator.close_sockets()
    await reader.until_live(False)
    # What happens while nobody listens is in the snapshot, or is read by REST after it.
    await desk.send(CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id))
    snapshot = await reader.next(FillsSeen)
    assert snapshot.is_snapshot
    assert {fill.key for fill in fills.fills} <= {fill.key for fill in snapshot.fills}
    await reader.until_live()
    assert await desk.connector.open_orders(desk.account) == ()
    assert (await desk.find(taken)).verdict is Verdict.FILLED
    await feed.close()


async def test_feed_frames_twice_and_reversed_give_the_same_facts(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DUPLICATE, count=None)
    desk.venue.faults.add(FaultKind.REORDER, count=None)
    feed = HyperliquidAccountFeed(desk.venue.url)
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    row, _ = await desk.send(TAKING)
    keys, verdicts = set(), set()
    while Verdict.FILLED not in verdicts or not keys:
        event = await reader.next()
        if isinstance(event, FillsSeen):
            keys |= {fill.key for fill in event.fills}
        if isinstance(event, OrdersSeen):
            verdicts |= {order.verdict for order in event.orders}
        assert not isinstance(event, FeedState), event
    found = await desk.connector.fills(desk.account, since=datetime.now(UTC) - timedelta(minutes=1))
    assert keys <= {fill.key for fill in found}
    assert row.client_order_id
    await feed.close()


async def test_maintenance_is_unknown_for_orders_and_a_dead_feed(desk: Desk) -> None:
    feed = HyperliquidAccountFeed(desk.venue.url)
    reader = Reader(feed.events())
    await feed.watch([desk.account])
    await reader.until_live()
    await desk.send(RESTING)
    row = await desk.reserve(RESTING)
    desk.venue.faults.add(FaultKind.MAINTENANCE, count=None)
    await desk.venue.simulator.close_sockets()
    outcome = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(outcome, Unknown)
    assert "503" in outcome.reason
    await reader.until_live(False)
    desk.venue.faults.clear()
    await reader.until_live()
    await feed.close()


async def test_market_feed(desk: Desk) -> None:
    await desk.send(TAKING)
    feed = HyperliquidMarketFeed(desk.venue.url, await desk.connector.instruments())
    channels = [
        Channel(kind=kind, symbol="BTC-PERP")
        for kind in (ChannelKind.BOOK, ChannelKind.TOP, ChannelKind.TRADES, ChannelKind.TICKER)
    ]
    candle = Channel(kind=ChannelKind.CANDLES, symbol="BTC-PERP", interval="1m")
    await feed.subscribe([*channels, candle])
    reader = Reader(feed.events())
    wanted: set[type[Any]] = {FeedState, BookSeen, TradesSeen, TickerSeen, CandleSeen}
    backlog = []
    while wanted:
        await desk.send(replace(TAKING, quantity=Decimal("0.001")))
        for _ in range(3):
            event = await reader.next()
            wanted.discard(type(event))
            if isinstance(event, TradesSeen):
                backlog.append(event.is_backlog)
    assert backlog[0]
    assert not any(backlog[1:])
    await feed.close()


@pytest.mark.parametrize("seed", range(3))
async def test_outcomes_never_contradict_the_exchanges_own_ledger(desk: Desk, seed: int) -> None:
    """Whatever breaks, what we call accepted is there once, and what we call unsent is not."""
    source = random.Random(seed)
    kinds = [*(kind for kind, _ in AMBIGUOUS), FaultKind.RATE_LIMIT, None, None]
    seen = set()
    for _ in range(40):
        desk.connector._rest._budget._closed_until = 0.0
        desk.venue.faults.clear()
        kind = source.choice(kinds)
        if kind is not None:
            desk.venue.faults.add(kind, action="order", count=source.randint(1, 2))
        command = source.choice([RESTING, TAKING, replace(RESTING, quantity=Decimal(1000))])
        row, outcome = await desk.send(command)
        for _ in range(source.randint(0, 2)):
            if not isinstance(outcome, Unknown):
                break
            outcome = (await desk.connector.resend(row, desk.access)).outcome
        seen.add(outcome.kind)
        orders = desk.at_venue(row)
        executed = [order for order in orders if order.reason is not Reason.MARGIN]
        assert len(orders) <= 1
        if isinstance(outcome, Accepted):
            assert len(executed) == 1
        elif isinstance(outcome, Rejected):
            assert executed == []
        elif isinstance(outcome, NotSent):
            assert orders == []
        else:
            assert row.nonce is not None
            desk.venue.faults.clear()
            _, burnt = await desk.send(BurnNonce(nonce=row.nonce))
            assert isinstance(burnt, Rejected) == (len(orders) == 1)
            assert burnt == Accepted() or orders
            assert len(desk.at_venue(row)) == len(orders)
    assert seen == {"accepted", "rejected", "not_sent", "unknown"}


async def test_many_at_once_each_get_their_own_answer(desk: Desk) -> None:
    rows = [await desk.reserve(RESTING) for _ in range(30)]
    results = await asyncio.gather(*(desk.connector.send(row, desk.access) for row in rows))
    ids = [outcome_report(result.outcome).venue_order_id for result in results]
    assert len(set(ids)) == 30
    for row, oid in zip(rows, ids, strict=True):
        (order,) = desk.at_venue(row)
        assert str(order.venue_order_id) == oid
