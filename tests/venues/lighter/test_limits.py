"""Our own budget: what is kept for cancels, what a tier allows, and what a refusal teaches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain.accounts import Network
from domain.errors import VenueRefused, VenueUnavailable
from tests.venues import raw_server
from venues.lighter.connector import LighterConnector
from venues.lighter.feed_reading import FeedReading
from venues.lighter.limits import (
    BACK_OFF_S,
    FIREWALL_PAUSE_S,
    Purpose,
    RequestBudget,
    Tier,
)
from venues.lighter.spec import SPEC

ORDER = "/sendTx"
QUESTION = "/account"


def taken(budget: RequestBudget, path: str, purpose: Purpose, now: float = 0.0) -> int:
    count = 0
    while budget.take(path, purpose, now):
        count += 1
    return count


def test_of_a_standard_accounts_sixty_requests_six_are_kept_for_cancels() -> None:
    budget = RequestBudget()
    assert taken(budget, QUESTION, Purpose.QUERY) == 42
    assert taken(budget, ORDER, Purpose.COMMAND) == 12
    assert taken(budget, ORDER, Purpose.CANCEL) == 6
    assert budget.wait_s(ORDER, Purpose.CANCEL, 0.0) == pytest.approx(1.0)
    assert budget.wait_s(QUESTION, Purpose.QUERY, 0.0) == pytest.approx(19.0)
    assert taken(budget, QUESTION, Purpose.QUERY, 61.0) == 42


def test_a_higher_tier_counts_weights() -> None:
    budget = RequestBudget(tier=Tier.PREMIUM)
    # 24,000 a minute: a question weighs 300, a transaction 6.
    assert taken(budget, QUESTION, Purpose.QUERY) == 56
    assert taken(budget, ORDER, Purpose.COMMAND) == 800
    assert taken(budget, ORDER, Purpose.CANCEL) == 400
    assert budget.left(0.0).unit == "weight per minute"


def test_the_venues_word_on_a_tier_replaces_ours_and_keeps_the_share_that_is_left() -> None:
    budget = RequestBudget()
    assert taken(budget, QUESTION, Purpose.QUERY) == 42
    budget.learn_tier("Premium", 0.0)
    assert budget.left(0.0).capacity == 24_000.0
    assert budget.left(0.0).left == pytest.approx(24_000.0 * 18 / 60)
    budget.learn_tier("something new", 0.0)
    assert budget.left(0.0).capacity == 60.0
    assert budget.left(0.0).unit == "requests per minute"


def test_after_a_refusal_only_cancels_go() -> None:
    budget = RequestBudget()
    budget.refused(0.0)
    assert not budget.take(QUESTION, Purpose.QUERY, BACK_OFF_S - 0.1)
    assert not budget.take(ORDER, Purpose.COMMAND, BACK_OFF_S - 0.1)
    assert budget.take(ORDER, Purpose.CANCEL, BACK_OFF_S - 0.1)
    assert budget.take(ORDER, Purpose.COMMAND, BACK_OFF_S)
    assert budget.left(BACK_OFF_S).left < 60.0 * 0.3 + BACK_OFF_S
    budget.refused(20.0, 10_000.0)
    assert budget.wait_s(ORDER, Purpose.COMMAND, 20.0) == pytest.approx(60.0)


def test_what_a_process_may_ask_is_a_setting_for_questions_of_its_feed_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[FeedReading] = []

    def reading(*arguments: Any, **named: Any) -> FeedReading:
        made.append(FeedReading(*arguments, **named))
        return made[-1]

    monkeypatch.setenv("LIGHTER_REQUESTS_PER_MINUTE", "20")
    monkeypatch.setattr("venues.lighter.feed_reading.FeedReading", reading)
    SPEC.account_feed(Network.TESTNET)
    (one,) = made
    assert one.budget.per_minute == 20


@pytest.mark.parametrize(
    ("status", "pause_s"),
    [("429 Too Many Requests", BACK_OFF_S), ("405 Method Not Allowed", FIREWALL_PAUSE_S)],
)
async def test_a_refusal_of_the_api_or_its_firewall_closes_the_budget(
    status: str, pause_s: float
) -> None:
    budget = RequestBudget()

    async def refuse(
        server: raw_server.RawServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while await server.read(reader) is not None:
            writer.write(raw_server.response(b"{}", status=status))

    async with raw_server.serving(refuse) as server:
        connector = LighterConnector(
            Network.PAPER, server.url, 304, budget=budget, monotonic=lambda: 0.0
        )
        with pytest.raises((VenueRefused, VenueUnavailable)):
            await connector.start()
        await connector.close()
    assert budget.wait_s(ORDER, Purpose.COMMAND, 0.0) == pytest.approx(pause_s)
    assert budget.wait_s(ORDER, Purpose.CANCEL, 0.0) == 0.0
