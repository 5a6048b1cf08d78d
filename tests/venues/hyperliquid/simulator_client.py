"""A plain client of the simulated venue for tests: signs with its own few lines, hides nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgpack
from coincurve import PrivateKey
from eth_utils.crypto import keccak

Json = dict[str, Any]

DOMAIN = keccak(
    keccak(
        text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    + keccak(text="Exchange")
    + keccak(text="1")
    + (1337).to_bytes(32)
    + bytes(32)
)


async def eventually(look: Callable[[], Awaitable[bool]], *, within_s: float = 10) -> None:
    """Look until it holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not await look():
        assert time.monotonic() < deadline, f"expected {look.__name__} within {within_s} s"
        await asyncio.sleep(0.01)


def sign(
    key: PrivateKey,
    action: Json,
    nonce: int,
    *,
    vault: str | None = None,
    expires_after: int | None = None,
    source: str = "b",
) -> Json:
    """Sign an L1 action as the venue documents it."""
    data = msgpack.packb(action) + nonce.to_bytes(8)
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault[2:])
    if expires_after is not None:
        data += b"\x00" + expires_after.to_bytes(8)
    message = keccak(
        keccak(text="Agent(string source,bytes32 connectionId)")
        + keccak(text=source)
        + keccak(data)
    )
    return _signature(key, keccak(b"\x19\x01" + DOMAIN + message))


def _signature(key: PrivateKey, digest: bytes) -> Json:
    raw = key.sign_recoverable(digest, hasher=None)
    return {
        "r": hex(int.from_bytes(raw[:32])),
        "s": hex(int.from_bytes(raw[32:64])),
        "v": 27 + raw[64],
    }


class SimulatorClient:
    """One funded account at a running simulator, trading through its agent."""

    def __init__(self, session: aiohttp.ClientSession, url: str, control_url: str) -> None:
        self.session = session
        self.url = url
        self.control_url = control_url
        self.address = ""
        self.keys: Json = {}
        self.key = PrivateKey(b"\x01" * 32)
        self.master = self.key
        self._nonce = 0
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, url: str, control_url: str) -> AsyncIterator[SimulatorClient]:
        async with aiohttp.ClientSession() as session:
            client = cls(session, url, control_url)
            await client.open_account()
            try:
                yield client
            finally:
                for socket in client._sockets:
                    await socket.close()

    async def open_account(self, balance: str = "100000") -> None:
        self.keys = await self.control("POST", "/accounts", {"balance": balance})
        self.address = self.keys["address"]
        self.key = PrivateKey(bytes.fromhex(self.keys["private_key"][2:]))
        self.master = PrivateKey(bytes.fromhex(self.keys["master_private_key"][2:]))

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.session.request(method, self.control_url + path, json=body) as response:
            assert response.status == 200, await response.text()
            return await response.json()

    async def deposit_check(self, address: str, amount: str) -> Any:
        return await self.control("POST", "/deposit", {"address": address, "amount": amount})

    def nonce(self) -> int:
        self._nonce = max(time.time_ns() // 1_000_000, self._nonce + 1)
        return self._nonce

    def signed(
        self,
        action: Json,
        *,
        nonce: int | None = None,
        key: PrivateKey | None = None,
        vault: str | None = None,
        expires_after: int | None = None,
        source: str = "b",
    ) -> Json:
        nonce = self.nonce() if nonce is None else nonce
        signature = sign(
            key or self.key,
            action,
            nonce,
            vault=vault,
            expires_after=expires_after,
            source=source,
        )
        return {
            "action": action,
            "nonce": nonce,
            "signature": signature,
            "vaultAddress": vault,
            "expiresAfter": expires_after,
        }

    async def post(self, path: str, body: Any) -> tuple[int, str]:
        async with self.session.post(self.url + path, json=body) as response:
            return response.status, await response.text()

    async def info(self, body: Json) -> Any:
        status, text = await self.post("/info", body)
        assert status == 200, text
        return json.loads(text)

    async def act(self, action: Json, **more: Any) -> Json:
        status, text = await self.post("/exchange", self.signed(action, **more))
        assert status == 200, text
        answer: Json = json.loads(text)
        return answer

    async def statuses(self, action: Json, **more: Any) -> list[Any]:
        answer = await self.act(action, **more)
        assert answer["status"] == "ok", answer
        statuses: list[Any] = answer["response"]["data"]["statuses"]
        return statuses

    async def order(self, **fields: Any) -> Any:
        """Place one order (see `order_wire`) and return its status."""
        (status,) = await self.statuses(order_action(order_wire(**fields)))
        return status

    async def resting(self, **fields: Any) -> int:
        status = await self.order(**fields)
        oid: int = status["resting"]["oid"]
        return oid

    async def socket(self, *subscriptions: Json) -> aiohttp.ClientWebSocketResponse:
        socket = await self.session.ws_connect(self.url + "/ws")
        self._sockets.append(socket)
        for one in subscriptions:
            await socket.send_json({"method": "subscribe", "subscription": one})
        return socket


async def frame(
    socket: aiohttp.ClientWebSocketResponse, channel: str, *, within_s: float = 10
) -> Any:
    """Return the data of the next frame of a channel, passing over others."""
    async with asyncio.timeout(within_s):
        while True:
            message = await socket.receive_json()
            if message["channel"] == channel:
                return message.get("data")


def order_wire(
    *,
    asset: int = 0,
    buy: bool = True,
    price: str = "60000",
    size: str = "0.01",
    reduce_only: bool = False,
    tif: str = "Gtc",
    trigger: Json | None = None,
    cloid: int | str | None = None,
) -> Json:
    """Write one order of an action."""
    kind = {"limit": {"tif": tif}} if trigger is None else {"trigger": trigger}
    wire: Json = {"a": asset, "b": buy, "p": price, "s": size, "r": reduce_only, "t": kind}
    if cloid is not None:
        wire["c"] = cloid if isinstance(cloid, str) else f"0x{cloid:032x}"
    return wire


def order_action(*orders: Json, grouping: Any = "na") -> Json:
    """Write an order action."""
    return {"type": "order", "orders": list(orders), "grouping": grouping}


def trigger_wire(price: str, tpsl: str, *, is_market: bool = True) -> Json:
    """Write the trigger part of an order."""
    return {"isMarket": is_market, "triggerPx": price, "tpsl": tpsl}
