"""What one venue is traded by in the matrix: a market, a quantity, and prices that each serve once.

All of it is read from the venue's rig, its registry entry and its simulated exchange, so that a
venue joins by its line in the registry and its rig alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from domain.accounts import Network
from domain.instruments import Instrument
from domain.orders import TimeInForce
from tests.conformance.rig import VenueRig, rig_of
from tests.crash.rig import WITHOUT_FENCE, Rig
from tests.crash.trader import Trader
from venues import registry
from venues.connector import Capabilities, ProofTable

#: So much below the best bid, and so much through the best offer; further off a venue may refuse.
RESTS_AT, TAKES_AT = Decimal("0.9"), Decimal("1.005")
#: What an order is worth at the least, in the market's own minimum.
MINIMA = 5
#: How long beyond its proof table's bound an order may take to be decided.
GRACE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """One venue's market, and what a trader asks for there.

    `proves_absence` is false where nothing proves of a lost placement that it cannot come any more.
    """

    rig: VenueRig
    capabilities: Capabilities
    proofs: ProofTable
    proves_absence: bool
    exchange_symbol: str
    quantity: Decimal
    lot: Decimal
    highest: Decimal
    step: Decimal
    taking: Decimal

    @property
    def venue(self) -> str:
        """The venue's name."""
        return self.rig.venue

    @property
    def decided_within_s(self) -> float:
        """How long what was lost may take to be found out, once everything runs again."""
        window_s = self.proofs.admission_window_s or 0.0
        return window_s + self.proofs.visibility_delay_s + self.proofs.verdict_delay_s + GRACE_S

    @property
    def immediate(self) -> TimeInForce:
        """The time in force of an order that takes at once what there is, or all of it."""
        ioc = TimeInForce.IOC in self.capabilities.times_in_force
        return TimeInForce.IOC if ioc else TimeInForce.FOK

    def price(self, number: int) -> str:
        """Return a price of its own that rests far below the book."""
        return f"{self.highest - number * self.step:f}"

    def resting(self, price: str) -> dict[str, Any]:
        """Return an order that rests at such a price."""
        return self.order(price=price)

    def order(self, **fields: Any) -> dict[str, Any]:
        """Return a buy of this ground's quantity."""
        asked = {"symbol": self.rig.symbol, "side": "BUY", "quantity": f"{self.quantity:f}"}
        return asked | fields


async def survey(rig: Rig, venue: str) -> Ground:
    """Look at a venue's market through its own connector."""
    its = rig_of(venue)
    spec = registry.load(venue)
    os.environ[its.paper_variable] = rig.venue_url(venue)
    try:
        connector = spec.connect(Network.PAPER)
    finally:
        del os.environ[its.paper_variable]
    await connector.start()
    try:
        market = await connector.instrument(its.symbol)
        book = await connector.order_book(market.symbol, depth=1)
    finally:
        await connector.close()
    highest = market.price_rule.floor(book.bids[0].price * RESTS_AT)
    return Ground(
        rig=its,
        capabilities=spec.capabilities,
        proofs=spec.proofs,
        proves_absence=spec.proofs.proves_absence and rig.mutant != WITHOUT_FENCE,
        exchange_symbol=market.venue_symbol,
        quantity=_worth(market, highest / 2),
        lot=market.lot_size,
        highest=highest,
        step=market.price_rule.step_at(highest),
        taking=market.price_rule.ceiling(book.asks[0].price * TAKES_AT),
    )


def _worth(market: Instrument, price: Decimal) -> Decimal:
    notional = MINIMA * (market.min_notional or Decimal(10))
    lots = (notional / price / market.lot_size).to_integral_value(rounding=ROUND_CEILING)
    return lots * market.lot_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A trader with a funded account on his ground."""

    ground: Ground
    trader: Trader
    address: str

    @property
    def venue(self) -> str:
        """The venue's name."""
        return self.ground.venue


async def join(rig: Rig, venue: str) -> Party:
    """Return a trader with a new funded paper account at a venue."""
    ground = await survey(rig, venue)
    trader = Trader(rig.api_url, rig.home / "api-token")
    opened = await rig.control("POST", "/accounts", {}, venue=venue)
    address = ground.rig.address(opened)
    await trader.open_account(opened, f"crash-{venue}-{address[-8:]}".lower(), venue=venue)
    return Party(ground=ground, trader=trader, address=address)


async def taken(rig: Rig, party: Party, **fields: Decimal) -> list[dict[str, Any]]:
    """Return the orders of a party that the exchange took, ever, with such a price or quantity."""
    ledger = await rig.control("GET", f"/ledger?account={party.address}", venue=party.venue)
    return [
        order
        for order in ledger["orders"]
        if order["was_taken"]
        and all(Decimal(order[name]) == value for name, value in fields.items())
    ]


async def count(rig: Rig, party: Party, price: str, *, live: int, ever: int) -> None:
    """Check how many orders at a price the exchange has, and how many it took, ever."""
    orders = await taken(rig, party, price=Decimal(price))
    resting = [order for order in orders if order["is_live"]]
    where = f"at {price} on {party.venue}"
    assert len(orders) == ever, f"expected {ever} orders {where}, the exchange has {orders}"
    assert len(resting) == live, f"expected {live} live {where}, the exchange has {orders}"
