"""Payloads: exact, encrypted, bound to their place, and never able to stall an order."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.converter import (
    ActivitySerializationContext,
    DefaultPayloadConverter,
    NexusSerializationContext,
    WorkflowSerializationContext,
)
from temporalio.exceptions import ApplicationError

from domain.instruments import OrderSide
from domain.orders import Order, OrderType, TimeInForce
from workflows.contracts import OrderStart
from workflows.payloads import (
    ENCODING,
    UNDECODABLE,
    CodecService,
    EncryptingCodec,
    PayloadKeys,
    data_converter,
)

KEYS = PayloadKeys("k1", {"k1": b"1" * 32})
ROTATED = PayloadKeys("k2", {"k1": b"1" * 32, "k2": b"2" * 32})
HERE = WorkflowSerializationContext(namespace="default", workflow_id="order-1")
ELSEWHERE = WorkflowSerializationContext(namespace="default", workflow_id="order-2")


def an_order(**changes: object) -> Order:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    values: dict[str, Any] = {
        "order_id": "a",
        "owner": "local",
        "account_id": "acc",
        "venue": "hyperliquid",
        "symbol": "BTC-PERP",
        "side": OrderSide.BUY,
        "order_type": OrderType.LIMIT,
        "quantity": Decimal("0.00100"),
        "price": Decimal("1E-8"),
        "time_in_force": TimeInForce.GTC,
        "created_at": now,
        "place_by": now + timedelta(seconds=15),
    }
    return Order(**{**values, **changes})


async def test_an_order_survives_the_round_trip_exactly() -> None:
    converter = data_converter(KEYS).with_context(HERE)
    start = OrderStart(order=an_order())

    payloads = await converter.encode([start])
    [decoded] = await converter.decode(payloads, [OrderStart])

    assert decoded == start
    assert str(decoded.order.quantity) == "0.00100"
    assert b"BTC-PERP" not in payloads[0].SerializeToString()
    assert payloads[0].metadata["encoding"] == ENCODING


@given(st.binary(max_size=2000))
def test_any_payload_comes_back(data: bytes) -> None:
    import asyncio

    codec = EncryptingCodec(KEYS).with_context(HERE)
    payload = Payload(metadata={"encoding": b"binary/plain"}, data=data)

    [coded] = asyncio.run(codec.encode([payload]))
    [back] = asyncio.run(codec.decode([coded]))

    assert back == payload
    assert coded.data != data


async def test_a_payload_of_another_workflow_is_undecodable() -> None:
    reasons: list[str] = []
    codec = EncryptingCodec(KEYS, refused=reasons.append)
    coded = await codec.with_context(HERE).encode([Payload(data=b"x")])

    [decoded] = await codec.with_context(ELSEWHERE).decode(coded)

    assert decoded.metadata["encoding"] == UNDECODABLE
    assert reasons == ["a payload of 'order-1' is out of its place"]


async def test_a_relabelled_payload_fails_its_authentication() -> None:
    codec = EncryptingCodec(KEYS)
    [coded] = await codec.with_context(HERE).encode([Payload(data=b"x")])
    coded.metadata["workflow-id"] = b"order-2"

    [decoded] = await codec.with_context(ELSEWHERE).decode([coded])

    assert decoded.metadata["encoding"] == UNDECODABLE


async def test_an_activity_reads_what_its_workflow_wrote() -> None:
    activity = ActivitySerializationContext(
        namespace="default",
        activity_id="1",
        activity_type="place_order",
        activity_task_queue="q",
        workflow_id="order-1",
        workflow_type="OrderWorkflow",
        is_local=True,
    )
    codec = EncryptingCodec(KEYS)
    coded = await codec.with_context(HERE).encode([Payload(data=b"x")])

    [decoded] = await codec.with_context(activity).decode(coded)

    assert decoded.data == b"x"


async def test_a_foreign_plain_payload_is_undecodable() -> None:
    plain = DefaultPayloadConverter().to_payloads(["forged"])

    [decoded] = await EncryptingCodec(KEYS).with_context(HERE).decode(plain)

    assert decoded.metadata["encoding"] == UNDECODABLE
    assert decoded.data == b""


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "unknown-key"])
async def test_a_damaged_payload_is_undecodable(damage: str) -> None:
    codec = EncryptingCodec(KEYS).with_context(HERE)
    [coded] = await codec.encode([Payload(data=b"x" * 1000)])
    match damage:
        case "flip":
            coded.data = coded.data[:-1] + bytes([coded.data[-1] ^ 1])
        case "cut":
            coded.data = coded.data[:20]
        case "empty":
            coded.data = b""
        case "unknown-key":
            coded.metadata["key-id"] = b"k9"

    [decoded] = await codec.decode([coded])

    assert decoded.metadata["encoding"] == UNDECODABLE


async def test_old_keys_stay_readable_and_new_payloads_take_the_new_key() -> None:
    old = await EncryptingCodec(KEYS).with_context(HERE).encode([Payload(data=b"x")])
    codec = EncryptingCodec(ROTATED).with_context(HERE)

    [decoded] = await codec.decode(old)
    [fresh] = await codec.encode([Payload(data=b"y")])

    assert decoded.data == b"x"
    assert fresh.metadata["key-id"] == b"k2"


async def test_failures_are_encrypted_too() -> None:
    converter = data_converter(KEYS).with_context(HERE)
    failure = Failure()

    await converter.encode_failure(ApplicationError("secret text", "detail"), failure)

    assert b"secret text" not in failure.SerializeToString()
    back = await converter.decode_failure(failure)
    assert "secret text" in str(back)


async def test_a_workflows_converter_is_made_once_and_is_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workflows.payloads._PLACES_KEPT", 8)
    converter = data_converter(KEYS)
    bound = converter.with_context(HERE)
    assert converter.with_context(HERE) is bound
    assert bound.with_context(HERE) is bound

    for number in range(20):
        place = WorkflowSerializationContext(namespace="default", workflow_id=f"order-{number}")
        payloads = await converter.with_context(place).encode(["x"])
        # From whichever it is asked, also from one that is bound elsewhere.
        assert payloads[0].metadata["workflow-id"] == place.workflow_id.encode()
        assert await bound.with_context(place).decode(payloads) == ["x"]
    other = WorkflowSerializationContext(namespace="other", workflow_id="order-1")
    [foreign] = await converter.with_context(other).encode(["x"])
    assert foreign.metadata["namespace"] == b"other"


def test_a_context_without_a_workflow_changes_nothing() -> None:
    codec = EncryptingCodec(KEYS)
    nexus = NexusSerializationContext(endpoint="e", service="s", operation="o")

    assert codec.with_context(nexus) is codec


@pytest.mark.parametrize(
    ("current", "keys", "message"),
    [("k2", {"k1": b"1" * 32}, "lacks its current key"), ("k1", {"k1": b"1"}, "expected 32")],
)
def test_a_broken_ring_is_refused(current: str, keys: dict[str, bytes], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PayloadKeys(current, keys)


def test_a_ring_does_not_show_its_keys() -> None:
    assert "1111" not in repr(KEYS)


async def test_the_web_ui_decodes_by_the_payloads_own_labels() -> None:
    coded = (
        await EncryptingCodec(KEYS)
        .with_context(HERE)
        .encode([Payload(metadata={"encoding": b"json/plain"}, data=b'"hello"')])
    )
    body = json.dumps(
        {
            "payloads": [
                {
                    "metadata": {
                        name: base64.b64encode(value).decode()
                        for name, value in coded[0].metadata.items()
                    },
                    "data": base64.b64encode(coded[0].data).decode(),
                }
            ]
        }
    ).encode()

    answer = await CodecService(KEYS).decode(body)

    assert base64.b64decode(answer["payloads"][0]["data"]) == b'"hello"'


async def test_the_web_ui_shows_foreign_payloads_as_they_are_and_broken_ones_in_words() -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'{"seq": 1}')
    [ours] = await EncryptingCodec(ROTATED).with_context(HERE).encode([plain])
    [cut] = await EncryptingCodec(KEYS).with_context(HERE).encode([plain])
    cut.metadata["workflow-id"] = b"order-2"
    body = json_format.MessageToJson(Payloads(payloads=[plain, ours, cut])).encode()

    answer = await CodecService(KEYS).decode(body)

    shown = [json.loads(base64.b64decode(payload["data"])) for payload in answer["payloads"]]
    assert shown == [
        {"seq": 1},
        "cannot be opened: payload key 'k2' is not in the ring",
        "cannot be opened: a payload fails its authentication",
    ]


async def test_the_codec_service_encodes_for_a_place() -> None:
    body = json.dumps({"payloads": [{"metadata": {}, "data": base64.b64encode(b"x").decode()}]})

    answer = await CodecService(KEYS).encode(
        body.encode(), namespace="default", workflow_id="order-1"
    )

    metadata = answer["payloads"][0]["metadata"]
    assert base64.b64decode(metadata["workflow-id"]) == b"order-1"


async def test_the_codec_service_refuses_what_is_no_payloads_message() -> None:
    with pytest.raises(ValueError, match="JSON Payloads"):
        await CodecService(KEYS).decode(b'{"payloads": 7}')
