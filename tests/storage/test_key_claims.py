"""Claims on idempotency keys, on both databases: the first one has the key, for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from domain.closing import CloseState
from domain.guarding import GuardState
from domain.key_claims import IntentKind, KeyClaim, key_mismatch
from domain.orders import Origin
from domain.splits import requested
from domain.timeline import EventKind, TimelineEvent
from storage.accounts import SqlAccountStore
from storage.brackets import BRACKETS
from storage.closes import SqlCloseStore
from storage.conditions import SqlConditionStore
from storage.engine import Database, open_database
from storage.key_claims import SqlKeyClaims, key_claims
from storage.orders import SqlOrderStore
from storage.parent_orders import SqlParentOrderStore
from storage.routing import SqlRouteStore
from storage.schema import upgrade
from storage.splits import SPLITS
from tests.domain.test_splits import a_plan as a_split
from tests.storage.builders import CREATED_AT, an_account, an_order
from tests.storage.postgres import RunningPostgres
from tests.storage.test_brackets import a_state as a_bracket
from tests.storage.test_closes import a_plan as a_close
from tests.storage.test_conditions import a_plan as a_guard
from tests.storage.test_routing import a_route

BEFORE = "0010"
"""The last revision without claims."""


def a_claim(kind: IntentKind = IntentKind.ORDER, fingerprint: str = "f") -> KeyClaim:
    return KeyClaim(intent_id="intent", kind=kind, fingerprint=fingerprint, claimed_at=CREATED_AT)


@pytest.fixture
def claims(database: Database) -> SqlKeyClaims:
    return SqlKeyClaims(database)


async def test_the_first_claim_is_the_one(claims: SqlKeyClaims) -> None:
    first = a_claim()
    assert await claims.held("intent") is None
    assert await claims.claim(first) == first
    assert await claims.held("intent") == first
    assert await claims.claim(a_claim(IntentKind.SPLIT, "other")) == first
    assert await claims.claim(first) == first
    another = replace(first, intent_id="another")
    assert await claims.claim(another) == another


async def test_of_many_at_once_one_has_it(claims: SqlKeyClaims, database_url: str) -> None:
    """As many asking processes: connections of two, so that their transactions overlap."""
    beside = open_database(database_url)
    asked = [a_claim(kind, f"{kind} {number}") for kind in IntentKind for number in range(4)]
    both = [claims, SqlKeyClaims(beside)]
    held = await asyncio.gather(
        *(both[number % 2].claim(each) for number, each in enumerate(asked))
    )
    await beside.close()
    assert len(set(held)) == 1
    assert held[0] in asked


def test_a_refusal_says_what_has_the_key() -> None:
    refusal = key_mismatch(IntentKind.SPLIT)
    assert refusal.code == "idempotency_mismatch"
    assert "named another request before (split order)" in str(refusal)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_was_there_before_claims_has_its_keys(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    if kind == "postgresql":
        server: RunningPostgres = request.getfixturevalue("postgres")
        url = server.create_database()
    await asyncio.to_thread(upgrade, url, BEFORE)
    database = open_database(url)
    wanted = await _fill(database)

    await asyncio.to_thread(upgrade, url)

    rows = await database.fetch_all(select(key_claims))
    await database.close()
    assert {row.intent_id: (row.kind, row.fingerprint) for row in rows} == wanted
    assert {row.claimed_at.tzinfo is not None for row in rows} == {True}


async def _fill(database: Database) -> dict[str, tuple[str, str]]:
    """Keep one of each kind, with what belongs to it; return the claims it stands for."""
    await SqlAccountStore(database).add(an_account(), trading=b"sealed", feed=None)
    split = replace(a_split(), fingerprint="of the split")
    await SqlParentOrderStore(database, SPLITS).keep(requested(split))
    routes = SqlRouteStore(database)
    await routes.keep(a_route(split.split_id, fingerprint="of the split", is_split=True))
    await routes.keep(a_route("routed", fingerprint="of the routed"))
    bracket = a_bracket("bracket")
    entry = replace(bracket.plan.entry, fingerprint="of the bracket")
    await SqlParentOrderStore(database, BRACKETS).keep(
        replace(bracket, plan=replace(bracket.plan, entry=entry))
    )
    close = a_close("close", fingerprint="of the close")
    await SqlCloseStore(database).keep(CloseState(plan=close))
    guard = a_guard("guard", fingerprint="of the guard")
    await SqlConditionStore(database).keep(GuardState(plan=guard))
    plain = an_order("plain", fingerprint="of the order")
    child = an_order("child", origin=Origin.CLOSE, fingerprint="of a child")
    for order in (plain, child, entry):
        event = TimelineEvent(
            order_id=order.order_id, kind=EventKind.CREATED, text="kept", at=CREATED_AT
        )
        await SqlOrderStore(database).add(order, event)
    return {
        split.split_id: ("split order", "of the split"),
        "routed": ("order", "of the routed"),
        entry.order_id: ("bracket", "of the bracket"),
        close.close_id: ("close", "of the close"),
        guard.condition_id: ("conditional close", "of the guard"),
        plain.order_id: ("order", "of the order"),
    }
