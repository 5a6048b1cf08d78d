"""Conditional closes by the client: set, read, listed, changed, followed, canceled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from perp_dex_client import (
    Condition,
    ConditionRequest,
    InvalidRequest,
    PerpDexClient,
    StateConflict,
    UnknownObject,
    UnreadableAnswer,
)
from perp_dex_client.conditions import _as_condition
from perp_dex_client.transport import Transport
from tests.api.serving import TOKEN, Api

D = Decimal
AT = "paper:BTC-PERP"
MISSING = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
async def client(api: Api) -> AsyncIterator[PerpDexClient]:
    async with PerpDexClient(api.url, TOKEN, retry_within_s=1.0) as opened:
        yield opened


async def test_from_set_to_canceled(client: PerpDexClient) -> None:
    wanted = ConditionRequest(
        position_id=AT,
        loss_percent=D("5.50"),
        trail_percent=D(2),
        at=datetime(2099, 1, 1, tzinfo=UTC),
        of_margin=True,
        max_slippage_bps=50,
    )
    found = await client.conditions.set(wanted)
    assert (found.status, found.loss_percent, found.of) == ("WATCHING", D("5.5"), "margin")
    assert found.thresholds[0].distance_percent is not None
    assert await client.conditions.set(wanted) == found

    listed = await client.conditions.page(status="open", account="paper", symbol="BTC-PERP")
    assert [each.condition_id for each in listed] == [found.condition_id]
    assert await client.conditions.of_position(AT) == listed
    other = ConditionRequest(position_id=AT, price=D(50_000), direction="above", percent=D(50))
    changed = await client.conditions.change(found.condition_id, other)
    assert (changed.version, changed.price, changed.percent) == (2, D(50_000), D(50))
    ended = await client.conditions.cancel(found.condition_id)
    assert ended.is_terminal
    seen: list[Condition] = []
    followed = await client.conditions.follow(found.condition_id, seen=seen.append)
    assert followed.status == "CANCELED"
    assert len(seen) == 1


async def test_following_ends_with_the_time(client: PerpDexClient) -> None:
    wanted = ConditionRequest(position_id=AT, trail_amount=D(100), native=False)
    found = await client.conditions.set(wanted)

    followed = await client.conditions.follow(found.condition_id, timeout_s=0.1)

    assert not followed.is_terminal


async def test_refusals(client: PerpDexClient) -> None:
    with pytest.raises(StateConflict, match="true already"):
        await client.conditions.set(ConditionRequest(position_id=AT, price=D(45_000)))
    trailing = ConditionRequest(position_id=AT, trail_percent=D(1), native=True)
    with pytest.raises(InvalidRequest, match="trailing"):
        await client.conditions.set(trailing)
    with pytest.raises(UnknownObject):
        await client.conditions.get(MISSING)
    with pytest.raises(UnreadableAnswer):
        _as_condition({"condition_id": 1})


async def test_an_answer_that_is_no_list(
    client: PerpDexClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def call(*_: object, **__: object) -> Any:
        return SimpleNamespace(document={"conditions": 1})

    monkeypatch.setattr(Transport, "call", call)
    with pytest.raises(UnreadableAnswer):
        await client.conditions.page()
