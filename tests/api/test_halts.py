"""The halt's routes: in force before they answer, whoever may, whatever is away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import insert, select

from domain.errors import Unavailable
from domain.halts import EVERYTHING, AccountProgress, HaltStage, account_scope, venue_scope
from domain.principals import Action, Principal
from storage.tables import audit, principals
from tests.api.serving import FOREIGN, PAPER, Api, account

SECOND = "33333333-3333-4333-8333-333333333333"
ALL: dict[str, Any] = {"scope": "all", "reason": "a test"}


async def test_a_halt_is_in_force_when_it_is_answered(api: Api) -> None:
    response = await api.post("/api/v1/halt", {**ALL, "flatten": True})

    assert response.status_code == 202, response.text
    answer = response.json()
    assert (answer["started"], answer["note"]) == (True, None)
    switch = answer["kill_switch"]
    assert (switch["stage"], switch["flatten"], switch["name"]) == ("BLOCKING", True, None)
    assert response.headers["location"] == f"/api/v1/halt/{switch['kill_switch_id']}"
    assert switch["workflow_url"].endswith("/workflows/halt-all")
    [started] = api.halts.started
    assert (started.scope, started.flatten, started.reason) == (EVERYTHING, True, "a test")
    [halt] = await api.storage.halts.halted()
    assert (halt.scope, halt.set_by) == (EVERYTHING, "local")
    assert await _audited(api) == [("halt", "halt:*", "started")]


async def _audited(api: Api) -> list[tuple[str, str, str]]:
    await api.storage.audit.seal()
    rows = await api.storage.database.fetch_all(select(audit).order_by(audit.c.audit_id))
    return [(row.action, row.subject, row.outcome) for row in rows]


async def test_an_account_is_halted_by_its_label_and_a_venue_by_its_name(api: Api) -> None:
    one = await api.post("/api/v1/halt", {**ALL, "scope": "account", "account": "paper"})
    two = await api.post("/api/v1/halt", {**ALL, "scope": "venue", "venue": "hyperliquid"})

    assert one.json()["kill_switch"]["name"] == "paper"
    assert two.json()["kill_switch"]["name"] == "hyperliquid"
    scopes = [account_scope(PAPER), venue_scope("hyperliquid")]
    assert [state.scope for state in api.halts.started] == scopes
    shown = (await api.http.get("/api/v1/halt")).json()
    assert [(h["scope"], h["name"]) for h in shown["halts"]] == [
        ("account", "paper"),
        ("venue", "hyperliquid"),
    ]
    assert len(shown["kill_switches"]) == 2
    assert (await api.http.get("/api/v1/accounts/paper")).json()["halted"] is True


async def test_a_group_is_each_account_that_is_in_it(api: Api) -> None:
    second = account(account_id=SECOND, label="second", address="0x" + "cd" * 20)
    await api.storage.accounts.add(second, trading=b"x", feed=None)
    await api.storage.account_groups.replace("local", "both", [PAPER, SECOND])
    body = {**ALL, "scope": "group", "group": "both"}

    response = await api.post("/api/v1/halt", body)

    assert response.status_code == 202, response.text
    answer = response.json()
    assert [answer["kill_switch"]["name"], *(m["name"] for m in answer["more"])] == [
        "paper",
        "second",
    ]
    assert [state.scope.name for state in api.halts.started] == [PAPER, SECOND]
    resumed = await api.post("/api/v1/resume", {**body, "force": True})
    assert resumed.json()["halts"] == []
    assert len(resumed.json()["more"]) == 1
    for path in ("/api/v1/halt", "/api/v1/resume"):
        unknown = await api.post(path, {**body, "group": "none"})
        assert unknown.status_code == 404


@pytest.mark.parametrize("never_connected", [True, False])
async def test_without_temporal_it_is_in_force_and_says_what_waits(
    api: Api, never_connected: bool
) -> None:
    api.halts.answering, api.halts.never_connected = False, never_connected

    response = await api.post("/api/v1/halt", ALL)

    assert response.status_code == 202
    assert response.json()["started"] is False
    assert "as soon as Temporal answers again" in response.json()["note"]
    assert len(await api.storage.kill_switches.running()) == 1
    assert await _audited(api) == [("halt", "halt:*", "in force, not started")]


async def test_without_the_database_nothing_is_halted_and_it_says_what_works(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(api.storage.kill_switches, "begin", away)

    response = await api.post("/api/v1/halt", ALL)

    assert response.status_code == 503
    assert "nothing is halted" in response.json()["detail"]
    assert "python -m worker emergency cancel-all" in response.json()["detail"]
    assert response.json()["outcome"] == "not_sent"
    assert api.halts.started == []


async def test_a_second_halt_joins_and_upgrades(api: Api) -> None:
    one = (await api.post("/api/v1/halt", ALL)).json()["kill_switch"]
    two = (await api.post("/api/v1/halt", {**ALL, "flatten": True})).json()["kill_switch"]
    assert two["kill_switch_id"] == one["kill_switch_id"]
    assert two["flatten"] is True
    assert len((await api.http.get("/api/v1/halt")).json()["kill_switches"]) == 1


async def test_how_far_it_is_is_shown_account_by_account(api: Api) -> None:
    await api.post("/api/v1/halt", ALL)
    [state] = await api.storage.kill_switches.running()
    progress = AccountProgress(
        account_id=PAPER,
        venue="hyperliquid",
        owner="local",
        stage=HaltStage.CANCELING,
        needs_attention=True,
        orders=1,
        still_open=("order BUY 1 BTC-PERP",),
        round=3,
    )
    await api.storage.kill_switches.keep(state.with_progress(progress))

    shown = (await api.http.get(f"/api/v1/halt/{state.kill_switch_id}")).json()

    assert shown["stage"] == "ATTENTION"
    [of_account] = shown["accounts"]
    assert (of_account["label"], of_account["stage"]) == ("paper", "CANCELING")
    assert (of_account["open_orders"], of_account["looks"]) == (1, 3)
    assert of_account["still_open"] == ["order BUY 1 BTC-PERP"]


async def test_a_resume_is_refused_while_it_runs_and_forced_it_stops(api: Api) -> None:
    await api.post("/api/v1/halt", ALL)

    refused = await api.post("/api/v1/resume", ALL)
    forced = await api.post("/api/v1/resume", {**ALL, "force": True})

    assert (refused.status_code, refused.json()["code"]) == (409, "kill_switch_running")
    assert forced.status_code == 200, forced.text
    assert forced.json()["stopped"]["stage"] == "STOPPED"
    assert forced.json()["halts"] == []
    assert api.halts.stopped == [EVERYTHING]
    assert [row[0::2] for row in await _audited(api)] == [
        ("halt", "started"),
        ("resume", "refused: Conflict"),
        ("resume", "lifted"),
    ]


async def test_a_resume_after_the_end_lifts_the_halt(api: Api) -> None:
    await api.post("/api/v1/halt", ALL)
    [state] = await api.storage.kill_switches.running()
    await api.storage.kill_switches.keep(replace(state, stage=HaltStage.HALTED))
    api.halts.answering = False

    response = await api.post("/api/v1/resume", ALL)
    again = await api.post("/api/v1/resume", ALL)

    assert response.json() == {"stopped": None, "halts": [], "more": []}
    assert (again.status_code, again.json()["code"]) == (409, "not_halted")


async def test_a_forced_resume_needs_no_temporal(api: Api) -> None:
    await api.post("/api/v1/halt", ALL)
    api.halts.answering = False
    forced = await api.post("/api/v1/resume", {**ALL, "force": True})
    assert forced.json()["stopped"]["stage"] == "STOPPED"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"scope": "all"}, "/reason"),
        ({"scope": "some", "reason": "x"}, "/scope"),
        ({"scope": "account", "reason": "x"}, "/account"),
        ({"scope": "group", "reason": "x"}, "/group"),
        ({"scope": "venue", "reason": "x"}, "/venue"),
        ({"scope": "all", "venue": "hyperliquid", "reason": "x"}, "/venue"),
        ({"scope": "venue", "venue": "hyperliquid", "account": "paper", "reason": "x"}, "/account"),
        ({"scope": "venue", "venue": "nowhere", "reason": "x"}, "/venue"),
        ({"scope": "all", "flatten": "yes", "reason": "x"}, "/flatten"),
        ({"scope": "all", "reason": "x", "force": True}, "/force"),
    ],
)
async def test_what_names_no_scope_halts_nothing(
    api: Api, body: dict[str, Any], pointer: str
) -> None:
    response = await api.post("/api/v1/halt", body)
    assert response.status_code == 422, response.text
    assert pointer in response.text
    assert await api.storage.halts.halted() == ()


async def test_an_account_of_another_is_not_known(api: Api) -> None:
    foreign = account(account_id=FOREIGN, owner="bob", label="theirs", address="0x" + "cd" * 20)
    await api.storage.database.write(_add_bob)
    await api.storage.accounts.add(foreign, trading=b"x", feed=None)
    for name in (FOREIGN, "theirs", "nobody"):
        for path in ("/api/v1/halt", "/api/v1/resume"):
            response = await api.post(path, {**ALL, "scope": "account", "account": name})
            assert response.status_code == 404
    await api.storage.halts.halt(FOREIGN, reason="theirs", by="bob")
    assert (await api.http.get("/api/v1/halt")).json()["halts"] == []
    assert (await api.http.get("/api/v1/halt/none")).status_code == 404


def _add_bob(connection: Any) -> None:
    connection.execute(insert(principals).values(principal_id="bob", created_at=datetime.now(UTC)))


@pytest.mark.parametrize(
    ("actions", "halts", "resumes"),
    [
        ({Action.ADMIN}, 202, 200),
        ({Action.CLOSE}, 202, 403),
        ({Action.TRADE, Action.READ_ACCOUNT}, 403, 403),
    ],
)
async def test_whoever_may_close_may_halt_and_only_an_administrator_resumes(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    actions: set[Action],
    halts: int,
    resumes: int,
) -> None:
    limited = Principal(principal_id="local", actions=frozenset(actions))
    monkeypatch.setattr("api.authentication.local_principal", lambda: limited)

    halted = await api.post("/api/v1/halt", ALL)
    resumed = await api.post("/api/v1/resume", {**ALL, "force": True})

    assert (halted.status_code, resumed.status_code) == (halts, resumes)
