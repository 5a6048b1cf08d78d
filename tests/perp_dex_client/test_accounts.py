"""Accounts and groups by the client: typed, and refusals that say what is open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.positions import SeenSummary
from domain.risk_limits import RiskLimits
from perp_dex_client import (
    InvalidRequest,
    PerpDexClient,
    ServiceBusy,
    StateConflict,
    UnknownObject,
    UnreadableAnswer,
)
from perp_dex_client.accounts import AccountDetail, HeldPosition, Holdings, _as, left_open
from tests.api.serving import PAPER, TOKEN, Api
from tests.api.test_positions import summary


@pytest.fixture
async def client(api: Api) -> AsyncIterator[PerpDexClient]:
    async with PerpDexClient(api.url, TOKEN, retry_within_s=0.5) as opened:
        yield opened


async def test_an_account_is_changed_under_either_name(api: Api, client: PerpDexClient) -> None:
    await api.storage.risk.put(
        PAPER, RiskLimits(max_leverage=Decimal("2.5"), max_open_orders=3), by="local"
    )
    renamed = await client.account_details.rename("paper", "desk-1")
    assert (renamed.account_id, renamed.label) == (PAPER, "desk-1")
    assert renamed.risk_limits["max_leverage"] == Decimal("2.5")
    assert renamed.risk_limits["max_open_orders"] == 3
    assert renamed.open == Holdings()
    assert (await client.account_details.make_default(PAPER)).is_default
    assert (await client.account("desk-1")).account_id == PAPER
    with pytest.raises(InvalidRequest, match="a-z"):
        await client.account_details.rename(PAPER, "Desk 1")
    with pytest.raises(UnknownObject):
        await client.account_details.rename("nobody", "x")


async def test_a_refused_removal_says_what_is_open(api: Api, client: PerpDexClient) -> None:
    api.reader.seen = SeenSummary(
        summary=summary(PAPER, "-0.25"), seen_at=datetime.now(UTC), source="asked"
    )
    with pytest.raises(StateConflict) as refused:
        await client.account_details.remove("paper")
    held = left_open(refused.value)
    assert held is not None
    assert held.positions == (
        HeldPosition(position_id=f"{PAPER}:BTC-PERP", symbol="BTC-PERP", quantity=Decimal("-0.25")),
    )
    assert not held.is_empty
    removal = await client.account_details.remove("paper", force=True)
    assert removal.account.state == "REMOVED"
    assert removal.left_open == held


async def test_other_refusals_say_nothing_of_that(api: Api, client: PerpDexClient) -> None:
    with pytest.raises(ServiceBusy) as silent:
        await client.account_details.remove("paper")
    assert left_open(silent.value) is None
    assert (await client.account("paper")).state == "ACTIVE"


async def test_groups_are_read_and_changed(api: Api, client: PerpDexClient) -> None:
    made = await client.groups.set("majors", ("paper",))
    assert [each.account_id for each in made.accounts] == [PAPER]
    assert await client.groups.all() == (made,)
    assert await client.groups.get("majors") == made
    assert await client.groups.add("majors", PAPER) == made
    (of_group,) = await client.account_details.of(group="majors", venue="hyperliquid")
    assert of_group.account_id == PAPER
    assert (await client.positions.all(group="majors")).positions == ()
    assert (await client.positions.pnl(group="majors")).rows == ()
    assert (await client.groups.drop("majors", "paper")).accounts == ()
    with pytest.raises(UnknownObject, match="majors"):
        await client.groups.delete("majors")


def test_what_is_no_account_is_unreadable() -> None:
    with pytest.raises(UnreadableAnswer):
        _as({"account_id": 3}, AccountDetail)
