"""Changing a credential and leverage over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from domain.accounts import MarginMode
from domain.errors import Unavailable
from tests.api.serving import FOREIGN, PAPER, Api

KEY = "0x" + "7e" * 32
ROTATE = "/api/v1/accounts/paper/credential"
LEVERAGE = "/api/v1/accounts/paper/instruments/BTC-PERP/leverage"


async def test_a_credential_is_changed_and_never_shown(
    api: Api, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await api.post(ROTATE, {"private_key": f" {KEY}\n"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["signer"] == "0xnew"
    assert answer.json()["state"] == "ACTIVE"
    assert api.sealed.keys == [KEY]
    out, err = capfd.readouterr()
    assert KEY[2:] not in answer.text + out + err


async def test_a_refused_credential_changes_nothing(api: Api) -> None:
    api.rotations.refusal = "this is the master wallet's key"
    answer = await api.post(ROTATE, {"private_key": KEY})
    assert answer.status_code == 422
    assert answer.json()["code"] == "credential_refused"
    assert "keeps its present credential" in answer.json()["detail"]
    assert answer.json()["account"]["signer"] == "0xagent"


async def test_a_check_that_takes_long_is_202_and_one_that_cannot_begin_503(api: Api) -> None:
    api.rotations.in_time = False
    answer = await api.post(ROTATE, {"private_key": KEY})
    assert (answer.status_code, answer.json()["signer"]) == (202, "0xagent")
    api.rotations.error = Unavailable("Temporal does not answer")
    assert (await api.post(ROTATE, {"private_key": KEY})).status_code == 503
    account = (await api.http.get("/api/v1/accounts/paper")).json()
    assert (account["state"], account["signer"]) == ("ACTIVE", "0xagent")


@pytest.mark.parametrize("body", [{}, {"private_key": ""}, {"private_key": KEY, "more": 1}])
async def test_a_bad_credential_body_is_422_without_its_secret(
    api: Api, body: dict[str, Any]
) -> None:
    answer = await api.post(ROTATE, body)
    assert answer.status_code == 422
    assert KEY not in answer.text


async def test_foreign_accounts_are_not_there(api: Api) -> None:
    path = f"/api/v1/accounts/{FOREIGN}"
    assert (await api.post(f"{path}/credential", {"private_key": KEY})).status_code == 404
    answer = await api.http.put(f"{path}/instruments/BTC-PERP/leverage", json={"leverage": 5})
    assert answer.status_code == 404


async def test_leverage_is_set(api: Api) -> None:
    answer = await api.http.put(LEVERAGE, json={"leverage": 5, "margin_mode": "ISOLATED"})
    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "account": "paper",
        "account_id": PAPER,
        "symbol": "BTC-PERP",
        "leverage": 5,
        "margin_mode": "ISOLATED",
        "decided": True,
    }
    assert api.leverages.asked == [(PAPER, "BTC-PERP", 5, MarginMode.ISOLATED)]


async def test_leverage_that_is_refused_or_undecided(api: Api) -> None:
    api.leverages.refusal = "max_leverage is 3"
    refused = await api.http.put(LEVERAGE, json={"leverage": 5})
    assert (refused.status_code, refused.json()["code"]) == (422, "leverage_refused")
    api.leverages.refusal, api.leverages.in_time = None, False
    waiting = await api.http.put(LEVERAGE, json={"leverage": 5})
    assert (waiting.status_code, waiting.json()["decided"]) == (202, False)


@pytest.mark.parametrize(
    "body",
    [
        {"leverage": 0},
        {"leverage": 41},
        {"leverage": 1001},
        {"leverage": 2.5},
        {"leverage": None},
        {"leverage": 5, "margin_mode": "none"},
        {},
    ],
)
async def test_leverage_that_cannot_be(api: Api, body: dict[str, Any]) -> None:
    assert (await api.http.put(LEVERAGE, json=body)).status_code == 422
    assert api.leverages.asked == []


async def test_a_market_that_is_not_there(api: Api) -> None:
    answer = await api.http.put(
        "/api/v1/accounts/paper/instruments/NONE-PERP/leverage", json={"leverage": 5}
    )
    assert answer.status_code in (404, 422)
    assert api.leverages.asked == []
