"""A real API process in this one: uvicorn on a free port over a fresh SQLite database."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from api.app import create_app
from api.authentication import Authenticator, OperatorSessions
from api.context import ApiParts, Endpoints, Limits
from api.edge import UI_PATH
from api.ports import Probe
from api.serving import listen, server_for
from api.temporal_ui import ui_client
from domain.accounts import Account, AccountState, Network
from domain.errors import Unavailable
from domain.instruments import Instrument, MarketState, OrderSide, PriceRule
from domain.latest_prices import LatestPrice
from domain.market_data import BookLevel, Candle, FundingRate, OrderBook, Trade
from domain.market_past import MarketPast, MarketQuery, PastQuestion
from domain.orders import Order, OrderType, TimeInForce
from domain.timeline import EventKind, TimelineEvent
from storage.opening import Storage, open_storage
from tests.api.account_reader import ScriptedReader
from tests.api.bracket_desk import ScriptedBrackets
from tests.api.close_desk import ScriptedCloses
from tests.api.condition_desk import ScriptedConditions
from tests.api.desk import ScriptedDesk
from tests.api.halt_desk import ScriptedHalts
from tests.api.reconcile_desk import ScriptedReconciliations
from tests.api.routing_desk import ScriptedSplits, ScriptedTerms
from tests.api.said_sessions import SaidSessions
from tests.api.said_venues import SaidVenues
from tests.api.setup_desk import ScriptedLeverages, ScriptedRotations

TOKEN = "t0ken-of-the-tests-" + "x" * 24
UI_ORIGIN = "http://127.0.0.1:8233"
PAGE_ORIGIN = "https://desk.example"
PAPER = "11111111-1111-4111-8111-111111111111"
FOREIGN = "22222222-2222-4222-8222-222222222222"

BTC = Instrument(
    venue="hyperliquid",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.00001"),
    price_rule=PriceRule(significant_figures=5, max_decimals=1),
    min_notional=Decimal(10),
    max_leverage=40,
)
OLD = Instrument(
    venue="hyperliquid",
    symbol="OLD-PERP",
    venue_symbol="OLD",
    asset_index=1,
    lot_size=Decimal(1),
    price_rule=PriceRule(tick_size=Decimal("0.5")),
    min_notional=Decimal(10),
    max_leverage=3,
    state=MarketState.DELISTED,
)


@dataclass
class Sealed:
    """Remembers what was sealed, as a real sealer forgets it."""

    keys: list[str] = field(default_factory=list)
    ready: bool = True

    def seal(self, account_id: str, venue: str, private_key: str) -> bytes:
        if not self.ready:
            raise Unavailable("no worker has made its key pair yet")
        self.keys.append(private_key)
        return b"sealed:" + account_id.encode()


@dataclass
class Books:
    """Answers books as the streaming process would."""

    error: Exception | None = None
    asked: list[tuple[str, str, str, int]] = field(default_factory=list)
    at: dict[str, OrderBook] = field(default_factory=dict)

    async def request_book(
        self, venue: str, network: Network, symbol: str, depth: int
    ) -> OrderBook:
        self.asked.append((venue, network, symbol, depth))
        if self.error is not None:
            raise self.error
        now = datetime.now(UTC)
        if venue in self.at:
            return self.at[venue]
        return OrderBook(
            venue=venue,
            symbol=symbol,
            bids=(BookLevel(price=Decimal("44999"), quantity=Decimal("1.5"), order_count=2),),
            asks=(BookLevel(price=Decimal("45001"), quantity=Decimal("0.25")),),
            event_time=now,
            received_time=now,
        )


@dataclass
class Prices:
    """Prices that somebody wrote, and who is asked when there are none."""

    written: LatestPrice | None = None
    error: Exception | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def read(self, venue: str, network: Network, symbol: str) -> LatestPrice | None:
        return self.written

    async def read_many(
        self, markets: Sequence[tuple[str, Network, str]]
    ) -> list[LatestPrice | None]:
        return [await self.read(*market) for market in markets]

    async def request_price(self, venue: str, network: Network, symbol: str) -> LatestPrice:
        self.asked.append((venue, network, symbol))
        if self.error is not None:
            raise self.error
        return latest_price(source="poll")


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Past:
    """Answers what a market's past holds, as the streaming process would."""

    error: Exception | None = None
    as_of: datetime | None = None
    asked: list[PastQuestion] = field(default_factory=list)

    async def request_past(self, question: PastQuestion) -> MarketPast:
        self.asked.append(question)
        if self.error is not None:
            raise self.error
        of = {"venue": question.venue, "symbol": question.symbol}
        trades = Trade(
            **of, trade_id="7", price=Decimal("45000.5"), quantity=Decimal("0.02"),
            aggressor_side=OrderSide.SELL, event_time=NOON,
            received_time=NOON + timedelta(milliseconds=120),
        )  # fmt: skip
        rate = FundingRate(**of, rate=Decimal("0.0000125"), interval_s=3600, event_time=NOON)
        as_of = self.as_of or datetime.now(UTC)
        candles = [
            Candle(
                **of, interval=question.interval or "", open_time=opened,
                close_time=opened + timedelta(hours=1), open=Decimal(1), high=Decimal(4),
                low=Decimal("0.5"), close=Decimal(2), volume=Decimal(3),
            )
            for opened in (NOON, as_of - timedelta(minutes=1))
        ]  # fmt: skip
        return MarketPast(
            source="query",
            as_of=as_of,
            trades=(trades,) if question.query is MarketQuery.TRADES else (),
            rates=(rate,) if question.query is MarketQuery.FUNDING else (),
            present_rate=rate if question.query is MarketQuery.FUNDING else None,
            candles=tuple(candles) if question.query is MarketQuery.CANDLES else (),
        )


def latest_price(**changes: Any) -> LatestPrice:
    values: dict[str, Any] = {
        "venue": "hyperliquid",
        "network": Network.PAPER,
        "symbol": "BTC-PERP",
        "mark_price": Decimal("45000.5"),
        "index_price": Decimal(45_000),
        "best_bid": Decimal(44_999),
        "best_ask": Decimal(45_001),
        "received_time": datetime.now(UTC),
        "mark_received_time": datetime.now(UTC),
        "source": "stream",
    }
    return LatestPrice(**(values | changes))


@dataclass
class Codec:
    """The protocol of the codec, without the cipher."""

    async def decode(self, body: bytes) -> dict[str, Any]:
        if b"payloads" not in body:
            raise ValueError("expected a JSON Payloads message")
        return {"payloads": [{"data": "b3BlbmVk"}]}

    async def encode(self, body: bytes, *, namespace: str, workflow_id: str) -> dict[str, Any]:
        return {"payloads": [{"data": f"{namespace}/{workflow_id}"}]}


@dataclass
class Api:
    """A serving API and everything behind it."""

    url: str
    app: FastAPI
    http: httpx2.AsyncClient
    storage: Storage
    desk: ScriptedDesk
    closes: ScriptedCloses
    conditions: ScriptedConditions
    brackets: ScriptedBrackets
    reader: ScriptedReader
    rotations: ScriptedRotations
    leverages: ScriptedLeverages
    halts: ScriptedHalts
    reconciliations: ScriptedReconciliations
    books: Books
    prices: Prices
    past: Past
    venues: SaidVenues
    sessions: SaidSessions
    sealed: Sealed
    parts: ApiParts

    @property
    def splits(self) -> ScriptedSplits:
        assert isinstance(self.parts.split_desk, ScriptedSplits)
        return self.parts.split_desk

    @property
    def terms(self) -> ScriptedTerms:
        assert isinstance(self.parts.terms, ScriptedTerms)
        return self.parts.terms

    async def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return await self.http.post(path, json=body, headers=headers)

    async def place(self, **changes: Any) -> httpx2.Response:
        """Place a valid order, changed as asked; `None` leaves a field out."""
        body = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45000"}
        body.update(changes)
        return await self.post(
            "/api/v1/orders", {name: value for name, value in body.items() if value is not None}
        )


async def fresh_storage(template: Path, directory: Path) -> Storage:
    """Return storage over a copy of an up-to-date database, with an account and markets in it."""
    database = directory / "perp-dex.db"
    shutil.copy(template, database)
    return await furnished(f"sqlite+aiosqlite:///{database}", directory)


async def furnished(database_url: str, directory: Path) -> Storage:
    """Return storage over an empty database, with an account and markets put in."""
    storage = await open_storage(database_url, directory)
    await storage.accounts.add(account(), trading=b"sealed", feed=None)
    await storage.accounts.set_state(PAPER, AccountState.ACTIVE, reason=None, signer="0xagent")
    await storage.markets.save(Network.PAPER, [BTC, OLD], seen_at=datetime.now(UTC))
    return storage


def account(**changes: Any) -> Account:
    """Return the account of the tests."""
    fields: dict[str, Any] = {
        "account_id": PAPER,
        "owner": "local",
        "venue": "hyperliquid",
        "label": "paper",
        "network": Network.PAPER,
        "address": "0x" + "ab" * 20,
        "signer": "",
        "state": AccountState.PENDING,
        "created_at": datetime.now(UTC),
        "is_default": True,
    }
    return Account(**{**fields, **changes})


def order(**changes: Any) -> Order:
    """Return an order of the tests' account."""
    now = datetime.now(UTC)
    fields: dict[str, Any] = {
        "order_id": "33333333-3333-5333-8333-333333333333",
        "owner": "local",
        "account_id": PAPER,
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": Decimal("0.1"),
        "time_in_force": TimeInForce.GTC,
        "created_at": now,
        "place_by": now,
        "price": Decimal(45_000),
        "idempotency_key": "k",
    }
    return Order(**{**fields, **changes})


async def keep(storage: Storage, kept: Order) -> Order:
    """Write an order into storage."""
    event = TimelineEvent(
        order_id=kept.order_id, kind=EventKind.CREATED, text="made by a test", at=kept.created_at
    )
    return await storage.orders.add(kept, event)


def stored(storage: Storage) -> dict[str, Any]:
    """Return the parts that are stores."""
    return {
        "orders": storage.orders,
        "accounts": storage.accounts,
        "account_changes": storage.account_changes,
        "account_groups": storage.account_groups,
        "markets": storage.markets,
        "audit": storage.audit,
        "closes": storage.closes,
        "conditions": storage.conditions,
        "brackets": storage.brackets,
        "net_positions": storage.net_positions,
        "positions": storage.positions,
        "risk": storage.risk,
        "halts": storage.halts,
        "kill_switches": storage.kill_switches,
        "dead_man": storage.dead_man,
        "rotation": storage.rotation,
        "reconciliations": storage.reconciliations,
        "reconciliation_gate": storage.reconciliations,
        "key_claims": storage.key_claims,
        "routes": storage.routes,
        "splits": storage.splits,
        "nonce_lanes": storage.signer_nonces,
    }


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def serving(
    storage: Storage,
    *,
    desk: ScriptedDesk | None = None,
    limits: Limits | None = None,
    probes: dict[str, Probe] | None = None,
    temporal_ui: str | None = UI_ORIGIN,
    ui_upstream: str | None = None,
    port: int = 0,
    streaming: str | None = "ws://127.0.0.1:1",
    venues: tuple[str, ...] = ("hyperliquid",),
    **options: Any,
) -> AsyncIterator[Api]:
    """Serve the API over `storage` until the block ends."""
    desk = desk or ScriptedDesk(storage)
    closes, brackets = ScriptedCloses(storage), ScriptedBrackets(storage)
    conditions, reader = ScriptedConditions(storage), ScriptedReader(storage)
    rotations, leverages = ScriptedRotations(storage), ScriptedLeverages()
    halt_desk, reconcile_desk = ScriptedHalts(), ScriptedReconciliations(storage)
    books, prices, past, sealed = Books(), Prices(), Past(), Sealed()
    said_venues, said_sessions = SaidVenues(), SaidSessions()
    listener = listen("127.0.0.1", port)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    authenticator = Authenticator(TOKEN)
    parts = ApiParts(
        **stored(storage),
        desk=desk,
        close_desk=closes,
        condition_desk=conditions,
        bracket_desk=brackets,
        split_desk=ScriptedSplits(storage, desk),
        terms=ScriptedTerms(),
        halt_desk=halt_desk,
        account_reader=reader,
        rotation_desk=rotations,
        leverage_desk=leverages,
        reconcile_desk=reconcile_desk,
        books=books,
        prices=prices,
        past=past,
        latest_prices=prices,
        served_venues=said_venues,
        sessions_of=said_sessions,
        codec=Codec(),
        sealer=sealed,
        authenticator=authenticator,
        sessions=OperatorSessions(authenticator.derived_key("operator session"), now),
        endpoints=_endpoints(url, streaming, f"{url}{UI_PATH}" if ui_upstream else temporal_ui),
        venues=venues,
        hosts=frozenset({"127.0.0.1", "localhost"}),
        origins=frozenset({UI_ORIGIN}),
        page_origins=frozenset({PAGE_ORIGIN}),
        now=now,
        probes=probes if probes is not None else {"storage": storage.check},
        limits=limits or Limits(poll_interval_s=0.02),
        temporal_ui=ui_client(ui_upstream) if ui_upstream else None,
    )
    async with _answering(parts, listener, **options) as (app, http):
        yield Api(
            url=url,
            app=app,
            http=http,
            storage=storage,
            desk=desk,
            closes=closes,
            conditions=conditions,
            brackets=brackets,
            reader=reader,
            rotations=rotations,
            leverages=leverages,
            halts=halt_desk,
            reconciliations=reconcile_desk,
            books=books,
            prices=prices,
            past=past,
            venues=said_venues,
            sessions=said_sessions,
            sealed=sealed,
            parts=parts,
        )


def _endpoints(url: str, streaming: str | None, temporal_ui: str | None) -> Endpoints:
    return Endpoints(
        api=url, streaming=streaming, temporal_ui=temporal_ui, temporal_namespace="default"
    )


@asynccontextmanager
async def _answering(
    parts: ApiParts, listener: socket.socket, **options: Any
) -> AsyncIterator[tuple[FastAPI, httpx2.AsyncClient]]:
    """Serve until the block ends; give the app, and a client that is let in."""
    app = create_app(parts)
    server = server_for(app, **options)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await asyncio.wait_for(server.serving.wait(), 10)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx2.AsyncClient(
            base_url=parts.endpoints.api, headers=headers, timeout=20, verify=False
        ) as http:
            yield app, http
    finally:
        app.state.context.draining.set()
        server.should_exit = True
        server.force_exit = True
        await asyncio.wait_for(running, 20)
        if parts.temporal_ui is not None:
            await parts.temporal_ui.aclose()
        listener.close()
