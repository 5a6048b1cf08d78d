"""`POST /info`: every query, in the venue's shapes."""

import asyncio
import json
import time
from typing import Any

import pytest

from tests.venues.hyperliquid.simulator_client import (
    SimulatorClient,
    order_action,
    order_wire,
    trigger_wire,
)
from tests.venues.hyperliquid.simulator_fixtures import client, running
from venues.simulation.server import RunningSimulator

__all__ = ["client", "running"]


async def test_http_errors(client: SimulatorClient) -> None:
    assert (await client.post("/info", {"type": "weather"}))[0] == 422
    assert (await client.post("/info", ["meta"]))[0] == 422
    assert (await client.post("/info", {"type": "openOrders"}))[0] == 422
    assert (await client.post("/info", {"type": "openOrders", "user": "me"}))[0] == 422
    async with client.session.post(client.url + "/info", data=b"x") as response:
        assert response.status == 415
    headers = {"Content-Type": "application/json"}
    async with client.session.post(
        client.url + "/info", data=b"no json", headers=headers
    ) as response:
        assert response.status == 400
    async with client.session.post(
        client.url + "/info", data=b'{"type":"meta"} trailing', headers=headers
    ) as response:
        assert response.status == 200


async def test_unknown_keys_are_ignored_and_addresses_need_no_prefix(
    client: SimulatorClient,
) -> None:
    await client.order(cloid=1)
    query = {"type": "openOrders", "user": client.address[2:].upper(), "dex": "", "x": 1}
    assert len(await client.info(query)) == 1


async def test_markets(client: SimulatorClient) -> None:
    meta = await client.info({"type": "meta", "dex": ""})
    assert meta["universe"][0] == {
        "szDecimals": 5,
        "name": "BTC",
        "maxLeverage": 40,
        "marginTableId": 40,
    }
    assert [one["name"] for one in meta["universe"] if one.get("isDelisted")] == ["MATIC"]
    assert meta["collateralToken"] == 0
    again, contexts = await client.info({"type": "metaAndAssetCtxs"})
    assert again == meta
    assert len(contexts) == len(meta["universe"])
    assert contexts[0]["markPx"] == "65000.0"
    assert contexts[3]["midPx"] is contexts[3]["impactPxs"] is None
    mids = await client.info({"type": "allMids"})
    assert mids["BTC"] == "65000.0"
    assert "MATIC" not in mids
    assert await client.info({"type": "perpDexs"}) == [None]
    spot = await client.info({"type": "spotMeta"})
    assert (await client.info({"type": "spotMetaAndAssetCtxs"}))[0] == spot
    predicted = await client.info({"type": "predictedFundings"})
    assert predicted[0][1][0][0] == "HlPerp"


async def test_books(client: SimulatorClient) -> None:
    book = await client.info({"type": "l2Book", "coin": "BTC"})
    bids, asks = book["levels"]
    assert (len(bids), len(asks)) == (20, 20)
    assert set(bids[0]) == {"px", "sz", "n"}
    joined = await client.info({"type": "l2Book", "coin": "BTC", "nSigFigs": 3, "mantissa": None})
    assert [one["px"] for one in joined["levels"][0]] == ["64900.0", "64800.0"]
    assert [one["px"] for one in joined["levels"][1]] == ["65100.0", "65200.0"]
    assert sum(one["n"] for one in joined["levels"][0]) == 20
    assert await client.info({"type": "l2Book", "coin": "NOPE"}) is None
    bad = {"type": "l2Book", "coin": "BTC", "nSigFigs": 9}
    assert await client.post("/info", bad) == (500, "null")


async def test_order_status(client: SimulatorClient) -> None:
    oid = await client.resting(cloid=7)
    for reference in (oid, f"0x{7:032x}"):
        found = await client.info({"type": "orderStatus", "user": client.address, "oid": reference})
        assert found["status"] == "order"
        assert found["order"]["status"] == "open"
        order = found["order"]["order"]
        assert order == {
            "coin": "BTC",
            "side": "B",
            "limitPx": "60000.0",
            "sz": "0.01",
            "oid": oid,
            "timestamp": order["timestamp"],
            "triggerCondition": "N/A",
            "isTrigger": False,
            "triggerPx": "0.0",
            "children": [],
            "isPositionTpsl": False,
            "reduceOnly": False,
            "orderType": "Limit",
            "origSz": "0.01",
            "tif": "Gtc",
            "cloid": f"0x{7:032x}",
        }
    for user, reference in ((client.address, 5), (client.keys["agent_address"], oid)):
        query = {"type": "orderStatus", "user": user, "oid": reference}
        assert await client.info(query) == {"status": "unknownOid"}
    for wrong in ("zz", None, True, 1.5):
        query = {"type": "orderStatus", "user": client.address, "oid": wrong}
        assert (await client.post("/info", query))[0] == 422


async def test_statuses_in_the_venues_words(client: SimulatorClient) -> None:
    await client.order(price="66000", size="0.02", tif="Ioc", cloid=1)
    await client.order(price="60000", size="0", cloid=2)
    await client.order(price="60000.5", cloid=3)
    await client.order(price="60000", tif="Ioc", cloid=4)
    await client.order(price="66000", tif="Alo", cloid=5)
    await client.order(price="60000", size="0.0001", cloid=6)
    await client.order(price="60000", reduce_only=True, cloid=7)
    await client.order(price="60000", size="5000", cloid=8)
    await client.order(price="60000", tif="FrontendMarket", cloid=9)
    await client.order(buy=False, price="70000", trigger=trigger_wire("70000", "sl"), cloid=10)
    stop = trigger_wire("55000", "sl", is_market=False)
    await client.order(buy=False, price="56000", reduce_only=True, trigger=stop, cloid=11)
    await client.control("POST", "/price", {"symbol": "BTC", "price": "54900"})
    rows = await client.info({"type": "historicalOrders", "user": client.address})
    assert [int(row["order"]["cloid"], 16) for row in rows] == list(range(11, 0, -1))
    assert {int(row["order"]["cloid"], 16): row["status"] for row in rows} == {
        1: "filled",
        2: "rejected",
        3: "tickRejected",
        4: "iocCancelRejected",
        5: "badAloPxRejected",
        6: "minTradeNtlRejected",
        7: "reduceOnlyRejected",
        8: "perpMarginRejected",
        9: "marketOrderNoLiquidityRejected",
        10: "badTriggerPxRejected",
        11: "triggered",
    }
    stopped = rows[0]["order"]
    assert (stopped["orderType"], stopped["triggerCondition"], stopped["isTrigger"]) == (
        "Stop Limit",
        "Triggered",
        True,
    )
    assert stopped["tif"] is None


async def test_retention_and_lag(client: SimulatorClient) -> None:
    await client.control("POST", "/switches", {"order_retention": 2})
    for cloid in (1, 2, 3):
        await client.order(price="66000", tif="Ioc", cloid=cloid)
    query = {"type": "orderStatus", "user": client.address}
    assert await client.info({**query, "oid": f"0x{1:032x}"}) == {"status": "unknownOid"}
    assert (await client.info({**query, "oid": f"0x{2:032x}"}))["status"] == "order"
    assert len(await client.info({"type": "historicalOrders", "user": client.address})) == 2
    assert len(await client.info({"type": "userFills", "user": client.address})) == 3
    await client.control("POST", "/switches", {"lookup_lag_ms": 100})
    await client.order(cloid=4)
    assert await client.info({**query, "oid": f"0x{4:032x}"}) == {"status": "unknownOid"}
    async with asyncio.timeout(5):
        while (await client.info({**query, "oid": f"0x{4:032x}"}))["status"] != "order":
            await asyncio.sleep(0.01)


async def test_fills(client: SimulatorClient) -> None:
    began = int(time.time() * 1000)
    await client.order(price="66000", size="8", tif="Ioc", cloid=1)
    single = await client.info({"type": "userFills", "user": client.address})
    assert len(single) > 1
    assert {row["oid"] for row in single} == {single[0]["oid"]}
    assert set(single[0]) == {
        "coin",
        "px",
        "sz",
        "side",
        "time",
        "startPosition",
        "dir",
        "closedPnl",
        "hash",
        "oid",
        "crossed",
        "fee",
        "tid",
        "cloid",
        "feeToken",
        "twapId",
    }
    assert single[-1]["dir"] == "Open Long"
    query = {"type": "userFillsByTime", "user": client.address, "startTime": began}
    ordered = await client.info({**query, "endTime": None, "aggregateByTime": False})
    assert ordered == single[::-1]
    (joined,) = await client.info({**query, "aggregateByTime": True})
    assert joined["sz"] == "8.0"
    assert joined["tid"] == ordered[0]["tid"]
    assert await client.info({**query, "endTime": began - 1}) == []
    assert (await client.post("/info", {**query, "startTime": "soon"}))[0] == 422
    await client.order(buy=False, price="60000", size="3", tif="Ioc")
    await client.order(buy=False, price="60000", size="7", tif="Ioc")
    directions = [row["dir"] for row in await client.info({**query, "startTime": 0})]
    assert directions[-1] in ("Long > Short", "Open Short")
    assert {"Open Long", "Close Long", "Long > Short"} <= set(directions)


async def test_state(client: SimulatorClient) -> None:
    await client.order(price="66000", size="1", tif="Ioc")
    state = await client.info({"type": "clearinghouseState", "user": client.address, "dex": ""})
    assert set(state) == {
        "marginSummary",
        "crossMarginSummary",
        "crossMaintenanceMarginUsed",
        "withdrawable",
        "assetPositions",
        "time",
    }
    (entry,) = state["assetPositions"]
    position = entry["position"]
    assert (entry["type"], position["szi"], position["maxLeverage"]) == ("oneWay", "1.0", 40)
    assert position["leverage"] == {"type": "cross", "value": 20}
    value = float(state["marginSummary"]["accountValue"])
    raw = float(state["marginSummary"]["totalRawUsd"])
    assert value == pytest.approx(raw + 65_000)
    assert float(state["withdrawable"]) == pytest.approx(value - 6_500)
    nobody = await client.info({"type": "clearinghouseState", "user": "0x" + "ab" * 20})
    assert nobody["marginSummary"]["accountValue"] == "0.0"
    data = {"type": "activeAssetData", "user": client.address, "coin": "BTC"}
    shown = await client.info(data)
    assert len(shown["maxTradeSzs"]) == len(shown["availableToTrade"]) == 2
    assert float(shown["availableToTrade"][1]) > float(shown["availableToTrade"][0])
    assert (await client.post("/info", {**data, "coin": "NOPE"}))[0] == 500


async def test_accounts(client: SimulatorClient) -> None:
    user = {"user": client.address}
    agents = await client.info({"type": "extraAgents", **user})
    assert [one["address"] for one in agents] == [client.keys["agent_address"]]
    assert await client.info({"type": "userRole", **user}) == {"role": "user"}
    assert await client.info({"type": "userRole", "user": "0x" + "ab" * 20}) == {"role": "missing"}
    assert await client.info({"type": "subAccounts", **user}) is None
    assert await client.info({"type": "spotClearinghouseState", **user}) == {"balances": []}
    limit = await client.info({"type": "userRateLimit", "user": "0x" + "ab" * 20})
    assert limit["nRequestsCap"] == 10_000
    updates = {"type": "userNonFundingLedgerUpdates", "startTime": 0, "endTime": None, **user}
    (deposit,) = await client.info(updates)
    assert deposit["delta"] == {"type": "deposit", "usdc": "100000.0"}
    fees = await client.info({"type": "userFees", **user})
    assert (fees["userCrossRate"], fees["userAddRate"]) == ("0.00045", "0.00015")
    assert "time" in await client.info({"type": "exchangeStatus"})


async def test_trades_candles_and_funding_history(client: SimulatorClient) -> None:
    await client.order(price="66000", tif="Ioc")
    (trade,) = await client.info({"type": "recentTrades", "coin": "BTC"})
    assert (trade["side"], trade["users"][0]) == ("B", client.address)
    request = {"coin": "BTC", "interval": "1h", "startTime": 0, "endTime": 2**50}
    (candle,) = await client.info({"type": "candleSnapshot", "req": request})
    assert (candle["i"], candle["n"], candle["v"]) == ("1h", 1, "0.01")
    assert candle["T"] - candle["t"] == 3_599_999
    for wrong in (None, {**request, "interval": "7m"}):
        assert (await client.post("/info", {"type": "candleSnapshot", "req": wrong}))[0] == 422
    await client.control("POST", "/funding", {"symbol": "BTC", "rate": "0.0001"})
    (rate,) = await client.info({"type": "fundingHistory", "coin": "BTC", "startTime": 0})
    assert rate["fundingRate"] == "0.0001"


class TestLimits:
    async def test_weight_per_address_of_the_client(self, client: SimulatorClient) -> None:
        await client.control("POST", "/switches", {"ip_limit": True})
        for _ in range(20):
            await client.info({"type": "userRole", "user": client.address})
        assert await client.post("/info", {"type": "meta"}) == (429, "null")
        status, text = await client.post("/exchange", client.signed({"type": "noop"}))
        assert (status, text) == (429, "null")
        await client.control("POST", "/clock", {"advance_ms": 61_000})
        assert (await client.post("/info", {"type": "meta"}))[0] == 200

    async def test_lists_weigh_by_their_rows(
        self, client: SimulatorClient, running: RunningSimulator
    ) -> None:
        for _ in range(40):
            await client.order(price="66000", tif="Ioc", size="0.001")
        await client.control("POST", "/switches", {"ip_limit": True})
        for _ in range(54):
            await client.info({"type": "userFills", "user": client.address})
        assert (await client.post("/info", {"type": "userFills", "user": client.address}))[0] == 429

    async def test_actions_per_account(
        self, client: SimulatorClient, running: RunningSimulator
    ) -> None:
        await client.control("POST", "/switches", {"address_limit": True})
        account = running.exchange.tables.accounts[client.address]
        account.requests_used = 10_000
        assert "resting" in await client.order(cloid=1)
        answer = await client.act(order_action(order_wire(cloid=2)))
        assert answer["status"] == "err"
        assert answer["response"].startswith("Too many cumulative requests sent (10002 > 10000)")
        cancel = {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": f"0x{1:032x}"}]}
        assert await client.statuses(cancel) == ["success"]
        await client.control("POST", "/clock", {"advance_ms": 10_001})
        assert "resting" in await client.order(cloid=3)
        used = await client.info({"type": "userRateLimit", "user": client.address})
        assert used["nRequestsUsed"] == 10_003

    async def test_a_batch_counts_its_orders(self, client: SimulatorClient) -> None:
        await client.statuses(order_action(*(order_wire(cloid=n) for n in range(5))))
        used = await client.info({"type": "userRateLimit", "user": client.address})
        assert used["nRequestsUsed"] == 5


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(one) for key, one in value.items()}
    return [_shape(value[0])] if isinstance(value, list) and value else type(value).__name__


async def test_shapes_are_those_of_recorded_answers_where_present(client: SimulatorClient) -> None:
    """Every key that the recorded answer has, the simulated one has too, with the same type."""
    from tests.venues.hyperliquid.building import samples

    folder = samples()
    await client.order(price="66000", tif="Ioc", cloid=1)
    await client.order(cloid=2)
    optional = {"cloid", "liquidation", "maxTradeSzs"}
    for name, query in (
        ("clearinghouseState_cross_2026-09.json", {"type": "clearinghouseState"}),
        ("orderStatus_open_alo.json", {"type": "orderStatus", "oid": f"0x{2:032x}"}),
        ("userFillsByTime_open_close_testnet.json", {"type": "userFillsByTime", "startTime": 0}),
        ("historicalOrders.json", {"type": "historicalOrders"}),
        ("activeAssetData_cross_testnet.json", {"type": "activeAssetData", "coin": "BTC"}),
        ("extraAgents.json", {"type": "extraAgents"}),
        ("userRateLimit_vault.json", {"type": "userRateLimit"}),
    ):
        answer = await client.info({**query, "user": client.address})
        assert answer
        if folder is not None:
            recorded = json.loads((folder / "rest_info" / name).read_text())
            _contains(_shape(answer), _shape(recorded["response"]["body"]), optional, name)


def _contains(ours: Any, theirs: Any, optional: set[str], where: str) -> None:
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), where
        for key in set(theirs) - optional:
            assert key in ours, f"{where}: {key}"
            _contains(ours[key], theirs[key], optional, f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        _contains(ours[0], theirs[0], optional, where + "[]")
    elif "NoneType" not in (ours, theirs) and not isinstance(ours, list):
        assert ours == theirs, where
