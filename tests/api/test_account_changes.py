"""Accounts are renamed, made the default, limited, and leave use only with nothing open."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from domain.accounts import AccountState, SignerFacts
from domain.errors import VenueUnavailable
from domain.positions import SeenSummary
from domain.risk_limits import RiskLimits
from tests.api.serving import FOREIGN, PAPER, Api, account, keep, order
from tests.api.test_positions import SECOND, summary

ACCOUNTS = "/api/v1/accounts"


async def hear(api: Api, quantity: str) -> None:
    """Have the venue say, whenever it is asked, what the account holds."""
    api.reader.seen = SeenSummary(
        summary=summary(PAPER, quantity), seen_at=datetime.now(UTC), source="asked"
    )


async def add(api: Api, account_id: str = SECOND, **changes: Any) -> None:
    more = {"account_id": account_id, "label": "second", "address": "0x" + "cd" * 20}
    made = account(**{**more, "is_default": False, **changes})
    await api.storage.accounts.add(made, trading=b"sealed", feed=None)
    await api.storage.accounts.set_state(
        account_id, AccountState.ACTIVE, reason=None, signer="0xagent2"
    )


async def audited(api: Api) -> list[tuple[str, str]]:
    rows = await api.storage.database.fetch_all(
        text("SELECT action, outcome FROM audit ORDER BY audit_id")
    )
    return [(row.action, row.outcome) for row in rows]


async def test_an_account_shows_its_key_limits_groups_and_what_is_open(api: Api) -> None:
    until = datetime(2026, 12, 1, tzinfo=UTC)
    facts = SignerFacts(signer="0xagent", master_address="0xmm", power="agent", expires_at=until)
    await api.storage.accounts.note_facts(PAPER, facts)
    await api.storage.account_groups.replace("local", "majors", [PAPER])
    await api.storage.risk.put(PAPER, RiskLimits(max_open_orders=3), by="local")
    await keep(api.storage, order())
    await api.storage.positions.save_summary(
        summary(PAPER, "-0.5"), seen_at=datetime.now(UTC), source="feed"
    )
    shown = (await api.http.get(f"{ACCOUNTS}/paper")).json()
    assert shown["account_id"] == PAPER
    assert shown["groups"] == ["majors"]
    assert (shown["power"], shown["master_address"]) == ("agent", "0xmm")
    assert shown["credential_expires_at"] == "2026-12-01T00:00:00Z"
    assert shown["risk_limits"]["max_open_orders"] == 3
    assert shown["risk_limits"]["max_leverage"] is None
    assert shown["reconcile_due"] is None
    assert shown["open"]["orders"] == [order().order_id]
    assert [shown["open"][name] for name in ("closes", "brackets", "conditions")] == [[], [], []]
    assert shown["open"]["positions"] == [
        {"position_id": f"{PAPER}:BTC-PERP", "symbol": "BTC-PERP", "quantity": "-0.5"}
    ]
    assert shown["open"]["as_of"] is not None


async def test_an_account_gets_another_label_everywhere(api: Api) -> None:
    await keep(api.storage, order())
    assert (await api.http.get("/api/v1/orders")).json()["orders"][0]["account"] == "paper"
    renamed = await api.http.patch(f"{ACCOUNTS}/paper", json={"label": "desk-1"})
    assert renamed.status_code == 200, renamed.text
    assert renamed.json()["label"] == "desk-1"
    assert (await api.http.get("/api/v1/orders")).json()["orders"][0]["account"] == "desk-1"
    assert (await api.http.get(f"{ACCOUNTS}/paper")).status_code == 404
    placed = await api.place(account="desk-1")
    assert placed.status_code == 201, placed.text
    await add(api)
    taken = await api.http.patch(f"{ACCOUNTS}/second", json={"label": "desk-1"})
    assert (taken.status_code, taken.json()["code"]) == (409, "label_taken")
    same = await api.http.patch(f"{ACCOUNTS}/second", json={"label": "second"})
    assert same.status_code == 200
    assert ("account.rename", "done") in await audited(api)


async def test_a_label_changed_elsewhere_is_seen_soon(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    await keep(api.storage, order())
    await api.http.get("/api/v1/orders")
    await api.storage.account_changes.rename(PAPER, "other")
    monkeypatch.setattr("api.context.LABEL_KEPT_S", 0.0)
    api.app.state.context.forget_label(PAPER)
    for label in ("other", "another"):
        await api.storage.account_changes.rename(PAPER, label)
        listed = (await api.http.get("/api/v1/orders")).json()["orders"]
        assert listed[0]["account"] == label


async def test_one_account_is_the_default_and_orders_go_there(api: Api) -> None:
    await add(api)
    switched = await api.http.patch(f"{ACCOUNTS}/second", json={"is_default": True})
    assert switched.json()["is_default"] is True
    listed = (await api.http.get(ACCOUNTS)).json()["accounts"]
    assert [each["label"] for each in listed if each["is_default"]] == ["second"]
    placed = await api.place()
    assert placed.json()["account_id"] == SECOND


async def test_limits_are_replaced_as_a_whole(api: Api) -> None:
    limits = {"max_order_notional": "5000", "max_open_orders": 2}
    changed = await api.http.patch(f"{ACCOUNTS}/{PAPER}", json={"risk_limits": limits})
    assert changed.json()["risk_limits"]["max_order_notional"] == "5000"
    await api.http.patch(f"{ACCOUNTS}/{PAPER}", json={"risk_limits": {"max_open_orders": 4}})
    kept = (await api.storage.risk.limits(PAPER)).limits
    assert kept == RiskLimits(max_open_orders=4)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/label"),
        ({"label": None}, "/label"),
        ({"label": "Upper"}, "/label"),
        ({"label": 3}, "/label"),
        ({"is_default": False}, "/is_default"),
        ({"is_default": "yes"}, "/is_default"),
        ({"label": "x", "network": "mainnet"}, "/network"),
        ({"risk_limits": {"max_leverage": 3}}, "/risk_limits/max_leverage"),
        ({"risk_limits": {"nonsense": "3"}}, "/risk_limits/nonsense"),
    ],
)
async def test_what_cannot_be_changed_is_refused_at_its_place(
    api: Api, body: dict[str, Any], pointer: str
) -> None:
    answer = await api.http.patch(f"{ACCOUNTS}/paper", json=body)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert (await api.http.get(f"{ACCOUNTS}/paper")).json()["label"] == "paper"


async def test_an_account_with_nothing_open_leaves_use_and_stays_readable(api: Api) -> None:
    await hear(api, "0")
    answer = await api.http.delete(f"{ACCOUNTS}/paper")
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document["account"]["state"] == "REMOVED"
    assert document["left_open"]["orders"] == document["left_open"]["positions"] == []
    assert api.reader.asked == [PAPER]
    assert (await api.http.get(f"{ACCOUNTS}/paper")).json()["state"] == "REMOVED"
    assert (await api.place(account="paper")).status_code == 409
    again = await api.http.delete(f"{ACCOUNTS}/paper")
    assert again.status_code == 200, "doing it again changes nothing"
    assert api.reader.asked == [PAPER], "of what is out of use no venue is asked"
    changed = await api.http.patch(f"{ACCOUNTS}/paper", json={"label": "x"})
    assert (changed.status_code, changed.json()["code"]) == (409, "account_out_of_use")
    assert ("account.remove", "done") in await audited(api)


async def test_what_is_open_forbids_it_and_is_told_when_forced(api: Api) -> None:
    await hear(api, "0.25")
    await keep(api.storage, order())
    answer = await api.http.delete(f"{ACCOUNTS}/paper")
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["outcome"]) == ("account_holds", "not_sent")
    assert "1 open order, 1 open position" in problem["detail"]
    assert problem["open"]["orders"] == [order().order_id]
    assert problem["open"]["positions"][0]["quantity"] == "0.25"
    assert (await api.http.get(f"{ACCOUNTS}/paper")).json()["state"] == "ACTIVE"
    forced = await api.http.delete(f"{ACCOUNTS}/paper", params={"force": "true"})
    assert forced.status_code == 200
    assert forced.json()["left_open"] == problem["open"]
    assert "1 open order, 1 open position" in forced.json()["account"]["state_reason"]
    assert [each for each in await audited(api) if each[0] == "account.remove"] == [
        ("account.remove", "refused"),
        ("account.remove", "done"),
    ]


async def test_a_silent_venue_forbids_it_unless_forced(api: Api) -> None:
    for error in (VenueUnavailable("away"), None):
        api.reader.error = error
        answer = await api.http.delete(f"{ACCOUNTS}/paper")
        assert answer.status_code == 503
        assert answer.json()["code"] == "venue_unavailable"
        assert answer.json()["retryable"] is True
    assert (await api.http.get(f"{ACCOUNTS}/paper")).json()["state"] == "ACTIVE"
    forced = await api.http.delete(f"{ACCOUNTS}/paper", params={"force": "true"})
    assert forced.json()["account"]["state"] == "REMOVED"


async def test_an_account_whose_key_was_never_checked_needs_no_venue(api: Api) -> None:
    made = account(account_id=SECOND, label="second", address="0x" + "cd" * 20)
    await api.storage.accounts.add(made, trading=b"sealed", feed=None)
    answer = await api.http.delete(f"{ACCOUNTS}/second")
    assert answer.json()["account"]["state"] == "REMOVED"
    assert api.reader.asked == []


async def test_anothers_account_is_not_there(api: Api) -> None:
    sql = text(
        "INSERT INTO principals (principal_id, created_at) VALUES ('other', '2026-01-01 00:00:00')"
    )
    await api.storage.database.write(lambda connection: connection.execute(sql))
    await add(api, FOREIGN, owner="other", label="theirs")
    for name in (FOREIGN, "theirs"):
        assert (await api.http.patch(f"{ACCOUNTS}/{name}", json={"label": "x"})).status_code == 404
        assert (await api.http.delete(f"{ACCOUNTS}/{name}")).status_code == 404
        joined = await api.http.put(f"/api/v1/account-groups/majors/accounts/{name}")
        assert joined.status_code == 404
        listed = await api.http.put("/api/v1/account-groups/majors", json={"accounts": [name]})
        assert listed.status_code == 422
    theirs = await api.storage.accounts.get(FOREIGN)
    assert theirs is not None
    assert (theirs.label, theirs.state) == ("theirs", AccountState.ACTIVE)


async def test_removing_and_placing_at_once_never_leaves_an_order_unseen(api: Api) -> None:
    await hear(api, "0")
    placed, removed = await asyncio.gather(
        keep(api.storage, order()), api.http.delete(f"{ACCOUNTS}/paper")
    )
    told = removed.json()
    if removed.status_code == 409:
        assert told["open"]["orders"] == [placed.order_id]
    else:
        assert removed.status_code == 200
        assert Decimal(len(told["left_open"]["orders"])) == 0
