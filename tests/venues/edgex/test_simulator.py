"""The simulated venue against whoever does not keep to its rules: keys, times, texts, amounts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from domain.accounts import SecretText
from tests.venues.edgex.building import VECTORS
from venues.edgex import simulator_auth
from venues.edgex.signing import Signer, l2_nonce
from venues.simulation.server import RunningSimulator, running_simulator

CREATE = "/api/v2/private/order/createOrder"
DAY_MS = 86_400_000


@dataclass
class Raw:
    """Requests by hand: nothing of the connector but its order signature."""

    running: RunningSimulator
    session: aiohttp.ClientSession
    address: str
    keys: dict[str, str] = field(repr=False)

    def headers(self, method: str, path: str, text: str, **changes: str) -> dict[str, str]:
        timestamp = changes.pop("timestamp", str(int(datetime.now(UTC).timestamp() * 1000)))
        secret = changes.pop("secret", self.keys["api_secret"])
        message = f"{timestamp}{method}{path}{text}".encode()
        key = base64.b64encode(secret.encode())
        return {
            "X-edgeX-Api-Key": self.keys["api_key"],
            "X-edgeX-Passphrase": self.keys["api_passphrase"],
            "X-edgeX-Timestamp": timestamp,
            "X-edgeX-Signature": hmac.new(key, message, hashlib.sha256).hexdigest(),
            **changes,
        }

    async def get(self, path: str, query: str, text: str, **changes: str) -> tuple[int, Any]:
        headers = self.headers("GET", path, text, **changes)
        url = f"{self.running.url}{path}?{query}"
        async with self.session.get(_encoded(url), headers=headers) as answer:
            return answer.status, await answer.json()

    async def post(
        self, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        made = headers or self.headers("POST", path, simulator_auth.text_of_json(body))
        async with self.session.post(self.running.url + path, json=body, headers=made) as answer:
            return answer.status, await answer.json()

    def order(self, **changes: Any) -> dict[str, Any]:
        now_ms = int(datetime.now(UTC).timestamp() * 1000)
        body = {
            "contractId": "30000001",
            "price": "60000",
            "size": "0.01",
            "type": "LIMIT",
            "side": "BUY",
            "timeInForce": "GOOD_TIL_CANCEL",
            "clientOrderId": "abc",
            "expireTime": str(now_ms + DAY_MS),
            "l2Nonce": str(l2_nonce("abc")),
            "l2ExpireTime": str(now_ms + 9 * DAY_MS),
            "l2Value": "600",
            "l2Size": "0.01",
            "l2LimitFee": "1",
            "reduceOnly": False,
        }
        return {**body, **changes}

    def signed(self, **changes: Any) -> dict[str, Any]:
        body = self.order(**changes)
        terms = {
            "chain_id": "3343",
            "verifying_contract": simulator_auth.CONTRACT,
            "resolution": "10000000000",
            "quote_coin_id": "1000",
            "quote_resolution": "1000000",
        }
        secret = SecretText(json.dumps(self.keys))
        signature = Signer().sign_order(secret, body, terms, self.address)
        return {**body, "accountId": self.address, "l2Signature": signature}

    @property
    def orders(self) -> list[Any]:
        return list(self.running.exchange.tables.orders.values())


def _encoded(url: str) -> Any:
    import yarl

    return yarl.URL(url, encoded=True)


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    async with running_simulator(venue="edgex") as running, aiohttp.ClientSession() as session:
        opened = await running.simulator.open_account(Decimal(100_000), "raw")
        yield Raw(running, session, opened["address"], json.loads(opened["private_key"]))


async def test_an_order_as_it_should_be_is_taken_with_and_without_0x(raw: Raw) -> None:
    status, answer = await raw.post(CREATE, raw.signed())
    assert (status, answer["code"]) == (200, "SUCCESS")
    body = raw.signed()
    status, answer = await raw.post(CREATE, {**body, "l2Signature": "0x" + body["l2Signature"]})
    assert answer["code"] == "SUCCESS"
    assert len(raw.orders) == 2, "the same client id twice: nobody has verified a protection"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"l2Nonce": "1"}, "INVALID_L2_NONCE"),
        ({"l2Size": "0.02"}, "INVALID_L2_ORDER"),
        ({"expireTime": "1795000000000"}, "INVALID_L2_ORDER"),
        ({"l2ExpireTime": "1795000000000"}, "INVALID_L2_EXPIRE_TIME"),
        ({"l2Value": "599.9"}, "INVALID_L2_VALUE"),
        ({"l2LimitFee": "0"}, "INVALID_L2_LIMIT_FEE"),
        ({"price": "60000.05", "l2Value": "600.1"}, "INVALID_ORDER_PRICE"),
        ({"size": "0.0105", "l2Size": "0.0105", "l2Value": "630"}, "INVALID_ORDER_SIZE"),
        ({"price": "90000", "l2Value": "900"}, "ORDER_PRICE_TOO_FAR"),
        ({"timeInForce": "FILL_OR_KILL"}, "UNSUPPORTED_TIME_IN_FORCE"),
        ({"type": "GUESS"}, "GATEWAY_PARAM_INVALID"),
        ({"size": "1e1"}, "GATEWAY_PARAM_INVALID"),
        ({"contractId": "99999999"}, "GATEWAY_INVALID_CONTRACT_ID"),
        ({"clientOrderId": ""}, "GATEWAY_PARAM_INVALID"),
        ({"type": "STOP_LIMIT"}, "GATEWAY_PARAM_INVALID"),
    ],
)
async def test_what_is_wrong_of_an_order_is_refused(
    raw: Raw, changes: dict[str, Any], code: str
) -> None:
    _, answer = await raw.post(CREATE, raw.signed(**changes))
    assert answer["code"] == code
    assert not any(order.status.is_live or order.filled for order in raw.orders)


async def test_what_was_signed_is_what_is_asked(raw: Raw) -> None:
    for name, value in (
        ("l2Value", "601"),
        ("l2LimitFee", "2"),
        ("side", "SELL"),
        ("contractId", "30000002"),
        ("expireTime", str(int(datetime.now(UTC).timestamp() * 1000) + 2 * DAY_MS)),
    ):
        _, answer = await raw.post(CREATE, {**raw.signed(), name: value})
        assert answer["code"] in ("INVALID_L2_SIGNATURE", "INVALID_L2_VALUE"), name
    for signature in ("", "00" * 65, "zz", "11" * 64 + "1b"):
        _, answer = await raw.post(CREATE, {**raw.signed(), "l2Signature": signature})
        assert answer["code"] == "INVALID_L2_SIGNATURE"
    assert raw.orders == []


async def test_the_key_is_looked_at_before_the_time_and_the_time_before_the_text(raw: Raw) -> None:
    path, query = "/api/v2/private/account/getAccountAsset", f"accountId={raw.address}"
    old = {"timestamp": "1600000000000"}
    status, answer = await raw.get(path, query, query, **old, **{"X-edgeX-Api-Key": "nope"})
    assert (status, answer["code"]) == (401, "INVALID_API_KEY")
    assert (answer["msg"], answer["errorParam"]) == ("invalid apiKey : nope", {"apiKey": "nope"})
    status, answer = await raw.get(path, query, "wrong", **old)
    assert (status, answer["code"]) == (401, "INVALID_TIMESTAMP")
    status, answer = await raw.get(path, query, "wrong")
    assert (status, answer["code"]) == (401, "INVALID_SIGNATURE")
    status, answer = await raw.get(path, query, query, **{"X-edgeX-Passphrase": "nope"})
    assert answer["code"] == "INVALID_API_KEY"
    status, answer = await raw.get(path, query, query)
    assert (status, answer["data"]["account"]["id"]) == (200, raw.address)
    async with raw.session.get(raw.running.url + path) as bare:
        assert (await bare.json())["code"] == "GATEWAY_HEADER_REQUIRED"


async def test_a_query_is_decoded_before_it_is_sorted(raw: Raw) -> None:
    path = "/api/v2/private/order/getOrderByClientOrderId"
    spelled = quote("o/1+é,b&c", safe=",")
    query = f"clientOrderIdList={spelled}&accountId={raw.address}"
    text = f"accountId={raw.address}&clientOrderIdList=o/1+é,b&c"
    assert (await raw.get(path, query, text))[1]["code"] == "SUCCESS"
    encoded = f"accountId={raw.address}&clientOrderIdList={spelled}"
    assert (await raw.get(path, query, encoded))[1]["code"] == "INVALID_SIGNATURE"


async def test_another_accounts_name_is_refused_in_queries_and_commands(raw: Raw) -> None:
    query = "accountId=500000000000000001"
    path = "/api/v2/private/account/getAccountAsset"
    status, answer = await raw.get(path, query, query)
    assert (status, answer["code"], answer["data"]) == (403, "ACCOUNT_NOT_FOUND", None)
    status, answer = await raw.post(CREATE, {**raw.signed(), "accountId": "1"})
    assert (status, answer["code"]) == (403, "ACCOUNT_NOT_FOUND")
    cancel = {"accountId": "1", "orderIdList": ["1"]}
    status, answer = await raw.post("/api/v2/private/order/cancelOrderById", cancel)
    assert answer["code"] == "ACCOUNT_NOT_FOUND"


async def test_pages_have_sizes(raw: Raw) -> None:
    for path, most in (("getActiveOrderPage", 200), ("getHistoryOrderPage", 100)):
        for size, code in ((most, "SUCCESS"), (most + 1, "INVALID_GET_PAGE_SIZE")):
            query = f"accountId={raw.address}&size={size}"
            _, answer = await raw.get(f"/api/v2/private/order/{path}", query, query)
            assert answer["code"] == code


async def test_bodies_that_are_none_are_refused(raw: Raw) -> None:
    for body in (b"", b"[]", b"no JSON", b"\xff", b"7"):
        url = raw.running.url + CREATE
        async with raw.session.post(url, data=body) as answer:
            assert (await answer.json())["code"] in (
                "GATEWAY_PARAM_INVALID",
                "GATEWAY_HEADER_REQUIRED",
            )


async def test_margin_modes_are_checked_and_mean_nothing(raw: Raw) -> None:
    path = "/api/v2/private/account/setMarginMode"
    body = {
        "accountId": raw.address,
        "contractId": "30000001",
        "marginMode": "1",
        "l2Nonce": "7",
        "signer": "0x" + "11" * 20,
        "l2Signature": "00" * 65,
    }
    _, answer = await raw.post(path, body)
    assert answer["code"] == "INVALID_L2_SIGNATURE"
    _, answer = await raw.post(path, {**body, "marginMode": 1})
    assert answer["code"] == "GATEWAY_PARAM_INVALID"


async def test_tickers_of_no_contract_are_none(raw: Raw) -> None:
    url = raw.running.url + "/api/v2/public/quote/getTicker"
    async with raw.session.get(url) as answer:
        assert (await answer.json())["data"] == []
    async with raw.session.get(url + "?contractId=9") as answer:
        assert (await answer.json())["code"] == "GATEWAY_INVALID_CONTRACT_ID"


async def test_the_address_limit_by_its_switch(raw: Raw) -> None:
    raw.running.exchange.switches.ip_limit = True
    url = raw.running.url + "/api/v2/public/meta/getServerTime"
    statuses = set()
    for _ in range(1_205):
        async with raw.session.get(url) as answer:
            statuses.add(answer.status)
    assert statuses == {200, 429}


async def test_a_private_socket_by_subprotocol_alone_is_echoed(raw: Raw) -> None:
    path = "/api/v1/private/ws"
    timestamp = str(int(datetime.now(UTC).timestamp() * 1000))
    query = f"accountId={raw.address}&timestamp={timestamp}"
    headers = raw.headers("GET", path, query, timestamp=timestamp)
    protocol = base64.b64encode(json.dumps(headers).encode()).decode().rstrip("=")
    url = f"{raw.running.url}{path}?{query}"
    async with raw.session.ws_connect(url, protocols=[protocol]) as socket:
        assert socket.protocol == protocol
        assert (await socket.receive_json())["type"] == "connected"
        assert (await socket.receive_json())["content"]["event"] == "Snapshot"
        await socket.send_json({"type": "ping", "time": "7"})
        assert await socket.receive_json() == {"type": "pong", "time": "7"}
    for wrong in ({"protocols": ["nonsense"]}, {"headers": {**headers, "X-edgeX-Signature": "0"}}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as seen:
            async with raw.session.ws_connect(url, **wrong):
                pass
        assert seen.value.status in (400, 401)


def test_its_hashing_is_its_own_and_the_venues() -> None:
    """Against vectors of the venue's SDK; shares no line with the connector's signing."""
    signer = "0x17c5185167401ed00cf5f5b2fc97d9bbfdb7d025"
    resolutions = {"30000001": 10_000_000_000, "30000007": 1_000_000}
    for request in VECTORS["requests"]:
        text = simulator_auth.text_of_json(request["body"])
        message = f"{VECTORS['timestamp']}POST{request['path']}{text}".encode()
        key = base64.b64encode(VECTORS["secret"].encode())
        assert hmac.new(key, message, hashlib.sha256).hexdigest() == request["hmac"]
        if not request["path"].endswith("createOrder"):
            continue
        body = request["body"]
        found = simulator_auth.signer_of_order(
            body,
            resolution=resolutions[body["contractId"]],
            quote_resolution=1_000_000,
            quote_coin="1000",
            signer=signer,
        )
        assert found == signer
        assert str(simulator_auth.nonce_of(body["clientOrderId"])) == body["l2Nonce"]
