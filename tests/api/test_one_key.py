"""One key names one intent, whatever kinds are asked for by it in the same moment.

Every pair of kinds, on both databases: of two who ask at once one begins, the other is told, and
each is told the same again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from domain.accounts import Network
from domain.identifiers import order_id_for
from tests.api.routing_desk import ScriptedSplits
from tests.api.said_venues import served
from tests.api.serving import BTC, Api, furnished, serving
from tests.api.test_routing import SECOND, a_book, add
from tests.storage.conftest import (  # noqa: F401 - fixtures
    database_url,
    postgres,
    postgres_template,
    postgres_url,
    sqlite_template,
    sqlite_url,
)

ORDERS = "/api/v1/orders"
POSITION = "/api/v1/positions/paper:BTC-PERP"
ORDER = {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.1", "price": "45100"}
PLAIN = {**ORDER, "account": "paper"}

#: Of each kind two requests that ask for different things: a path and a body.
KINDS: dict[str, tuple[tuple[str, Any], tuple[str, Any]]] = {
    "plain": ((ORDERS, PLAIN), (ORDERS, {**PLAIN, "price": "45200"})),
    "routed": (
        (ORDERS, {**ORDER, "venue": "auto"}),
        (ORDERS, {**ORDER, "venue": "auto", "quantity": "0.2"}),
    ),
    "split": (
        (ORDERS, {**ORDER, "split": True}),
        (ORDERS, {**ORDER, "split": True, "quantity": "0.2"}),
    ),
    "bracket": (
        (ORDERS, {**PLAIN, "stop_loss": {"percent": "2"}}),
        (ORDERS, {**PLAIN, "stop_loss": {"percent": "3"}}),
    ),
    "close": ((f"{POSITION}/close", {}), (f"{POSITION}/close", {"percent": "50"})),
    "conditions": (
        (f"{POSITION}/conditions", {"profit_percent": "10"}),
        (f"{POSITION}/conditions", {"profit_percent": "11"}),
    ),
}
PAIRS = list(itertools.combinations_with_replacement(KINDS, 2))


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:  # noqa: F811
    """An API over an account at each of two venues."""
    storage = await furnished(database_url, tmp_path)
    await add(storage, SECOND, "second", "pacifica")
    market = replace(BTC, venue="pacifica")
    await storage.markets.save(Network.PAPER, [market], seen_at=datetime.now(UTC))
    async with serving(storage, venues=("hyperliquid", "pacifica")) as running:
        running.venues.said["pacifica"] = served("pacifica")
        yield running
    await storage.close()


def show_books(api: Api) -> None:
    """Have both exchanges tell books that no slow machine finds stale."""
    api.books.at = {
        "hyperliquid": a_book("hyperliquid", "45010", age_s=-60),
        "pacifica": a_book("pacifica", "45005", "0.06", age_s=-60),
    }


async def ask(api: Api, request: tuple[str, Any], key: str) -> httpx2.Response:
    path, body = request
    return await api.post(path, body, **{"Idempotency-Key": key, "Prefer": "wait=1"})


def begun(api: Api, key: str) -> set[str]:
    """Return the fingerprints of all that was begun under a key."""
    intent_id = order_id_for("local", key)
    splits = api.splits
    assert isinstance(splits, ScriptedSplits)
    found = [o.fingerprint for o in api.desk.started.values() if o.order_id == intent_id]
    found += [plan.fingerprint for plan in splits.started if plan.split_id == intent_id]
    found += [p.entry.fingerprint for p in api.brackets.started if p.bracket_id == intent_id]
    found += [plan.fingerprint for plan in api.closes.begun if plan.close_id == intent_id]
    found += [plan.fingerprint for plan in api.conditions.begun if plan.condition_id == intent_id]
    return set(found)


def is_refused(answer: httpx2.Response) -> bool:
    return answer.status_code == 422 and answer.json()["code"] == "idempotency_mismatch"


def told(answer: httpx2.Response) -> tuple[int, str]:
    """Return what an answer says of which intent."""
    document = answer.json()
    names = ("code", "split_id", "close_id", "condition_id", "order_id")
    return answer.status_code, next(document[name] for name in names if name in document)


async def races(api: Api, first: str, other: str, number: int) -> None:
    """Have two kinds ask at once by one key, and both again afterwards."""
    key = f"{first} against {other}"
    requests = [KINDS[first][0], KINDS[other][1]][:: -1 if number % 2 else 1]

    answers = await asyncio.gather(*(ask(api, request, key) for request in requests))

    assert len(begun(api, key)) == 1, key
    assert [is_refused(each) for each in answers].count(True) == 1, [each.text for each in answers]
    [lost] = [answer for answer in answers if is_refused(answer)]
    assert lost.json()["outcome"] == "not_sent"
    again = [await ask(api, request, key) for request in requests]
    assert [told(answer) for answer in again] == [told(answer) for answer in answers]
    assert len(begun(api, key)) == 1, key


async def test_of_two_kinds_at_once_one_begins(api: Api) -> None:
    for first in KINDS:
        show_books(api)
        async with asyncio.TaskGroup() as tasks:
            for number, (one, other) in enumerate(PAIRS):
                if one == first:
                    tasks.create_task(races(api, one, other, number))


async def test_many_at_once_of_all_kinds_make_one(api: Api) -> None:
    show_books(api)
    requests = [request for kind in KINDS.values() for request in kind]

    answers = await asyncio.gather(*(ask(api, request, "mine") for request in requests * 2))

    assert len(begun(api, "mine")) == 1
    assert sum(not is_refused(answer) for answer in answers) == 2


async def test_a_claim_of_which_nothing_came_serves_the_same_request(api: Api) -> None:
    """Whoever claimed the key died before the start, or the start was refused."""
    show_books(api)
    api.desk.script, api.splits.script, api.brackets.script = "refuse_start", "away", "away"
    api.closes.script, api.conditions.script = "away", "away"
    for kind, (request, _) in KINDS.items():
        assert (await ask(api, request, kind)).status_code == 503
    api.desk.script, api.splits.script, api.brackets.script = "rest", "start", "start"
    api.closes.script, api.conditions.script = "done", "watch"

    for kind, next_kind in zip(KINDS, [*list(KINDS)[1:], "plain"], strict=True):
        for another in (KINDS[kind][1], KINDS[next_kind][0]):
            assert is_refused(await ask(api, another, kind)), (kind, another)
        assert not begun(api, kind)
        first = await ask(api, KINDS[kind][0], kind)
        assert first.status_code == 201, first.text
        assert len(begun(api, kind)) == 1


async def test_a_key_of_something_else_is_refused_before_anybody_is_asked(api: Api) -> None:
    assert (await ask(api, KINDS["close"][0], "mine")).status_code == 201
    for kind in ("routed", "split"):
        assert is_refused(await ask(api, KINDS[kind][0], "mine"))
    assert not api.terms.asked


async def test_what_was_refused_before_anything_was_kept_leaves_its_key(api: Api) -> None:
    """A price the market does not take, a limit: the corrected request may have the key."""
    wrong = (ORDERS, {**PLAIN, "price": "45000.123"})
    assert (await ask(api, wrong, "mine")).status_code == 422
    assert (await ask(api, KINDS["plain"][0], "mine")).status_code == 201
