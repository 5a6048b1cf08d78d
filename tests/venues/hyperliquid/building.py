"""Small builders for Hyperliquid's tests: accounts, markets, rows and answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import CommandKind, PlaceOrder
from domain.ledger import CommandRow
from tests.venues import making
from tests.venues.making import a_placement, a_row, an_account
from tests.venues.raw_server import RawServer, response, serving
from venues.hyperliquid.connector import HyperliquidConnector
from venues.transport import Reply

NOW = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
KEY = "0x" + "5a" * 32
SIGNER = "0xa8049bb68181799124f98e467dd749e120abfa64"
ADDRESS = "0x" + "c0" * 20
ORDER_ID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
CLOID = "0x000102030405060708090a0b0c0d0e0f"
META: dict[str, Any] = {
    "universe": [
        {"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 56},
        {"szDecimals": 4, "name": "ETH", "maxLeverage": 25, "marginTableId": 55},
        {"szDecimals": 1, "name": "MATIC", "maxLeverage": 20, "isDelisted": True},
        {"szDecimals": 0, "name": "kPEPE", "maxLeverage": 10},
    ],
    "marginTables": [],
    "collateralToken": 0,
}


def account(*, address: str = ADDRESS, network: Network = Network.PAPER) -> Account:
    return an_account("hyperliquid", address=address, signer=SIGNER, now=NOW, network=network)


def access(*, key: str = KEY, of: Account | None = None) -> TradingAccess:
    return TradingAccess(account=of or account(), credential=SecretText(key))


def place(**changes: Any) -> PlaceOrder:
    return a_placement("0.00123", "83000", **changes)


def order_message(*, tif: str = "Gtc", size: str = "0.00123", reduce_only: bool = False) -> str:
    order = {
        "a": 0,
        "b": True,
        "p": "83000",
        "s": size,
        "r": reduce_only,
        "t": {"limit": {"tif": tif}},
        "c": CLOID,
    }
    return json.dumps({"type": "order", "orders": [order], "grouping": "na"})


def row(kind: CommandKind = CommandKind.PLACE, **changes: Any) -> CommandRow:
    made = a_row(
        account(),
        kind,
        order_id=ORDER_ID,
        client_order_id=CLOID,
        now=NOW,
        window_s=10,
        nonce=1790000000001,
        message=order_message() if kind is CommandKind.PLACE else '{"type":"noop"}',
    )
    return replace(made, **changes)


def ok(*statuses: Any, kind: str = "order") -> bytes:
    answer = {"type": kind, "data": {"statuses": list(statuses)}}
    return json.dumps({"status": "ok", "response": answer}).encode()


def err(text: str) -> bytes:
    return json.dumps({"status": "err", "response": text}).encode()


def reply(body: bytes, status: int = 200) -> Reply:
    return Reply(status=status, body=body, received_at=NOW)


class Venue:
    """A scripted venue: answers /info by type and /exchange by turns."""

    def __init__(self) -> None:
        self.info: dict[str, Any] = {"meta": META, "userRole": {"role": "user"}}
        self.exchange: list[bytes] = []
        self.asked: list[dict[str, Any]] = []
        self.posted: list[dict[str, Any]] = []
        self.status = "200 OK"
        self.url = ""

    async def handle(self, seen: RawServer, reader: Any, writer: Any) -> None:
        while (request := await seen.read(reader)) is not None:
            body = json.loads(request.body)
            if request.path == "/info":
                self.asked.append(body)
                answer = self.info[body["type"]]
                answer = answer(body) if callable(answer) else answer
                writer.write(response(json.dumps(answer).encode()))
            else:
                self.posted.append(body)
                writer.write(response(self.exchange.pop(0), status=self.status))
            await writer.drain()


@asynccontextmanager
async def venue_and_connector(
    network: Network = Network.PAPER, **options: Any
) -> AsyncIterator[tuple[Venue, HyperliquidConnector]]:
    venue = Venue()
    async with serving(venue.handle) as server:
        venue.url = server.url
        options.setdefault("clock", lambda: NOW)
        connector = HyperliquidConnector(network, server.url, **options)
        await connector.start()
        try:
            yield venue, connector
        finally:
            await connector.close()


def samples() -> Path | None:
    """Return the folder of recorded payloads, where this machine has one."""
    return making.samples("hyperliquid")
