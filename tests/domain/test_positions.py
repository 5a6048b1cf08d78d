"""Open positions: the venue's word, our count when it is newer, the freshest mark."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import (
    Account,
    AccountState,
    AccountSummary,
    MarginMode,
    Network,
    Position,
    PositionSide,
)
from domain.errors import InvalidInput
from domain.instruments import OrderSide
from domain.net_positions import NetPosition
from domain.pnl import fold_fills
from domain.positions import (
    AccountBooks,
    MarkPrice,
    PositionSource,
    SeenSummary,
    exposed_by,
    open_positions,
    position_id_of,
    split_position_id,
)
from tests.domain.building import NOW
from tests.domain.test_pnl import a_fill

BTC, ETH = "BTC-PERP", "ETH-PERP"
ACCOUNT = Account(
    account_id="acc",
    owner="local",
    venue="hyperliquid",
    label="main",
    network=Network.PAPER,
    address="0x1",
    signer="0x2",
    state=AccountState.ACTIVE,
    created_at=NOW,
)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def said(**changes: Any) -> Position:
    position = Position(
        account_id="acc",
        venue="hyperliquid",
        symbol=BTC,
        side=PositionSide.LONG,
        quantity=Decimal(2),
        entry_price=Decimal(100),
        notional=Decimal(220),
        unrealized_pnl=Decimal(20),
        liquidation_price=Decimal(55),
        leverage=Decimal(10),
        margin_mode=MarginMode.CROSS,
        initial_margin=Decimal(22),
    )
    return replace(position, **changes)


def seen(*positions: Position, at_s: float = 10) -> SeenSummary:
    summary = AccountSummary(
        account_id="acc",
        equity=Decimal(1_000),
        available=Decimal(900),
        initial_margin=Decimal(22),
        maintenance_margin=Decimal(11),
        positions=positions,
        event_time=at(at_s),
    )
    return SeenSummary(summary=summary, seen_at=at(at_s), source="test")


def counted(quantity: str, at_s: float, symbol: str = BTC) -> NetPosition:
    return NetPosition(
        account_id="acc",
        symbol=symbol,
        quantity=Decimal(quantity),
        last_price=None,
        updated_at=at(at_s),
    )


def books(**parts: Any) -> AccountBooks:
    values: dict[str, Any] = {"seen": None, "funding": {}, "marks": {}, **parts}
    return AccountBooks(account=ACCOUNT, **values)


def test_nothing_known_is_nothing_open() -> None:
    assert open_positions(books()) == ()


def test_the_venues_word_is_shown_as_it_is() -> None:
    (position,) = open_positions(books(seen=seen(said())))
    assert position.position_id == "acc:BTC-PERP"
    assert position.signed_quantity == 2
    assert position.mark_price == 110
    assert position.mark_at == position.as_of == at(10)
    assert position.notional == 220
    assert position.unrealized_pnl == 20
    assert position.liquidation_price == 55
    assert position.liquidation_distance == Decimal("0.5")
    assert position.source is PositionSource.VENUE
    assert position.net_pnl == 20


def test_a_fill_after_the_venues_word_moves_the_quantity_at_once() -> None:
    (position,) = open_positions(books(seen=seen(said()), net_positions=(counted("-1.5", 11),)))
    assert position.source is PositionSource.FILLS
    assert position.side is PositionSide.SHORT
    assert position.quantity == Decimal("1.5")
    # What only the venue knows was said of another position.
    assert position.liquidation_price is None
    assert position.initial_margin is None
    assert position.leverage == 10
    assert position.entry_price is None
    assert position.unrealized_pnl is None
    assert position.net_pnl is None


def test_an_older_count_does_not_outrank_the_venue() -> None:
    (position,) = open_positions(books(seen=seen(said()), net_positions=(counted("7", 9),)))
    assert position.quantity == 2
    assert position.source is PositionSource.VENUE


def test_a_position_closed_since_is_gone_at_once() -> None:
    assert open_positions(books(seen=seen(said()), net_positions=(counted("0", 11),))) == ()


def test_a_position_of_which_the_venue_says_nothing_any_more_is_gone() -> None:
    assert open_positions(books(seen=seen(), net_positions=(counted("2", 9),))) == ()


def test_our_fills_give_entry_and_profit_where_they_make_up_the_position() -> None:
    market = fold_fills(
        "acc",
        BTC,
        [
            a_fill(OrderSide.BUY, "3", "100.5"),
            a_fill(OrderSide.SELL, "1", "101.5", 1),
        ],
    )
    (position,) = open_positions(
        books(
            seen=seen(said(entry_price=Decimal("100"))),
            markets=(market,),
            funding={BTC: Decimal("-0.25")},
            marks={BTC: MarkPrice(price=Decimal(111), seen_at=at(12))},
        )
    )
    assert position.entry_price == Decimal("100.5")
    assert position.unrealized_pnl == 21
    assert position.realized_pnl == 1
    assert position.fees == 1
    assert position.funding == Decimal("-0.25")
    assert position.net_pnl == Decimal("20.75")
    assert position.opened_at == NOW
    assert position.mark_at == at(12)


def test_the_newest_mark_counts() -> None:
    old = {BTC: MarkPrice(price=Decimal(90), seen_at=at(9))}
    (position,) = open_positions(books(seen=seen(said()), marks=old))
    assert position.mark_price == 110
    (from_fills,) = open_positions(books(net_positions=(counted("1", 1),), marks=old))
    assert from_fills.mark_price == 90
    assert from_fills.as_of is None
    (unpriced,) = open_positions(books(net_positions=(counted("1", 1),)))
    assert unpriced.notional is None
    assert unpriced.liquidation_distance is None


def test_exposure_adds_up_by_any_key() -> None:
    short = said(symbol=ETH, side=PositionSide.SHORT, notional=Decimal(50), quantity=Decimal(1))
    positions = open_positions(
        books(seen=seen(said(), short), net_positions=(counted("3", 11, "SOL-PERP"),))
    )
    (all_,) = exposed_by(positions, "venue")
    assert (all_.long, all_.short) == (Decimal(220), Decimal(50))
    assert (all_.gross, all_.net) == (Decimal(270), Decimal(170))
    assert all_.initial_margin == 44
    assert all_.unpriced == 1
    assert [one.key for one in exposed_by(positions, "symbol")] == [BTC, ETH, "SOL-PERP"]


def test_a_position_id_names_account_and_symbol() -> None:
    assert split_position_id(position_id_of("acc", BTC)) == ("acc", BTC)
    assert split_position_id("BTC-PERP") == (None, "BTC-PERP")


@pytest.mark.parametrize("text", ["", ":", ":BTC-PERP", "acc:", "a\nb", "x" * 129])
def test_what_names_no_position_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected a symbol such as BTC-PERP"):
        split_position_id(text)
