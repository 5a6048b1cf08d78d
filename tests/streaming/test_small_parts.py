"""Rate, tokens, freshness: small pure parts with one file of tests."""

from __future__ import annotations

import asyncio
import logging
import resource

import pytest

from domain.accounts import Network
from domain.principals import LOCAL_PRINCIPAL_ID
from streaming.budget import BudgetRule, ReadBudget
from streaming.freshness import FreshnessBoard
from streaming.open_files import raise_open_files
from streaming.rate import TokenBucket
from streaming.tokens import FileToken, Grant


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(2.0, 3.0, now=10.0)
    assert [bucket.take(1, 10.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(1, 10.4)
    assert bucket.take(1, 10.5)
    assert not bucket.take(1, 10.5)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    bucket = TokenBucket(1.0, 1.0, now=10.0)
    assert bucket.take(1, 10.0)
    assert not bucket.take(1, 5.0)
    assert not bucket.take(1, 10.5)
    assert bucket.take(1, 11.0)


def test_reservations_queue_up() -> None:
    bucket = TokenBucket(2.0, 4.0, now=0.0)
    assert [bucket.reserve(4, 0.0) for _ in range(3)] == [0.0, 2.0, 4.0]
    assert bucket.reserve(4, 6.0) == 0.0


async def test_budgets_are_per_venue_and_network_and_wider_on_paper() -> None:
    # So slow that whoever has to wait for his share waits far longer than the test.
    rule = BudgetRule(per_s=0.001, burst=10.0, paper_factor=2.0)
    budget = ReadBudget(rule, clock=lambda: 0.0)
    async with asyncio.timeout(5.0):
        await budget.spend("a", Network.MAINNET, 10.0)
        await budget.spend("b", Network.MAINNET, 10.0)
        await budget.spend("a", Network.PAPER, 20.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await budget.spend("a", Network.MAINNET, 10.0)


def test_the_right_token_is_the_local_principal() -> None:
    token = FileToken(lambda: "right")
    grant = token.grant("right")
    assert grant is not None
    assert grant.principal.principal_id == LOCAL_PRINCIPAL_ID
    assert token.is_valid(grant)


@pytest.mark.parametrize("given", ["", "wrong", "righ", "right ", "RIGHT", "rightt", "\ud800"])
def test_other_tokens_are_nobody(given: str) -> None:
    assert FileToken(lambda: "right").grant(given) is None


def test_a_replaced_token_ends_its_grants() -> None:
    kept = ["old"]
    token = FileToken(lambda: kept[0])
    grant = token.grant("old")
    assert grant is not None
    kept[0] = "new"
    assert token.is_valid(grant), "not before it is looked at"
    token.refresh()
    assert not token.is_valid(grant)
    assert token.grant("old") is None
    assert token.grant("new") is not None


def test_an_unreadable_file_lets_nobody_in_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    works = [True]

    def load() -> str:
        if not works[0]:
            raise PermissionError("expected mode 0600")
        return "right"

    token = FileToken(load)
    grant = token.grant("right")
    assert isinstance(grant, Grant)
    works[0] = False
    token.refresh()
    token.refresh()
    assert token.grant("right") is None
    assert not token.is_valid(grant)
    works[0] = True
    token.refresh()
    assert token.is_valid(grant)
    assert [record.message for record in caplog.records] == [
        "the API token cannot be read: expected mode 0600",
        "the API token can be read again",
    ]


def test_freshness_counts_since_the_feed_was_last_live() -> None:
    now = [100.0]
    changed: list[str] = []
    board = FreshnessBoard(lambda: now[0], changed.append)
    never = board.of("a")
    assert (never.live, never.age_s) == (False, None)
    board.set("a", live=False, reason="connecting")
    assert (board.of("a").live, board.of("a").age_s) == (False, None)
    board.set("a", live=True, reason="connected")
    now[0] = 150.0
    assert (board.of("a").live, board.of("a").age_s) == (True, 0.0)
    assert board.live_accounts() == {"a"}
    board.set("a", live=False, reason="closed")
    now[0] = 153.0
    assert (board.of("a").live, board.of("a").age_s, board.of("a").reason) == (
        False,
        3.0,
        "closed",
    )
    board.set("a", live=False, reason="still closed")
    now[0] = 154.0
    assert board.of("a").age_s == 4.0
    assert changed == ["a", "a", "a"]
    board.forget("a")
    board.forget("a")
    assert board.of("a").age_s is None


def test_as_many_files_as_allowed_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = [(1_024, 20_000)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, both: limits.append(both))
    assert raise_open_files() == 20_000
    assert limits[-1] == (20_000, 20_000)
    assert raise_open_files() == 20_000
    assert len(limits) == 2

    def refuse(which: int, both: tuple[int, int]) -> None:
        raise ValueError("not so many")

    limits.append((1_024, -1))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_open_files() == 1_024
