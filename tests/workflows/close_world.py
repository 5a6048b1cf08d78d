"""A world around one close that is small enough to be shaken: exchange, store, orders' workflows.

The close's own workflow and activities run in it as they are; only what they stand on is made here:
Temporal (a `Runtime` that stops at every await), the venue and the database. Time stands still
until it is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from activities.closing import CloseActivities
from domain.accounts import PositionSide
from domain.closing import ClosePlan, CloseState, CloseStatus, closing_order_id
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.order_fold import apply, with_absence, with_closure, with_revision
from domain.orders import Closure, Order, OrderReport, OrderType, Revision, Verdict
from tests.domain.building import NOW
from workflows.close import CloseWorkflow
from workflows.close_contracts import CloseStart
from workflows.ids import order_workflow_id

LOT = Decimal(1)
MARK = Decimal(100)
SLIPPAGE = Decimal("0.99")
"""What a market sell is worth of the mark at the plan's bound."""
MARKET = Instrument(
    venue="hyperliquid",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=LOT,
    price_rule=PriceRule(tick_size=Decimal(1)),
    min_notional=Decimal(300),
    max_leverage=50,
)


@dataclass(slots=True)
class Asked:
    """One await of the code under test: what it waits for."""

    kind: str
    what: Any = None

    def __await__(self) -> Generator[Asked, Any, Any]:
        return (yield self)


class GoneOnAsNew(BaseException):
    """A run that has ended to go on in a fresh history."""

    def __init__(self, start: CloseStart) -> None:
        self.start = start


@dataclass
class AtVenue:
    """The exchange's own truth of one order."""

    order: Order
    filled: Decimal = Decimal(0)
    verdict: Verdict = Verdict.ACCEPTED

    @property
    def lives(self) -> bool:
        return not self.verdict.is_terminal

    @property
    def left(self) -> Decimal:
        return self.order.quantity - self.filled

    def report(self, *, hides: bool = False) -> OrderReport:
        """Return what the venue says; a reduce-only order that it cut `hides` what it filled."""
        hides = hides and self.verdict is Verdict.CANCELED
        return OrderReport(
            order_id=self.order.order_id,
            revision=0,
            verdict=self.verdict,
            filled_quantity=None if hides else self.filled,
            average_price=MARK if self.filled and not hides else None,
        )


@dataclass
class Exchange:
    """A signed position, and reduce-only orders."""

    held: Decimal
    takes_small: bool
    orders: dict[str, AtVenue] = field(default_factory=dict)
    under_way: dict[str, AtVenue] = field(default_factory=dict)

    def arrive(self, order_id: str, take: Decimal) -> None:
        new = self.under_way.pop(order_id)
        self.orders[order_id] = new
        if self.room(new.order.side) == 0 or self._is_too_small(new.order):
            new.verdict = Verdict.REJECTED
        elif new.order.order_type is OrderType.MARKET:
            self.fill(new, take)
            new.verdict = Verdict.CANCELED if new.left else Verdict.FILLED

    def _is_too_small(self, order: Order) -> bool:
        if self.takes_small and order.quantity >= self.room(order.side):
            return False
        bound = MARK * SLIPPAGE if order.side is OrderSide.SELL else MARK
        return MARKET.is_below_minimum(order.quantity, order.price or bound)

    def room(self, side: OrderSide) -> Decimal:
        """Return how much an order of `side` can reduce the position by."""
        return max(self.held if side is OrderSide.SELL else -self.held, Decimal(0))

    def fill(self, order: AtVenue, quantity: Decimal) -> None:
        quantity = min(quantity, order.left, self.room(order.order.side))
        if not quantity:
            return
        order.filled += quantity
        self.held += quantity if order.order.side is OrderSide.BUY else -quantity
        order.verdict = Verdict.PARTIALLY_FILLED if order.left else Verdict.FILLED

    @property
    def living(self) -> list[AtVenue]:
        return [order for order in self.orders.values() if order.lives]

    def is_out(self, order_id: str) -> bool:
        """Tell whether an order can trade, or may come to."""
        seen = self.orders.get(order_id)
        return order_id in self.under_way or (seen is not None and seen.lives)


@dataclass
class OrderLife:
    """One run of an order's workflow, as far as its close can tell the difference."""

    world: World
    order: Order
    running: bool = True
    lost: bool = False
    cancel_wanted: bool = False

    @property
    def stored(self) -> Order | None:
        return self.world.orders.get(self.order.order_id)

    def may_place(self) -> bool:
        is_early = self.world.now < self.order.place_by
        return self.running and self.stored is None and is_early

    def work(self, fate: str, take: Decimal, *, hides: bool) -> None:
        """Do one step towards the order's end; nothing is sent twice, nor past its time."""
        stored, at_venue = self.stored, self.world.exchange.orders.get(self.order.order_id)
        if stored is None:
            self._place(fate, take, hides=hides)
        elif stored.is_terminal:
            self._settle(stored, at_venue)
        elif self.order.order_id in self.world.exchange.under_way:
            self._resolve(stored, arrives=fate != "not sent", take=take)
        elif at_venue is not None:
            if self.cancel_wanted and at_venue.lives:
                at_venue.verdict = Verdict.CANCELED
            self.world.hear(at_venue.report(hides=hides))

    def _place(self, fate: str, take: Decimal, *, hides: bool) -> None:
        order, world = self.order, self.world
        if self.cancel_wanted or world.now >= order.place_by or fate == "not sent":
            verdict = Verdict.CANCELED if self.cancel_wanted else Verdict.EXPIRED
            closure = Closure(verdict=verdict, reason="not_sent")
            world.orders[order.order_id] = with_closure(order, closure)
        elif fate == "denied":
            world.orders[order.order_id] = replace(order, denied="forbidden")
        else:
            revision = Revision(
                number=0,
                client_order_id=order.order_id,
                quantity=order.quantity,
                price=order.price,
            )
            world.orders[order.order_id] = with_revision(order, revision)
            world.exchange.under_way[order.order_id] = at_venue = AtVenue(order=order)
            if fate == "on its way":
                return
            world.exchange.arrive(order.order_id, take)
            if fate == "refused" and not at_venue.filled:
                at_venue.verdict = Verdict.REJECTED
            world.hear(at_venue.report(hides=hides))

    def _resolve(self, stored: Order, *, arrives: bool, take: Decimal) -> None:
        order_id = self.order.order_id
        if arrives:
            self.world.exchange.arrive(order_id, take)
            self.world.hear(self.world.exchange.orders[order_id].report())
            return
        self.world.exchange.under_way.pop(order_id)
        closure = Closure(verdict=Verdict.EXPIRED, reason="not_sent")
        self.world.orders[order_id] = with_closure(with_absence(stored, 0, "never came"), closure)

    def _settle(self, stored: Order, at_venue: AtVenue | None) -> None:
        if at_venue is not None:
            self.world.hear(at_venue.report())
        self.running = False

    # What a close holds of it.

    def done(self) -> bool:
        return self.lost or not self.running

    def cancel(self) -> None:
        self.cancel_wanted = True

    def __await__(self) -> Generator[Any, Any, str]:
        yield from ()
        if self.lost:
            raise ApplicationError("terminated")
        return "ended"


class World:
    """Everything around a close."""

    def __init__(self, plan: ClosePlan, held: Decimal, *, takes_small: bool) -> None:
        self.now = NOW
        self.plan = plan
        self.exchange = Exchange(held=held, takes_small=takes_small)
        self.orders: dict[str, Order] = {}
        self.kept: CloseState | None = CloseState(plan=plan)
        self.lives: dict[str, OrderLife] = {}
        self.shown = Decimal(0)
        self.is_long = False
        self.takes_small = takes_small
        parts: Any = SimpleNamespace(
            orders=self, access=self, connectors=self, now=lambda: self.now
        )
        closes: Any = StoredCloses(self)
        self.activities = CloseActivities(parts, closes)

    def hear(self, report: OrderReport) -> None:
        stored = self.orders.get(report.order_id)
        if stored is not None and stored.revisions:
            self.orders[report.order_id] = apply(stored, report)

    def own(self) -> list[str]:
        """Return the ids of the close's own orders."""
        return [i for i, o in self.lives.items() if o.order.parent_id == self.plan.close_id]

    @property
    def filled(self) -> Decimal:
        """What the close's own orders have filled, in truth."""
        seen = (self.exchange.orders.get(order_id) for order_id in self.own())
        return sum((order.filled for order in seen if order is not None), Decimal(0))

    def can_trade(self, order_id: str) -> bool:
        life = self.lives.get(order_id)
        return self.exchange.is_out(order_id) or (life is not None and life.may_place())

    def sweep(self) -> None:
        """Give orders that nobody manages a workflow again, as the orphan sweep does."""
        for order_id, life in list(self.lives.items()):
            stored = self.orders.get(order_id)
            if not life.running and stored is not None and not stored.is_terminal:
                self.lives[order_id] = OrderLife(self, life.order)

    # The venue and the store, as the activities ask them; each answer may take its time.

    async def open(self, account_id: str) -> Any:
        return SimpleNamespace(account=self.account)

    account: Any = SimpleNamespace(account_id="acc", network="testnet")

    async def connector(self, venue: str, network: object) -> Any:
        return self

    @property
    def capabilities(self) -> Any:
        return SimpleNamespace(closes_below_minimum=self.takes_small)

    async def instrument(self, symbol: str) -> Instrument:
        return MARKET

    async def account_summary(self, account: object) -> Any:
        await Asked("turn")
        held = self.exchange.held
        self.shown = held
        side = PositionSide.LONG if held > 0 else PositionSide.SHORT
        position = SimpleNamespace(
            symbol=self.plan.symbol, side=side, quantity=abs(held), notional=abs(held) * MARK
        )
        return SimpleNamespace(positions=(position,) if held else ())

    async def open_orders(self, account: object) -> list[Any]:
        await Asked("turn")
        return [
            SimpleNamespace(
                symbol=self.plan.symbol,
                reduce_only=True,
                client_order_id=order.order.order_id,
                venue_order_id=None,
            )
            for order in self.exchange.living
        ]

    async def order_book(self, symbol: str, depth: int) -> Any:
        await Asked("turn")
        return SimpleNamespace(
            bids=(SimpleNamespace(price=MARK - 1),), asks=(SimpleNamespace(price=MARK + 1),)
        )

    async def match(
        self, account_id: str, *, client_order_id: str, venue_order_id: object
    ) -> tuple[str, int] | None:
        return (client_order_id, 0) if client_order_id in self.orders else None

    async def get(self, order_id: str) -> Order | None:
        return self.orders.get(order_id)

    async def fills(self, account: object, *, since: datetime) -> list[OrderReport]:
        await Asked("turn")
        return [order.report() for order in self.exchange.orders.values()]

    async def book(self, fills: list[OrderReport]) -> None:
        await Asked("turn")
        for fill in fills:
            self.hear(replace(fill, verdict=Verdict.SUBMITTED))

    async def fill_total(self, order_id: str) -> Any:
        await Asked("turn")
        return SimpleNamespace(quantity=self.orders[order_id].filled_quantity)


@dataclass
class StoredCloses:
    """The close and its orders in the database."""

    world: World

    async def keep(self, state: CloseState) -> CloseState:
        await Asked("turn")
        kept = self.world.kept
        if kept is None or not (kept.status.is_terminal or state.status is CloseStatus.REQUESTED):
            self.world.kept = kept = state
        return kept

    async def orders(self, close_id: str, count: int) -> Sequence[Order]:
        await Asked("turn")
        ids = [closing_order_id(close_id, number) for number in range(count)]
        return [self.world.orders[i] for i in ids if i in self.world.orders]

    async def live_orders(self, account_id: str, symbol: str) -> Sequence[Order]:
        await Asked("turn")
        return [order for order in self.world.orders.values() if not order.is_terminal]


class Runtime:
    """What a workflow finds of Temporal; each await comes to the test as an `Asked`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_long = False

    def info(self) -> Any:
        return SimpleNamespace(
            typed_search_attributes={}, is_continue_as_new_suggested=lambda: self.is_long
        )

    def set_current_details(self, text: str) -> None:
        pass

    def upsert_search_attributes(self, pairs: object) -> None:
        pass

    def patched(self, name: str) -> bool:
        return True

    def now(self) -> datetime:
        return self.world.now

    def random(self) -> Any:
        return SimpleNamespace(random=lambda: 0.5)

    def all_handlers_finished(self) -> bool:
        return True

    def continue_as_new(self, start: CloseStart) -> None:
        raise GoneOnAsNew(start)

    async def execute_activity_method(self, method: Any, task: Any, **options: Any) -> Any:
        return await Asked("look", lambda: method(self.world.activities, task))

    async def execute_local_activity_method(self, method: Any, task: Any, **options: Any) -> Any:
        return await Asked("keep", lambda: method(self.world.activities, task))

    async def wait_condition(
        self, holds: Callable[[], bool], *, timeout: timedelta | None = None, **options: Any
    ) -> None:
        if not holds():
            await Asked("wait", (holds, None if timeout is None else self.now() + timeout))

    async def start_child_workflow(self, run: object, start: Any, **options: Any) -> Any:
        return await Asked("start", start.order)

    def get_external_workflow_handle(self, workflow_id: str) -> Any:
        async def cancel() -> None:
            await Asked("cancel", workflow_id)

        return SimpleNamespace(cancel=cancel)


class CloseRun:
    """One run of the close's workflow, await by await."""

    def __init__(
        self, world: World, start: CloseStart, on_placing: Callable[[CloseState, Order], None]
    ) -> None:
        self.world = world
        self.on_placing = on_placing
        self.workflow = CloseWorkflow(start)
        self.coroutine: Coroutine[Any, Any, Any] = self.workflow._drive()
        self.activity: Coroutine[Any, Any, Any] | None = None
        self.asked: Asked | None = None
        self.ended = False
        self._go_on(None)

    @property
    def state(self) -> CloseState:
        return self.workflow._state

    def close(self) -> None:
        """End it like a termination: what it waits for is forgotten."""
        self.coroutine.close()
        if self.activity is not None:
            self.activity.close()

    def _go_on(self, value: Any) -> None:
        try:
            self.asked = self.coroutine.send(value)
        except StopIteration:
            self.asked, self.ended = None, True
        self._note_placing()

    def _fail(self, error: Exception) -> None:
        self.asked = self.coroutine.throw(error)
        self._note_placing()

    def _note_placing(self) -> None:
        if self.asked is not None and self.asked.kind == "start":
            self.on_placing(self.state, self.asked.what)

    def advance(self, *, looks_fail: bool = False) -> bool:
        """Do what is waited for, one read at a time; False: there is nothing to do but wait.

        Raises:
            GoneOnAsNew: the run has ended, to go on in another.
        """
        asked = self.asked
        if asked is None:
            return False
        match asked.kind:
            case "look" | "keep":
                self._act(asked, fails=looks_fail and asked.kind == "look")
            case "start":
                self._start(asked.what)
            case "cancel":
                self._cancel(asked.what)
            case "wait":
                holds, until = asked.what
                if holds():
                    self._go_on(None)
                elif until is not None and self.world.now >= until:
                    self._fail(TimeoutError())
                else:
                    return False
        return True

    @property
    def waits_until(self) -> datetime | None:
        """When a run that waits goes on at the latest."""
        until: datetime | None = None
        if self.asked is not None and self.asked.kind == "wait":
            until = self.asked.what[1]
        return until

    def _act(self, asked: Asked, *, fails: bool) -> None:
        if fails:
            self.lose_activity()
            self._fail(ApplicationError("no answer"))
            return
        self.activity = self.activity or asked.what()
        try:
            self.activity.send(None)
        except StopIteration as end:
            self.activity = None
            self._go_on(end.value)

    def lose_activity(self) -> None:
        """Its worker died: what is patient begins anew."""
        if self.activity is not None:
            self.activity.close()
            self.activity = None

    def _start(self, order: Order) -> None:
        life = self.world.lives.get(order.order_id)
        if life is not None and life.running:
            workflow_id = order_workflow_id(order.order_id)
            self._fail(WorkflowAlreadyStartedError(workflow_id, "OrderWorkflow"))
            return
        life = self.world.lives[order.order_id] = OrderLife(self.world, order)
        self._go_on(life)

    def _cancel(self, workflow_id: str) -> None:
        lives = (life for life in self.world.lives.values() if life.running)
        found = [i for i in lives if order_workflow_id(i.order.order_id) == workflow_id]
        if not found:
            self._fail(ApplicationError("not found"))
            return
        found[0].cancel()
        self._go_on(None)
