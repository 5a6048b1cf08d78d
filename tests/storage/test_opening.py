"""Opening storage as a process does, and who hears of its changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from domain.orders import Concern, Verdict
from domain.outcomes import Accepted, SendResult
from domain.timeline import EventKind, TimelineEvent
from sealing.keys import PrivateKey
from storage.opening import Storage, open_storage
from storage.revision import WrongRevision
from storage.schema import upgrade
from tests.storage.builders import (
    CREATED_AT,
    a_fill,
    a_placement,
    a_report,
    an_account,
    an_order,
    compose,
    reserve,
    spelling,
)


async def test_storage_opens_in_the_home_directory_or_at_an_address(
    tmp_path: Path, database_url: str
) -> None:
    with pytest.raises(WrongRevision, match="found none"):
        await open_storage("", tmp_path / "home")
    await asyncio.to_thread(upgrade, f"sqlite+aiosqlite:///{tmp_path / 'home' / 'perp-dex.db'}")
    names: list[str] = []
    for storage in (
        await open_storage("", tmp_path / "home"),
        await open_storage(database_url, tmp_path),
    ):
        await storage.check()
        assert await storage.accounts.all_active() == ()
        assert storage.access(PrivateKey.generate()) is not None
        names.append(await storage.installation())
        await storage.close()
    again = await open_storage(database_url, tmp_path)
    assert await again.installation() == names[1], "whoever opens it"
    assert names[0] != names[1]
    await again.close()


@pytest.fixture
async def told(database_url: str, tmp_path: Path) -> tuple[Storage, list[str]]:
    """Storage with the account 'acc', and the list of what its listener is told."""
    storage = await open_storage(database_url, tmp_path)
    await storage.accounts.add(an_account(), trading=b"x", feed=None)
    heard: list[str] = []
    storage.on_change(heard.append)
    return storage, heard


async def test_each_change_of_an_order_is_told_once(told: tuple[Storage, list[str]]) -> None:
    storage, heard = told
    order = an_order()
    event = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CONCERN, text="test", at=CREATED_AT
    )
    draft = a_placement(order)
    await reserve(storage.ledger, draft)
    await storage.ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
    assert heard == ["acc"]
    await storage.ledger.decide(draft.key, SendResult(outcome=Accepted()))
    report = a_report(order, Verdict.ACCEPTED, venue_order_id="v1")
    await storage.orders.fold(report)
    await storage.orders.fold(report)
    await storage.orders.book([a_fill("t1", "1")])
    assert heard == ["acc"] * 4
    await storage.orders.amend(order.order_id, lambda o: replace(o, concern=Concern.UNKNOWN), event)
    await storage.orders.add(an_order("other", denied="limit"), event)
    assert heard == ["acc"] * 6
    await storage.close()
