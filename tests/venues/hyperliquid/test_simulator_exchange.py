"""`POST /exchange`: the order of checks, nonces, answers and error texts."""

import json
import time
from typing import Any

import pytest
from coincurve import PrivateKey

from tests.venues.hyperliquid.simulator_client import (
    SimulatorClient,
    order_action,
    order_wire,
    trigger_wire,
)
from tests.venues.hyperliquid.simulator_fixtures import client, running
from venues.hyperliquid.simulator_signature import address_of_key
from venues.simulation.server import RunningSimulator

__all__ = ["client", "running"]

NOOP: dict[str, Any] = {"type": "noop"}
STRANGER = PrivateKey(b"\x07" * 32)
STRANGER_ADDRESS = address_of_key(STRANGER.public_key)


def refused(answer: dict[str, Any]) -> str:
    assert answer["status"] == "err", answer
    text: str = answer["response"]
    return text


class TestHttp:
    async def test_text_content_type_and_shape(self, client: SimulatorClient) -> None:
        async with client.session.post(client.url + "/exchange", data=b"{}") as response:
            assert response.status == 415
            assert "Content-Type: application/json" in await response.text()
        headers = {"Content-Type": "application/json"}
        for body, status in ((b"{", 400), (b"{}", 422), (b'{"action":{"type":"dance"}}', 422)):
            async with client.session.post(
                client.url + "/exchange", data=body, headers=headers
            ) as response:
                assert response.status == status
                assert (await response.text()).startswith("Failed to")

    async def test_a_body_may_be_followed_by_anything(self, client: SimulatorClient) -> None:
        body = json.dumps(client.signed(NOOP)).encode() + b"\n\ntrailing"
        headers = {"Content-Type": "application/json"}
        async with client.session.post(
            client.url + "/exchange", data=body, headers=headers
        ) as response:
            assert (await response.json())["status"] == "ok"


class TestSigners:
    async def test_master_and_agent_may_trade(self, client: SimulatorClient) -> None:
        for key in (client.key, client.master):
            answer = await client.act(NOOP, key=key)
            assert answer == {"status": "ok", "response": {"type": "default"}}

    async def test_a_stranger_is_told_his_own_address(self, client: SimulatorClient) -> None:
        text = refused(await client.act(NOOP, key=STRANGER))
        assert text == f"User or API Wallet {STRANGER_ADDRESS} does not exist."

    async def test_mainnet_signatures_belong_to_somebody_else(
        self, client: SimulatorClient
    ) -> None:
        assert "does not exist" in refused(await client.act(NOOP, source="a"))

    async def test_a_signature_off_the_curve(self, client: SimulatorClient) -> None:
        body = client.signed(NOOP)
        body["signature"]["r"] = "0x0"
        _, text = await client.post("/exchange", body)
        assert json.loads(text) == {"status": "err", "response": "Unable to recover signer."}

    async def test_an_expired_agent_is_nobody(self, client: SimulatorClient) -> None:
        await client.control("POST", "/clock", {"offset_ms": 181 * 86_400_000})
        nonce = int(time.time() * 1000) + 181 * 86_400_000
        assert "does not exist" in refused(await client.act(NOOP, nonce=nonce))

    async def test_an_agent_cannot_do_what_only_the_master_may(
        self, client: SimulatorClient
    ) -> None:
        answer = await client.act({"type": "reserveRequestWeight", "weight": 10})
        assert "Must deposit before performing actions" in refused(answer)
        answer = await client.act({"type": "reserveRequestWeight", "weight": 10}, key=client.master)
        assert answer["status"] == "ok"
        limit = await client.info({"type": "userRateLimit", "user": client.address})
        assert limit["nRequestsCap"] == 10_010


class TestNonces:
    async def test_the_same_bytes_execute_once(self, client: SimulatorClient) -> None:
        body = client.signed(order_action(order_wire(cloid=1)))
        first = json.loads((await client.post("/exchange", body))[1])
        again = json.loads((await client.post("/exchange", body))[1])
        assert "resting" in first["response"]["data"]["statuses"][0]
        assert refused(again) == f"Invalid nonce: duplicate nonce {body['nonce']}"
        orders = await client.info({"type": "openOrders", "user": client.address})
        assert len(orders) == 1

    async def test_a_noop_burns_the_nonce_of_an_order_that_never_came(
        self, client: SimulatorClient
    ) -> None:
        body = client.signed(order_action(order_wire(cloid=1)))
        assert (await client.act(NOOP, nonce=body["nonce"]))["status"] == "ok"
        late = json.loads((await client.post("/exchange", body))[1])
        assert refused(late) == f"Invalid nonce: duplicate nonce {body['nonce']}"

    async def test_a_noop_after_the_order_is_the_duplicate(self, client: SimulatorClient) -> None:
        body = client.signed(order_action(order_wire(cloid=1)))
        await client.post("/exchange", body)
        text = refused(await client.act(NOOP, nonce=body["nonce"]))
        assert text == f"Invalid nonce: duplicate nonce {body['nonce']}"

    async def test_the_window_has_two_edges(self, client: SimulatorClient) -> None:
        now_ms, day_ms = int(time.time() * 1000), 86_400_000
        low = refused(await client.act(NOOP, nonce=now_ms - 3 * day_ms))
        assert low.startswith(f"Invalid nonce: nonce too low {now_ms - 3 * day_ms} < ")
        high = refused(await client.act(NOOP, nonce=now_ms + 2 * day_ms))
        assert high.startswith(f"Invalid nonce: nonce too high {now_ms + 2 * day_ms} > ")

    async def test_below_the_hundred_kept_ones_is_too_low(self, client: SimulatorClient) -> None:
        start = client.nonce()
        for step in range(101):
            await client.act(NOOP, nonce=start + 2 * step)
        text = refused(await client.act(NOOP, nonce=start + 1))
        assert text == f"Invalid nonce: nonce too low {start + 1} < {start + 2}"

    async def test_business_refusals_use_the_nonce_up(self, client: SimulatorClient) -> None:
        bad = order_action(order_wire(price="60000.55"))
        body = client.signed(bad)
        await client.post("/exchange", body)
        assert "duplicate" in refused(await client.act(NOOP, nonce=body["nonce"]))
        expired = client.signed(NOOP, expires_after=1)
        assert refused(json.loads((await client.post("/exchange", expired))[1])) == (
            "Action already expired"
        )
        assert "duplicate" in refused(await client.act(NOOP, nonce=expired["nonce"]))

    async def test_unknown_signers_and_accounts_and_limits_do_not(
        self, client: SimulatorClient
    ) -> None:
        nonce = client.nonce()
        vault = "0x" + "ab" * 20
        text = refused(await client.act(NOOP, nonce=nonce, vault=vault))
        assert text == f"Vault not registered: {vault}"
        await client.control("POST", "/faults", {"kind": "429"})
        status, body = await client.post("/exchange", client.signed(NOOP, nonce=nonce))
        assert (status, body) == (429, "null")
        assert (await client.act(NOOP, nonce=nonce))["status"] == "ok"
        await client.act(NOOP, nonce=nonce + 1, key=STRANGER)
        text = refused(await client.act(NOOP, nonce=nonce + 1, key=STRANGER))
        assert "does not exist" in text

    async def test_a_nonce_outside_the_window_is_said_before_the_stranger(
        self, client: SimulatorClient
    ) -> None:
        assert "nonce too low" in refused(await client.act(NOOP, nonce=5, key=STRANGER))

    async def test_an_expiry_in_the_future_is_no_obstacle(self, client: SimulatorClient) -> None:
        later = int(time.time() * 1000) + 60_000
        assert (await client.act(NOOP, expires_after=later))["status"] == "ok"

    async def test_an_action_that_waited_past_its_expiry_is_refused(
        self, client: SimulatorClient
    ) -> None:
        await client.control("POST", "/faults", {"kind": "delay", "delay_ms": 60})
        soon = int(time.time() * 1000) + 20
        action = order_action(order_wire(cloid=1))
        assert refused(await client.act(action, expires_after=soon)) == "Action already expired"
        orders = await client.info({"type": "historicalOrders", "user": client.address})
        assert orders == []


class TestAnswers:
    async def test_a_resting_order_says_its_ids(self, client: SimulatorClient) -> None:
        status = await client.order(cloid=7)
        assert set(status["resting"]) == {"oid", "cloid"}
        assert set((await client.order())["resting"]) == {"oid"}

    async def test_a_filled_order_says_size_and_average(self, client: SimulatorClient) -> None:
        status = await client.order(price="66000", size="0.01", tif="Ioc", cloid=7)
        filled = status["filled"]
        assert (filled["totalSz"], filled["cloid"]) == ("0.01", f"0x{7:032x}")
        assert filled["avgPx"] == "65004.0"

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"price": "60000.5"}, "Price must be divisible by tick size. asset=0"),
            ({"size": "0.0001"}, "Order must have minimum value of $10. asset=0"),
            ({"size": "0"}, "Order has zero size. asset=0"),
            ({"size": "0.000001"}, "Order has invalid size. asset=0"),
            ({"size": "9000"}, "Insufficient margin to place order. asset=0"),
            (
                {"reduce_only": True},
                "Reduce only order would increase position. asset=0",
            ),
            (
                {"tif": "Ioc"},
                "Order could not immediately match against any resting orders. asset=0",
            ),
            (
                {"tif": "FrontendMarket"},
                "No liquidity available for market order. asset=0",
            ),
            (
                {"tif": "Alo", "price": "65004"},
                "Post only order would have immediately matched, bbo was 64996@65004. asset=0",
            ),
            (
                {"buy": False, "trigger": trigger_wire("70000", "sl")},
                "Invalid TP/SL price. asset=0",
            ),
            ({"asset": 77}, "Order has invalid asset. asset=77"),
            ({"asset": 3, "price": "0.4", "size": "100"}, "Order has invalid asset. asset=3"),
        ],
    )
    async def test_each_refusal_has_its_text(
        self, client: SimulatorClient, fields: dict[str, Any], text: str
    ) -> None:
        assert await client.order(**fields) == {"error": text}

    async def test_a_batch_is_answered_one_by_one(self, client: SimulatorClient) -> None:
        statuses = await client.statuses(
            order_action(order_wire(cloid=1), order_wire(price="1.5"), order_wire(cloid=2))
        )
        # A price that far away refuses the whole batch with one error.
        assert statuses == [
            {"error": "Order price cannot be more than 80% away from the reference price asset=0"}
        ]
        statuses = await client.statuses(
            order_action(order_wire(cloid=1), order_wire(size="0"), order_wire(cloid=2))
        )
        assert ["resting" in one for one in statuses] == [True, False, True]

    async def test_an_empty_batch_has_one_error(self, client: SimulatorClient) -> None:
        assert await client.statuses(order_action()) == [{"error": "Orders are empty."}]

    async def test_more_than_two_hundred_is_too_heavy(self, client: SimulatorClient) -> None:
        many = {"type": "cancel", "cancels": [{"a": 0, "o": n} for n in range(201)]}
        text = refused(await client.act(many))
        assert text == "Signed action over weight limit of 200."

    async def test_a_duplicate_cloid_is_a_second_order(self, client: SimulatorClient) -> None:
        first = await client.resting(cloid=1)
        second = await client.resting(cloid=1)
        assert first != second
        await client.control("POST", "/switches", {"refuse_duplicate_client_ids": True})
        assert "error" in await client.order(cloid=1)


class TestCancels:
    async def test_once_and_never_again(self, client: SimulatorClient) -> None:
        oid = await client.resting(cloid=1)
        cancel = {"type": "cancel", "cancels": [{"a": 0, "o": oid}] * 3}
        gone = {"error": "Order was never placed, already canceled, or filled. asset=0"}
        assert await client.statuses(cancel) == ["success", gone, gone]

    async def test_by_cloid_answers_as_a_cancel(self, client: SimulatorClient) -> None:
        await client.order(cloid=1)
        cancel = {"type": "cancelByCloid", "cancels": [{"asset": 0, "cloid": f"0x{1:032X}"}]}
        body = client.signed({**cancel, "cancels": [{"asset": 0, "cloid": f"0x{1:032x}"}]})
        body["action"] = cancel
        answer = json.loads((await client.post("/exchange", body))[1])
        assert answer["response"] == {"type": "cancel", "data": {"statuses": ["success"]}}

    async def test_the_asset_must_be_the_orders(self, client: SimulatorClient) -> None:
        oid = await client.resting(cloid=1)
        (status,) = await client.statuses({"type": "cancel", "cancels": [{"a": 1, "o": oid}]})
        assert status["error"].endswith("asset=1")

    async def test_anothers_order_is_out_of_reach(
        self, client: SimulatorClient, running: RunningSimulator
    ) -> None:
        oid = await client.resting(cloid=1)
        async with SimulatorClient.opened(running.url, running.control_url) as other:
            (status,) = await other.statuses({"type": "cancel", "cancels": [{"a": 0, "o": oid}]})
            assert "error" in status

    async def test_fast_is_not_for_triggers(self, client: SimulatorClient) -> None:
        plain = await client.resting(cloid=1)
        await client.order(price="66000", tif="Ioc")
        stop = await client.resting(
            buy=False, price="50000", reduce_only=True, trigger=trigger_wire("55000", "sl")
        )
        for oid, good in ((stop, False), (plain, True)):
            answer = await client.act(
                {"type": "cancel", "cancels": [{"a": 0, "o": oid}], "f": True}
            )
            assert (answer["status"] == "ok") is good


class TestModify:
    async def test_it_gives_a_new_oid_and_makes_it_post_only(self, client: SimulatorClient) -> None:
        oid = await client.resting(cloid=1)
        change = {"oid": oid, "order": order_wire(price="61000", cloid=1)}
        (status,) = await client.statuses({"type": "batchModify", "modifies": [change]})
        assert status["resting"]["oid"] != oid
        found = await client.info(
            {"type": "orderStatus", "user": client.address, "oid": f"0x{1:032x}"}
        )
        assert found["order"]["order"]["tif"] == "Alo"
        assert found["order"]["order"]["limitPx"] == "61000.0"
        old = await client.info({"type": "orderStatus", "user": client.address, "oid": oid})
        assert old["order"]["status"] == "canceled"

    async def test_a_single_modify_answers_default_or_fails_whole(
        self, client: SimulatorClient
    ) -> None:
        await client.order(cloid=1)
        change = {
            "type": "modify",
            "oid": f"0x{1:032x}",
            "order": order_wire(price="61000", cloid=1),
        }
        assert (await client.act(change))["response"] == {"type": "default"}
        gone = {"type": "modify", "oid": 5, "order": order_wire(price="61000")}
        assert refused(await client.act(gone)).startswith("Cannot modify canceled or filled order")
        unknown = {"type": "modify", "oid": 5, "order": order_wire(asset=77)}
        assert "invalid asset" in refused(await client.act(unknown))

    async def test_placed_always_even_when_there_is_nothing_to_cancel(
        self, client: SimulatorClient
    ) -> None:
        change = {"oid": 5, "order": order_wire(price="66000", cloid=1)}
        action = {"type": "batchModify", "modifies": [change]}
        (status,) = await client.statuses(action)
        assert status == {"error": "Cannot modify canceled or filled order asset=0"}
        (status,) = await client.statuses({**action, "a": True})
        assert "filled" in status

    async def test_without_always_it_is_no_ioc_and_no_trigger(
        self, client: SimulatorClient
    ) -> None:
        oid = await client.resting(cloid=1)
        stop = trigger_wire("70000", "sl")
        for order in (order_wire(tif="Ioc"), order_wire(trigger=stop), order_wire(asset=77)):
            action = {"type": "batchModify", "modifies": [{"oid": oid, "order": order}]}
            assert "error" in (await client.statuses(action))[0]
        found = await client.info({"type": "orderStatus", "user": client.address, "oid": oid})
        assert found["order"]["status"] == "open"
        action = {
            "type": "batchModify",
            "modifies": [{"oid": oid, "order": order_wire(trigger=stop)}],
        }
        assert "resting" in (await client.statuses({**action, "a": True}))[0]

    async def test_without_always_it_may_not_take(self, client: SimulatorClient) -> None:
        oid = await client.resting(cloid=1)
        change = {"oid": oid, "order": order_wire(price="66000", cloid=1)}
        (status,) = await client.statuses({"type": "batchModify", "modifies": [change]})
        assert status["error"].startswith("Post only order would have immediately matched")


class TestTrees:
    def _tree(self, **parent: Any) -> dict[str, Any]:
        children = [
            order_wire(
                buy=False,
                price="50000",
                reduce_only=True,
                trigger=trigger_wire(trigger, kind),
                cloid=n,
            )
            for n, (trigger, kind) in enumerate((("70000", "tp"), ("55000", "sl")), 11)
        ]
        return order_action(order_wire(**parent, cloid=10), *children, grouping="normalTpsl")

    async def test_children_wait_for_a_resting_parent(self, client: SimulatorClient) -> None:
        statuses = await client.statuses(self._tree())
        assert "resting" in statuses[0]
        assert statuses[1:] == ["waitingForFill", "waitingForFill"]
        orders = await client.info({"type": "frontendOpenOrders", "user": client.address})
        parent = next(one for one in orders if one["cloid"] == f"0x{10:032x}")
        assert [one["orderType"] for one in parent["children"]] == [
            "Take Profit Market",
            "Stop Market",
        ]
        assert parent["children"][1]["triggerCondition"] == "Price below 55000"

    async def test_children_of_a_filled_parent_wait_for_their_trigger(
        self, client: SimulatorClient
    ) -> None:
        statuses = await client.statuses(self._tree(price="66000", tif="Ioc"))
        assert "filled" in statuses[0]
        assert statuses[1:] == ["waitingForTrigger", "waitingForTrigger"]
        await client.control("POST", "/price", {"symbol": "BTC", "price": "54000"})
        found = await client.info(
            {"type": "orderStatus", "user": client.address, "oid": f"0x{11:032x}"}
        )
        assert found["order"]["status"] == "siblingFilledCanceled"

    async def test_children_that_could_grow_the_position_refuse_the_batch(
        self, client: SimulatorClient
    ) -> None:
        action = self._tree()
        action["orders"][1]["r"] = False
        statuses = await client.statuses(action)
        assert len(statuses) == 1
        assert "error" in statuses[0]

    async def test_position_tpsl_covers_the_whole_position(self, client: SimulatorClient) -> None:
        await client.order(price="66000", size="0.03", tif="Ioc")
        stop = order_wire(
            buy=False,
            price="50000",
            size="0",
            reduce_only=True,
            trigger=trigger_wire("55000", "sl"),
        )
        statuses = await client.statuses(order_action(stop, grouping="positionTpsl"))
        assert statuses == ["waitingForTrigger"]
        (row,) = await client.info({"type": "frontendOpenOrders", "user": client.address})
        assert row["isPositionTpsl"] is True
        assert row["sz"] == "0.03"

    async def test_unknown_markets_refuse_the_tree(self, client: SimulatorClient) -> None:
        action = self._tree()
        action["orders"][2]["a"] = 99
        statuses = await client.statuses(action)
        assert all("invalid asset" in one["error"] for one in statuses)


class TestAccount:
    async def test_leverage_mode_and_margin(self, client: SimulatorClient) -> None:
        def lever(leverage: int, *, cross: bool = True, asset: int = 0) -> dict[str, Any]:
            return {
                "type": "updateLeverage",
                "asset": asset,
                "isCross": cross,
                "leverage": leverage,
            }

        assert (await client.act(lever(10, cross=False)))["response"] == {"type": "default"}
        assert (await client.act(lever(40, asset=1)))["status"] == "err"
        assert refused(await client.act(lever(41))) == "Invalid leverage value"
        assert refused(await client.act(lever(5, asset=99))) == "Unknown asset 99"
        many = {"type": "reserveRequestWeight", "weight": 10**9}
        assert "Insufficient balance" in refused(await client.act(many, key=client.master))
        await client.order(asset=1, price="2600", size="400", tif="Ioc")
        assert "Insufficient margin" in refused(await client.act(lever(1, asset=1)))
        margin = {"type": "updateIsolatedMargin", "asset": 0, "isBuy": True, "ntli": 5_000_000}
        assert "no isolated position" in refused(await client.act(margin))
        await client.order(price="66000", tif="Ioc")
        assert "open position" in refused(await client.act(lever(10)))
        assert (await client.act(margin))["status"] == "ok"
        data = {"type": "activeAssetData", "user": client.address, "coin": "BTC"}
        shown = await client.info(data)
        assert (shown["leverage"]["type"], shown["leverage"]["value"]) == ("isolated", 10)
        state = await client.info({"type": "clearinghouseState", "user": client.address})
        position = state["assetPositions"][0]["position"]
        assert position["marginUsed"] == "69.964"
        assert position["leverage"]["rawUsd"] == "-580.036"

    async def test_scheduled_cancels(self, client: SimulatorClient) -> None:
        now_ms = int(time.time() * 1000)
        soon = {"type": "scheduleCancel", "time": now_ms + 1_000}
        assert "5 seconds" in refused(await client.act(soon))
        later = {"type": "scheduleCancel", "time": now_ms + 60_000}
        assert (await client.act(later))["status"] == "ok"
        assert (await client.act({"type": "scheduleCancel"}))["status"] == "ok"
        await client.control("POST", "/switches", {"schedule_cancel_needs_volume": True})
        assert refused(await client.act(later)) == (
            "Cannot set scheduled cancel time until enough volume traded. "
            "Required: $1000000. Traded: $0.00."
        )

    async def test_agents_have_names_of_their_own(self, client: SimulatorClient) -> None:
        from eth_account import Account
        from eth_account.messages import encode_typed_data

        async def approve(name: str, address: str = "0x" + "cd" * 20, **more: Any) -> Any:
            nonce = client.nonce()
            chain = more.get("chain", "Testnet")
            fields = {
                "hyperliquidChain": chain,
                "agentAddress": address,
                "agentName": name,
                "nonce": more.get("inner", nonce),
            }
            types = {
                "EIP712Domain": [
                    {"name": "name", "type": "string"},
                    {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"},
                    {"name": "verifyingContract", "type": "address"},
                ],
                "HyperliquidTransaction:ApproveAgent": [
                    {"name": "hyperliquidChain", "type": "string"},
                    {"name": "agentAddress", "type": "address"},
                    {"name": "agentName", "type": "string"},
                    {"name": "nonce", "type": "uint64"},
                ],
            }
            domain = {
                "name": "HyperliquidSignTransaction",
                "version": "1",
                "chainId": 421614,
                "verifyingContract": "0x" + "00" * 20,
            }
            message = encode_typed_data(
                full_message={
                    "types": types,
                    "primaryType": "HyperliquidTransaction:ApproveAgent",
                    "domain": domain,
                    "message": fields,
                }
            )
            signed = Account.sign_message(message, client.keys["master_private_key"])
            body = {
                "action": {"type": "approveAgent", "signatureChainId": "0x66eee", **fields},
                "nonce": nonce,
                "signature": {"r": hex(signed.r), "s": hex(signed.s), "v": signed.v},
            }
            return json.loads((await client.post("/exchange", body))[1])

        assert (await approve("bot"))["status"] == "ok"
        until_ms = int(time.time() * 1000) + 1_000_000
        assert (await approve(f"timed valid_until {until_ms}", "0x" + "ce" * 20))["status"] == "ok"
        agents = await client.info({"type": "extraAgents", "user": client.address})
        assert {one["name"]: one["validUntil"] for one in agents}["timed"] == until_ms
        assert "Too many agents" in refused(await approve("fourth", "0x" + "cf" * 20))
        assert "too long" in refused(await approve("x" * 17))
        assert "existing user" in refused(await approve("bot", client.address))
        assert refused(await approve("bot", inner=5)) == "Nonce mismatch."
        text = refused(await approve("bot", chain="Mainnet"))
        assert text == "Mainnet and testnet require different signature."

    async def test_ten_scheduled_cancels_a_day(
        self, client: SimulatorClient, running: RunningSimulator
    ) -> None:
        account = running.exchange.tables.accounts[client.address]
        account.cancel_all_count = 10
        account.cancel_all_day = running.exchange.now_ms() // 86_400_000
        later = {"type": "scheduleCancel", "time": int(time.time() * 1000) + 60_000}
        assert "10 times" in refused(await client.act(later))

    async def test_sub_accounts_trade_with_the_masters_agent(self, client: SimulatorClient) -> None:
        made = await client.act({"type": "createSubAccount", "name": "one"}, key=client.master)
        sub = made["response"]["data"]
        moved = {"type": "subAccountTransfer", "subAccountUser": sub, "isDeposit": True}
        answer = await client.act({**moved, "usd": 5_000_000_000}, key=client.master)
        assert answer["status"] == "ok"
        too_much = await client.act({**moved, "usd": 10**12}, key=client.master)
        assert "Insufficient" in refused(too_much)
        stranger = await client.act(
            {**moved, "subAccountUser": "0x" + "ab" * 20, "usd": 1}, key=client.master
        )
        assert "Vault not registered" in refused(stranger)
        (status,) = await client.statuses(order_action(order_wire(cloid=1)), vault=sub)
        assert "resting" in status
        assert len(await client.info({"type": "openOrders", "user": sub})) == 1
        assert await client.info({"type": "openOrders", "user": client.address}) == []
        (listed,) = await client.info({"type": "subAccounts", "user": client.address})
        assert listed["subAccountUser"] == sub
        assert listed["clearinghouseState"]["marginSummary"]["accountValue"] == "5000.0"
        role = await client.info({"type": "userRole", "user": sub})
        assert role == {"role": "subAccount", "data": {"master": client.address}}
        unsigned_vault = client.signed(order_action(order_wire(cloid=2)))
        unsigned_vault["vaultAddress"] = sub
        answer = json.loads((await client.post("/exchange", unsigned_vault))[1])
        assert "does not exist" in refused(answer)

    async def test_account_modes(self, client: SimulatorClient) -> None:
        query = {"type": "userAbstraction", "user": client.address}
        assert await client.info(query) == "default"
        await client.act({"type": "agentSetAbstraction", "abstraction": "u"})
        assert await client.info(query) == "unifiedAccount"
        spot = await client.info({"type": "spotClearinghouseState", "user": client.address})
        assert spot["balances"][0]["coin"] == "USDC"


async def test_the_answer_comes_after_the_commit_delay(client: SimulatorClient) -> None:
    await client.control("POST", "/switches", {"commit_delay_ms": 80})
    began = time.monotonic()
    await client.order(cloid=1)
    assert time.monotonic() - began >= 0.08
