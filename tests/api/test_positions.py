"""Positions, profit and balances over HTTP: summed over accounts, aged, asked for live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import (
    AccountState,
    AccountSummary,
    FundingPayment,
    MarginMode,
    Position,
    PositionSide,
)
from domain.errors import VenueUnavailable
from domain.fills import Fill, LiquiditySide
from domain.instruments import OrderSide
from domain.positions import SeenSummary
from tests.api.serving import FOREIGN, PAPER, Api, account, latest_price

SECOND = "44444444-4444-4444-8444-444444444444"


def summary(account_id: str, quantity: str, *, equity: str = "1000") -> AccountSummary:
    held = Decimal(quantity)
    position = Position(
        account_id=account_id,
        venue="hyperliquid",
        symbol="BTC-PERP",
        side=PositionSide.LONG if held > 0 else PositionSide.SHORT,
        quantity=abs(held),
        entry_price=Decimal(45_000),
        notional=abs(held) * 46_000,
        unrealized_pnl=held * 1_000,
        liquidation_price=Decimal(23_000),
        leverage=Decimal(10),
        margin_mode=MarginMode.CROSS,
        initial_margin=abs(held) * 4_600,
    )
    return AccountSummary(
        account_id=account_id,
        equity=Decimal(equity),
        available=Decimal(500),
        initial_margin=Decimal(400),
        maintenance_margin=Decimal(200),
        positions=(position,) if held else (),
        event_time=datetime.now(UTC),
    )


def a_fill(account_id: str, trade_id: str, side: OrderSide, quantity: str, **more: Any) -> Fill:
    values: dict[str, Any] = {
        "account_id": account_id,
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "trade_id": trade_id,
        "venue_order_id": "1",
        "client_order_id": None,
        "side": side,
        "price": Decimal(45_000),
        "quantity": Decimal(quantity),
        "fee": Decimal("1.25"),
        "fee_currency": "USDC",
        "liquidity_side": LiquiditySide.TAKER,
        "event_time": datetime.now(UTC),
        "realized_pnl": Decimal(0),
        **more,
    }
    return Fill(**values)


async def say(api: Api, account_id: str, quantity: str, *, ago_s: float = 0) -> None:
    """Have the venue say what an account holds, some time ago."""
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    await api.storage.positions.save_summary(
        summary(account_id, quantity), seen_at=at, source="feed"
    )


async def second_account(api: Api) -> None:
    other = account(account_id=SECOND, label="second", address="0xsecond", is_default=False)
    await api.storage.accounts.add(other, trading=b"sealed", feed=None)


async def test_nothing_is_open_at_first(api: Api) -> None:
    answer = await api.http.get("/api/v1/positions")

    assert answer.status_code == 200, answer.text
    assert answer.json()["positions"] == []
    assert answer.json()["total"]["gross"] == "0"
    assert answer.json()["unread"] == []


async def test_a_newer_mark_is_shown_and_an_older_one_is_not(api: Api) -> None:
    await say(api, PAPER, "0.5", ago_s=20)
    now = datetime.now(UTC)
    api.prices.written = latest_price(mark_price=Decimal(47_000), mark_received_time=now)
    [shown] = (await api.http.get("/api/v1/positions")).json()["positions"]
    assert (shown["mark_price"], shown["unrealized_pnl"], shown["notional"]) == (
        "47000",
        "1000",
        "23500",
    )
    assert shown["mark_at"] == now.isoformat().replace("+00:00", "Z")
    long_ago = now - timedelta(minutes=1)
    api.prices.written = latest_price(mark_price=Decimal(1), mark_received_time=long_ago)
    [shown] = (await api.http.get("/api/v1/positions")).json()["positions"]
    assert shown["mark_price"] == "46000"


async def test_positions_add_up_over_accounts(api: Api) -> None:
    await second_account(api)
    await say(api, PAPER, "0.5", ago_s=20)
    await say(api, SECOND, "-0.2")

    whole = (await api.http.get("/api/v1/positions")).json()

    first, second = whole["positions"]
    assert (first["account"], first["side"], first["quantity"]) == ("paper", "LONG", "0.5")
    assert first["position_id"] == f"{PAPER}:BTC-PERP"
    assert first["mark_price"] == "46000"
    assert first["unrealized_pnl"] == "500"
    assert first["liquidation_price"] == "23000"
    assert first["liquidation_distance"] == "0.5"
    assert first["source"] == "VENUE"
    assert first["age_s"] >= 20
    assert (second["account"], second["side"]) == ("second", "SHORT")
    assert whole["total"] == {
        "key": "total",
        "long": "23000",
        "short": "9200",
        "gross": "32200",
        "net": "13800",
        "unrealized_pnl": "300",
        "initial_margin": "3220",
        "unpriced": 0,
    }
    assert [row["key"] for row in whole["by_account"]] == ["paper", "second"]
    assert [row["key"] for row in whole["by_symbol"]] == ["BTC-PERP"]
    assert [row["key"] for row in whole["by_venue"]] == ["hyperliquid"]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/api/v1/positions?account=second", 1),
        ("/api/v1/positions?venue=hyperliquid", 2),
        ("/api/v1/positions?venue=lighter", 0),
        ("/api/v1/positions?account=second&venue=lighter", 0),
        ("/api/v1/positions?symbol=BTC-PERP", 2),
        ("/api/v1/positions?symbol=ETH-PERP", 0),
        ("/api/v1/positions/BTC-PERP", 2),
        ("/api/v1/positions/paper:BTC-PERP", 1),
        (f"/api/v1/positions/{SECOND}:BTC-PERP", 1),
        ("/api/v1/positions/paper:ETH-PERP", 0),
    ],
)
async def test_positions_can_be_chosen(api: Api, path: str, count: int) -> None:
    await second_account(api)
    await say(api, PAPER, "0.5")
    await say(api, SECOND, "-0.2")

    answer = await api.http.get(path)

    assert answer.status_code == 200, answer.text
    assert len(answer.json()["positions"]) == count


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/positions?account=nobody", 404),
        (f"/api/v1/positions?account={FOREIGN}", 404),
        (f"/api/v1/positions/{FOREIGN}:BTC-PERP", 404),
        ("/api/v1/positions?symbol=BTC", 422),
        ("/api/v1/positions/BTC", 422),
        ("/api/v1/positions/paper:", 422),
        ("/api/v1/pnl?days=0", 422),
        ("/api/v1/pnl?days=nan", 422),
        ("/api/v1/pnl?symbol=x", 422),
        (f"/api/v1/accounts/{FOREIGN}/balance", 404),
    ],
)
async def test_bad_input_is_refused(api: Api, path: str, status: int) -> None:
    assert (await api.http.get(path)).status_code == status


async def test_our_own_fills_move_a_position_before_the_venue_says_so(api: Api) -> None:
    await say(api, PAPER, "0.5")
    sold = a_fill(
        PAPER, "t1", OrderSide.SELL, "0.1", event_time=datetime.now(UTC) + timedelta(seconds=1)
    )
    await api.storage.orders.book([sold])

    (position,) = (await api.http.get("/api/v1/positions")).json()["positions"]

    assert position["source"] == "FILLS"
    # The count starts at our first fill: what was held before is the venue's to say.
    assert position["side"] == "SHORT"
    assert position["liquidation_price"] is None


async def test_the_venue_is_asked_when_it_is_wanted_live(api: Api) -> None:
    await second_account(api)
    await say(api, PAPER, "0.5", ago_s=60)
    now = datetime.now(UTC)
    api.reader.seen = SeenSummary(summary=summary(PAPER, "0.75"), seen_at=now, source="asked")

    (position,) = (await api.http.get("/api/v1/positions/paper:BTC-PERP?live=true")).json()[
        "positions"
    ]

    assert position["quantity"] == "0.75"
    assert position["age_s"] < 30
    assert api.reader.asked == [PAPER]


async def test_an_account_that_cannot_be_asked_is_named(api: Api) -> None:
    await say(api, PAPER, "0.5", ago_s=60)
    api.reader.error = VenueUnavailable("hyperliquid could not be asked")

    answer = await api.http.get("/api/v1/positions?live=true")

    assert answer.status_code == 200
    assert answer.json()["unread"] == ["paper"]
    assert answer.json()["positions"][0]["age_s"] >= 60


async def test_profit_and_loss_of_a_period(api: Api) -> None:
    old = datetime.now(UTC) - timedelta(days=3)
    await api.storage.orders.book(
        [
            a_fill(PAPER, "t1", OrderSide.BUY, "1", event_time=old),
            a_fill(
                PAPER,
                "t2",
                OrderSide.SELL,
                "0.5",
                price=Decimal(45_501),
                realized_pnl=Decimal("250.5"),
            ),
        ]
    )
    await api.storage.positions.book_funding(
        [
            FundingPayment(
                account_id=PAPER,
                symbol="BTC-PERP",
                amount=Decimal("-0.75"),
                rate=Decimal("0.0001"),
                position_quantity=Decimal(1),
                event_time=old,
            )
        ]
    )
    await say(api, PAPER, "0.5")

    whole = (await api.http.get("/api/v1/pnl")).json()
    last_day = (await api.http.get("/api/v1/pnl?days=1&symbol=BTC-PERP")).json()

    (row,) = whole["rows"]
    assert row["realized_pnl"] == "250.5"
    assert row["fees"] == "2.5"
    assert row["funding"] == "-0.75"
    assert row["net_pnl"] == whole["net_pnl"] == "247.25"
    assert row["volume"] == "67750.5"
    assert row["fill_count"] == 2
    assert whole["since"] is None
    assert whole["unrealized_pnl"] == "500"
    assert last_day["net_pnl"] == "249.25"
    assert last_day["since"] is not None


async def test_a_balance_is_asked_for_and_remembered(api: Api) -> None:
    path = "/api/v1/accounts/paper/balance"
    assert (await api.http.get(path)).status_code == 503

    now = datetime.now(UTC)
    api.reader.seen = SeenSummary(summary=summary(PAPER, "0"), seen_at=now, source="asked")
    balance = (await api.http.get(path)).json()
    assert (balance["equity"], balance["available"], balance["source"]) == ("1000", "500", "asked")

    api.reader.seen = None
    again = (await api.http.get(path)).json()
    assert again["as_of"] == balance["as_of"]

    asked = len(api.reader.asked)
    assert (await api.http.get(f"{path}?live=false")).json()["equity"] == "1000"
    assert len(api.reader.asked) == asked


async def test_a_refused_account_is_not_counted(api: Api) -> None:
    refused = account(account_id=SECOND, label="second", address="0x2", state=AccountState.REFUSED)
    await api.storage.accounts.add(refused, trading=b"sealed", feed=None)
    await say(api, SECOND, "3")

    assert (await api.http.get("/api/v1/positions")).json()["positions"] == []
