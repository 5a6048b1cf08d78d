"""The dead man's routes: what is wanted is kept, and only the venue's word is told as armed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.dead_man import DeadManState
from tests.api.serving import PAPER, Api

PATH = "/api/v1/accounts/paper/dead-man"


async def answer(api: Api, state: DeadManState, **changes: Any) -> None:
    """Answer as a worker would that has asked the venue."""
    store = api.storage.dead_man
    while not (claimed := await store.claim(lease=timedelta(seconds=60))):
        await asyncio.sleep(0.01)
    await store.keep(replace(claimed[0], state=state, renew_at=None, **changes))


async def test_none_is_off(api: Api) -> None:
    shown = (await api.http.get(PATH)).json()
    assert (shown["state"], shown["armed"], shown["after_s"]) == ("OFF", False, None)
    assert (shown["triggers_today"], shown["triggers_most"]) == (0, 10)
    assert "protect positions" in shown["effect"]


async def test_it_is_armed_as_the_venue_confirms(api: Api) -> None:
    until = datetime.now(UTC) + timedelta(seconds=60)
    worker = asyncio.create_task(answer(api, DeadManState.ARMED, armed_until=until))
    response = await api.post(PATH, {"after_s": 60})
    await worker
    assert response.status_code == 200, response.text
    assert (response.json()["state"], response.json()["armed"]) == ("ARMED", True)
    worker = asyncio.create_task(answer(api, DeadManState.OFF, armed_until=None))
    response = await api.post(PATH, {"off": True})
    await worker
    assert (response.status_code, response.json()["state"]) == (200, "OFF")


async def test_a_refusal_is_a_refusal(api: Api) -> None:
    worker = asyncio.create_task(answer(api, DeadManState.REFUSED, reason="enough volume"))
    response = await api.post(PATH, {"after_s": 60})
    await worker
    assert (response.status_code, response.json()["code"]) == (409, "dead_man_refused")
    assert response.json()["dead_man"]["armed"] is False
    assert "enough volume" in response.json()["detail"]
    assert (await api.http.get(PATH)).json()["reason"] == "enough volume"


async def test_a_time_that_the_venue_never_takes_is_refused_before_it_is_kept(api: Api) -> None:
    served = api.venues.said["hyperliquid"]
    sheet = replace(served.sheet, dead_man_least_s=310)
    api.venues.said["hyperliquid"] = replace(served, sheet=sheet)
    response = await api.post(PATH, {"after_s": 300})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert "expected at least 310 s at hyperliquid, found 300" in response.json()["detail"]
    assert (await api.http.get(PATH)).json()["state"] == "OFF"
    # Nobody tells what it takes: the venue's own word has to do.
    api.venues.said.clear()
    assert (await api.post(PATH, {"after_s": 60}, Prefer="wait=0")).status_code == 202


async def test_without_a_worker_it_is_not_told_as_armed(api: Api) -> None:
    response = await api.post(PATH, {"after_s": 60}, Prefer="wait=0")
    assert (response.status_code, response.json()["state"]) == (202, "ARMING")
    assert response.json()["armed"] is False


async def test_one_that_went_off_says_so(api: Api) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    await api.post(PATH, {"after_s": 60}, Prefer="wait=0")
    await answer(api, DeadManState.ARMED, armed_until=past)
    await api.storage.dead_man.note_trigger(PAPER, past)
    shown = (await api.http.get(PATH)).json()
    assert (shown["state"], shown["armed"]) == ("WENT_OFF", False)
    assert "Is a worker running?" in shown["reason"]
    assert shown["triggers_today"] in (0, 1)  # Midnight may lie between the two.


@pytest.mark.parametrize(
    "body", [{}, {"after_s": 9}, {"after_s": 60, "off": True}, {"off": False}, {"after_s": 86401}]
)
async def test_what_says_nothing_or_two_things_is_refused(api: Api, body: dict[str, Any]) -> None:
    response = await api.post(PATH, body)
    assert response.status_code == 422, response.text
    assert await api.storage.dead_man.get(PAPER) is None


async def test_an_unknown_account_is_not_found(api: Api) -> None:
    assert (await api.http.get("/api/v1/accounts/nobody/dead-man")).status_code == 404
    response = await api.post("/api/v1/accounts/nobody/dead-man", {"off": True})
    assert response.status_code == 404
