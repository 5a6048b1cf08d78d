"""Which keys are taken for an account, and in whose name they sign."""

from __future__ import annotations

from typing import Any

import pytest

from tests.venues.hyperliquid.building import (
    ADDRESS,
    CLOID,
    SIGNER,
    access,
    account,
    ok,
    row,
    venue_and_connector,
)
from venues.hyperliquid.translate import at_ms

RESTING = ok({"resting": {"oid": 41, "cloid": CLOID}})
MASTER = "0x" + "aa" * 20


async def test_master_key_is_refused_without_asking() -> None:
    async with venue_and_connector() as (venue, connector):
        check = await connector.check_signer(access(of=account(address=SIGNER.upper())))
        assert check.refusal is not None
        assert "master wallet's key; make an agent" in check.refusal
        assert "userRole" not in [asked["type"] for asked in venue.asked]


def roles(**by_address: Any) -> Any:
    return lambda body: by_address.get(body["user"], {"role": "missing"})


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ({"role": "user"}, "own key, not an agent"),
        ({"role": "subAccount", "data": {"master": MASTER}}, "own key, not an agent"),
        ({"role": "missing"}, "is unknown on paper"),
        ({"role": "agent", "data": {"user": MASTER}}, f"agent of {MASTER}, not of {ADDRESS}"),
    ],
)
async def test_keys_that_are_no_agent_of_the_account(role: Any, text: str) -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["userRole"] = roles(**{SIGNER: role, ADDRESS: {"role": "user"}})
        check = await connector.check_signer(access())
        assert check.refusal is not None
        assert text in check.refusal
        assert (check.signer, check.expires_at) == (SIGNER, None)


async def test_agent_of_the_account_is_taken_with_its_expiry() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["userRole"] = roles(**{SIGNER: {"role": "agent", "data": {"user": ADDRESS}}})
        venue.info["extraAgents"] = [
            {"name": "other", "address": "0x" + "1" * 40, "validUntil": 1},
            {
                "name": "bot",
                "address": SIGNER.upper().replace("0X", "0x"),
                "validUntil": 1797776120000,
            },
        ]
        check = await connector.check_signer(access())
        assert (check.refusal, check.owner_address) == (None, ADDRESS)
        assert check.expires_at == at_ms(1797776120000)
        assert "cannot withdraw or transfer; expires 2026-12-20" in check.power
        venue.info["extraAgents"] = []
        unnamed = await connector.check_signer(access())
        assert (unnamed.expires_at, unnamed.refusal) == (None, None)


async def test_agent_trades_for_a_sub_account_in_its_name() -> None:
    async with venue_and_connector() as (venue, connector):
        venue.info["userRole"] = roles(
            **{
                SIGNER: {"role": "agent", "data": {"user": MASTER}},
                ADDRESS: {"role": "subAccount", "data": {"master": MASTER}},
            }
        )
        venue.info["extraAgents"] = []
        check = await connector.check_signer(access())
        assert (check.refusal, check.owner_address) == (None, MASTER)
        asked = len(venue.asked)
        venue.exchange = [RESTING]
        await connector.send(row(), access())
        assert venue.posted[0]["vaultAddress"] == ADDRESS
        assert len(venue.asked) == asked
