"""A simulated exchange that several accounts trade on at random, and what its venue would tell us.

The exchange's own tables are the witness; fills and funding leave it in the venue's words.
"""

from __future__ import annotations

import random
from decimal import Decimal

import msgspec

from domain.accounts import FundingPayment
from domain.fills import Fill
from tests.venues.simulation.desk import COIN, OTHER, Desk
from venues.hyperliquid import simulator_views as views
from venues.hyperliquid import translate, wire
from venues.simulation import operations
from venues.simulation.instruments import Instrument
from venues.simulation.records import Side, TimeInForce

ACCOUNTS = ("ann", "bob", "cas", "dee")


class RandomMarket:
    """Trades until there are `wanted` fills; seeded."""

    def __init__(self, seed: int, *, wanted: int) -> None:
        self._source = random.Random(seed)
        self.desk = Desk(seed=seed)
        for name in ACCOUNTS:
            self.desk.fund(name, 100_000_000)
        while len(self.desk.tables.fills) < wanted:
            self._step()

    def _step(self) -> None:
        source, desk = self._source, self.desk
        # Often nothing passes between two actions: fills share a millisecond then.
        desk.clock.offset_ms += source.choice((0, 0, 1, 700))
        chance = source.random()
        if chance < 0.02:
            operations.pay_funding(
                desk.exchange,
                source.choice((COIN, OTHER)).symbol,
                Decimal(source.randint(-500, 500)) / 1_000_000,
            )
            # Nothing trades in the same millisecond: times would not tell what was first.
            desk.clock.offset_ms += 1
        elif chance < 0.05:
            operations.step_price(
                desk.exchange, source.choice((COIN, OTHER)).symbol, source, step_bps=150
            )
        else:
            self._trade(source.choice((COIN, OTHER)))

    def _trade(self, instrument: Instrument) -> None:
        source, desk = self._source, self.desk
        mark = desk.tables.markets[instrument.symbol].mark_price
        near = mark * (1 + Decimal(source.randint(-60, 60)) / 10_000)
        price = instrument.price_below(near)
        lots = source.randint(20, 4_000)
        quantity = Decimal(lots).scaleb(-instrument.size_decimals)
        if quantity * price < 10:
            quantity *= 100
        desk.place(
            source.choice(ACCOUNTS),
            source.choice(tuple(Side)),
            str(quantity),
            str(price),
            symbol=instrument.symbol,
            tif=source.choice((TimeInForce.IOC, TimeInForce.GTC, TimeInForce.GTC)),
        )

    def fills(self, account: str) -> list[Fill]:
        """Return the account's fills as its connector would, oldest first."""
        rows = [views.fill_row(one) for one in self.desk.tables.fills if one.account == account]
        decoded = msgspec.json.decode(msgspec.json.encode(rows), type=list[wire.FillRow])
        found = [translate.fill(account, row) for row in decoded]
        return [fill for fill in found if fill is not None]

    def funding(self, account: str) -> list[FundingPayment]:
        """Return the account's funding payments, oldest first."""
        return [
            FundingPayment(
                account_id=account,
                symbol=translate.symbol_of(one.symbol),
                amount=one.amount,
                rate=one.rate,
                position_quantity=one.quantity,
                event_time=translate.at_ms(one.time_ms),
            )
            for one in self.desk.tables.funding_payments.get(account, [])
        ]
