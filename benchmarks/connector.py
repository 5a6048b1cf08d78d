"""The connector alone: signed, acknowledged orders, with unsigned posts as the floor."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import aiohttp

from benchmarks.figures import Latencies, measure
from benchmarks.running import running_program
from domain.accounts import Account, AccountState, Network, SecretText, TradingAccess
from domain.commands import CommandKind, PlaceOrder
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderType
from venues.hyperliquid.connector import HyperliquidConnector
from venues.hyperliquid.rate_budget import RateBudget

COUNT = 4000
CONCURRENCY = 50
KEY = "0x" + "44" * 32
ADDRESS = "0x" + "55" * 20
UNIVERSE = [{"szDecimals": 5, "name": "BTC", "maxLeverage": 40, "marginTableId": 56}]
ANSWERS = {
    "meta": {"universe": UNIVERSE, "marginTables": [], "collateralToken": 0},
    "metaAndAssetCtxs": [{"universe": UNIVERSE, "marginTables": [], "collateralToken": 0}, [{}]],
    "userRole": {"role": "agent", "data": {"user": ADDRESS}},
    "allMids": {"BTC": "65000"},
}


async def connector_rates(home: Path) -> tuple[Latencies, Latencies]:
    """Return the floor's and the connector's rates."""
    metadata = home / "answers.json"
    metadata.write_text(json.dumps(ANSWERS))
    async with running_program("benchmarks.bare_venue", str(metadata)) as (port, _):
        url = f"http://127.0.0.1:{port}"
        floor = await _unsigned(url)
        signed = await _signed(url)
    return floor, signed


async def _unsigned(url: str) -> Latencies:
    body = b'{"action":{"type":"order"},"nonce":1}' + b" " * 400
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONCURRENCY),
        headers={"Content-Type": "application/json"},
    ) as session:

        async def post(index: int) -> float:
            began = time.perf_counter()
            async with session.post(f"{url}/exchange", data=body) as response:
                await response.read()
            return time.perf_counter() - began

        await measure(post, count=200, concurrency=CONCURRENCY)
        return await measure(post, count=COUNT, concurrency=CONCURRENCY)


async def _signed(url: str) -> Latencies:
    connector = HyperliquidConnector(Network.PAPER, url, budget=RateBudget(per_minute=1e9))
    await connector.start()
    signer = connector.signer_of(SecretText(KEY))
    now = datetime.now(UTC)
    account = Account(
        account_id="bench",
        owner="local",
        venue="hyperliquid",
        label="bench",
        network=Network.PAPER,
        address=ADDRESS,
        signer=signer,
        state=AccountState.ACTIVE,
        created_at=now,
    )
    access = TradingAccess(account=account, credential=SecretText(KEY))
    command = PlaceOrder(
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.001"),
        price=Decimal(45_000),
    )
    composer = await connector.compose(command)
    nonce = int(now.timestamp() * 1000)

    async def send(index: int) -> float:
        sent_at = datetime.now(UTC)
        slot = CommandSlot(
            client_order_id=f"0x{index:032x}",
            nonce=nonce + index,
            admitted_until=sent_at + timedelta(seconds=10),
        )
        row = CommandRow(
            key=CommandKey(order_id=str(index), command=CommandKind.PLACE, revision=0),
            account_id="bench",
            venue="hyperliquid",
            network=Network.PAPER,
            symbol="BTC-PERP",
            signer=signer,
            lane="",
            target_revision=0,
            client_order_id=slot.client_order_id,
            nonce=slot.nonce,
            admitted_until=slot.admitted_until,
            message=composer(slot),
            inserted_at=sent_at,
            send_by=sent_at + timedelta(seconds=10),
        )
        began = time.perf_counter()
        result = await connector.send(row, access)
        seconds = time.perf_counter() - began
        assert result.outcome.kind == "accepted", result
        return seconds

    try:
        await measure(send, count=200, concurrency=CONCURRENCY)
        return await measure(send, count=COUNT, concurrency=CONCURRENCY)
    finally:
        await connector.close()
