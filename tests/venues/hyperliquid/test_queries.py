"""Queries: what is asked word by word, and how answers become ours."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import FeeRates, MarginMode, PositionSide
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.fills import LiquiditySide
from domain.instruments import MarketState, OrderSide
from domain.orders import Verdict
from tests.venues.hyperliquid.building import ADDRESS, CLOID, NOW, account, venue_and_connector
from tests.venues.raw_server import answering, serving
from venues.hyperliquid.rate_budget import Purpose, RateBudget
from venues.hyperliquid.rest import Rest
from venues.hyperliquid.translate import at_ms, to_ms
from venues.transport import Transport

T0 = 1790000000000


def order_row(**changes: Any) -> dict[str, Any]:
    return {
        "coin": "ETH",
        "side": "B",
        "limitPx": "2500.0",
        "sz": "0.4",
        "oid": 41,
        "timestamp": T0,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": False,
        "orderType": "Limit",
        "origSz": "1.0",
        "tif": "Gtc",
        "cloid": CLOID.upper().replace("0X", "0x"),
        **changes,
    }


def entry(status: str, **changes: Any) -> dict[str, Any]:
    return {"order": order_row(**changes), "status": status, "statusTimestamp": T0 + 5}


def fill_row(tid: int, **changes: Any) -> dict[str, Any]:
    return {
        "coin": "ETH",
        "px": "2500.5",
        "sz": "0.1",
        "side": "A",
        "time": T0 + tid,
        "startPosition": "0.0",
        "dir": "Open Short",
        "closedPnl": "-1.5",
        "hash": "0x00",
        "oid": 41,
        "crossed": True,
        "fee": "0.11",
        "tid": tid,
        "feeToken": "USDC",
        "twapId": None,
        **changes,
    }


async def test_find_order_by_either_id() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["orderStatus"] = {"status": "order", "order": entry("open")}
        found = await connector.find_order(account(), symbol="ETH-PERP", client_order_id=CLOID)
        order = found.order
        assert order is not None
        assert (order.client_order_id, order.venue_order_id) == (CLOID, "41")
        assert (order.symbol, order.side, order.price) == (
            "ETH-PERP",
            OrderSide.BUY,
            Decimal("2500.0"),
        )
        assert (order.verdict, order.quantity, order.filled_quantity) == (
            Verdict.PARTIALLY_FILLED,
            Decimal(1),
            Decimal("0.6"),
        )
        assert (order.created_at, order.event_time) == (at_ms(T0), at_ms(T0 + 5))
        await connector.find_order(
            account(), symbol="ETH-PERP", client_order_id=CLOID, venue_order_id="41"
        )
        assert venue.asked[-2:] == [
            {"type": "orderStatus", "user": ADDRESS, "oid": CLOID},
            {"type": "orderStatus", "user": ADDRESS, "oid": 41},
        ]


async def test_find_order_that_is_not_there_or_not_answered() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["orderStatus"] = {"status": "unknownOid"}
        found = await connector.find_order(account(), symbol="ETH-PERP", client_order_id=CLOID)
        assert (found.order, found.venue_time) == (None, None)
        venue.info["orderStatus"] = {"status": "order"}
        with pytest.raises(VenueUnavailable, match="orderStatus"):
            await connector.find_order(account(), symbol="ETH-PERP", client_order_id=CLOID)
        venue.info["orderStatus"] = {"status": "order", "order": entry("open", side="X")}
        with pytest.raises(VenueUnavailable, match="side"):
            await connector.find_order(account(), symbol="ETH-PERP", client_order_id=CLOID)
        with pytest.raises(InvalidInput, match="found neither"):
            await connector.find_order(account(), symbol="ETH-PERP")
        with pytest.raises(InvalidInput, match="a number"):
            await connector.find_order(account(), symbol="ETH-PERP", venue_order_id="x")


@pytest.mark.parametrize(
    ("sizes", "age_s", "verdict", "filled"),
    [
        (["0.3", "0.1"], 6, Verdict.CANCELED, "0.4"),
        (["0.3", "0.1"], 1, Verdict.PARTIALLY_FILLED, "0.4"),
        (["0.6", "0.4"], 1, Verdict.FILLED, "1.0"),
        ([], 6, Verdict.CANCELED, "0"),
        ([], 1, Verdict.PARTIALLY_FILLED, None),
    ],
)
async def test_shrunk_reduce_only_order_is_told_by_its_fills_once_they_can_be_seen(
    sizes: list[str], age_s: int, verdict: Verdict, filled: str | None
) -> None:
    async with venue_and_connector(clock=lambda: NOW + timedelta(seconds=age_s)) as (
        venue,
        connector,
    ):
        venue.info["orderStatus"] = {
            "status": "order",
            "order": entry("filled", reduceOnly=True, sz="0.0"),
        }
        rows = [fill_row(n, sz=size) for n, size in enumerate(sizes)]
        venue.info["userFillsByTime"] = [*rows, fill_row(9, oid=7, sz="50")]
        order = (await connector.find_order(account(), symbol="E", venue_order_id="41")).order
        assert order is not None
        assert order.verdict is verdict
        assert order.filled_quantity == (Decimal(filled) if filled is not None else None)


async def test_open_orders_with_children_each_once() -> None:
    child = order_row(
        oid=42,
        side="A",
        isTrigger=True,
        triggerPx="2300.0",
        orderType="Stop Market",
        reduceOnly=True,
        sz="1.0",
        cloid=None,
    )
    async with venue_and_connector() as (venue, connector):
        venue.info["frontendOpenOrders"] = [
            order_row(children=[child]),
            child,
            order_row(coin="@107", oid=43),
        ]
        orders = await connector.open_orders(account())
        assert [order.venue_order_id for order in orders] == ["41", "42"]
        assert orders[1].trigger_price == Decimal("2300.0")
        assert (orders[1].verdict, orders[1].filled_quantity) == (Verdict.ACCEPTED, None)
        assert (orders[0].trigger_price, orders[1].client_order_id) == (None, None)
        assert venue.asked[-1] == {"type": "frontendOpenOrders", "user": ADDRESS, "dex": ""}


async def test_history_keeps_the_venues_order() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["historicalOrders"] = [
            entry("canceled"),
            entry("iocCancelRejected", sz="1.0"),
            entry("open", coin="PURR/USDC"),
            entry("perpMarginRejected"),
        ]
        orders = await connector.order_history(account())
        assert [(order.verdict, order.filled_quantity) for order in orders] == [
            (Verdict.CANCELED, Decimal("0.6")),
            (Verdict.CANCELED, Decimal(0)),
            (Verdict.REJECTED, Decimal(0)),
        ]


async def test_fills_are_read_singly_across_pages() -> None:
    rows = [fill_row(n) for n in range(4500)]
    rows[1999]["time"] = rows[2000]["time"]

    def page(body: dict[str, Any]) -> list[dict[str, Any]]:
        return [row for row in rows if row["time"] >= body["startTime"]][:2000]

    async with venue_and_connector() as (venue, connector):
        venue.info["userFillsByTime"] = page
        fills = await connector.fills(account(), since=at_ms(T0))
        assert [fill.trade_id for fill in fills] == [str(n) for n in range(4500)]
        asked = [body for body in venue.asked if body["type"] == "userFillsByTime"]
        assert len(asked) == 3
        assert asked[0] == {
            "type": "userFillsByTime",
            "user": ADDRESS,
            "startTime": T0,
            "endTime": None,
            "aggregateByTime": False,
        }
        assert [body["startTime"] - T0 for body in asked] == [0, 2000, 3998]


async def test_fill_in_our_words() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["userFillsByTime"] = [
            fill_row(1, cloid=CLOID, fee="-0.02", crossed=False),
            fill_row(2, liquidation={"liquidatedUser": ADDRESS, "method": "market"}),
            fill_row(3, coin="@107"),
        ]
        ours, liquidated = await connector.fills(account(), since=NOW)
        assert (ours.client_order_id, ours.venue_order_id, ours.trade_id) == (CLOID, "41", "1")
        assert (ours.side, ours.price, ours.quantity) == (
            OrderSide.SELL,
            Decimal("2500.5"),
            Decimal("0.1"),
        )
        assert (ours.fee, ours.fee_currency) == (Decimal("-0.02"), "USDC")
        assert ours.liquidity_side is LiquiditySide.MAKER
        assert (ours.realized_pnl, ours.event_time) == (Decimal("-1.5"), at_ms(T0 + 1))
        assert not ours.is_liquidation
        assert liquidated.is_liquidation
        assert liquidated.client_order_id is None


async def test_full_page_of_one_millisecond_does_not_loop() -> None:
    rows = [fill_row(n, time=T0) for n in range(2000)]

    def page(body: dict[str, Any]) -> list[dict[str, Any]]:
        return rows if body["startTime"] <= T0 else []

    async with venue_and_connector() as (venue, connector):
        venue.info["userFillsByTime"] = page
        assert len(await connector.fills(account(), since=at_ms(T0))) == 2000
        assert [asked["type"] for asked in venue.asked].count("userFillsByTime") <= 3


async def test_endless_pages_are_an_error() -> None:
    async with venue_and_connector(monotonic=iter(range(0, 10**9, 3600)).__next__) as (
        venue,
        connector,
    ):
        venue.info["userFunding"] = lambda body: [
            {
                "time": body["startTime"] + n,
                "delta": {"coin": "BTC", "usdc": "1", "szi": "1", "fundingRate": "0.1"},
            }
            for n in range(500)
        ]
        with pytest.raises(VenueUnavailable, match="within 200 pages"):
            await connector.funding_payments(account(), since=at_ms(T0))


STATE: dict[str, Any] = {
    "marginSummary": {
        "accountValue": "1000.5",
        "totalNtlPos": "500.0",
        "totalRawUsd": "500.5",
        "totalMarginUsed": "50.0",
    },
    "crossMaintenanceMarginUsed": "6.25",
    "withdrawable": "950.5",
    "assetPositions": [
        {
            "type": "oneWay",
            "position": {
                "coin": "BTC",
                "szi": "-0.005",
                "leverage": {"type": "isolated", "value": 10, "rawUsd": "1.0"},
                "entryPx": "100000.0",
                "positionValue": "500.0",
                "unrealizedPnl": "-2.5",
                "returnOnEquity": "0.1",
                "liquidationPx": None,
                "marginUsed": "50.0",
                "maxLeverage": 40,
            },
        },
        {
            "type": "oneWay",
            "position": {
                "coin": "ETH",
                "szi": "1.5",
                "leverage": {"type": "cross", "value": 5},
                "entryPx": "2000.0",
                "positionValue": "3000.0",
                "unrealizedPnl": "0.0",
                "liquidationPx": "1500.25",
                "marginUsed": "600.0",
            },
        },
    ],
    "time": T0,
}


async def test_account() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["clearinghouseState"] = STATE
        summary = await connector.account_summary(account())
        assert (summary.equity, summary.available) == (Decimal("1000.5"), Decimal("950.5"))
        assert (summary.initial_margin, summary.maintenance_margin) == (
            Decimal(50),
            Decimal("6.25"),
        )
        short, long = summary.positions
        assert (short.side, short.quantity) == (PositionSide.SHORT, Decimal("0.005"))
        assert (short.margin_mode, short.leverage) == (MarginMode.ISOLATED, Decimal(10))
        assert short.liquidation_price is None
        assert (long.side, long.symbol, long.margin_mode) == (
            PositionSide.LONG,
            "ETH-PERP",
            MarginMode.CROSS,
        )
        assert long.liquidation_price == Decimal("1500.25")
        assert summary.event_time == at_ms(T0)
        assert await connector.venue_time(account()) == at_ms(T0)


async def test_fees_and_funding() -> None:
    async with venue_and_connector() as (venue, connector):
        assert (await connector.instrument("BTC-PERP")).fees is None, "the venue did not say"
        venue.info["userFees"] = {"userCrossRate": "0.00045", "userAddRate": "0.00015", "x": []}
        (market, *_) = await connector.instruments(refresh=True)
        assert market.fees is not None
        assert (market.fees.maker, market.fees.taker) == (Decimal("0.00015"), Decimal("0.00045"))
        rates = await connector.fee_rates(account())
        assert rates == FeeRates(maker=Decimal("0.00015"), taker=Decimal("0.00045"))
        delta = {"type": "funding", "coin": "BTC", "usdc": "-1.5", "szi": "2", "fundingRate": "0.1"}
        venue.info["userFunding"] = [{"time": T0 + 7, "hash": "0x", "delta": delta}]
        (payment,) = await connector.funding_payments(account(), since=at_ms(T0))
        assert (payment.amount, payment.rate) == (Decimal("-1.5"), Decimal("0.1"))
        assert (payment.position_quantity, payment.symbol) == (Decimal(2), "BTC-PERP")
        venue.info["fundingHistory"] = [
            {"coin": "BTC", "fundingRate": "-0.01", "premium": "0", "time": T0}
        ]
        (rate,) = await connector.funding_rates("BTC-PERP", since=at_ms(T0))
        assert (rate.rate, rate.interval_s) == (Decimal("-0.01"), 3600)
        venue.info["userRateLimit"] = {"cumVlm": "1", "nRequestsUsed": 2, "nRequestsCap": 10001}
        assert (await connector._queries.rate_limit(account())).nRequestsCap == 10001


async def test_market_data() -> None:
    async with venue_and_connector() as (venue, connector):
        levels = [{"px": str(100 - n), "sz": "1", "n": 2} for n in range(20)]
        venue.info["l2Book"] = {"coin": "BTC", "time": T0, "levels": [levels, []]}
        book = await connector.order_book("BTC-PERP", depth=3)
        assert [level.price for level in book.bids] == [100, 99, 98]
        assert (book.asks, book.mid_price, book.received_time) == ((), None, NOW)
        with pytest.raises(InvalidInput, match="depth"):
            await connector.order_book("BTC-PERP", depth=0)
        trade = {"coin": "BTC", "side": "B", "px": "1", "sz": "2", "hash": "0x", "users": []}
        venue.info["recentTrades"] = [
            {**trade, "time": T0 + 1, "tid": 1},
            {**trade, "time": T0 + 2, "tid": 2},
        ]
        trades = await connector.recent_trades("BTC-PERP", limit=1)
        assert [(found.trade_id, found.aggressor_side) for found in trades] == [
            ("2", OrderSide.BUY)
        ]
        venue.info["candleSnapshot"] = [
            {
                "t": T0,
                "T": T0 + 59999,
                "s": "BTC",
                "i": "1m",
                "o": "1",
                "c": "2",
                "h": "3",
                "l": "0.5",
                "v": "9",
                "n": 4,
            }
        ]
        start, end = at_ms(T0), at_ms(T0) + timedelta(minutes=1)
        (candle,) = await connector.candles("BTC-PERP", "1m", start=start, end=end)
        assert (candle.open_time, candle.close_time) == (start, end)
        assert (candle.open, candle.high, candle.low, candle.close) == (
            Decimal(1),
            Decimal(3),
            Decimal("0.5"),
            Decimal(2),
        )
        assert venue.asked[-1]["req"] == {
            "coin": "BTC",
            "interval": "1m",
            "startTime": T0,
            "endTime": to_ms(end),
        }
        with pytest.raises(InvalidInput, match="interval"):
            await connector.candles("BTC-PERP", "2m", start=start, end=end)


async def test_tickers_leave_delisted_markets_out() -> None:
    context = {
        "funding": "0.0000125",
        "openInterest": "10",
        "prevDayPx": "1",
        "dayNtlVlm": "1000.5",
        "premium": None,
        "oraclePx": "99",
        "markPx": "100",
        "midPx": None,
        "impactPxs": None,
        "dayBaseVlm": "1",
    }
    async with venue_and_connector() as (venue, connector):
        meta = venue.info["meta"]
        venue.info["metaAndAssetCtxs"] = [meta, [context] * 4]
        tickers = await connector.tickers()
        assert [ticker.symbol for ticker in tickers] == ["BTC-PERP", "ETH-PERP", "1000PEPE-PERP"]
        assert (tickers[0].mark_price, tickers[0].index_price, tickers[0].mid_price) == (
            Decimal(100),
            Decimal(99),
            None,
        )
        venue.info["metaAndAssetCtxs"] = [meta, [context]]
        with pytest.raises(VenueUnavailable, match="4 asset contexts"):
            await connector.tickers()


async def test_instruments() -> None:
    async with venue_and_connector() as (_, connector):
        bitcoin, _, matic, pepe = await connector.instruments()
        assert (bitcoin.symbol, bitcoin.venue_symbol, bitcoin.asset_index) == ("BTC-PERP", "BTC", 0)
        assert (bitcoin.lot_size, bitcoin.min_notional) == (Decimal("0.00001"), Decimal(10))
        assert bitcoin.price_rule.allows(Decimal("123457"))
        assert not bitcoin.price_rule.allows(Decimal("83000.5"))
        assert matic.state is MarketState.DELISTED
        assert (pepe.symbol, pepe.lot_size, pepe.asset_index) == ("1000PEPE-PERP", Decimal(1), 3)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("422 Unprocessable", VenueRefused),
        ("429 Too Many", VenueUnavailable),
        ("500 Oops", VenueUnavailable),
    ],
)
async def test_refused_questions(status: str, error: type[Exception]) -> None:
    async with serving(answering(b"null", status=status)) as server:
        rest = Rest(Transport(server.url), RateBudget())
        await rest.start()
        with pytest.raises(error, match="HTTP " + status[:3]):
            await rest.info({"type": "l2Book"}, dict)
        await rest.close()


async def test_query_waits_a_little_for_our_own_budget() -> None:
    async with serving(answering(b"{}")) as server:
        budget = RateBudget(per_minute=60_000)
        rest = Rest(Transport(server.url), budget)
        await rest.start()
        assert await rest.info({"type": "meta"}, dict) == {}
        budget.charge(50_000, rest._monotonic())
        assert await rest.info({"type": "meta"}, dict) == {}
        assert len(server.requests) == 2
        await rest.close()


async def test_a_further_page_waits_where_a_first_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("venues.hyperliquid.rest._BUDGET_WAIT_MAX_S", 0.0)
    async with serving(answering(b"{}")) as server:
        budget = RateBudget(per_minute=60_000)
        rest = Rest(Transport(server.url), budget)
        await rest.start()
        budget.take(0, Purpose.QUERY, rest._monotonic())
        budget.charge(50_200, rest._monotonic())
        with pytest.raises(VenueUnavailable, match="our own rate budget"):
            await rest.info({"type": "meta"}, dict)
        assert await rest.info({"type": "meta"}, dict, further=True) == {}
        await rest.close()
