"""Recorded lives: the code of today decides in each as it was decided then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import History
from temporalio.client import WorkflowHistory
from temporalio.converter import WorkflowSerializationContext
from temporalio.workflow import NondeterminismError

from tests.workflows.record import HISTORIES
from tests.workflows.scenarios import SCENARIOS
from tests.workflows.stage import KEYS, NAMESPACE, replayer_of
from workflows.contracts import OrderStart, StartMode
from workflows.order import OrderWorkflow
from workflows.payloads import ENCODING, PayloadKeys, data_converter


def load(name: str) -> tuple[str, dict[str, Any]]:
    content = json.loads((HISTORIES / f"{name}.json").read_text())
    return content["workflow_id"], content["history"]


def recorded(name: str) -> WorkflowHistory:
    workflow_id, events = load(name)
    return WorkflowHistory.from_json(workflow_id, events)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_recorded_history_replays(name: str) -> None:
    await replayer_of(KEYS).replay_workflow(recorded(name))


def test_there_is_a_scenario_for_every_history() -> None:
    assert {path.stem for path in HISTORIES.glob("*.json")} == set(SCENARIOS)


async def test_code_that_decides_otherwise_does_not_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ends_at_once(_: OrderWorkflow) -> bool:
        return True

    monkeypatch.setattr(OrderWorkflow, "_settle", ends_at_once)

    with pytest.raises(NondeterminismError):
        await replayer_of(KEYS).replay_workflow(recorded("filled"))


async def test_the_fixed_test_key_opens_what_was_recorded() -> None:
    history = recorded("adopted")
    context = WorkflowSerializationContext(namespace=NAMESPACE, workflow_id=history.workflow_id)
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads

    [start] = await data_converter(KEYS).with_context(context).decode(payloads, [OrderStart])

    assert start.mode is StartMode.ADOPT
    assert start.order.symbol == "BTC-PERP"


async def test_another_key_opens_nothing() -> None:
    refused: list[str] = []
    keys = PayloadKeys("other", {"other": b"o" * 32})
    history = recorded("filled")
    context = WorkflowSerializationContext(namespace=NAMESPACE, workflow_id=history.workflow_id)
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    converter = data_converter(keys, refused=refused.append).with_context(context)

    with pytest.raises(Exception):  # noqa: B017 - the SDK's word for an unknown encoding
        await converter.decode(payloads, [OrderStart])

    assert refused == ["payload key 'test' is not in the ring"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_payload_is_encrypted_but_what_is_searched(name: str) -> None:
    _, events = load(name)
    history = json_format.ParseDict(events, History(), ignore_unknown_fields=True)
    found = list(_payloads(json_format.MessageToDict(history)))

    assert found
    for payload in found:
        assert payload.metadata["encoding"] == ENCODING


OWN = ("searchAttributes", "data", "patch-data")


def _payloads(node: Any, *, searched: bool = False) -> Iterator[Payload]:
    """Find all payloads but those of search attributes and of the SDK's own markers."""
    if isinstance(node, dict):
        if "metadata" in node and "data" in node and not searched:
            yield json_format.ParseDict(node, Payload())
            return
        for name, value in node.items():
            own = name in OWN and isinstance(value, dict)
            yield from _payloads(value, searched=searched or own)
    elif isinstance(node, list):
        for value in node:
            yield from _payloads(value, searched=searched)
