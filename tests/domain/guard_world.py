"""A market, an exchange's account and a store in memory, for the model of guards.

The mark has one truth; what is read of it may be a lone spike, stale, crossed, or no answer. The
activities of a guard run over this as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, TypeVar

from activities.guarding import GuardActivities
from domain.accounts import AccountSummary, MarginMode, Network, Position, PositionSide
from domain.closing import CloseStatus
from domain.conditions import HeldPosition, better
from domain.errors import VenueUnavailable
from domain.guarding import GuardState, GuardStatus, Watch
from domain.market_data import BookLevel, Candle, OrderBook, Ticker
from tests.domain.building import NOW
from tests.domain.closing_building import BTC

T = TypeVar("T")
ZERO = Decimal(0)


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine that never waits comes to."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits for something")


@dataclass
class World:
    """The truth: the mark and its path, the position, and how the exchange answers."""

    now: datetime = NOW
    mark: Decimal = Decimal(100)
    side: PositionSide = PositionSide.LONG
    quantity: Decimal = Decimal(2)
    spike: Decimal | None = None
    is_stale: bool = False
    is_crossed: bool = False
    is_down: bool = False
    path: list[tuple[datetime, Decimal]] = field(default_factory=lambda: [(NOW, Decimal(100))])

    def go_to(self, mark: Decimal) -> None:
        self.mark = mark
        self.path.append((self.now, mark))

    @property
    def held(self) -> HeldPosition | None:
        if self.quantity <= 0:
            return None
        return HeldPosition(
            side=self.side,
            quantity=self.quantity,
            entry_price=Decimal(100),
            leverage=Decimal(10),
        )

    @property
    def best(self) -> Decimal:
        """The best true mark there ever was, for the position's side."""
        seen = [mark for _, mark in self.path]
        return max(seen) if self.side is PositionSide.LONG else min(seen)

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.spike = None

    # The connector

    async def account_summary(self, account: Any) -> AccountSummary:
        if self.is_down:
            raise VenueUnavailable("no answer")
        found: tuple[Position, ...] = ()
        if self.quantity > 0:
            found = (
                Position(
                    account_id="acc",
                    venue="hyperliquid",
                    symbol="BTC-PERP",
                    side=self.side,
                    quantity=self.quantity,
                    entry_price=Decimal(100),
                    notional=self.quantity * self.mark,
                    unrealized_pnl=ZERO,
                    liquidation_price=None,
                    leverage=Decimal(10),
                    margin_mode=MarginMode.CROSS,
                    initial_margin=ZERO,
                ),
            )
        return AccountSummary(
            account_id="acc",
            equity=ZERO,
            available=ZERO,
            initial_margin=ZERO,
            maintenance_margin=ZERO,
            positions=found,
            event_time=self.now,
        )

    async def tickers(self) -> list[Ticker]:
        age = timedelta(seconds=60 if self.is_stale else 0)
        return [
            Ticker(
                venue="hyperliquid",
                symbol="BTC-PERP",
                mark_price=self.mark if self.spike is None else self.spike,
                index_price=self.mark,
                mid_price=None,
                funding_rate=None,
                funding_interval_s=3600,
                open_interest=None,
                volume_24h=None,
                received_time=self.now - age,
            )
        ]

    async def order_book(self, symbol: str, *, depth: int) -> OrderBook:
        spread = Decimal("-0.1") if self.is_crossed else Decimal("0.1")
        bid, ask = self.mark - spread, self.mark + spread
        return OrderBook(
            venue="hyperliquid",
            symbol=symbol,
            bids=(BookLevel(price=bid, quantity=Decimal(1)),),
            asks=(BookLevel(price=ask, quantity=Decimal(1)),),
            event_time=self.now,
            received_time=self.now,
        )

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> list[Candle]:
        traded = [mark for at, mark in self.path if start <= at <= end] + [self.mark]
        return [
            Candle(
                venue="hyperliquid",
                symbol=symbol,
                interval=interval,
                open_time=start,
                close_time=end,
                open=traded[0],
                high=max(traded),
                low=min(traded),
                close=traded[-1],
                volume=ZERO,
            )
        ]

    async def instrument(self, symbol: str) -> Any:
        return BTC

    async def open_orders(self, account: Any) -> list[Any]:
        return []


@dataclass
class Store:
    """The guard's row, as SQL keeps it, and the ends of closes."""

    row: GuardState | None = None
    ended_closes: dict[str, CloseStatus] = field(default_factory=dict)

    async def keep(self, state: GuardState) -> GuardState:
        kept = self.row
        if kept is None:
            self.row = state
            return state
        if kept.status.is_terminal or state.status is GuardStatus.REQUESTED:
            return kept
        extreme = state.extreme
        same = state.plan.version == kept.plan.version
        if extreme is not None and kept.extreme is not None and state.position and same:
            best = better(state.position, extreme.price, kept.extreme.price)
            extreme = extreme if best == extreme.price else kept.extreme
        self.row = replace(state, watch=kept.watch, extreme=extreme)
        return self.row

    async def get(self, condition_id: str) -> GuardState | None:
        return self.row

    async def how_it_closed(self, close_id: str) -> CloseStatus | None:
        return self.ended_closes.get(close_id)

    async def live_orders(self, order_ids: Collection[str]) -> tuple[str, ...]:
        return ()

    def watched(self, at: datetime) -> None:
        """Prove that the stream watches."""
        if self.row is not None:
            self.row = replace(self.row, watch=Watch(by="stream", since=at, at=at))

    def move_extreme(self, price: Decimal, at: datetime) -> None:
        """Keep a trailing extreme that the stream saw, if it is better."""
        row = self.row
        if row is None or row.extreme is None or row.position is None or row.status.is_terminal:
            return
        best = better(row.position, row.extreme.price, price)
        if best is not None and best != row.extreme.price:
            self.row = replace(row, extreme=replace(row.extreme, price=best, at=at))


def activities_of(world: World, store: Store) -> GuardActivities:
    """Return the activities of a guard over this world."""

    async def opened(account_id: str) -> Any:
        return SimpleNamespace(account=SimpleNamespace(network=Network.PAPER))

    async def connector(venue: str, network: Network) -> World:
        return world

    async def no_order(order_id: str) -> None:
        return None

    parts: Any = SimpleNamespace(
        access=SimpleNamespace(open=opened),
        orders=SimpleNamespace(get=no_order),
        connectors=SimpleNamespace(connector=connector),
        now=lambda: world.now,
    )
    conditions: Any = store
    return GuardActivities(parts, conditions, sleep=world.sleep)
