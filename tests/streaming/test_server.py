"""The server over real sockets with real storage: what a good client sees."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest
from websockets.asyncio.client import connect

from domain.accounts import AccountState
from domain.orders import Verdict
from tests.bus.waiting import eventually
from tests.streaming.sockets import (
    Flaky,
    ask,
    authenticated,
    closed,
    deaf_client,
    hear,
    serving,
    subscribed,
)
from tests.streaming.stage import Stage, order_id


async def test_hello_says_what_a_client_has_to_know(stage: Stage) -> None:
    async with serving(stage) as served, connect(served.url) as client:
        hello = await hear(client)
    assert hello.pop("server_time").endswith("Z")
    assert len(hello.pop("session")) == 16
    assert hello == {
        "type": "hello",
        "channel": "orders",
        "heartbeat_ms": 5000,
        "limits": {
            "auth_timeout_ms": 5000,
            "message_bytes_max": 16384,
            "messages_per_s": 20.0,
            "subscriptions_max": 256,
        },
    }


async def test_snapshot_then_every_change_in_sequence(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1)
    start = await stage.orders.last_sequence("acc-1")
    async with serving(stage) as served, authenticated(served) as client:
        ack = await ask(client, op="subscribe", account_id="acc-1", id="q")
        assert ack == {"type": "ack", "id": "q", "op": "subscribe", "accounts": ["acc-1"]}
        snapshot = await hear(client)
        assert (snapshot["type"], snapshot["snapshot"], snapshot["more"]) == (
            "snapshot",
            True,
            False,
        )
        assert snapshot["seq"] == start
        assert [o["order_id"] for o in snapshot["orders"]] == [order_id(1)]
        assert snapshot["orders"][0]["status"] == "ACCEPTED"
        status = await hear(client)
        assert (status["type"], status["stale"], status["age_ms"]) == ("status", True, None)

        await stage.book(1, 1)
        await stage.place(2)
        await stage.report(1, Verdict.CANCELED, reason="by the user")
        wanted = await stage.orders.last_sequence("acc-1")
        updates = [await hear(client) for _ in range(wanted - start)]
        assert [u["type"] for u in updates] == ["update"] * len(updates)
        assert [u["seq"] for u in updates] == list(range(start + 1, wanted + 1))
        assert all(u["prev_seq"] == u["seq"] - 1 for u in updates)
        by_order = {u["order"]["order_id"]: u["order"] for u in updates}
        assert by_order[order_id(1)]["status"] == "CANCELED"
        assert by_order[order_id(1)]["filled_quantity"] == "0.1"
        assert by_order[order_id(1)]["reason"] == "by the user"
        assert by_order[order_id(2)]["status"] == "SUBMITTED"


async def test_lately_ended_orders_are_in_the_snapshot(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1, Verdict.REJECTED, reason="margin")
    async with serving(stage) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1")
        snapshot = await hear(client)
    assert [o["status"] for o in snapshot["orders"]] == ["REJECTED"]


async def test_an_account_without_orders_has_an_empty_snapshot(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1")
        snapshot = await hear(client)
        assert (snapshot["seq"], snapshot["orders"], snapshot["more"]) == (0, [], False)
        await stage.place(1)
        assert (await hear(client))["type"] == "status"
        assert (await hear(client))["seq"] == 1


async def test_a_client_resumes_where_it_was(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    await stage.report(1)
    async with serving(stage) as served:
        async with subscribed(served):
            pass
        seen = await stage.orders.last_sequence("acc-1")
        await stage.book(1, 1)
        await stage.book(1, 2)
        newest = await stage.orders.last_sequence("acc-1")
        async with authenticated(served) as client:
            await ask(client, op="subscribe", account_id="acc-1", from_seq=seen)
            for sequence in range(seen + 1, newest + 1):
                assert (await hear(client))["seq"] == sequence
            assert (await hear(client))["type"] == "status"
        async with authenticated(served) as client:
            await ask(client, op="subscribe", account_id="acc-1", from_seq=newest)
            assert (await hear(client))["type"] == "status"


@pytest.mark.parametrize("from_seq", [10**6, 0])
async def test_where_resuming_is_impossible_a_snapshot_is_sent(stage: Stage, from_seq: int) -> None:
    await stage.add_account()
    for number in range(1, 5):
        await stage.place(number)
    async with serving(stage, resume_changes_max=3) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1", from_seq=from_seq)
        resync = await hear(client)
        assert (resync["type"], resync["account_id"]) == ("resync", "acc-1")
        snapshot = await hear(client)
        assert len(snapshot["orders"]) == 4


async def test_asked_for_all_what_is_followed_goes_on_where_it_is(stage: Stage) -> None:
    await stage.add_account("acc-1")
    await stage.add_account("acc-2")
    await stage.place(1, account_id="acc-1")
    newest = await stage.orders.last_sequence("acc-1")
    async with serving(stage) as served, authenticated(served) as client:
        await ask(client, op="subscribe", account_id="acc-1", from_seq=newest - 1)
        assert (await hear(client))["seq"] == newest
        assert (await hear(client))["type"] == "status"
        assert (await ask(client, op="subscribe"))["accounts"] == ["acc-1", "acc-2"]
        snapshot = await hear(client)
        assert (snapshot["type"], snapshot["account_id"]) == ("snapshot", "acc-2")
        assert (await hear(client))["account_id"] == "acc-2"
        assert (await ask(client, op="ping", id=1))["type"] == "pong"


async def test_all_accounts_also_those_added_later(stage: Stage) -> None:
    await stage.add_account("acc-1")
    await stage.add_account("acc-2")
    async with serving(stage) as served, authenticated(served) as client:
        ack = await ask(client, op="subscribe")
        assert ack["accounts"] == ["acc-1", "acc-2"]
        kinds = [(await hear(client))["type"] for _ in range(4)]
        assert kinds == ["snapshot", "status"] * 2
        await stage.add_account("acc-3")
        served.server.accounts_changed()
        assert (await hear(client))["account_id"] == "acc-3"
        assert (await hear(client))["type"] == "status"
        await stage.place(1, account_id="acc-3")
        for sequence in range(1, 1 + await stage.orders.last_sequence("acc-3")):
            update = await hear(client)
            assert (update["order"]["account_id"], update["seq"]) == ("acc-3", sequence)

        ack = await ask(client, op="unsubscribe", account_id="acc-3", id=5)
        assert (ack["op"], ack["accounts"]) == ("unsubscribe", ["acc-3"])
        ack = await ask(client, op="unsubscribe", id=6)
        assert sorted(ack["accounts"]) == ["acc-1", "acc-2"]
        assert served.server.hub.followed("orders") == {}
        error = await ask(client, op="unsubscribe", account_id="acc-1", id=7)
        assert (error["type"], error["id"], error["code"]) == ("error", 7, "not_found")


async def test_accounts_of_others_do_not_exist(stage: Stage) -> None:
    await stage.add_account("theirs", owner="somebody")
    async with serving(stage) as served, authenticated(served) as client:
        foreign = await ask(client, op="subscribe", account_id="theirs", id=1)
        absent = await ask(client, op="subscribe", account_id="nowhere", id=1)
        assert foreign == absent
        assert (foreign["type"], foreign["code"]) == ("error", "not_found")
        assert (await ask(client, op="subscribe"))["accounts"] == []


async def test_stale_is_said_and_said_again_when_it_changes(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served:
        served.board.set("acc-1", live=True, reason="connected")
        async with authenticated(served) as client:
            await ask(client, op="subscribe", account_id="acc-1")
            await hear(client)
            status = await hear(client)
            assert (status["stale"], status["age_ms"]) == (False, 0)
            served.board.set("acc-1", live=False, reason="the feed closed")
            status = await hear(client)
            assert (status["stale"], status["reason"]) == (True, "the feed closed")
            assert status["age_ms"] >= 0


async def test_ping_and_heartbeat(stage: Stage) -> None:
    async with serving(stage, heartbeat_s=0.05) as served, authenticated(served) as client:
        pong = await ask(client, op="ping", id="p")
        assert (pong["type"], pong["id"]) == ("pong", "p")
        assert pong["server_time"].endswith("Z")
        async with asyncio.timeout(5):
            while json.loads(await client.recv())["type"] != "heartbeat":
                pass
        waiter = await client.ping()
        await asyncio.wait_for(waiter, 5)


async def test_a_client_that_reads_nothing_is_closed_and_others_are_served(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    limits = {"slow_s": 1.0, "queued_messages_max": 20}
    async with serving(stage, **limits) as served, subscribed(served) as reading:
        slow = await deaf_client(served, "acc-1")
        try:
            filler = 0
            while len(served.server.hub.sessions) == 2:
                for _ in range(20):
                    filler += 1
                    await stage.report(1, reason="x" * 4000 + f"{filler:08d}")
                served.server.tail.wake()
                # The reading client keeps up with every change.
                for _ in range(20):
                    assert (await hear(reading))["type"] == "update"
                assert filler < 20_000
            assert len(served.server.hub.sessions) == 1
        finally:
            slow.close()


async def test_a_client_that_stalls_for_a_moment_is_resynced(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    async with serving(stage, queued_messages_max=5) as served, subscribed(served) as client:
        session = served.server.hub.sessions[0]
        session.outbox.pause(asyncio.get_running_loop().time())
        for number in range(10):
            await stage.book(1, number + 1, quantity=Decimal("0.01"))
        newest = await stage.orders.last_sequence("acc-1")
        await eventually(lambda: None in session.subscriptions.values())
        session.outbox.resume(asyncio.get_running_loop().time())
        resync = await hear(client)
        assert (resync["type"], resync["reason"]) == ("resync", "changes were left out")
        snapshot = await hear(client)
        assert (snapshot["type"], snapshot["seq"]) == ("snapshot", newest)
        assert (await hear(client))["type"] == "status"
        await stage.book(1, 99)
        assert (await hear(client))["seq"] == newest + 1


async def test_while_storage_is_away_nothing_breaks(stage: Stage) -> None:
    await stage.add_account()
    await stage.place(1)
    flaky = Flaky(stage.orders)
    async with (
        serving(stage, orders=flaky) as served,
        subscribed(served) as client,
        authenticated(served) as other,
    ):
        flaky.away = True
        assert (await ask(other, op="subscribe", account_id="acc-1", id=3))["type"] == "ack"
        assert (await ask(other, op="ping", id=4))["type"] == "pong"
        await eventually(lambda: flaky.refused > 8)
        await stage.report(1)
        flaky.away = False
        assert (await hear(client))["order"]["status"] == "ACCEPTED"
        assert (await hear(other))["type"] == "resync"
        snapshot = await hear(other)
        assert snapshot["orders"][0]["status"] == "ACCEPTED"


async def test_a_subscription_that_cannot_be_checked_is_not_taken(stage: Stage) -> None:
    await stage.add_account()
    flaky = Flaky(stage.accounts)
    async with (
        serving(Stage(stage.orders, flaky, stage.ledger, stage.positions)) as served,
        authenticated(served) as client,
    ):
        flaky.away = True
        error = await ask(client, op="subscribe", account_id="acc-1", id=3)
        assert (error["type"], error["id"], error["code"]) == ("error", 3, "unavailable")
        flaky.away = False
        assert (await ask(client, op="subscribe", account_id="acc-1"))["type"] == "ack"


async def test_draining_says_goodbye(stage: Stage) -> None:
    async with serving(stage) as served, authenticated(served) as client:
        await served.server.drain()
        assert (await closed(client))[0] == 1001
        with pytest.raises(OSError):
            await connect(served.url)


async def test_a_client_that_vanishes_leaves_nothing(stage: Stage) -> None:
    await stage.add_account()
    async with serving(stage) as served:
        async with subscribed(served) as client:
            client.transport.abort()
        await eventually(lambda: served.server.hub.sessions == ())
        assert served.server.hub.followed("orders") == {}


async def test_removed_accounts_are_not_among_all(stage: Stage) -> None:
    await stage.add_account("acc-1")
    await stage.add_account("acc-2")
    await stage.accounts.set_state("acc-2", AccountState.REMOVED, reason="gone", signer=None)
    async with serving(stage) as served, authenticated(served) as client:
        assert (await ask(client, op="subscribe"))["accounts"] == ["acc-1"]
