"""A second client of the v2 API, written from the page alone: the other corner of the simulator.

There is no SDK of the venue's and no client of somebody else's that follows the page, so this one
stands for it. It shares nothing with the connector and nothing with the simulator: eth-account and
eth-abi sign, aiohttp asks, `websockets` listens, JSON is read as it comes.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils.crypto import keccak
from websockets.asyncio.client import ClientConnection, connect

ROUTER = "0x919386306C47b2Fe1036e3B4F7C40D22D2461a23"


def now_ms() -> int:
    return int(time.time() * 1000)


@dataclass
class RawClient:
    """One account as its owner's script would have it; answers are (status, JSON)."""

    url: str
    session: aiohttp.ClientSession
    primary_key: str = field(repr=False)
    signing_key: str = field(repr=False)
    api_key: str = ""
    group: int = 0
    last_nonce: int = 0

    async def ask(self, method: str, path: str, body: Any = None, **query: Any) -> tuple[int, Any]:
        headers = {"xrestservermm": f"restserver{self.group}"}
        if self.api_key:
            headers["X-API-KEY"] = self.api_key
        asked = self.session.request(
            method, f"{self.url}/v2{path}", json=body, params=query or None, headers=headers
        )
        async with asked as answer:
            return answer.status, json.loads(await answer.read())

    async def register(self, **changes: Any) -> tuple[int, Any]:
        signer = Account.from_key(self.signing_key).address
        expiry = now_ms() + 7 * 86_400_000
        typed = {
            "domain": {"name": "VestRouterV2", "version": "0.0.1", "verifyingContract": ROUTER},
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "SignerProof": [
                    {"name": "approvedSigner", "type": "address"},
                    {"name": "signerExpiry", "type": "uint256"},
                ],
            },
            "primaryType": "SignerProof",
            "message": {"approvedSigner": signer, "signerExpiry": expiry},
        }
        signed = Account.sign_message(encode_typed_data(full_message=typed), self.primary_key)
        body = {
            "signingAddr": signer.lower(),
            "primaryAddr": Account.from_key(self.primary_key).address.lower(),
            "signature": "0x" + bytes(signed.signature).hex(),
            "expiryTime": expiry,
            "networkType": 0,
            **changes,
        }
        status, answer = await self.ask("POST", "/register", body)
        if status == 200:
            self.api_key, self.group = answer["apiKey"], answer["accGroup"]
        return status, answer

    def nonce(self) -> int:
        self.last_nonce = max(now_ms(), self.last_nonce + 1)
        return self.last_nonce

    def signature(self, types: list[str], values: list[Any], key: str | None = None) -> str:
        message = encode_defunct(primitive=keccak(encode(types, values)))
        signed = Account.sign_message(message, key or self.signing_key)
        return "0x" + bytes(signed.signature).hex()

    def order(self, *, key: str | None = None, **changes: Any) -> dict[str, Any]:
        nonce = self.nonce()
        order: dict[str, Any] = {
            "time": nonce,
            "nonce": nonce,
            "symbol": "BTC-PERP",
            "isBuy": True,
            "size": "0.0100",
            "orderType": "LIMIT",
            "limitPrice": "60000.00",
            "reduceOnly": False,
            "timeInForce": "GTC",
        }
        order = {name: value for name, value in {**order, **changes}.items() if value is not None}
        names = (
            "time", "nonce", "orderType", "symbol", "isBuy", "size", "limitPrice", "reduceOnly",
        )  # fmt: skip
        types = ["uint256", "uint256", "string", "string", "bool", "string", "string", "bool"]
        signature = self.signature(types, [order[name] for name in names], key)
        return {"order": order, "recvWindow": 10_000, "signature": signature}

    async def place(self, **changes: Any) -> tuple[int, Any]:
        return await self.ask("POST", "/orders", self.order(**changes))

    async def cancel(self, order_id: str) -> tuple[int, Any]:
        nonce = self.nonce()
        order = {"time": nonce, "nonce": nonce, "id": order_id}
        signature = self.signature(["uint256", "uint256", "string"], list(order.values()))
        body = {"order": order, "recvWindow": 10_000, "signature": signature}
        return await self.ask("POST", "/orders/cancel", body)

    async def orders(self, **query: Any) -> list[dict[str, Any]]:
        status, rows = await self.ask("GET", "/orders", time=now_ms(), **query)
        assert status == 200, rows
        return list(rows)

    @asynccontextmanager
    async def private_socket(self) -> AsyncIterator[ClientConnection]:
        _, answer = await self.ask("POST", "/account/listenKey")
        address = (
            f"ws{self.url.removeprefix('http')}/ws-api?version=1.0"
            f"&xwebsocketserver=restserver{self.group}&listenKey={answer['listenKey']}"
        )
        async with connect(address) as socket:
            await socket.send(
                json.dumps({"method": "SUBSCRIBE", "params": ["account_private"], "id": 1})
            )
            assert json.loads(await socket.recv()) == {"result": None, "id": 1}
            yield socket


async def heard(socket: ClientConnection) -> dict[str, Any]:
    """Return the next private event."""
    frame = json.loads(await socket.recv())
    assert frame["channel"] == "account_private"
    return dict(frame["data"]["args"])
