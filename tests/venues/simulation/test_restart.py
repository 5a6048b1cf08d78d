"""After a restart, also one that tore the last line, the exchange is what it was."""

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.venues.simulation.desk import START_MS, Desk, stop, take_profit
from venues.simulation import operations, trading
from venues.simulation.candles import INTERVALS_MS
from venues.simulation.journal import JOURNAL_NAME
from venues.simulation.ownership import approve_agent, set_leverage
from venues.simulation.records import NonceUsed, Position, Side, TimeInForce
from venues.simulation.switches import Switches

D = Decimal
ACCOUNTS = ("ann", "bob", "eve")


def whole_state(desk: Desk) -> dict[str, Any]:
    """Everything that an outsider could ever see, and what decides about the future."""
    tables = desk.tables
    now_ms = desk.clock.now_ms()
    return {
        "ledger": desk.ledger(),
        "books": {
            symbol: [
                [(one.price, one.quantity, list(one.orders)) for one in side.levels()]
                for side in (book.bids, book.asks)
            ]
            for symbol, book in tables.books.items()
        },
        "accounts": msgspec.to_builtins(tables.accounts),
        "positions": {
            (row.account, row.symbol): msgspec.to_builtins(row)
            for rows in tables.positions.values()
            for row in rows.values()
            # A row that says nothing beyond the defaults may or may not exist.
            if row != Position(account=row.account, symbol=row.symbol, leverage=_leverage(row))
        },
        "agents": msgspec.to_builtins(tables.agents),
        "markets": msgspec.to_builtins(tables.markets),
        "held": {name: tables.held_margin.get(name, D(0)) for name in ACCOUNTS},
        "funding": msgspec.to_builtins(tables.funding_payments),
        "trades": msgspec.to_builtins({k: list(v) for k, v in tables.trades.items()}),
        "settings": tables.settings,
        "candles": {
            (symbol, interval): tables.candles.between(symbol, interval, START_MS - 1, now_ms)
            for symbol in tables.instruments
            for interval in INTERVALS_MS
        },
        "next": (tables.next_order_id, tables.next_trade_number, tables.next_priority),
        "nonces": [tables.nonces.refusal("s", START_MS + n, now_ms) for n in range(150)],
    }


def _leverage(row: Position) -> int:
    return {"COIN": 20, "OTHER": 10}[row.symbol]


prices = st.integers(90_00, 110_00).map(lambda cents: str(Decimal(cents) / 100))
quantities = st.integers(20, 3_000).map(lambda hundredths: str(Decimal(hundredths) / 100))
accounts = st.sampled_from(ACCOUNTS)
steps = st.one_of(
    st.tuples(
        st.just("place"),
        accounts,
        st.sampled_from(Side),
        quantities,
        prices,
        st.sampled_from(TimeInForce),
        st.booleans(),
    ),
    st.tuples(st.just("trigger"), accounts, st.sampled_from(Side), quantities, prices),
    st.tuples(st.just("tree"), accounts, quantities, prices),
    st.tuples(st.just("cancel"), st.integers(0, 50)),
    st.tuples(st.just("replace"), st.integers(0, 50), prices),
    st.tuples(st.just("price"), prices),
    st.tuples(st.just("fill"), st.integers(0, 50)),
    st.tuples(st.just("leverage"), accounts, st.integers(1, 20), st.booleans()),
    st.tuples(st.just("funding"), st.integers(-50, 50)),
    st.tuples(st.just("nonce"), st.integers(0, 140)),
    st.tuples(st.just("agent"), accounts, st.integers(0, 5)),
    st.tuples(st.just("time"), st.integers(1, 4_000_000)),
)


def live(desk: Desk, number: int) -> Any:
    orders = [one for rows in desk.tables.live_orders.values() for one in rows.values()]
    return orders[number % len(orders)] if orders else None


def request(side: Side, quantity: str, price: str, **more: Any) -> trading.OrderRequest:
    return trading.OrderRequest(
        symbol="COIN", side=side, price=D(price), quantity=D(quantity), **more
    )


def do(desk: Desk, step: tuple[Any, ...]) -> None:
    exchange, tables = desk.exchange, desk.tables
    match step:
        case ("place", account, side, quantity, price, tif, reduce_only):
            desk.place(account, side, quantity, price, tif=tif, reduce_only=reduce_only)
        case ("trigger", account, side, quantity, price):
            desk.place(account, side, quantity, price, trigger=stop(price), client_order_id="c")
        case ("tree", account, quantity, price):
            parent = request(Side.BUY, quantity, price)
            profit = request(
                Side.SELL, quantity, "108", reduce_only=True, trigger=take_profit("108")
            )
            loss = request(Side.SELL, quantity, "80", reduce_only=True, trigger=stop("93"))
            with exchange.action("order"):
                trading.place_tree(tables, exchange.switches, account, [parent, profit, loss])
        case ("cancel", number):
            order = live(desk, number)
            if order is not None:
                desk.cancel(order)
        case ("replace", number, price):
            order = live(desk, number)
            if order is not None:
                new = request(order.side, "1", price)
                with exchange.action("modify"):
                    trading.replace(
                        tables, exchange.switches, order, new, order.account, always_place=True
                    )
        case ("price", price):
            desk.price(price)
        case ("fill", number):
            order = live(desk, number)
            if order is not None and order.priority and order.status == "open":
                operations.fill_order(exchange, order, None, None)
        case ("leverage", account, leverage, isolated):
            with exchange.action("leverage"):
                set_leverage(tables, account, "COIN", leverage, is_isolated=isolated)
        case ("funding", rate):
            operations.pay_funding(exchange, "COIN", D(rate) / 100_000)
        case ("nonce", nonce):
            with exchange.action("noop"):
                if tables.nonces.refusal("s", START_MS + nonce, tables.now_ms) is None:
                    tables.record(NonceUsed(signer="s", nonce=START_MS + nonce))
        case ("agent", account, number):
            with exchange.action("agent"):
                until_ms = tables.now_ms + 10**9
                approve_agent(tables, account, f"agent {number}", f"{number % 3}", until_ms)
        case ("time", passed_ms):
            desk.clock.offset_ms += passed_ms
            operations.pass_time(exchange)


async def run(home: Path, todo: list[tuple[Any, ...]], restarts: set[int]) -> None:
    switches = Switches()
    desk = Desk(home, switches=switches)
    for name in ACCOUNTS:
        desk.fund(name, 2_000)
    for number, step in enumerate(todo):
        do(desk, step)
        if number in restarts or number == len(todo) - 1:
            before, now_ms = whole_state(desk), desk.clock.now_ms()
            await desk.exchange.close()
            desk = Desk(home, switches=switches, start_ms=now_ms)
            assert whole_state(desk) == before
    await desk.exchange.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, min_size=1, max_size=40), st.sets(st.integers(0, 40), max_size=3))
def test_a_restart_changes_nothing(todo: list[tuple[Any, ...]], restarts: set[int]) -> None:
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(run(Path(home), todo, restarts))


async def test_a_line_torn_by_a_crash_takes_only_its_own_action_along(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.fund("ann")
    desk.buy("ann", "1", "90")
    before = desk.ledger()
    desk.buy("ann", "2", "91")
    await desk.exchange.close()
    path = tmp_path / JOURNAL_NAME
    path.write_bytes(path.read_bytes()[:-20])
    again = Desk(tmp_path)
    assert again.ledger() == before
    assert again.buy("ann", "3", "92").venue_order_id == 41_545_810_001
    await again.exchange.close()


async def test_a_clock_that_was_shifted_stays_shifted(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.exchange.shift_clock(5_000)
    await desk.exchange.close()
    again = Desk(tmp_path)
    assert again.exchange.now_ms() == START_MS + 5_000
    await again.exchange.close()


async def test_an_answer_waits_for_the_disk(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with desk.exchange.action("open_account") as receipt:
        from venues.simulation.ownership import open_account

        open_account(desk.tables, "ann", D(5))
    assert b"ann" not in (tmp_path / JOURNAL_NAME).read_bytes()
    await desk.exchange.durable(receipt)
    assert b'"ann"' in (tmp_path / JOURNAL_NAME).read_bytes()
    await desk.exchange.close()
