"""The state of an account's session: every fact with its age, and what is old as unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.accounts import Network
from domain.errors import Unavailable
from domain.session_states import AccountSession
from serving.settings import now
from tests.api.said_sessions import a_session
from tests.api.serving import PAPER, Api

FACTS = ("rights", "feed", "clock", "circuit", "rate_budget")


async def session(api: Api) -> dict[str, Any]:
    answer = await api.http.get("/api/v1/accounts/paper")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["session"]
    return found


async def test_what_was_said_lately_is_shown_with_its_age(api: Api) -> None:
    api.sessions.said = a_session(PAPER)
    await api.storage.signer_nonces.take("hyperliquid", Network.PAPER, "0xagent", lane="7")
    nonce = await api.storage.signer_nonces.take("hyperliquid", Network.PAPER, "0xagent")
    await api.storage.signer_nonces.take("hyperliquid", Network.PAPER, "0xother")
    found = await session(api)
    for name in FACTS:
        assert 0 <= found[name]["age_s"] < 5, name
        assert found[name]["said_at"].endswith("Z"), name
    rights = found["rights"]
    assert (rights["state"], rights["signer"], rights["owner_address"]) == (
        "proved", "0xagent", "0xmm",
    )  # fmt: skip
    assert rights["expires_soon"] is True
    assert found["nonces"]["rule"] == "TIME_MS"
    assert [lane["lane"] for lane in found["nonces"]["lanes"]] == ["", "7"]
    assert found["nonces"]["lanes"][0]["last_nonce"] == nonce
    feed = found["feed"]
    assert (feed["state"], feed["reason"]) == ("live", "subscribed")
    assert feed["channels"][0]["channel"] == "orders"
    assert 2 <= feed["channels"][0]["age_s"] < 7
    assert (found["clock"]["state"], found["clock"]["offset_ms"]) == ("ok", 12)
    assert (found["circuit"]["state"], found["circuit"]["unanswered"]) == ("open", 8)
    assert 0 < found["circuit"]["retry_in_s"] <= 5
    budget = found["rate_budget"]
    assert (budget["state"], budget["left"], budget["capacity"]) == ("known", 900.5, 1200)
    (token,) = found["tokens"]
    assert (token["name"], token["holder"], token["expired"]) == ("read", "streaming", False)
    assert 28_000 < token["expires_in_s"] <= 28_800


@pytest.mark.parametrize(
    ("ago", "known"),
    [
        (timedelta(seconds=20), {"rights", "clock", "circuit", "rate_budget"}),
        (timedelta(minutes=1), {"rights", "clock"}),
        (timedelta(minutes=10), {"rights"}),
        (timedelta(hours=14), set()),
    ],
)
async def test_what_is_old_is_unknown_and_says_since_when(
    api: Api, ago: timedelta, known: set[str]
) -> None:
    api.sessions.said = a_session(PAPER, ago=ago)
    found = await session(api)
    assert {name for name in FACTS if found[name]["state"] != "unknown"} == known
    for name in set(FACTS) - known:
        values = {
            key: value
            for key, value in found[name].items()
            if key not in ("state", "said_at", "age_s", "expires_soon")
        }
        assert not any(values.values()), name
        assert found[name]["age_s"] >= ago.total_seconds(), name


async def test_nothing_is_made_up_where_nobody_said_anything(api: Api) -> None:
    for error in (None, Unavailable("Valkey does not answer")):
        api.sessions.error = error
        found = await session(api)
        for name in FACTS:
            assert (found[name]["state"], found[name]["age_s"]) == ("unknown", None), name
        assert found["tokens"] is None
        assert found["nonces"]["lanes"] == []
    assert found["nonces"]["rule"] is None


async def test_a_refused_key_and_a_lost_feed_are_said_to_be_so(api: Api) -> None:
    said = a_session(PAPER)
    assert said.trading is not None and said.trading.rights is not None
    assert said.feed is not None and said.place is not None and said.place.clock is not None
    ended = now() - timedelta(minutes=1)
    api.sessions.said = AccountSession(
        trading=replace(
            said.trading,
            rights=replace(said.trading.rights, refusal="the agent is not known"),
            tokens={"trade": ended},
        ),
        feed=replace(said.feed, live=False, reason="no answer to pings", tokens=None),
        place=replace(
            said.place, budget=None, clock=replace(said.place.clock, is_beyond_bound=True)
        ),
    )
    found = await session(api)
    assert (found["rights"]["state"], found["rights"]["power"]) == (
        "refused", "the agent is not known",
    )  # fmt: skip
    assert (found["feed"]["state"], found["feed"]["reason"]) == ("stale", "no answer to pings")
    assert found["clock"]["state"] == "beyond_bound"
    assert found["rate_budget"]["state"] == "not_told"
    (token,) = found["tokens"]
    assert (token["holder"], token["expired"], token["expires_in_s"]) == ("worker", True, 0)
