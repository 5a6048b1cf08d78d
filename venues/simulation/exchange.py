"""The exchange: applies one action at a time, logs it with its effects, then tells the world.

An action is what happens inside `with exchange.action(…)`. Its rows go to the log as one line;
answers wait for `durable`, listeners hear of it afterwards. After a restart the log's rows are the
exchange. Knows no wire, no signature and no fault.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from venues.simulation.clock import Clock, SystemClock
from venues.simulation.events import Event, MarketMoved
from venues.simulation.house import House
from venues.simulation.instruments import Instrument, default_instruments
from venues.simulation.journal import FileJournal, Journal, JournalFailed, MemoryJournal
from venues.simulation.records import TABLE_OF, TABLES, Market, Row, Setting
from venues.simulation.switches import Switches
from venues.simulation.tables import Tables
from venues.simulation.triggers import fire_triggers, liquidate

_log = logging.getLogger(__name__)

Listener = Callable[[Sequence[Event]], None]

#: Hourly funding rate of a fresh market: the interest part of an eight-hour rate of 0.01 %.
_FUNDING_RATE: Final = Decimal("0.0000125")
_CLOCK_OFFSET: Final = "clock_offset_ms"
_ENCODER: Final = msgspec.json.Encoder()


class _Line(msgspec.Struct, rename={"number": "n", "time_ms": "t", "name": "a", "rows": "e"}):
    number: int
    time_ms: int
    name: str
    rows: list[tuple[str, msgspec.Raw]]


class Receipt:
    """Where in the log an action stands; 0 until it is applied or when it changed nothing."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class ExchangeStopped(Exception):
    """An action broke half-way: memory is not what the log says, a restart is needed."""


class Exchange:
    """One simulated exchange; every method that changes something runs inside an action."""

    def __init__(
        self,
        *,
        instruments: Iterable[Instrument] | None = None,
        journal: Journal | None = None,
        clock: Clock | None = None,
        seed: int = 0,
        switches: Switches | None = None,
    ) -> None:
        self.tables = Tables(default_instruments() if instruments is None else instruments)
        self.clock: Clock = SystemClock() if clock is None else clock
        self.switches = Switches() if switches is None else switches
        self.seed = seed
        self.listeners: list[Listener] = []
        self._house = House(seed)
        self._journal: Journal = MemoryJournal() if journal is None else journal
        self._journal.on_durable = self._publish
        self._sequence = 0
        self._unpublished: deque[tuple[int, str, list[Event]]] = deque()
        #: What broke the exchange, if anything did: it must be started again from its log.
        self.failure: BaseException | None = None
        #: The action whose events listeners are being told of.
        self.published_action = ""

    def start(self) -> None:
        """Load the log (an empty one gives a fresh exchange) and put out the house's quotes."""
        if isinstance(self._journal, FileJournal):
            self.tables.load(self._rows(self._journal.read()))
        self.clock.offset_ms = self.tables.settings.get(_CLOCK_OFFSET, self.clock.offset_ms)
        new = [one for one in self.tables.instruments.values() if one.symbol not in self._markets]
        if new:
            with self.action("list_markets"):
                for instrument in new:
                    self._list_market(instrument)
        for symbol, instrument in self.tables.instruments.items():
            if not instrument.delisted:
                self._house.quote(self.tables, symbol)

    async def close(self) -> None:
        """Write what is buffered and release the log."""
        await self._journal.close()

    @contextmanager
    def action(self, name: str) -> Iterator[Receipt]:
        """Apply one action: everything done to the tables inside becomes one line of the log.

        Raises `ExchangeStopped` after an earlier action broke, `JournalFailed` when the log cannot
        be written.
        """
        if self.failure is not None:
            raise ExchangeStopped(f"an earlier action broke: {self.failure!r}")
        tables = self.tables
        tables.now_ms = self.clock.now_ms()
        self._sequence += 1
        tables.action_hash = self._hash(self._sequence)
        receipt = Receipt()
        try:
            yield receipt
            self._settle_markets()
            receipt.number = self._log(name)
        except BaseException as error:
            self.failure = error
            raise

    async def durable(self, receipt: Receipt) -> None:
        """Return once the action is on the disk. Raises `JournalFailed`."""
        if not receipt.number:
            return
        try:
            await self._journal.durable(receipt.number)
        except JournalFailed as error:
            self.failure = error
            raise

    def now_ms(self) -> int:
        """Return the exchange's time."""
        return self.clock.now_ms()

    def shift_clock(self, offset_ms: int) -> Receipt:
        """Set the clock's offset, also for after a restart."""
        self.clock.offset_ms = offset_ms
        with self.action("shift_clock") as receipt:
            self.setting(_CLOCK_OFFSET, offset_ms)
        return receipt

    def requote(self, symbol: str, price: Decimal) -> None:
        """Move a market's mark price and the house's quotes with it; inside an action."""
        market = self.tables.markets[symbol]
        self._house.withdraw(self.tables, symbol)
        market.mark_price = price
        market.changed_ms = self.tables.now_ms
        market.generation += 1
        self.tables.record(market)
        self.tables.moved(symbol)

    def put_out_quotes(self, symbol: str) -> None:
        """Have the house quote again after `requote`; inside an action."""
        self._house.quote(self.tables, symbol)

    @property
    def _markets(self) -> dict[str, Market]:
        return self.tables.markets

    def _settle_markets(self) -> None:
        """Fire triggers and liquidate until nothing moves, then restore the house's depth."""
        seen = 0
        if not self.tables.events:
            return
        while seen < len(self.tables.events):
            events = self.tables.events[seen:]
            seen = len(self.tables.events)
            for symbol in {one.symbol: None for one in events if isinstance(one, MarketMoved)}:
                fire_triggers(self.tables, symbol)
                liquidate(self.tables, symbol)
        moved = {one.symbol: None for one in self.tables.events if isinstance(one, MarketMoved)}
        for symbol in moved:
            self._house.replenish(self.tables, symbol)
        self.tables.traded_with_house.clear()

    def _log(self, name: str) -> int:
        tables = self.tables
        rows, tables.touched = list(tables.touched.values()), {}
        events, tables.events = tables.events, []
        if not rows:
            return 0
        line = {
            "n": self._sequence,
            "t": tables.now_ms,
            "a": name,
            "e": [(TABLE_OF[type(row)], row) for row in rows],
        }
        number = self._journal.append(_ENCODER.encode(line))
        self._unpublished.append((number, name, events))
        return number

    def _publish(self, number: int) -> None:
        while self._unpublished and self._unpublished[0][0] <= number:
            _, self.published_action, events = self._unpublished.popleft()
            for listener in self.listeners:
                try:
                    listener(events)
                except Exception:  # noqa: BLE001 - one listener must not silence the others
                    _log.exception("a listener failed on %d events", len(events))

    def _rows(self, lines: list[bytes]) -> Iterator[Row]:
        decoders = {name: msgspec.json.Decoder(kind) for name, kind in TABLES.items()}
        whole = msgspec.json.Decoder(_Line)
        for content in lines:
            line = whole.decode(content)
            self._sequence = line.number
            self.tables.now_ms = line.time_ms
            for table, raw in line.rows:
                row: Row = decoders[table].decode(raw)
                yield row

    def _list_market(self, instrument: Instrument) -> None:
        self.tables.record(
            Market(
                symbol=instrument.symbol,
                mark_price=instrument.start_price,
                oracle_price=instrument.start_price,
                previous_day_price=instrument.start_price,
                funding_rate=_FUNDING_RATE,
                changed_ms=self.tables.now_ms,
            )
        )

    def setting(self, key: str, value: int) -> None:
        """Keep a value of the exchange over restarts; inside an action."""
        self.tables.record(Setting(key=key, value=value))

    def _hash(self, sequence: int) -> str:
        digest = hashlib.blake2b(f"{self.seed} {sequence}".encode(), digest_size=32)
        return "0x" + digest.hexdigest()


def open_exchange(
    home: Path | None,
    *,
    clock: Clock | None = None,
    seed: int = 0,
    switches: Switches | None = None,
    instruments: Iterable[Instrument] | None = None,
) -> Exchange:
    """Return a started exchange whose log is in `home`; without a home it forgets at its end.

    Raises `JournalLocked` when another process has the log, `JournalDamaged` when it is not whole.
    """
    journal: Journal = MemoryJournal() if home is None else FileJournal(home)
    exchange = Exchange(
        instruments=instruments, journal=journal, clock=clock, seed=seed, switches=switches
    )
    exchange.start()
    return exchange
