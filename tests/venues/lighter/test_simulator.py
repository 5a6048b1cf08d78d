"""The simulated exchange: what it takes, what it refuses, and what shows only afterwards."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from domain.commands import BurnNonce, CancelOrder
from domain.orders import TimeInForce
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from tests.venues.lighter.building import CHAIN_ID, Desk, desk, place
from venues.lighter import simulator_curve as curve
from venues.lighter.credential import read_credential
from venues.lighter.signing import Signer
from venues.lighter.simulator_sequencer import Sequencer
from venues.lighter.simulator_transactions import read_transaction
from venues.simulation.faults import FaultKind

__all__ = ("desk",)


@dataclass
class Wire:
    """Bare HTTP to the exchange."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, kind: int, info: str) -> tuple[int, dict[str, Any]]:
        form = {"tx_type": str(kind), "tx_info": info}
        async with self.session.post(self.url + "/api/v1/sendTx", data=form) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
        headers = {} if token is None else {"authorization": token}
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def wire(desk: Desk) -> AsyncIterator[Wire]:
    async with aiohttp.ClientSession() as session:
        yield Wire(url=desk.venue.url, session=session)


async def signed(desk: Desk, **changes: Any) -> tuple[int, str]:
    row = await desk.reserve(place(), **changes)
    assert row.signed is not None
    kept = json.loads(row.signed)
    return kept["tx_type"], kept["tx_info"]


async def test_it_tells_the_time_and_the_next_nonce(wire: Wire, desk: Desk) -> None:
    status, root = await wire.get("/")
    assert (status, root["status"]) == (200, 200)
    assert abs(root["timestamp"] - desk.venue.exchange.now_ms() / 1000) < 2
    _, found = await wire.get(
        f"/api/v1/nextNonce?account_index={desk.account.address}&api_key_index=5"
    )
    assert found == {"code": 200, "nonce": 0}
    _, nobody = await wire.get("/api/v1/nextNonce?account_index=7&api_key_index=5")
    assert nobody == {"code": 200, "nonce": 0}, "of nobody it says the same"


async def test_a_nonce_is_the_next_one_or_refused(wire: Wire, desk: Desk) -> None:
    for nonce in (1, 7):
        status, answer = await wire.post(*await signed(desk, nonce=nonce))
        assert (status, answer["code"]) == (400, 21104)
    kind, info = await signed(desk, nonce=0)
    status, answer = await wire.post(kind, info)
    assert (status, answer["code"], len(answer["tx_hash"])) == (200, 200, 80)
    status, answer = await wire.post(kind, info)
    assert (status, answer["code"]) == (400, 21104), "a copy finds its nonce used"
    assert len(desk.venue.exchange.tables.orders) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Price": 600_001}, 21120),
        ({"ApiKeyIndex": 99}, 21109),
        ({"AccountIndex": 7}, 21100),
        ({"ExpiredAt": 1_000}, 21501),
        ({"Sig": "AAAA"}, 21120),
        ({"Sig": "!"}, 21501),
        ({"Nonce": "0"}, 21501),
    ],
)
async def test_what_is_not_what_was_signed_is_refused(
    wire: Wire, desk: Desk, change: dict[str, Any], code: int
) -> None:
    kind, info = await signed(desk, nonce=0)
    status, answer = await wire.post(kind, json.dumps({**json.loads(info), **change}))
    assert (status, answer["code"]) == (400, code), answer
    assert desk.venue.exchange.tables.orders == {}


async def test_another_chains_signature_is_refused(wire: Wire, desk: Desk) -> None:
    row = await desk.reserve(place(), nonce=0)
    credential = read_credential(desk.secret)
    made = Signer(CHAIN_ID + 1).sign(credential, row.message, key_index=5, nonce=0)
    _, answer = await wire.post(made.tx_type, made.tx_info)
    assert answer["code"] == 21120


@pytest.mark.parametrize("kind", [12, 13, 8, 99])
async def test_nothing_but_trading_is_taken(wire: Wire, desk: Desk, kind: int) -> None:
    _, info = await signed(desk, nonce=0)
    status, answer = await wire.post(kind, info)
    assert status == 400 and answer["code"] in (21501, 21505)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Price": 0}, 21703),
        ({"BaseAmount": 0}, 21702),
        ({"TriggerPrice": 5}, 21710),
        ({"OrderExpiry": 0}, 21711),
        ({"OrderExpiry": 1}, 21711),
        ({"TimeInForce": 9}, 21700),
        ({"Type": 6}, 21700),
        ({"Type": 1}, 21703),
        ({"MarketIndex": 99}, 21602),
        ({"MarketIndex": 5}, 21605),
        ({"ClientOrderIndex": 1 << 48}, 21727),
        ({"BaseAmount": 1}, 21706),
    ],
)
async def test_an_order_of_bad_form_is_refused_and_leaves_its_nonce(
    wire: Wire, desk: Desk, change: dict[str, int], code: int
) -> None:
    row = await desk.reserve(place(), nonce=0)
    fields = json.loads(row.message)
    kind = fields.pop("tx_type")
    inside: Any = desk.venue.simulator
    sequencer: Sequencer = inside._sequencer
    credential = read_credential(desk.secret)
    # Signed by hand: the venue's signer would not sign it.
    info = {
        "AccountIndex": credential.account_index, "ApiKeyIndex": 5, **fields, **change,
        "ExpiredAt": desk.venue.exchange.now_ms() + 60_000, "Nonce": 0, "Sig": "",
    }  # fmt: skip
    message = read_transaction(kind, info, CHAIN_ID).message
    signature = curve.sign(bytes.fromhex(credential.keys[5]), message, 12_345)
    info["Sig"] = base64.b64encode(signature).decode()
    status, answer = await wire.post(kind, json.dumps(info))
    assert (status, answer["code"]) == (400, code), answer
    assert sequencer.next_nonce(credential.account_index, 5) == 0
    assert desk.venue.exchange.tables.orders == {}


async def test_an_account_is_told_to_its_own_token_alone(wire: Wire, desk: Desk) -> None:
    path = f"/api/v1/accountActiveOrders?account_index={desk.account.address}"
    token = (await desk.connector.mint_feed_credential(desk.access)).reveal()
    assert (await wire.get(path, token))[0] == 200
    await desk.venue.simulator.open_account(
        desk.venue.exchange.tables.accounts[desk.account.address].cash, "another"
    )
    for wrong in (None, "", "1:2:3:4", token[:-1] + ("0" if token[-1] != "0" else "1")):
        status, answer = await wire.get(path, wrong)
        assert (status, answer["code"]) == (401, 20013)
    other = path.replace(desk.account.address, str(int(desk.account.address) + 1))
    assert (await wire.get(other, token))[0] == 401
    desk.venue.exchange.shift_clock(8 * 3_600_000)
    assert (await wire.get(path, token))[0] == 401


async def test_what_the_sequencer_refuses_shows_in_the_order_alone(desk: Desk) -> None:
    """Acknowledged, and then canceled for want of margin: nothing filled, so it is a refusal."""
    taking = place(
        quantity=place().quantity * 1_000_000, price=place().price * 2,
        time_in_force=TimeInForce.IOC,
    )  # fmt: skip
    row, outcome = await desk.send(taking)
    assert isinstance(outcome, Rejected), outcome
    assert (outcome.code, outcome.reason) == ("insufficient_margin", "canceled-margin-not-allowed")
    (record,) = desk.at_venue(row)
    assert not record.status.is_live
    # Its nonce is used: the next one is taken.
    assert isinstance((await desk.send(place()))[1], Accepted)


async def test_between_acknowledgement_and_execution_nothing_is_known(desk: Desk) -> None:
    desk.venue.exchange.switches.sequencing_ms = 5_000
    row, outcome = await desk.send(place())
    assert isinstance(outcome, Acknowledged), outcome
    assert desk.at_venue(row) == []
    assert not await desk.connector._queries.is_executed(json.loads(row.signed or "")["tx_hash"])


async def test_a_slow_sequencer_is_waited_for(desk: Desk) -> None:
    desk.venue.exchange.switches.sequencing_ms = 300
    row, outcome = await desk.send(place())
    assert isinstance(outcome, Accepted), outcome
    assert len(desk.at_venue(row)) == 1
    cancel = CancelOrder(symbol="BTC-PERP", client_order_id=row.client_order_id)
    _, canceled = await desk.send(cancel)
    assert isinstance(canceled, Accepted), canceled


async def test_acknowledged_and_then_nothing_is_never_a_success(desk: Desk) -> None:
    """The account has lost its money between acknowledgement and execution: no order comes."""
    desk.venue.exchange.switches.sequencing_ms = 200
    row = await desk.reserve(place())
    sending = asyncio.create_task(desk.connector.send(row, desk.access))
    await asyncio.sleep(0.05)
    with desk.venue.exchange.action("drain"):
        account = desk.venue.exchange.tables.accounts[desk.account.address]
        account.cash = account.cash * 0
        desk.venue.exchange.tables.touch(account)
    outcome = (await sending).outcome
    assert isinstance(outcome, Acknowledged), outcome
    assert desk.at_venue(row) == []


async def test_transactions_of_a_batch_are_taken_together(wire: Wire, desk: Desk) -> None:
    pairs = [await signed(desk) for _ in range(3)]
    form = {
        "tx_types": json.dumps([kind for kind, _ in pairs]),
        "tx_infos": json.dumps([info for _, info in pairs]),
    }
    async with wire.session.post(wire.url + "/api/v1/sendTxBatch", data=form) as answer:
        found = await answer.json()
    assert found["code"] == 200 and len(found["tx_hash"]) == 3
    assert len(desk.venue.exchange.tables.orders) == 3
    form["tx_types"] = "[14]"
    async with wire.session.post(wire.url + "/api/v1/sendTxBatch", data=form) as answer:
        assert (await answer.json())["code"] == 21513


async def test_a_transaction_over_the_socket_is_answered_there(desk: Desk) -> None:
    kind, info = await signed(desk)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(desk.venue.url + "/stream") as socket,
    ):
        assert (await socket.receive_json())["type"] == "connected"
        data = {"id": "x", "tx_type": kind, "tx_info": json.loads(info)}
        await socket.send_json({"type": "jsonapi/sendtx", "data": data})
        answer = await socket.receive_json()
        assert (answer["type"], answer["id"], answer["code"]) == ("jsonapi/sendtx", "x", 200)
        await socket.send_json({"type": "subscribe", "channel": "nonsense/1"})
        assert (await socket.receive_json())["error"]["code"] == 30005
        await socket.send_json({"type": "subscribe", "channel": "ticker/1"})
        assert (await socket.receive_json())["type"] == "subscribed/ticker"
        await socket.send_json({"type": "subscribe", "channel": "ticker/1"})
        assert (await socket.receive_json())["error"]["code"] == 30003
        await socket.send_json({"type": "ping"})
        assert (await socket.receive_json())["type"] == "pong"


async def test_a_rate_limit_stops_all_but_cancels(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.RATE_LIMIT, action="order")
    first, outcome = await desk.send(place())
    assert isinstance(outcome, NotSent) and outcome.retryable
    row = await desk.reserve(place(), nonce=0)
    again = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(again, NotSent)
    assert desk.venue.exchange.tables.orders == {}
    assert first.nonce == 0


async def test_a_burn_is_told_apart_by_its_hash(desk: Desk) -> None:
    row = await desk.reserve(place())
    burn = await desk.reserve(BurnNonce(nonce=0), lane="5", nonce=0)
    assert isinstance((await desk.connector.send(burn, desk.access)).outcome, Accepted)
    late = (await desk.connector.send(row, desk.access)).outcome
    assert isinstance(late, NotSent), late
    assert desk.venue.exchange.tables.orders == {}
    again = (await desk.connector.resend(burn, desk.access)).outcome
    assert isinstance(again, Accepted), "it was this one"
    other = await desk.reserve(BurnNonce(nonce=0), lane="5", nonce=0)
    if other.signed != burn.signed:
        found = (await desk.connector.resend(other, desk.access)).outcome
        assert isinstance(found, Rejected | Accepted)


async def test_a_burn_of_what_was_taken_says_so(desk: Desk) -> None:
    desk.venue.faults.add(FaultKind.DROP_AFTER_APPLY, action="order")
    _, outcome = await desk.send(place())
    assert isinstance(outcome, Unknown)
    burn = await desk.reserve(BurnNonce(nonce=0), lane="5", nonce=0)
    found = (await desk.connector.send(burn, desk.access)).outcome
    assert isinstance(found, Rejected) and found.code == "nonce_used"
