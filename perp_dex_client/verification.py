"""Trying a venue for real, with an order that rests far from the market: step by step, by evidence.

Everything goes through the public API, so that the worker signs as ever. Whatever fails, the order
is canceled at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from perp_dex_client.errors import ApiError, OutcomeUnknown, StateConflict
from perp_dex_client.models import Market, Order
from perp_dex_client.orders import OrderRequest
from perp_dex_client.venues import standing
from perp_dex_client.watching import OrderEvent, watch_orders

if TYPE_CHECKING:
    from perp_dex_client.client import PerpDexClient

#: So long each step may take.
STEP_WITHIN_S: Final = 30.0
#: An order is worth so much of the market's least.
_WORTH: Final = Decimal("1.5")
_FALLBACK_NOTIONAL: Final = Decimal(10)
_POLL_S: Final = 0.2

Evidence = dict[str, str]


class StepFailed(Exception):
    """A step did not show what it has to; the text says what was expected and found."""


class VerifiedStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step: whether it passed, how long it took, and what shows it."""

    name: str
    passed: bool
    seconds: float
    evidence: Evidence


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What came of trying a venue. `order_status` is the order's last known status, None without.

    `left_open`: the order was not seen to end; look at the venue.
    """

    venue: str
    network: str
    account: str
    symbol: str
    passed: bool
    left_open: bool
    steps: tuple[VerifiedStep, ...]
    order_id: str | None = None
    order_status: str | None = None


class VenueTrial:
    """One trial of one account in one market; `told` hears of each step as it ends."""

    def __init__(
        self,
        client: PerpDexClient,
        *,
        venue: str,
        network: str,
        account: str,
        symbol: str,
        away: Decimal,
        stream_url: str,
        token: str,
        told: Callable[[VerifiedStep], None] = lambda step: None,
    ) -> None:
        """Take what to try; `away` is how far below the market the order rests, as a share."""
        self._client = client
        self._venue = venue
        self._network = network
        self._account = account
        self._symbol = symbol
        self._away = away
        self._stream = (stream_url, token)
        self._told = told
        self._steps: list[VerifiedStep] = []
        self._heard: list[OrderEvent] = []
        self._news = asyncio.Event()
        self._order: Order | None = None
        self._account_id = ""
        self._wanted: OrderRequest | None = None
        self._is_unknown = False

    async def run(self) -> Verification:
        """Take every step up to the first that fails, then cancel what is open."""
        listening: asyncio.Task[None] | None = None
        try:
            for name, step in (
                ("venue", self._find_venue),
                ("account", self._find_account),
                ("market", self._find_market),
            ):
                if not await self._take(name, step):
                    return self._result()
            listening = asyncio.create_task(self._listen())
            for name, step in (
                ("feed", self._feed_is_live),
                ("place", self._place),
                ("look up", self._look_up),
                ("modify", self._modify),
                ("cancel", self._cancel),
                ("look up again", self._look_up_again),
                ("feed told", self._feed_told),
            ):
                if not await self._take(name, step):
                    break
            return self._result()
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.wait([listening])

    async def _take(self, name: str, step: Callable[[], Awaitable[Evidence]]) -> bool:
        began = time.monotonic()
        passed, evidence = False, {}
        try:
            async with asyncio.timeout(STEP_WITHIN_S):
                evidence = await step()
            passed = True
        except StepFailed as error:
            evidence = {"expected": str(error)}
        except TimeoutError:
            self._is_unknown |= name == "place"
            evidence = {"expected": f"an end within {STEP_WITHIN_S:g} s"}
        except ApiError as error:
            self._is_unknown |= isinstance(error, OutcomeUnknown)
            evidence = {"error": str(error)}
        taken = VerifiedStep(
            name=name, passed=passed, seconds=round(time.monotonic() - began, 3), evidence=evidence
        )
        self._steps.append(taken)
        self._told(taken)
        if not passed and self._wanted is not None:
            await self._cancel_what_is_open()
        return passed

    def _result(self) -> Verification:
        order = self._order
        return Verification(
            venue=self._venue,
            network=self._network,
            account=self._account,
            symbol=self._symbol,
            passed=bool(self._steps) and all(step.passed for step in self._steps),
            left_open=self._is_unknown or (order is not None and not order.is_terminal),
            steps=tuple(self._steps),
            order_id=None if order is None else order.order_id,
            order_status=None if order is None else order.status,
        )

    # Steps before an order

    async def _find_venue(self) -> Evidence:
        found = await self._client.venues.get(self._venue)
        if not found.served or found.capabilities is None:
            raise StepFailed(f"a worker that serves {self._venue}, found none; see perp-dex status")
        networks = ", ".join(found.capabilities.networks)
        return {"standing": standing(found) or "", "networks": networks}

    async def _find_account(self) -> Evidence:
        found = await self._client.account_details.get(self._account)
        place = (found.venue, found.network)
        if place != (self._venue, self._network):
            raise StepFailed(f"an account at {self._venue} ({self._network}), found one at {place}")
        if found.state != "ACTIVE":
            raise StepFailed(f"an active account, found {found.state}: {found.state_reason}")
        if found.halted:
            raise StepFailed("an account that is not halted; perp-dex resume")
        self._account_id = found.account_id
        return {
            "account_id": found.account_id,
            "address": found.address,
            "signer": found.signer or "",
            "power": found.power or "not told",
        }

    async def _find_market(self) -> Evidence:
        where = {"venue": self._venue, "network": self._network}
        market = await self._client.market(self._symbol, **where)
        ticker = await self._client.ticker(self._symbol, **where)
        mark = ticker.mark_price or ticker.mid_price or ticker.best_bid
        if mark is None:
            raise StepFailed("a present price, found none")
        price = price_below(market, mark * (1 - self._away))
        self._wanted = OrderRequest(
            symbol=self._symbol,
            side="BUY",
            quantity=least_quantity(market, price),
            price=price,
            account=self._account,
        )
        dry = await self._client.dry_run(self._wanted)
        if dry.problems:
            raise StepFailed(f"an order that the market takes, found {dry.problems}")
        return {
            "mark_price": str(mark),
            "price": str(price),
            "quantity": str(self._wanted.quantity),
        }

    # Steps with an order

    async def _feed_is_live(self) -> Evidence:
        await self._until(
            lambda: any(each.kind == "status" and not each.stale for each in self._heard)
        )
        live = [each for each in self._heard if each.kind == "status" and not each.stale]
        return {"feed": live[-1].reason or "live"}

    async def _place(self) -> Evidence:
        assert self._wanted is not None  # noqa: S101 - the market's step made it
        placed = await self._client.place(self._wanted, wait_s=20.0)
        self._order = placed
        if placed.outcome == "unknown":
            self._is_unknown = True
        if placed.status != "ACCEPTED":
            raise StepFailed(f"an order that rests, found {placed.status}: {placed.reason}")
        return self._shown(placed)

    async def _look_up(self) -> Evidence:
        return await self._reconciled()

    async def _modify(self) -> Evidence:
        order = self._the_order
        assert order.price is not None  # noqa: S101 - it was placed with one
        market = await self._client.market(self._symbol, venue=self._venue, network=self._network)
        price = price_below(market, order.price * Decimal("0.99"))
        changed = await self._client.modify(order.order_id, price=price, wait_s=20.0)
        changed = await self._settled(changed, lambda found: found.price == price)
        if (changed.status, changed.price) != ("ACCEPTED", price):
            raise StepFailed(f"an order at {price}, found {changed.status} at {changed.price}")
        return self._shown(changed)

    async def _cancel(self) -> Evidence:
        canceled = await self._client.cancel(self._the_order.order_id, wait_s=20.0)
        canceled = await self._settled(canceled, lambda found: found.is_terminal)
        if canceled.status != "CANCELED":
            raise StepFailed(f"a canceled order, found {canceled.status}: {canceled.reason}")
        return self._shown(canceled)

    async def _look_up_again(self) -> Evidence:
        evidence = await self._reconciled()
        self._order = await self._client.order(self._the_order.order_id)
        if self._order.status != "CANCELED" or self._order.filled_quantity:
            raise StepFailed(f"a canceled order without fills, found {self._order.status}")
        return {**evidence, "filled_quantity": str(self._order.filled_quantity)}

    async def _feed_told(self) -> Evidence:
        order_id = self._the_order.order_id

        def ended() -> bool:
            return any(
                order.order_id == order_id and order.is_terminal
                for each in self._heard
                for order in each.orders
            )

        await self._until(ended)
        stale = [each.reason for each in self._heard if each.kind == "status" and each.stale]
        changes = [each for each in self._heard if each.kind == "update"]
        return {"changes": str(len(changes)), "losses of the feed": str(len(stale))}

    # What steps need

    @property
    def _the_order(self) -> Order:
        assert self._order is not None  # noqa: S101 - steps that follow placing
        return self._order

    async def _listen(self) -> None:
        url, token = self._stream
        async for event in watch_orders(url, token, account_id=self._account_id):
            self._heard.append(event)
            self._news.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._news.clear()
            await self._news.wait()

    async def _settled(self, order: Order, holds: Callable[[Order], bool]) -> Order:
        """Read an order until it is as wanted, or ended otherwise."""
        while not (holds(order) and order.status != "PENDING_MODIFY") and not order.is_terminal:
            await asyncio.sleep(_POLL_S)
            order = await self._client.order(order.order_id)
        self._order = order
        return order

    async def _reconciled(self) -> Evidence:
        """Have the account compared with the venue, which lists what is open there."""
        key = f"verify-{time.time_ns()}"
        done = None
        while done is None:
            done = await self._client.reconciliations.reconcile(self._account, key=key, wait_s=10.0)
        if not done.has_passed:
            raise StepFailed(f"a comparison that passes, found {done.status}: {done.error}")
        order = self._order
        about = [
            finding.text
            for finding in done.findings or ()
            if order is not None and finding.order_id == order.order_id
        ]
        if about:
            raise StepFailed(f"no difference about the order, found {'; '.join(about)}")
        return {
            "reconciliation": done.reconciliation_id,
            "orders seen at the venue": str(done.counts.orders_seen),
        }

    async def _cancel_what_is_open(self) -> None:
        """Cancel the order whatever is known of it; what becomes of that is told by the result."""
        if self._order is None or self._order.is_terminal:
            return
        with contextlib.suppress(ApiError, StateConflict, TimeoutError):
            async with asyncio.timeout(STEP_WITHIN_S):
                canceled = await self._client.cancel(self._order.order_id, wait_s=10.0)
                await self._settled(canceled, lambda found: found.is_terminal)

    @staticmethod
    def _shown(order: Order) -> Evidence:
        return {
            "order_id": order.order_id,
            "venue_order_id": order.venue_order_id or "",
            "client_order_id": order.client_order_id or "",
            "status": order.status,
            "price": str(order.price),
        }


def price_below(market: Market, price: Decimal) -> Decimal:
    """Return the highest price of the market's grid that is not above `price`."""
    step = market.tick_size
    if step is None:
        places = min(
            market.price_max_decimals,
            (market.price_significant_figures or 5) - 1 - price.adjusted(),
        )
        step = Decimal(1).scaleb(-places)
    return (price / step).to_integral_value(rounding=ROUND_FLOOR) * step


def least_quantity(market: Market, price: Decimal) -> Decimal:
    """Return a quantity in whole lots that is worth a little more than the market's least."""
    worth = (market.min_notional or _FALLBACK_NOTIONAL) * _WORTH
    lots = (worth / price / market.lot_size).to_integral_value(rounding=ROUND_CEILING)
    return max(lots, Decimal(1)) * market.lot_size
