"""Groups of accounts: made, changed, taken apart, and looked at as one."""

from __future__ import annotations

from typing import Any

import pytest

from domain.accounts import AccountState
from tests.api.serving import PAPER, Api, account
from tests.api.test_positions import SECOND, say

GROUPS = "/api/v1/account-groups"


@pytest.fixture
async def two(api: Api) -> Api:
    """An API with the accounts `paper` and `second`."""
    made = account(account_id=SECOND, label="second", address="0x" + "cd" * 20, is_default=False)
    await api.storage.accounts.add(made, trading=b"sealed", feed=None)
    await api.storage.accounts.set_state(
        SECOND, AccountState.ACTIVE, reason=None, signer="0xagent2"
    )
    return api


def labels(group: dict[str, Any]) -> list[str]:
    return [each["account"] for each in group["accounts"]]


async def test_a_group_is_made_changed_and_taken_apart(two: Api) -> None:
    made = await two.http.put(f"{GROUPS}/majors", json={"accounts": ["second", PAPER, "paper"]})
    assert made.status_code == 200, made.text
    assert made.json()["name"] == "majors"
    assert labels(made.json()) == ["paper", "second"]
    assert made.json()["accounts"][0]["account_id"] == PAPER
    left = await two.http.delete(f"{GROUPS}/majors/accounts/paper")
    assert labels(left.json()) == ["second"]
    joined = await two.http.put(f"{GROUPS}/alts/accounts/{PAPER}")
    assert labels(joined.json()) == ["paper"]
    listed = (await two.http.get(GROUPS)).json()["groups"]
    assert [(each["name"], labels(each)) for each in listed] == [
        ("alts", ["paper"]),
        ("majors", ["second"]),
    ]
    assert labels((await two.http.get(f"{GROUPS}/majors")).json()) == ["second"]
    assert (await two.http.get("/api/v1/accounts/second")).json()["groups"] == ["majors"]
    gone = await two.http.delete(f"{GROUPS}/majors")
    assert gone.json() == {"name": "majors", "accounts": []}
    assert (await two.http.get(f"{GROUPS}/majors")).status_code == 404
    assert (await two.http.get("/api/v1/accounts/second")).json()["state"] == "ACTIVE"


async def test_accounts_positions_and_profit_are_shown_of_a_group(two: Api) -> None:
    await two.http.put(f"{GROUPS}/majors", json={"accounts": ["second"]})
    await say(two, PAPER, "1")
    await say(two, SECOND, "-0.5")
    accounts = (await two.http.get("/api/v1/accounts", params={"group": "majors"})).json()
    assert [each["label"] for each in accounts["accounts"]] == ["second"]
    of_group = (await two.http.get("/api/v1/positions", params={"group": "majors"})).json()
    assert [each["account"] for each in of_group["positions"]] == ["second"]
    assert of_group["total"]["short"] == of_group["total"]["gross"]
    everything = (await two.http.get("/api/v1/positions")).json()
    assert len(everything["positions"]) == 2
    both = {"group": "majors", "account": "paper"}
    assert (await two.http.get("/api/v1/positions", params=both)).json()["positions"] == []
    profit = await two.http.get("/api/v1/pnl", params={"group": "majors"})
    assert profit.status_code == 200
    venue = {"venue": "elsewhere"}
    assert (await two.http.get("/api/v1/accounts", params=venue)).json()["accounts"] == []


@pytest.mark.parametrize("path", ["/api/v1/accounts", "/api/v1/positions", "/api/v1/pnl"])
async def test_a_group_that_is_not_there_shows_nothing_but_that(two: Api, path: str) -> None:
    missing = await two.http.get(path, params={"group": "nobody"})
    assert missing.status_code == 404
    assert "nobody" in missing.json()["detail"]
    wrong = await two.http.get(path, params={"group": "No Group"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["parameter"] == "group"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"accounts": ["paper", "nobody"]}, "/accounts/1"),
        ({"accounts": "paper"}, "/accounts"),
        ({"accounts": [3]}, "/accounts/0"),
        ({"accounts": ["paper"] * 201}, "/accounts"),
        ({}, "/accounts"),
        ({"accounts": ["paper"], "more": 1}, "/more"),
    ],
)
async def test_members_that_cannot_be_taken_change_nothing(
    two: Api, body: dict[str, Any], pointer: str
) -> None:
    await two.http.put(f"{GROUPS}/majors", json={"accounts": ["second"]})
    answer = await two.http.put(f"{GROUPS}/majors", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert labels((await two.http.get(f"{GROUPS}/majors")).json()) == ["second"]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_names_that_can_name_no_group_are_refused(two: Api, method: str) -> None:
    for path in ("Majors/accounts/paper", "-x/accounts/paper", f"{'x' * 33}/accounts/paper"):
        answer = await two.http.request(method, f"{GROUPS}/{path}")
        assert answer.status_code == 422, (path, answer.text)
    assert (await two.http.delete(f"{GROUPS}/nobody/accounts/paper")).status_code == 404
    assert (await two.http.put(f"{GROUPS}/majors/accounts/nobody")).status_code == 404
    assert (await two.http.get(GROUPS)).json() == {"groups": []}


async def test_a_removed_account_leaves_its_groups(two: Api) -> None:
    await two.http.put(f"{GROUPS}/majors", json={"accounts": ["paper", "second"]})
    await two.storage.account_changes.remove(SECOND, force=True, by="local")
    assert labels((await two.http.get(f"{GROUPS}/majors")).json()) == ["paper"]
    kept = await two.http.put(f"{GROUPS}/majors", json={"accounts": ["second"]})
    assert kept.status_code == 422
