"""A venue that says as much as it is asked to: Hyperliquid's public wire, and no exchange.

Run as `python -m benchmarks.streaming.flood_venue`; prints its port, serves until killed.
`POST /flood {"coins": N, "rate": R, "seconds": S}` sends R best prices a second in all, of N
markets in turn. The quantity of each best bid is the second of the day at which it was sent.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from aiohttp import WSMsgType, web

COINS: Final = tuple(f"COIN{number}" for number in range(20))
DAY_S: Final = 86_400
_UNIVERSE: Final = [
    {"szDecimals": 2, "name": name, "maxLeverage": 10, "marginTableId": 0} for name in COINS
]
_CONTEXT: Final = {
    "funding": "0.0000125",
    "openInterest": "1000.0",
    "prevDayPx": "100.0",
    "dayNtlVlm": "1000000.0",
    "dayBaseVlm": "10000.0",
    "premium": "0.0",
    "oraclePx": "100.0",
    "markPx": "100.0",
    "midPx": "100.0",
    "impactPxs": ["99.9", "100.1"],
}
_META: Final = {"universe": _UNIVERSE, "marginTables": [], "collateralToken": 0}
_ANSWERS: Final[dict[str, object]] = {
    "meta": _META,
    "metaAndAssetCtxs": [_META, [_CONTEXT] * len(COINS)],
    "allMids": dict.fromkeys(COINS, "100"),
}


class Sockets:
    """The connected sockets and what they follow."""

    def __init__(self) -> None:
        self._followers: dict[str, set[web.WebSocketResponse]] = {name: set() for name in COINS}

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Answer one socket until it ends."""
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._answer(socket, json.loads(message.data))
        finally:
            for followers in self._followers.values():
                followers.discard(socket)
        return socket

    async def _answer(self, socket: web.WebSocketResponse, asked: dict[str, Any]) -> None:
        if asked["method"] == "ping":
            await socket.send_str('{"channel":"pong"}')
            return
        subscription = asked["subscription"]
        await socket.send_json({"channel": "subscriptionResponse", "data": asked})
        if subscription["type"] == "bbo":
            followers = self._followers[subscription["coin"]]
            change = followers.add if asked["method"] == "subscribe" else followers.discard
            change(socket)

    async def flood(self, request: web.Request) -> web.Response:
        """Send best prices at a rate, and say how many went out."""
        asked = await request.json()
        coins = COINS[: asked["coins"]]
        began, count = time.monotonic(), int(asked["rate"] * asked["seconds"])
        sent = await paced(count, asked["rate"], lambda number: self._send(coins, number))
        return web.json_response({"sent": sent, "wall_s": time.monotonic() - began})

    async def _send(self, coins: tuple[str, ...], number: int) -> int:
        coin = coins[number % len(coins)]
        frame = best_prices(coin, number, time.time())
        followers = tuple(self._followers[coin])
        for socket in followers:
            await socket.send_str(frame)
        return len(followers)


async def paced(count: int, rate: float, send: Callable[[int], Any]) -> int:
    """Call `send(n)` `count` times at a rate, catching up after a delay; return the sum."""
    began, total = time.monotonic(), 0
    for number in range(count):
        wait = began + number / rate - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        total += await send(number)
    return total


def best_prices(coin: str, number: int, now: float) -> str:
    """Return a frame with best prices that differ from the ones before."""
    bid, ask = f"99.{number % 89 + 10}", f"100.{number % 89 + 10}"
    return (
        f'{{"channel":"bbo","data":{{"coin":"{coin}","time":{int(now * 1000)},"bbo":['
        f'{{"px":"{bid}","sz":"{now % DAY_S:.6f}","n":3}},{{"px":"{ask}","sz":"7.5","n":2}}]}}}}'
    )


async def _info(request: web.Request) -> web.Response:
    asked = await request.json()
    answer = _ANSWERS.get(asked["type"])
    if answer is None:
        return web.Response(status=422, text="not answered here")
    return web.json_response(answer)


async def main() -> None:
    """Serve."""
    sockets = Sockets()
    app = web.Application()
    app.add_routes(
        [
            web.post("/info", _info),
            web.get("/ws", sockets.serve),
            web.post("/flood", sockets.flood),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
