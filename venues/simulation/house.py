"""The liquidity of the house: seeded quotes around a price, as deep after a trade as before.

The quotes are a pure function of seed, market, price and generation, so they need no log. The
house has no account: it is the other side when nobody else is.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Final

from venues.simulation.instruments import Instrument
from venues.simulation.records import HOUSE, ZERO, Market, Order, Side, TimeInForce
from venues.simulation.tables import Tables

LEVELS: Final = 20
#: Distance of the best quote from the price, and between quotes, as shares of the price.
_HALF_SPREAD: Final = Decimal("0.00005")
_STEP: Final = Decimal("0.0001")
#: Money offered at one level, before a seeded factor between a half and one and a half.
_LEVEL_NOTIONAL: Final = 250_000


class House:
    """The quotes of the house in every market."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._quotes: dict[str, list[tuple[Order, Decimal]]] = {}
        # Markets where a quote is missing because it would cross somebody.
        self._incomplete: set[str] = set()
        self._next_id = -1

    def quote(self, tables: Tables, symbol: str) -> None:
        """Put quotes around the market's mark price; those of before must be gone."""
        instrument, market = tables.instruments[symbol], tables.markets[symbol]
        random_source = random.Random(f"{self.seed}/{symbol}/{market.generation}")
        quotes: list[tuple[Order, Decimal]] = []
        for side in (Side.BUY, Side.SELL):
            last: Decimal | None = None
            for level in range(LEVELS):
                price = _price(instrument, market, side, level, last)
                weight = Decimal(random_source.randrange(50, 151)) / 100
                quantity = instrument.quantity_below(_LEVEL_NOTIONAL * weight / price)
                if price <= 0 or not quantity:
                    break
                last = price
                quotes.append((self._order(symbol, side, price), quantity))
        self._quotes[symbol] = quotes
        self._incomplete.add(symbol)
        self.replenish(tables, symbol)

    def withdraw(self, tables: Tables, symbol: str) -> None:
        """Take every quote out of the book."""
        for order, _ in self._quotes.pop(symbol, []):
            if order.remaining:
                tables.books[symbol].side(order.side).remove(order)

    def replenish(self, tables: Tables, symbol: str) -> None:
        """Bring every quote back to its full quantity, but for those that would cross somebody.

        So the quotes depend only on the market and on what others have resting, and a restart
        finds the book that was.
        """
        if symbol not in tables.traded_with_house and symbol not in self._incomplete:
            return
        self._incomplete.discard(symbol)
        book = tables.books[symbol]
        for order, quantity in self._quotes.get(symbol, []):
            target = ZERO if book.side(order.side.opposite).crosses(order.price) else quantity
            if not target:
                self._incomplete.add(symbol)
            if order.remaining != target:
                ladder = book.side(order.side)
                if order.remaining:
                    ladder.remove(order)
                order.remaining = target
                if target:
                    ladder.add(order)

    def _order(self, symbol: str, side: Side, price: Decimal) -> Order:
        self._next_id -= 1
        return house_order(symbol, side, price, ZERO, self._next_id)


def house_order(
    symbol: str, side: Side, price: Decimal, quantity: Decimal, order_id: int = -1
) -> Order:
    """Make an order of the house; its id is negative and never shown."""
    return Order(
        venue_order_id=order_id,
        account=HOUSE,
        symbol=symbol,
        side=side,
        price=price,
        quantity=quantity,
        remaining=quantity,
        created_ms=0,
        updated_ms=0,
        number=0,
        time_in_force=TimeInForce.GTC,
    )


def _price(
    instrument: Instrument, market: Market, side: Side, level: int, last: Decimal | None
) -> Decimal:
    """Return the price of a level: away from the mark price and at least a tick from the last."""
    mark = market.mark_price
    away = mark * (_HALF_SPREAD + level * _STEP)
    tick = instrument.tick_size(last or mark)
    if side is Side.BUY:
        price = instrument.price_below(mark - away)
        return min(price, instrument.price_below((last or mark) - tick))
    price = instrument.price_above(mark + away)
    return max(price, instrument.price_above((last or mark) + tick))
