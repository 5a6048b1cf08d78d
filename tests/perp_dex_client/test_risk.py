"""Risk limits by the client: read, replaced by version, and refusals with their values."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from perp_dex_client import (
    InvalidRequest,
    OrderRefused,
    OrderRequest,
    PerpDexClient,
    StateConflict,
    UnknownObject,
    UnreadableAnswer,
)
from perp_dex_client.risk import RiskScope, _as
from tests.api.serving import PAPER, TOKEN, Api

D = Decimal


@pytest.fixture
async def client(api: Api) -> AsyncIterator[PerpDexClient]:
    async with PerpDexClient(api.url, TOKEN, retry_within_s=1.0) as opened:
        yield opened


async def test_limits_are_read_and_replaced(client: PerpDexClient) -> None:
    before = await client.risk.read()
    assert before.everything is not None
    assert before.everything.version == 0
    assert [scope.account for scope in before.accounts] == ["paper"]
    assert before.halts == ()

    limits: dict[str, Decimal | int | None] = {
        "max_order_notional": D("4000.5"),
        "max_open_orders": 3,
        "max_leverage": None,
    }
    put = await client.risk.put(limits, account="paper", version=0)

    assert (put.scope, put.version, put.set_by) == (PAPER, 1, "local")
    assert put.limits["max_order_notional"] == D("4000.5")
    assert put.limits["max_open_orders"] == 3
    assert put.limits["max_leverage"] is None
    (only,) = (await client.risk.read(account="paper")).accounts
    assert only.limits == put.limits
    use = {each.limit: each for each in only.use}
    assert use["max_order_notional"].limit_value == D("4000.5")
    with pytest.raises(StateConflict) as stale:
        await client.risk.put({}, account="paper", version=0)
    assert (stale.value.status, stale.value.code) == (412, "version_mismatch")
    assert (await client.risk.put({}, account="paper")).version == 2


async def test_refusals_have_their_kinds(client: PerpDexClient) -> None:
    with pytest.raises(InvalidRequest):
        await client.risk.put({"max_size": D(1)})
    with pytest.raises(UnknownObject):
        await client.risk.read(account="nobody")
    await client.risk.put({"max_order_notional": D(10)})
    wanted = OrderRequest(symbol="BTC-PERP", side="BUY", quantity=D(1), price=D(45_000))
    with pytest.raises(OrderRefused) as refused:
        await client.place(wanted)
    document = refused.value.document
    assert (document["limit"], document["limit_value"], document["value"]) == (
        "max_order_notional",
        "10",
        "45000",
    )


def test_an_answer_of_something_else_is_unreadable() -> None:
    with pytest.raises(UnreadableAnswer):
        _as({"scope": 1}, RiskScope)
