"""What the simulated venue's socket sends: the channels, who listens, and when frames are due.

Frames of accounts and trades go out when an action is on the disk; books, best prices and
statistics on a cadence. A book is sent whole once, then as changes that name the nonce they begin
at. Private channels have no numbers at all.

Source: docs websocket-reference; recorded on mainnet 2025-12.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from venues.lighter import simulator_views as views
from venues.lighter.simulator_markets import MARKET_IDS, SYMBOLS
from venues.lighter.simulator_sequencer import Kept, Sequencer
from venues.lighter.simulator_signature import NotVerified, verify_token
from venues.simulation.events import (
    AccountChanged,
    Event,
    Filled,
    FundingPaid,
    MarketMoved,
    OrderChanged,
    Traded,
)
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.socket import ClientSocket

Json = dict[str, Any]
_Book = dict[Decimal, Decimal]

_ENCODER: Final = msgspec.json.Encoder()
_BOOK_INTERVAL_S: Final = 0.05
_STATS_INTERVAL_S: Final = 1.0
_BOOK_DEPTH: Final = 1_000
_SNAPSHOT_TRADES: Final = 50
_NONCE_STEP_MAX: Final = 40
_OF_MARKETS: Final = frozenset({"order_book", "ticker", "trade", "market_stats"})
_OF_ACCOUNTS: Final = frozenset(
    {
        "account_all_orders",
        "account_all_trades",
        "account_all_positions",
        "user_stats",
        "account_tx",
    }
)
_CANDLES: Final = "candle"
_INTERVALS: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")


class NoSuchChannel(ValueError):
    """There is no such channel, or it is not for this token."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


Client = ClientSocket[str, None]
"""A connected socket with the channels it follows."""


class _PublishedBook:
    """A market's book as listeners have it, and the nonce it stands at."""

    def __init__(self, nonce: int) -> None:
        self.bids: _Book = {}
        self.asks: _Book = {}
        self.nonce = nonce
        self.offset = 1


class Feeds:
    """The channels of all clients, and the frames for them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, sequencer: Sequencer) -> None:
        self._exchange = exchange
        self._faults = faults
        self._random = random.Random(f"{exchange.seed}/nonce")
        self._clients: set[Client] = set()
        self._listening: dict[str, set[Client]] = {}
        self._books: dict[str, _PublishedBook] = {}
        self._best: dict[str, Json] = {}
        self._due_s: dict[str, float] = {}
        exchange.listeners.append(self.publish)
        sequencer.on_executed.append(self._executed)

    # Clients.

    def connect(self, client: Client) -> None:
        """Know a client."""
        self._clients.add(client)

    def disconnect(self, client: Client) -> None:
        """Forget a client and its channels."""
        self._clients.discard(client)
        for channel in client.subscriptions:
            self._listening.get(channel, set()).discard(client)

    def kill_all(self) -> None:
        """Cut every socket."""
        for client in tuple(self._clients):
            client.kill()

    # Channels.

    def check(self, channel: str, token: str | None) -> None:
        """Check that a channel is one, and open to the token. Raises `NoSuchChannel`."""
        name, _, subject = channel.partition("/")
        if name in _OF_ACCOUNTS and subject.isdigit():
            try:
                reads = verify_token(self._exchange.tables, token or "", self._exchange.now_ms())
            except NotVerified as error:
                raise NoSuchChannel(error.code, str(error)) from None
            if str(reads) != subject:
                raise NoSuchChannel(20013, "invalid auth: account index does not match")
            return
        market, _, interval = subject.partition("/")
        is_market = market.isdigit() and SYMBOLS.get(int(market)) in self._exchange.tables.markets
        if name in _OF_MARKETS and is_market and not interval:
            return
        if name == _CANDLES and is_market and interval in _INTERVALS:
            return
        raise NoSuchChannel(30005, f"Invalid Channel:  ({name})")

    def begin(self, client: Client, channel: str) -> None:
        """Follow, and send the present state."""
        name, _, subject = channel.partition("/")
        if name == "order_book":
            # What others are still to be told goes first: the snapshot stands where they will.
            self._send_book(SYMBOLS[int(subject)])
        self._listening.setdefault(channel, set()).add(client)
        client.send_encoded(self._frame("subscribed", channel, self._snapshot(name, subject)))

    def end(self, client: Client, channel: str) -> None:
        """Follow no longer."""
        self._listening.get(channel, set()).discard(client)

    def _snapshot(self, name: str, subject: str) -> Json:
        tables = self._exchange.tables
        match name:
            case "order_book":
                return self._whole_book(SYMBOLS[int(subject)])
            case "ticker":
                return self._best_of(SYMBOLS[int(subject)])
            case "trade":
                symbol = SYMBOLS[int(subject)]
                trades = list(tables.trades.get(symbol, ()))[-_SNAPSHOT_TRADES:]
                rows = [views.trade_row(tables, trade) for trade in reversed(trades)]
                return {"trades": rows, "liquidation_trades": None}
            case "market_stats":
                return {"market_stats": views.stats(tables, SYMBOLS[int(subject)])}
            case "candle":
                market, _, interval = subject.partition("/")
                return {"candles": self._candles(SYMBOLS[int(market)], interval)}
            case "account_all_orders":
                return {"orders": self._live_orders(subject)}
            case "account_all_trades":
                return {"trades": [], "total_volume": 0.0}
            case "account_all_positions":
                return self._positions(subject)
            case "user_stats":
                return {"stats": views.user_stats(tables, subject)}
            case _:
                return {"txs": []}

    def _frame(self, kind: str, channel: str, content: Json) -> bytes:
        name, _, _ = channel.partition("/")
        return _ENCODER.encode(
            {
                "channel": channel.replace("/", ":"),
                **content,
                "timestamp": self._exchange.now_ms(),
                "type": f"{kind}/{name}",
            }
        )

    # Events.

    def publish(self, events: Sequence[Event]) -> None:
        """Send the frames of one action."""
        frames = [*self._account_frames(events), *self._trade_frames(events)]
        action = self._exchange.published_action
        if frames and self._faults.take(FaultKind.REORDER, (action,)):
            frames.reverse()
        for channel, content in frames:
            self._send(channel, content, action)

    def _account_frames(self, events: Sequence[Event]) -> list[tuple[str, Json]]:
        tables = self._exchange.tables
        orders: dict[str, dict[str, list[Json]]] = {}
        fills: dict[str, dict[str, list[Json]]] = {}
        changed: dict[str, None] = {}
        for event in events:
            match event:
                case OrderChanged(order=order):
                    if views.is_known(order):
                        market = str(MARKET_IDS[order.symbol])
                        of_account = orders.setdefault(order.account, {})
                        of_account.setdefault(market, []).append(views.order_row(tables, order))
                        changed[order.account] = None
                case Filled(fill=fill):
                    market = str(MARKET_IDS[fill.symbol])
                    of_account = fills.setdefault(fill.account, {})
                    of_account.setdefault(market, []).append(views.fill_row(tables, fill))
                case AccountChanged(address=address):
                    changed[address] = None
                case FundingPaid(payment=payment):
                    changed[payment.account] = None
                case _:
                    pass
        frames: list[tuple[str, Json]] = []
        # No order is promised between channels: here fills come before orders.
        for account, by_market in fills.items():
            frames.append((f"account_all_trades/{account}", {"trades": by_market}))
        for account, by_market in orders.items():
            frames.append((f"account_all_orders/{account}", {"orders": by_market}))
        for account in changed:
            if account in tables.accounts:
                frames.append((f"account_all_positions/{account}", self._positions(account)))
                stats = {"stats": views.user_stats(tables, account)}
                frames.append((f"user_stats/{account}", stats))
        return frames

    def _trade_frames(self, events: Sequence[Event]) -> list[tuple[str, Json]]:
        traded: dict[str, list[Json]] = {}
        moved: dict[str, None] = {}
        for event in events:
            match event:
                case Traded(trade=trade):
                    row = views.trade_row(self._exchange.tables, trade)
                    traded.setdefault(trade.symbol, []).append(row)
                case MarketMoved(symbol=symbol):
                    moved[symbol] = None
                case _:
                    pass
        frames: list[tuple[str, Json]] = [
            (f"trade/{MARKET_IDS[symbol]}", {"trades": rows, "liquidation_trades": []})
            for symbol, rows in traded.items()
        ]
        for symbol in {**traded, **moved}:
            for interval in _INTERVALS:
                channel = f"candle/{MARKET_IDS[symbol]}/{interval}"
                if self._listening.get(channel):
                    frames.append((channel, {"candles": self._candles(symbol, interval)}))
        return frames

    def _executed(self, kept: Kept) -> None:
        made = kept.transaction
        row = views.transaction_row(made.tx_hash, kept.status, kept)
        self._send(f"account_tx/{made.account_index}", {"txs": [row]}, "transaction")

    def _send(self, channel: str, content: Json, action: str = "") -> None:
        listeners = tuple(self._listening.get(channel, ()))
        if not listeners:
            return
        frame = self._frame("update", channel, content)
        for client in listeners:
            client.send_encoded(frame, (channel.partition("/")[0], action))

    # What is due by time.

    def pass_time(self) -> None:
        """Send what is due and cut sockets that said nothing for too long."""
        now_s = asyncio.get_running_loop().time()
        if self._is_due("book", _BOOK_INTERVAL_S, now_s):
            for symbol, number in MARKET_IDS.items():
                if self._listening.get(f"order_book/{number}"):
                    self._send_book(symbol)
                if self._listening.get(f"ticker/{number}"):
                    self._send_best(symbol)
        if self._is_due("stats", _STATS_INTERVAL_S, now_s):
            for symbol, number in MARKET_IDS.items():
                if self._listening.get(f"market_stats/{number}"):
                    content = {"market_stats": views.stats(self._exchange.tables, symbol)}
                    self._send(f"market_stats/{number}", content)
        # The venue takes two minutes of silence, twice what others do.
        silence_s = 2 * self._exchange.switches.socket_silence_ms / 1_000
        for client in tuple(self._clients):
            if now_s - client.last_heard_s > silence_s:
                client.kill()

    def _is_due(self, name: str, interval_s: float, now_s: float) -> bool:
        if now_s - self._due_s.get(name, 0.0) < interval_s:
            return False
        self._due_s[name] = now_s
        return True

    # Books.

    def _send_book(self, symbol: str) -> None:
        """Bring listeners from what they have to what is."""
        book = self._books.get(symbol)
        if book is None:
            book = self._books[symbol] = _PublishedBook(self._random.randint(1, 1 << 32))
            book.bids, book.asks = self._sides(symbol)
            return
        bids, asks = self._sides(symbol)
        changes = {"bids": _changes(book.bids, bids), "asks": _changes(book.asks, asks)}
        if not changes["bids"] and not changes["asks"]:
            return
        begin = book.nonce
        book.bids, book.asks = bids, asks
        book.nonce += self._random.randint(1, _NONCE_STEP_MAX)
        book.offset += 1
        self._send(f"order_book/{MARKET_IDS[symbol]}", self._book_content(symbol, begin, changes))

    def _whole_book(self, symbol: str) -> Json:
        book = self._books[symbol]
        sides = {"bids": list(book.bids.items()), "asks": list(book.asks.items())}
        return self._book_content(symbol, 0, sides)

    def _book_content(
        self, symbol: str, begin: int, sides: dict[str, list[tuple[Decimal, Decimal]]]
    ) -> Json:
        market, book = self._exchange.tables.instruments[symbol], self._books[symbol]
        updated = self._exchange.now_ms() * 1000
        return {
            "offset": book.offset,
            "last_updated_at": updated,
            "order_book": {
                "code": 0,
                "asks": views.levels(market, sides["asks"]),
                "bids": views.levels(market, sides["bids"]),
                "offset": book.offset,
                "nonce": book.nonce,
                "last_updated_at": updated,
                "begin_nonce": begin,
            },
        }

    def _sides(self, symbol: str) -> tuple[_Book, _Book]:
        book = self._exchange.tables.books[symbol]
        bids = {level.price: level.quantity for level in book.bids.levels(_BOOK_DEPTH)}
        asks = {level.price: level.quantity for level in book.asks.levels(_BOOK_DEPTH)}
        return bids, asks

    def _best_of(self, symbol: str) -> Json:
        tables = self._exchange.tables
        market, book = tables.instruments[symbol], tables.books[symbol]
        updated = self._exchange.now_ms() * 1000
        ticker: Json = {"s": symbol, "last_updated_at": updated}
        for name, level in (("a", book.asks.best()), ("b", book.bids.best())):
            at, quantity = (level.price, level.quantity) if level else (Decimal(0), Decimal(0))
            ticker[name] = {
                "price": views.price(market, at),
                "size": views.size(market, quantity),
            }
        return {"ticker": ticker, "nonce": updated, "last_updated_at": updated}

    def _send_best(self, symbol: str) -> None:
        content = self._best_of(symbol)
        shown = {side: content["ticker"][side] for side in ("a", "b")}
        if self._best.get(symbol) != shown:
            self._best[symbol] = shown
            self._send(f"ticker/{MARKET_IDS[symbol]}", content)

    # Small parts.

    def _candles(self, symbol: str, interval: str) -> list[Json]:
        candle = self._exchange.tables.candles.latest(symbol, interval)
        return [] if candle is None else [views.candle_row(candle)]

    def _live_orders(self, account: str) -> dict[str, list[Json]]:
        found: dict[str, list[Json]] = {}
        for order in self._exchange.tables.live_orders.get(account, {}).values():
            market = str(MARKET_IDS[order.symbol])
            found.setdefault(market, []).append(views.order_row(self._exchange.tables, order))
        return found

    def _positions(self, account: str) -> Json:
        tables = self._exchange.tables
        rows = {
            str(MARKET_IDS[symbol]): views.position_row(tables, row)
            for symbol, row in tables.positions.get(account, {}).items()
        }
        return {"positions": rows, "shares": [], "last_funding_round": None}


def _changes(before: _Book, after: _Book) -> list[tuple[Decimal, Decimal]]:
    """Return the levels that are another now; one that is gone has size 0."""
    changed = [(at, size) for at, size in after.items() if before.get(at) != size]
    return changed + [(at, Decimal(0)) for at in before if at not in after]
