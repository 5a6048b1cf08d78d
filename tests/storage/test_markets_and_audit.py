"""Markets as workers saw them, and the audit log's chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Executable, delete, text, update

from domain.accounts import Network
from domain.errors import CorruptState, InvalidInput
from domain.instruments import Instrument, PriceRule
from domain.market_listing import MarketFilter
from domain.ports import AuditRecord
from storage.audit import CHAIN_START, SqlAuditLog, chained
from storage.engine import Database
from storage.markets import SqlMarketStore
from storage.tables import audit, audit_chain
from tests.storage.builders import CREATED_AT

BTC = Instrument(
    venue="hyperliquid",
    symbol="BTC-PERP",
    venue_symbol="BTC",
    asset_index=0,
    lot_size=Decimal("0.00001"),
    price_rule=PriceRule(significant_figures=5, max_decimals=1),
    min_notional=Decimal("10"),
    max_leverage=40,
)
ETH = replace(BTC, symbol="ETH-PERP", venue_symbol="ETH", asset_index=1)
RECORD = AuditRecord(
    principal_id="local",
    action="order.place",
    subject="order 1",
    outcome="accepted",
    at=CREATED_AT,
    request_id="r1",
    detail={"b": "2", "a": "1"},
)


async def test_markets_are_replaced_per_venue_and_network(database: Database) -> None:
    markets = SqlMarketStore(database)
    await markets.save(Network.PAPER, [ETH, BTC, BTC], seen_at=CREATED_AT)
    await markets.save(Network.MAINNET, [BTC], seen_at=CREATED_AT)
    await markets.save(Network.PAPER, [replace(ETH, venue="sim")], seen_at=CREATED_AT)
    assert await markets.instruments("hyperliquid", Network.PAPER) == (BTC, ETH)
    assert repr(await markets.instrument("hyperliquid", Network.PAPER, "BTC-PERP")) == repr(BTC)
    await markets.save(Network.PAPER, [replace(BTC, max_leverage=50)], seen_at=CREATED_AT)
    assert await markets.instrument("hyperliquid", Network.PAPER, "ETH-PERP") is None
    assert await markets.instruments("hyperliquid", Network.MAINNET) == (BTC,)
    assert await markets.instruments("sim", Network.MAINNET) == ()
    (changed,) = await markets.instruments("hyperliquid", Network.PAPER)
    assert changed.max_leverage == 50


async def test_pages_of_markets_go_over_venues_by_symbol(database: Database) -> None:
    markets = SqlMarketStore(database)
    sol = replace(BTC, venue="sim", symbol="SOL-PERP")
    await markets.save(Network.PAPER, [ETH, BTC], seen_at=CREATED_AT)
    await markets.save(Network.PAPER, [replace(ETH, venue="sim"), sol], seen_at=CREATED_AT)
    await markets.save(Network.MAINNET, [BTC], seen_at=CREATED_AT)
    wanted = MarketFilter(network=Network.PAPER, venues=("hyperliquid", "sim"))
    whole = await markets.page(wanted)
    names = [one.instrument.instrument_id for one in whole.markets]
    assert names == ["hyperliquid:BTC-PERP", "hyperliquid:ETH-PERP", "sim:ETH-PERP", "sim:SOL-PERP"]
    assert whole.next_cursor is None and whole.markets[0].seen_at == CREATED_AT
    for limit in (1, 2, 3):
        shown, cursor = [], None
        while True:
            page = await markets.page(replace(wanted, limit=limit, cursor=cursor))
            shown += [one.instrument.instrument_id for one in page.markets]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert shown == names
    of_symbol = await markets.page(replace(wanted, symbol="ETH-PERP", venues=("sim",)))
    assert [one.instrument.venue for one in of_symbol.markets] == ["sim"]
    assert (await markets.page(replace(wanted, venues=()))).markets == ()
    for wrong in ({"limit": 0}, {"limit": 1001}, {"cursor": "?"}, {"cursor": "WzEsMl0"}):
        with pytest.raises(InvalidInput):
            await markets.page(replace(wanted, **wrong))


@pytest.mark.parametrize("mixed", [[], [BTC, replace(ETH, venue="sim")]])
async def test_markets_of_no_or_several_venues_are_refused(
    database: Database, mixed: list[Instrument]
) -> None:
    with pytest.raises(InvalidInput, match="markets of one venue"):
        await SqlMarketStore(database).save(Network.PAPER, mixed, seen_at=CREATED_AT)


async def test_records_are_numbered_and_chained_in_order(database: Database) -> None:
    log = SqlAuditLog(database)
    assert await log.seal() == 0
    assert await log.verify() is None
    records = [
        replace(RECORD, subject=f"order {i}", at=CREATED_AT + timedelta(microseconds=i))
        for i in range(3)
    ]
    for record in records:
        await log.append(record)
    assert await log.records() == []
    assert await log.seal() == 3
    await log.append(replace(RECORD, detail=None, request_id=None))
    assert await log.seal() == 1
    assert await log.verify() is None
    newest, *older = await log.records()
    assert (newest.sequence, newest.detail) == (4, None)
    assert [record.subject for record in older] == ["order 2", "order 1", "order 0"]
    assert [r.sequence for r in await log.records(limit=1, before=3)] == [2]
    assert older[-1].chain_hash == chained(CHAIN_START, 1, records[0])


async def test_sealers_at_once_make_one_chain(database: Database) -> None:
    log = SqlAuditLog(database)
    await asyncio.gather(*(log.append(RECORD) for _ in range(30)))
    sealed = await asyncio.gather(*(log.seal() for _ in range(4)))
    assert sum(sealed) == 30
    assert await log.verify() is None


async def test_a_long_chain_is_sealed_and_verified_in_parts(database: Database) -> None:
    log = SqlAuditLog(database)
    rows = [
        {
            "principal_id": "local",
            "action": "a",
            "subject": f"s{i}",
            "outcome": "o",
            "at": CREATED_AT,
        }
        for i in range(1001)
    ]
    await database.write(lambda c: c.execute(audit.insert(), rows))
    assert await log.seal() == 1001
    assert await log.verify() is None


@pytest.mark.parametrize(
    ("change", "first_wrong"),
    [
        (update(audit).where(audit.c.sequence == 2).values(outcome="rejected"), 2),
        (update(audit).where(audit.c.sequence == 3).values(detail=None), 3),
        (update(audit).where(audit.c.sequence == 3).values(at=CREATED_AT.replace(year=2025)), 3),
        (delete(audit).where(audit.c.sequence == 2), 2),
        (delete(audit).where(audit.c.sequence == 4), 4),
        (delete(audit_chain), 1),
        (update(audit_chain).values(last_hash="f" * 64), 5),
    ],
)
async def test_a_changed_or_shortened_chain_is_noticed(
    database: Database, change: Executable, first_wrong: int
) -> None:
    log = SqlAuditLog(database)
    for number in range(4):
        await log.append(replace(RECORD, subject=f"order {number}"))
    await log.seal()
    await database.write(lambda c: c.execute(change))
    assert await log.verify() == first_wrong


async def test_a_chain_without_end_is_not_continued(database: Database) -> None:
    log = SqlAuditLog(database)
    await database.write(lambda c: c.execute(delete(audit_chain)))
    await log.append(RECORD)
    with pytest.raises(CorruptState, match="end of the audit chain"):
        await log.seal()


async def test_garbled_words_are_kept_and_chained_as_stored(database: Database) -> None:
    log = SqlAuditLog(database)
    await log.append(replace(RECORD, subject="a\0b", outcome="c\ud800", detail={"k": "\ud800"}))
    assert await log.seal() == 1
    assert await log.verify() is None
    (record,) = await log.records()
    assert (record.subject, record.outcome, record.detail) == (
        "a\ufffdb",
        "c\ufffd",
        {"k": "\ufffd"},
    )


async def test_every_database_starts_with_its_first_rows(database: Database) -> None:
    principals = await database.fetch_all(text("SELECT principal_id FROM principals"))
    assert [row[0] for row in principals] == ["local"]
    halts = await database.fetch_all(text("SELECT scope, halted FROM halts"))
    assert [(row.scope, bool(row.halted)) for row in halts] == [("*", False)]
