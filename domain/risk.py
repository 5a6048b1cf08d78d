"""Whether an order would exceed a limit, and how much of each is used. Pure decisions.

What does not raise the worst case of an exposure is never refused for it, so what reduces always
passes. Knows no storage and no venue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from domain.exposure import Asked, Exposure, Situation
from domain.instruments import OrderSide
from domain.net_positions import EXACT
from domain.numbers import plain
from domain.risk_limits import RiskLimits
from domain.violations import ALL_ACCOUNTS, LimitName, Violation

_BPS = Decimal(10_000)
_SHOWN = Decimal("0.0001")


def judge(
    own: RiskLimits,
    general: RiskLimits,
    situation: Situation,
    whole: Situation | None,
    asked: Asked,
) -> tuple[Violation, ...]:
    """Return every limit of the account, and of everything, that the order would exceed.

    `situation` is the account's, `whole` that of all accounts; without it no sum over all accounts
    is checked.
    """
    found = check(own, situation, asked)
    found += check(general.apart(), replace(situation, scope=ALL_ACCOUNTS), asked)
    if whole is not None:
        found += check(general.together(), whole, asked)
    return found


def check(limits: RiskLimits, situation: Situation, asked: Asked) -> tuple[Violation, ...]:
    """Return every limit that the order would exceed; none for one that only reduces.

    A limit that cannot be measured for want of a price or of equity is not checked, unless the
    order raises exposure and something that is held cannot be valued.
    """
    if asked.reduce_only:
        return ()
    change = _Change.of(situation, asked)
    found = [_CHECKS[name](change, limit) for name, limit in limits.present().items()]
    return tuple(
        Violation(
            limit=name,
            limit_value=limit,
            value=excess.value,
            scope=situation.scope,
            note=excess.note,
        )
        for (name, limit), excess in zip(limits.present().items(), found, strict=True)
        if excess is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitUse:
    """How much of a limit is used now; None where nothing is limited, or nothing can be told.

    `symbol` names the market of the greatest position.
    """

    limit: LimitName
    limit_value: Decimal | None
    value: Decimal | None
    symbol: str | None = None

    @property
    def is_exceeded(self) -> bool:
        """Whether more is used than the limit allows: only what reduces passes."""
        if self.limit_value is None or self.value is None:
            return False
        if self.limit is LimitName.MAX_DAILY_LOSS:
            return self.value >= self.limit_value
        return self.value > self.limit_value


def in_use(limits: RiskLimits, situation: Situation) -> tuple[LimitUse, ...]:
    """Return the present use of every limit that is used by what there is, not by each order."""
    by_symbol: dict[str, list[Exposure]] = {}
    for exposure in situation.exposures:
        by_symbol.setdefault(exposure.symbol, []).append(exposure)
    notionals = {symbol: _sum(exposures) for symbol, exposures in by_symbol.items()}
    known = {symbol: value for symbol, value in notionals.items() if value}
    largest = max(known, key=lambda symbol: known[symbol] or Decimal(0), default=None)
    total = _sum(situation.exposures)
    values: dict[LimitName, Decimal | None] = {
        LimitName.MAX_POSITION_NOTIONAL: Decimal(0) if largest is None else known[largest],
        LimitName.MAX_TOTAL_NOTIONAL: total,
        LimitName.MAX_LEVERAGE: _leverage(total, situation.equity),
        LimitName.MAX_OPEN_ORDERS: Decimal(situation.open_orders),
        LimitName.MAX_ORDERS_PER_MINUTE: Decimal(situation.placed_last_minute),
        LimitName.MAX_DAILY_LOSS: _loss(situation.day_result),
    }
    return tuple(
        LimitUse(
            limit=name,
            limit_value=limits.of(name),
            value=values.get(name),
            symbol=largest if name is LimitName.MAX_POSITION_NOTIONAL else None,
        )
        for name in LimitName
    )


@dataclass(frozen=True, slots=True)
class _Excess:
    """What a limit would come to, above what it allows."""

    value: Decimal | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What an order makes of a situation: its market before and after, and all other exposure."""

    situation: Situation
    asked: Asked
    before: Exposure
    after: Exposure
    others: tuple[Exposure, ...]

    @classmethod
    def of(cls, situation: Situation, asked: Asked) -> _Change:
        held = Exposure(account_id=asked.account_id, symbol=asked.symbol)
        others = []
        for exposure in situation.exposures:
            if (exposure.account_id, exposure.symbol) == (asked.account_id, asked.symbol):
                held = exposure
            else:
                others.append(exposure)
        mark = asked.mark_price if asked.mark_price is not None else held.price
        prices = [price for price in (mark, asked.value_price) if price is not None]
        before = replace(held, price=max(prices, default=None))
        added = EXACT.subtract(asked.quantity, asked.replaces)
        if asked.side is OrderSide.BUY:
            after = replace(before, buys=max(EXACT.add(before.buys, added), Decimal(0)))
        else:
            after = replace(before, sells=max(EXACT.add(before.sells, added), Decimal(0)))
        return cls(
            situation=situation, asked=asked, before=before, after=after, others=tuple(others)
        )

    @property
    def raises(self) -> bool:
        """Whether the worst case grows: only then is exposure checked at all."""
        return self.after.worst > self.before.worst


def _order_notional(change: _Change, limit: Decimal) -> _Excess | None:
    price = change.asked.value_price
    if price is None:
        return None
    value = EXACT.multiply(change.asked.quantity, price)
    grows = change.asked.quantity > change.asked.replaces
    return _Excess(value) if grows and value > limit else None


def _position_notional(change: _Change, limit: Decimal) -> _Excess | None:
    symbol = change.asked.symbol
    alike = tuple(exposure for exposure in change.others if exposure.symbol == symbol)
    return _notional_excess(change, (change.after, *alike), limit, symbol)


def _total_notional(change: _Change, limit: Decimal) -> _Excess | None:
    return _notional_excess(change, (change.after, *change.others), limit, "")


def _notional_excess(
    change: _Change, exposures: tuple[Exposure, ...], limit: Decimal, note: str
) -> _Excess | None:
    if not change.raises:
        return None
    value = _sum(exposures)
    if value is None:
        return _unvalued(exposures)
    return _Excess(value, note) if value > limit else None


def _unvalued(exposures: tuple[Exposure, ...]) -> _Excess:
    symbols = sorted({exposure.symbol for exposure in exposures if exposure.notional is None})
    return _Excess(None, f"no price of {', '.join(symbols)} is known yet")


def _effective_leverage(change: _Change, limit: Decimal) -> _Excess | None:
    equity = change.situation.equity
    if equity is None or not change.raises:
        return None
    exposures = (change.after, *change.others)
    total = _sum(exposures)
    if total is None:
        return _unvalued(exposures)
    if equity <= 0:
        return _Excess(None, "the account has no equity")
    if total <= EXACT.multiply(limit, equity):
        return None
    return _Excess(_leverage(total, equity), f"worst case over equity of {plain(equity)}")


def _open_orders(change: _Change, limit: Decimal) -> _Excess | None:
    value = Decimal(change.situation.open_orders + 1)
    return _Excess(value) if change.asked.is_new and value > limit else None


def _orders_per_minute(change: _Change, limit: Decimal) -> _Excess | None:
    value = Decimal(change.situation.placed_last_minute + 1)
    return _Excess(value) if change.asked.is_new and value > limit else None


def _price_distance(change: _Change, limit: Decimal) -> _Excess | None:
    asked = change.asked
    if asked.trigger_price is not None and asked.order_type.is_market:
        return None
    # Of a triggered order the market stands at its trigger when its price begins to count.
    reference = asked.trigger_price if asked.trigger_price is not None else asked.mark_price
    if asked.price is None or reference is None or reference <= 0:
        return None
    distance = EXACT.multiply(abs(asked.price - reference), _BPS)
    if distance <= EXACT.multiply(limit, reference):
        return None
    what = "trigger" if asked.trigger_price is not None else "mark"
    return _Excess(_shown(distance, reference), f"from the {what} price {plain(reference)}")


def _daily_loss(change: _Change, limit: Decimal) -> _Excess | None:
    value = _loss(change.situation.day_result)
    return _Excess(value) if change.raises and value is not None and value >= limit else None


_CHECKS: Mapping[LimitName, Callable[[_Change, Decimal], _Excess | None]] = {
    LimitName.MAX_ORDER_NOTIONAL: _order_notional,
    LimitName.MAX_POSITION_NOTIONAL: _position_notional,
    LimitName.MAX_TOTAL_NOTIONAL: _total_notional,
    LimitName.MAX_LEVERAGE: _effective_leverage,
    LimitName.MAX_OPEN_ORDERS: _open_orders,
    LimitName.MAX_ORDERS_PER_MINUTE: _orders_per_minute,
    LimitName.MAX_PRICE_DISTANCE_BPS: _price_distance,
    LimitName.MAX_DAILY_LOSS: _daily_loss,
}


def _sum(exposures: Iterable[Exposure]) -> Decimal | None:
    """Return what all of them are worth at worst; None where one of them cannot be valued."""
    total = Decimal(0)
    for exposure in exposures:
        notional = exposure.notional
        if notional is None:
            return None
        total = EXACT.add(total, notional)
    return total


def _leverage(total: Decimal | None, equity: Decimal | None) -> Decimal | None:
    if total is None or equity is None or equity <= 0:
        return None
    return _shown(total, equity)


def _loss(day_result: Decimal | None) -> Decimal | None:
    return None if day_result is None else max(-day_result, Decimal(0))


def _shown(part: Decimal, of: Decimal) -> Decimal:
    """Return a quotient to four decimals, rounded up: what exceeds a limit shows above it."""
    return EXACT.divide(part, of).quantize(_SHOWN, ROUND_CEILING, context=EXACT)
