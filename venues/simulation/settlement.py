"""What an execution does to orders, positions and money.

Books fills and changes balances; does not decide who trades with whom.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final

from venues.simulation.events import AccountChanged, Filled, Traded
from venues.simulation.records import ZERO, Fill, Order, Position, Side, Trade
from venues.simulation.tables import Tables

TAKER_FEE: Final = Decimal("0.00045")
MAKER_FEE: Final = Decimal("0.00015")
#: Fees are cut, not rounded, to a millionth of a dollar.
_FEE_STEP: Final = Decimal("0.000001")
#: Realized profit is kept to this step, and the entry takes the difference: no money appears.
_PNL_STEP: Final = Decimal("0.00000001")
_TRADE_ID_MASK: Final = (1 << 50) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Liquidation:
    """Who is being liquidated and at which mark price."""

    account: str
    mark_price: Decimal


def execute(
    tables: Tables,
    *,
    taker: Order,
    maker: Order,
    price: Decimal,
    quantity: Decimal,
    liquidation: Liquidation | None = None,
) -> None:
    """Book one execution for both sides; the maker's remaining quantity is the book's business."""
    trade = _trade(tables, taker, maker, price, quantity)
    tables.record(trade)
    tables.emit(Traded(trade=trade))
    taker.remaining -= quantity
    for order, is_taker in ((taker, True), (maker, False)):
        order.filled += quantity
        if not order.is_house:
            order.filled_notional += quantity * price
            order.updated_ms = tables.now_ms
            tables.touch(order)
            _book_fill(tables, order, trade, is_taker=is_taker, liquidation=liquidation)


def _trade(tables: Tables, taker: Order, maker: Order, price: Decimal, quantity: Decimal) -> Trade:
    digest = hashlib.blake2b(f"trade {tables.next_trade_number}".encode(), digest_size=8).digest()
    buyer, seller = taker.account, maker.account
    if taker.side is Side.SELL:
        buyer, seller = seller, buyer
    return Trade(
        trade_id=int.from_bytes(digest) & _TRADE_ID_MASK,
        symbol=taker.symbol,
        side=taker.side,
        price=price,
        quantity=quantity,
        time_ms=tables.now_ms,
        action_hash=tables.action_hash,
        buyer=buyer,
        seller=seller,
    )


def _book_fill(
    tables: Tables,
    order: Order,
    trade: Trade,
    *,
    is_taker: bool,
    liquidation: Liquidation | None,
) -> None:
    account = tables.accounts[order.account]
    position = tables.position(order.account, order.symbol)
    size = trade.quantity * trade.price
    rate = TAKER_FEE if is_taker else MAKER_FEE
    fee = (size * rate).quantize(_FEE_STEP, rounding=ROUND_DOWN)
    start = position.quantity
    pnl = _move_position(tables, position, trade.quantity * order.side.sign, trade.price)
    account.cash -= fee
    account.volume += size
    if not is_taker:
        account.maker_volume += size
    tables.touch(account)
    fill = Fill(
        trade_id=trade.trade_id,
        venue_order_id=order.venue_order_id,
        account=order.account,
        symbol=order.symbol,
        side=order.side,
        price=trade.price,
        quantity=trade.quantity,
        fee=fee,
        closed_pnl=pnl,
        start_position=start,
        is_taker=is_taker,
        time_ms=trade.time_ms,
        action_hash=trade.action_hash,
        client_order_id=order.client_order_id,
        liquidated_account=liquidation.account if liquidation else None,
        liquidation_mark=liquidation.mark_price if liquidation else None,
    )
    tables.record(fill)
    tables.emit(Filled(fill=fill))
    tables.emit(AccountChanged(address=order.account))


def _move_position(tables: Tables, row: Position, change: Decimal, price: Decimal) -> Decimal:
    """Apply a signed change of quantity; pay the realized profit into the account; return it."""
    account = tables.accounts[row.account]
    held = row.quantity
    pnl = ZERO
    opened = change
    if held and (held > 0) != (change > 0):
        closed = min(abs(change), abs(held))
        sign = 1 if held > 0 else -1
        share = closed / abs(held)
        gained = sign * closed * price
        pnl = (gained - row.entry_notional * share).quantize(_PNL_STEP)
        row.entry_notional -= gained - pnl
        released = row.isolated_margin * share
        row.isolated_margin -= released
        account.cash += pnl + released
        opened = change + sign * closed
    row.entry_notional += opened * price
    row.quantity = held + change
    if row.is_isolated and opened:
        needed = abs(opened) * price / row.leverage
        row.isolated_margin += needed
        account.cash -= needed
    if not held or not row.quantity or (held > 0) != (row.quantity > 0):
        row.funding_since_open = ZERO
    row.funding_since_change = ZERO
    if not row.quantity:
        row.entry_notional = row.isolated_margin = ZERO
    tables.count_holder(row)
    tables.touch(row)
    return pnl
