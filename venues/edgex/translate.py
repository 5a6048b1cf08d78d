"""From EdgeX's words to ours: orders, fills, money. Pure; knows no transport.

Contract ids become symbols by the catalog; what is no market of ours is left out. What the venue
reckons of an account is taken where it is told and reckoned from its primitives where it is not:
recorded answers differ in which fields they have.

Source: edgeX gitbook api/private-api/**; NOTES.md "Money".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    FundingPayment,
    LeverageSetting,
    MarginMode,
    Position,
    PositionSide,
)
from domain.fills import Fill, LiquiditySide
from domain.instruments import OrderSide
from venues.connector import VenueOrder
from venues.edgex import wire
from venues.edgex.catalog import VENUE, Catalog, Contract
from venues.edgex.statuses import is_trigger, reason_of, verdict_of
from venues.edgex.times import at_ms

FEE_CURRENCY: Final = "USDC"
#: The type of a movement of money that is funding.
FUNDING: Final = "POSITION_FUNDING"
#: A fill that the venue's own checks or its chain undid.
_UNDONE: Final = frozenset({"CENSOR_FAILURE", "L2_REJECT", "L2_REJECT_APPROVED"})
_SIDES: Final = {"BUY": OrderSide.BUY, "SELL": OrderSide.SELL}

#: Gives our symbol of a contract id, None for one that is no market of ours.
SymbolOf = Callable[[str], str | None]


def side_of(word: str) -> OrderSide:
    """Return the side that `BUY` or `SELL` spells. Raises WireError."""
    found = _SIDES.get(word)
    if found is None:
        raise wire.WireError(f"expected side 'BUY' or 'SELL', found {word[:40]!r}")
    return found


def order(row: wire.OrderRow, symbol_of: SymbolOf) -> VenueOrder | None:
    """Return an order, or None for one of no market of ours.

    What was matched counts as filled, less what was rolled back afterwards. Raises WireError.
    """
    symbol = symbol_of(row.contract_id)
    if symbol is None:
        return None
    quantity = wire.number(row.size, "size")
    matched = wire.number_or_none(row.cum_match_size, "cumMatchSize") or Decimal(0)
    value = wire.number_or_none(row.cum_match_value, "cumMatchValue")
    failed = wire.number_or_none(row.cum_fail_size, "cumFailSize") or Decimal(0)
    filled = max(matched - failed, Decimal(0))
    waits = is_trigger(row.type)
    return VenueOrder(
        client_order_id=row.client_order_id or None,
        venue_order_id=row.id,
        symbol=symbol,
        side=side_of(row.side),
        quantity=quantity,
        price=wire.number_or_none(row.price, "price") or None,
        verdict=verdict_of(
            row.status,
            row.cancel_reason,
            time_in_force=row.time_in_force,
            was_triggered=waits and row.trigger_time not in ("", "0"),
            filled=filled,
            quantity=quantity,
        ),
        filled_quantity=filled,
        average_price=value / matched if value and matched else None,
        reason=reason_of(row.status, row.cancel_reason),
        reduce_only=row.reduce_only,
        trigger_price=(wire.number_or_none(row.trigger_price, "triggerPrice") or None)
        if waits
        else None,
        created_at=at_ms(row.created_time, "createdTime") if row.created_time else None,
        event_time=at_ms(row.updated_time, "updatedTime"),
    )


def fill(
    account_id: str, row: wire.FillRow, symbol_of: SymbolOf, client_order_id: str | None = None
) -> Fill | None:
    """Return a fill, or None for one of no market of ours, or one that was undone.

    `fillPrice` is for display; where it times the size is not the value, the quotient counts. The
    venue's profit is after the fee, ours before. Raises WireError.
    """
    symbol = symbol_of(row.contract_id)
    if symbol is None or row.censor_status in _UNDONE:
        return None
    size, value = wire.number(row.fill_size, "fillSize"), wire.number(row.fill_value, "fillValue")
    if size <= 0:
        raise wire.WireError(f"expected a size above zero of fill {row.id}, found {size}")
    shown = wire.number_or_none(row.fill_price, "fillPrice")
    fee = wire.number(row.fill_fee, "fillFee")
    profit = wire.number_or_none(row.realize_pnl, "realizePnl")
    if row.direction not in ("TAKER", "MAKER"):
        raise wire.WireError(f"expected TAKER or MAKER, found {row.direction[:40]!r}")
    return Fill(
        account_id=account_id,
        venue=VENUE,
        symbol=symbol,
        trade_id=row.id,
        venue_order_id=row.order_id,
        client_order_id=client_order_id,
        side=side_of(row.order_side),
        price=shown if shown is not None and shown * size == value else value / size,
        quantity=size,
        fee=fee,
        fee_currency=FEE_CURRENCY,
        liquidity_side=LiquiditySide(row.direction),
        event_time=at_ms(row.match_time, "matchTime"),
        realized_pnl=None if profit is None else profit + fee,
        is_liquidation=row.is_liquidate,
    )


def funding_payment(
    account_id: str, row: wire.CollateralTransaction, symbol_of: SymbolOf
) -> FundingPayment | None:
    """Return one payment of funding, or None for another movement of money. Raises WireError."""
    symbol = symbol_of(row.position_contract_id)
    if row.type != FUNDING or symbol is None:
        return None
    return FundingPayment(
        account_id=account_id,
        symbol=symbol,
        amount=wire.number(row.delta_amount, "deltaAmount"),
        rate=wire.number(row.funding_rate, "fundingRate"),
        position_quantity=wire.number(row.funding_position_size, "fundingPositionSize"),
        event_time=at_ms(row.funding_time, "fundingTime"),
    )


def fee_rates(account: wire.AccountRow, catalog: Catalog) -> FeeRates:
    """Return an account's rates: its own where it has some, else what contracts usually state."""
    setting = account.default_trade_setting
    if setting.is_set_fee_rate and setting.taker_fee_rate and setting.maker_fee_rate:
        return FeeRates(
            maker=wire.number(setting.maker_fee_rate, "makerFeeRate"),
            taker=wire.number(setting.taker_fee_rate, "takerFeeRate"),
        )
    stated = [each.fees for each in catalog.instruments if each.fees is not None]
    if not stated:
        raise wire.WireError("expected fees of the account or of a contract, found none")
    return max(stated, key=stated.count)


def leverage(account: wire.AccountRow, contract: Contract) -> LeverageSetting:
    """Return an account's leverage in one market; the venue's default where none was set."""
    own = account.contract_id_to_trade_setting.get(contract.contract_id)
    found = contract.default_leverage
    for setting in (account.default_trade_setting, own):
        if setting is not None and setting.is_set_max_leverage:
            found = wire.number_or_none(setting.max_leverage, "maxLeverage") or found
    # Not by setMarginMode: what its numbers mean is documented nowhere.
    return LeverageSetting(
        symbol=contract.instrument.symbol,
        leverage=max(int(found), 1),
        mode=MarginMode.CROSS,
    )


def held_contracts(asset: wire.AccountAsset) -> list[str]:
    """Return the contracts of which a position is open and the venue does not reckon the value."""
    reckoned = {each.contract_id for each in asset.position_asset_list if each.position_value}
    return [
        row.contract_id
        for row in asset.position_list
        if wire.number(row.open_size, "openSize") and row.contract_id not in reckoned
    ]


def account_summary(
    account: Account,
    asset: wire.AccountAsset,
    catalog: Catalog,
    prices: Mapping[str, Decimal],
    *,
    at: datetime,
) -> AccountSummary:
    """Return money and positions; `prices` are the oracle's, of `held_contracts`.

    Money is what is left after the notionals of all positions: a buy takes from it and a sell adds
    to it, so equity is that and what the positions are worth. Raises WireError.
    """
    settled = next((row for row in asset.collateral_list if row.coin_id), None)
    amount = wire.number(settled.amount, "amount") if settled is not None else Decimal(0)
    reckoned = {row.contract_id: row for row in asset.position_asset_list}
    positions, values, maintenance = [], Decimal(0), Decimal(0)
    for row in asset.position_list:
        size = wire.number(row.open_size, "openSize")
        symbol = catalog.symbol_of(row.contract_id)
        if not size or symbol is None:
            continue
        contract = catalog.find(symbol)
        known = reckoned.get(row.contract_id)
        value = _value(row.contract_id, size, known, prices)
        values += value
        maintenance += _maintenance(contract, abs(value), known)
        positions.append(_position(account, asset.account, contract, row, value, known))
    money = next((row for row in asset.collateral_asset_model_list if row.coin_id), None)
    total = wire.number_or_none(money.total_equity, "totalEquity") if money else None
    free = wire.number_or_none(money.available_amount, "availableAmount") if money else None
    equity = total if total is not None else amount + values
    initial = sum((each.initial_margin for each in positions), Decimal(0))
    return AccountSummary(
        account_id=account.account_id,
        equity=equity,
        available=free if free is not None else equity - initial,
        initial_margin=initial,
        maintenance_margin=maintenance,
        positions=tuple(positions),
        event_time=at,
    )


def _value(
    contract_id: str,
    size: Decimal,
    known: wire.PositionAsset | None,
    prices: Mapping[str, Decimal],
) -> Decimal:
    """Return what a position is worth, negative for a short one."""
    told = wire.number_or_none(known.position_value, "positionValue") if known else None
    if told is not None:
        return abs(told) if size > 0 else -abs(told)
    price = prices.get(contract_id)
    if price is None:
        raise wire.WireError(f"expected a price of contract {contract_id}, found none")
    return size * price


def _maintenance(contract: Contract, value: Decimal, known: wire.PositionAsset | None) -> Decimal:
    told = (
        wire.number_or_none(known.risk_value or known.stark_ex_risk_value, "riskValue")
        if known is not None
        else None
    )
    return told if told is not None else value * contract.maintenance_rate(value)


def _position(
    account: Account,
    row: wire.AccountRow,
    contract: Contract,
    held: wire.PositionRow,
    value: Decimal,
    known: wire.PositionAsset | None,
) -> Position:
    size, cost = wire.number(held.open_size, "openSize"), wire.number(held.open_value, "openValue")
    # Of a short position both were seen negative, but only the size is documented to be.
    cost = abs(cost) if size > 0 else -abs(cost)
    setting = Decimal(leverage(row, contract).leverage)
    told = (
        wire.number_or_none(known.initial_margin_requirement, "initialMarginRequirement")
        if known is not None
        else None
    )
    liquidation = (
        wire.number_or_none(known.liquidate_price, "liquidatePrice") if known is not None else None
    )
    return Position(
        account_id=account.account_id,
        venue=VENUE,
        symbol=contract.instrument.symbol,
        side=PositionSide.LONG if size > 0 else PositionSide.SHORT,
        quantity=abs(size),
        entry_price=abs(cost / size),
        notional=abs(value),
        unrealized_pnl=value - cost,
        liquidation_price=liquidation if liquidation is not None and liquidation > 0 else None,
        leverage=setting,
        margin_mode=MarginMode.CROSS,
        initial_margin=told if told is not None else abs(value) / setting,
    )
