"""Faults on the wire: what the client sees, and what the exchange really did."""

import json
from typing import Any

import aiohttp
import pytest

from tests.venues.hyperliquid.simulator_client import (
    SimulatorClient,
    frame,
    order_action,
    order_wire,
)
from tests.venues.hyperliquid.simulator_fixtures import client, running
from venues.simulation.server import RunningSimulator, running_simulator

__all__ = ["client", "running"]


async def arm(client: SimulatorClient, kind: str, **more: Any) -> None:
    await client.control("POST", "/faults", {"kind": kind, **more})


async def placed(client: SimulatorClient) -> int:
    ledger = await client.control("GET", f"/ledger?account={client.address}")
    return len(ledger["orders"])


@pytest.mark.parametrize(
    ("kind", "happened"), [("drop-before-apply", False), ("drop-after-apply", True)]
)
async def test_a_cut_connection_says_nothing_of_what_happened(
    client: SimulatorClient, kind: str, happened: bool
) -> None:
    await arm(client, kind, action="order")
    body = client.signed(order_action(order_wire(cloid=1)))
    with pytest.raises(aiohttp.ClientError):
        await client.post("/exchange", body)
    assert await placed(client) == int(happened)
    again = json.loads((await client.post("/exchange", body))[1])
    assert ("duplicate nonce" in str(again)) is happened
    assert await placed(client) == 1


@pytest.mark.parametrize(
    ("kind", "status", "happened"),
    [("500-before", 500, False), ("500-after", 500, True), ("429", 429, False)],
)
async def test_an_error_status_says_nothing_either(
    client: SimulatorClient, kind: str, status: int, happened: bool
) -> None:
    await arm(client, kind, action="order")
    assert await client.post("/exchange", client.signed(order_action(order_wire(cloid=1)))) == (
        status,
        "null",
    )
    assert await placed(client) == int(happened)


async def test_a_garbled_answer_is_no_json_but_it_did_happen(client: SimulatorClient) -> None:
    await arm(client, "garble")
    status, text = await client.post("/exchange", client.signed(order_action(order_wire(cloid=1))))
    assert status == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(text)
    assert await placed(client) == 1


async def test_a_held_answer_leaves_the_order_visible(client: SimulatorClient) -> None:
    import asyncio

    await arm(client, "delay-answer", delay_ms=5_000, action="order")
    body = client.signed(order_action(order_wire(cloid=1)))
    post = asyncio.create_task(client.post("/exchange", body))
    query = {"type": "orderStatus", "user": client.address, "oid": f"0x{1:032x}"}
    async with asyncio.timeout(4):
        while (await client.info(query))["status"] == "unknownOid":
            await asyncio.sleep(0.01)
    assert not post.done()
    post.cancel()
    await asyncio.gather(post, return_exceptions=True)


async def test_a_late_request_is_applied_late_even_if_nobody_waits(
    client: SimulatorClient,
) -> None:
    import asyncio

    await arm(client, "delay", delay_ms=150)
    body = client.signed(order_action(order_wire(cloid=1)))
    post = asyncio.create_task(client.post("/exchange", body))
    async with asyncio.timeout(5):
        while (await client.control("GET", "/faults"))["faults"]:
            await asyncio.sleep(0.005)
    post.cancel()
    await asyncio.gather(post, return_exceptions=True)
    assert await placed(client) == 0
    async with asyncio.timeout(5):
        while not await placed(client):
            await asyncio.sleep(0.01)


async def test_a_filter_spares_other_actions(client: SimulatorClient) -> None:
    await arm(client, "429", action="cancel", count=1)
    await client.order(cloid=1)
    cancel = {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": f"0x{1:032x}"}]}
    assert (await client.post("/exchange", client.signed(cancel)))[0] == 429
    assert await client.statuses(cancel) == ["success"]


class TestQueries:
    @pytest.mark.parametrize(
        ("kind", "status"), [("429", 429), ("500-before", 500), ("500-after", 500)]
    )
    async def test_they_fail_only_when_named(
        self, client: SimulatorClient, kind: str, status: int
    ) -> None:
        await arm(client, kind, action="meta")
        assert (await client.post("/info", {"type": "allMids"}))[0] == 200
        assert await client.post("/info", {"type": "meta"}) == (status, "null")
        assert (await client.post("/info", {"type": "meta"}))[0] == 200

    async def test_info_names_them_all(self, client: SimulatorClient) -> None:
        await arm(client, "drop-after", action="info", count=2)
        for name in ("meta", "allMids"):
            with pytest.raises(aiohttp.ClientError):
                await client.post("/info", {"type": name})
        await arm(client, "delay", action="info", delay_ms=20)
        await arm(client, "garble", action="info")
        _, text = await client.post("/info", {"type": "meta"})
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(text)


async def test_the_upgrade_gate_takes_only_post_only_and_burns_the_nonce(
    client: SimulatorClient,
) -> None:
    await arm(client, "upgrade-gate")
    body = client.signed(order_action(order_wire(cloid=1)))
    answer = json.loads((await client.post("/exchange", body))[1])
    assert answer["response"] == ("Only post-only orders allowed immediately after network upgrade")
    burnt = await client.act({"type": "noop"}, nonce=body["nonce"])
    assert "duplicate nonce" in burnt["response"]
    assert "resting" in await client.order(cloid=2, tif="Alo")
    change = {"oid": f"0x{2:032x}", "order": order_wire(price="61000", tif="Alo")}
    assert (await client.act({"type": "batchModify", "modifies": [change]}))["status"] == "ok"
    gtc = {"type": "modify", "oid": 1, "order": order_wire()}
    assert (await client.act(gtc))["status"] == "err"
    await client.control("DELETE", "/faults")
    assert "resting" in await client.order(cloid=3)


class TestSockets:
    async def test_frames_can_come_twice(self, client: SimulatorClient) -> None:
        socket = await client.socket({"type": "orderUpdates", "user": client.address})
        await frame(socket, "subscriptionResponse")
        await arm(client, "duplicate")
        await client.order(cloid=1)
        first = await frame(socket, "orderUpdates")
        assert await frame(socket, "orderUpdates") == first

    async def test_a_filter_names_a_channel_or_an_action(self, client: SimulatorClient) -> None:
        user = {"user": client.address}
        socket = await client.socket(
            {"type": "orderUpdates", **user}, {"type": "userEvents", **user}
        )
        await arm(client, "duplicate", action="user", count=1)
        await arm(client, "stall", action="cancel", count=0)
        await client.order(price="66000", tif="Ioc", cloid=1)
        await client.order(cloid=2)
        cancel = {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": f"0x{2:032x}"}]}
        assert await client.statuses(cancel) == ["success"]
        await client.order(cloid=3)
        seen: list[Any] = []
        while len(seen) < 5:
            message = await socket.receive_json()
            if message["channel"] != "subscriptionResponse":
                seen.append(message)
        channels = [one["channel"] for one in seen]
        assert channels == ["orderUpdates", "user", "user", "orderUpdates", "orderUpdates"]
        assert [one["data"][0]["status"] for one in seen[3:]] == ["open", "open"]

    async def test_frames_can_come_in_reverse_and_before_the_answer(
        self, client: SimulatorClient
    ) -> None:
        import asyncio

        user = {"user": client.address}
        socket = await client.socket(
            {"type": "orderUpdates", **user}, {"type": "userFills", **user}
        )
        await frame(socket, "userFills")
        await arm(client, "reorder")
        post = asyncio.create_task(client.order(price="66000", tif="Ioc", cloid=1))
        channels = [(await socket.receive_json())["channel"] for _ in range(2)]
        assert channels == ["userFills", "orderUpdates"]
        assert not post.done()
        assert "filled" in await post

    async def test_a_stalled_socket_is_silent_and_loses_frames(
        self, client: SimulatorClient
    ) -> None:
        socket = await client.socket({"type": "orderUpdates", "user": client.address})
        await frame(socket, "subscriptionResponse")
        await arm(client, "stall")
        await client.order(cloid=1)
        await socket.send_json({"method": "ping"})
        await client.control("DELETE", "/faults")
        await client.order(cloid=2)
        (update,) = await frame(socket, "orderUpdates")
        assert update["order"]["cloid"] == f"0x{2:032x}"

    async def test_one_channel_alone_can_be_silent(self, client: SimulatorClient) -> None:
        await arm(client, "stall", action="activeAssetCtx", count=0)
        socket = await client.socket({"type": "activeAssetCtx", "coin": "BTC"})
        await socket.send_json(
            {"method": "subscribe", "subscription": {"type": "l2Book", "coin": "BTC"}}
        )
        channels = [(await socket.receive_json(timeout=5))["channel"] for _ in range(3)]
        assert channels == ["subscriptionResponse", "subscriptionResponse", "l2Book"]

    async def test_a_post_can_lose_its_socket(self, client: SimulatorClient) -> None:
        socket = await client.socket()
        await arm(client, "drop-after-apply")
        body = client.signed(order_action(order_wire(cloid=1)))
        request = {"type": "action", "payload": body}
        await socket.send_json({"method": "post", "id": 5, "request": request})
        message = await socket.receive(5)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert await placed(client) == 1


async def test_a_restarted_simulator_goes_on_from_its_log(
    client: SimulatorClient, running: RunningSimulator, tmp_path: Any
) -> None:
    """The log of a running simulator, copied as a crash would leave it, holds every answer."""
    body = client.signed(order_action(order_wire(cloid=1)))
    await client.post("/exchange", body)
    await client.order(price="66000", tif="Ioc", cloid=2)
    before = await client.control("GET", "/ledger")
    home = tmp_path / "copy"
    home.mkdir()
    (home / "exchange.wal").write_bytes((tmp_path / "exchange.wal").read_bytes())
    async with running_simulator(home=home, seed=5) as again:
        client.url, client.control_url = again.url, again.control_url
        assert await client.control("GET", "/ledger") == before
        answer = json.loads((await client.post("/exchange", body))[1])
        assert "duplicate nonce" in answer["response"]
        assert "resting" in await client.order(cloid=3)
