"""What happens when the database breaks: nothing is lost, nothing is done twice, all is said."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection, insert, text

from domain.errors import CorruptState, Unavailable
from domain.ledger import Found, Inserted
from domain.orders import Order, OrderStatus, Verdict
from domain.outcomes import Accepted, SendResult
from domain.ports import OrderFilter
from domain.timeline import EventKind, TimelineEvent
from storage import postgresql_engine, sqlite_engine
from storage.accounts import SqlAccountStore
from storage.command_rows import READ_COMMAND, key_parameters
from storage.engine import Database, open_database
from storage.failures import CommitLost, Interrupted
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from storage.reserving import answer_from
from storage.tables import account_sequences, principals
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
from tests.storage.conftest import Clock
from tests.storage.postgres import RunningPostgres, name_of
from tests.storage.proxy import AtCommit, CommitProxy, commit_proxy


@dataclass
class Rig:
    """Storage whose connections go through a proxy that can break them."""

    proxy: CommitProxy
    database: Database
    ledger: SqlIntentLedger
    orders: SqlOrderStore
    accounts: SqlAccountStore


@pytest.fixture
async def rig(postgres: RunningPostgres, postgres_url: str, clock: Clock) -> AsyncIterator[Rig]:
    async with commit_proxy(postgres.socket_path) as proxy:
        port = await proxy.start()
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name_of(postgres_url)}"
        database = open_database(f"{url}?sslmode=disable&gssencmode=disable")
        accounts = SqlAccountStore(database, now=clock)
        await accounts.add(an_account(), trading=b"sealed", feed=None)
        yield Rig(
            proxy,
            database,
            SqlIntentLedger(database, now=clock),
            SqlOrderStore(database, now=clock),
            accounts,
        )
        await database.close()


def an_event(order: Order) -> TimelineEvent:
    return TimelineEvent(
        order_id=order.order_id, kind=EventKind.CONCERN, text="test", at=CREATED_AT
    )


async def test_a_reservation_whose_commit_answer_is_lost_is_read_again_and_is_ours(
    rig: Rig,
) -> None:
    rig.proxy.at_commit = AtCommit.LOSE_ANSWER
    draft = a_placement(an_order())
    reservation = await rig.ledger.reserve(
        draft, spell_client_order_id=spelling(draft), compose=compose
    )
    assert rig.proxy.commits_broken == 1
    assert isinstance(reservation, Inserted)
    assert reservation.row == await rig.ledger.read(draft.key)
    again = await rig.ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
    assert again == Found(row=reservation.row)


async def test_a_reservation_whose_commit_never_arrived_leaves_nothing_and_says_so(
    rig: Rig,
) -> None:
    rig.proxy.at_commit = AtCommit.LOSE
    draft = a_placement(an_order())
    with pytest.raises(Unavailable, match="answer to COMMIT was lost"):
        await reserve(rig.ledger, draft)
    assert await rig.ledger.read(draft.key) is None
    await reserve(rig.ledger, draft)


async def test_a_row_that_another_execution_wrote_is_found_not_ours(rig: Rig) -> None:
    draft = a_placement(an_order())
    inserted = await reserve(rig.ledger, draft)
    row = await rig.database.fetch_one(READ_COMMAND, key_parameters(draft.key))
    assert row is not None
    assert answer_from(row, row.reserved_by) == inserted
    assert answer_from(row, "another's token") == Found(row=inserted.row)


@pytest.mark.parametrize("broken", [AtCommit.LOSE, AtCommit.LOSE_ANSWER])
async def test_a_decision_survives_a_broken_commit_and_is_made_once(
    rig: Rig, broken: AtCommit
) -> None:
    order = an_order()
    row = (await reserve(rig.ledger, a_placement(order))).row
    rig.proxy.at_commit = broken
    report = a_report(order, Verdict.ACCEPTED, venue_order_id="v1")
    decided = await rig.ledger.decide(row.key, SendResult(outcome=Accepted(report=report)))
    assert rig.proxy.commits_broken == 1
    assert decided.status is OrderStatus.ACCEPTED
    kinds = [event.kind for event in await rig.orders.timeline(order.order_id)]
    assert kinds.count(EventKind.OUTCOME) == 1
    assert await rig.orders.last_sequence("acc") == 3


@pytest.mark.parametrize("broken", [AtCommit.LOSE, AtCommit.LOSE_ANSWER])
async def test_news_survive_a_broken_commit_and_are_told_once(rig: Rig, broken: AtCommit) -> None:
    order = an_order()
    await reserve(rig.ledger, a_placement(order))
    rig.proxy.at_commit = broken
    await rig.orders.fold(a_report(order, Verdict.PARTIALLY_FILLED, "0.5", venue_order_id="v1"))
    rig.proxy.at_commit = broken
    await rig.orders.book([a_fill("t1", "0.75")])
    assert rig.proxy.commits_broken == 2
    stored = await rig.orders.get(order.order_id)
    assert stored is not None
    assert str(stored.filled_quantity) == "0.75"
    assert len(await rig.orders.fills(order.order_id)) == 1
    assert len(await rig.orders.undelivered()) == 2


async def test_a_remark_whose_commit_answer_is_lost_is_not_written_twice(rig: Rig) -> None:
    order = an_order()
    await reserve(rig.ledger, a_placement(order))
    rig.proxy.at_commit = AtCommit.LOSE_ANSWER
    with pytest.raises(CommitLost):
        await rig.orders.record(an_event(order))
    events = await rig.orders.timeline(order.order_id)
    assert [event.text for event in events].count("test") == 1


async def test_connections_that_broke_while_idle_are_replaced_unseen(rig: Rig) -> None:
    await asyncio.gather(*(rig.orders.get("none") for _ in range(5)))
    rig.proxy.break_connections()
    await asyncio.gather(*(rig.orders.get("none") for _ in range(5)))
    rig.proxy.break_connections()
    await reserve(rig.ledger, a_placement(an_order()))


async def test_a_database_that_is_gone_is_unavailable_for_everything(rig: Rig) -> None:
    order = an_order()
    row = (await reserve(rig.ledger, a_placement(order))).row
    rig.proxy.stop()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: reserve(rig.ledger, a_placement(an_order("new"))),
        lambda: rig.ledger.decide(row.key, SendResult(outcome=Accepted())),
        lambda: rig.ledger.read(row.key),
        lambda: rig.ledger.undecided(before=CREATED_AT),
        lambda: rig.orders.get(order.order_id),
        lambda: rig.orders.page(OrderFilter(owner="local")),
        lambda: rig.orders.fold(a_report(order, Verdict.ACCEPTED)),
        lambda: rig.orders.book([a_fill("t", "1")]),
        lambda: rig.orders.amend(order.order_id, lambda o: o, an_event(order)),
        lambda: rig.accounts.get("acc"),
        lambda: rig.database.check_revision(),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match=r"does not answer|was lost|broke off"):
            await call()


async def test_a_server_that_only_reads_is_unavailable_for_writing(
    postgres: RunningPostgres, postgres_url: str
) -> None:
    postgres.execute(
        f"ALTER DATABASE {name_of(postgres_url)} SET default_transaction_read_only = on"
    )
    database = open_database(postgres_url)
    with pytest.raises(Unavailable, match="read-only"):
        await SqlAccountStore(database).add(an_account(), trading=b"x", feed=None)
    await database.close()


async def test_durability_cannot_be_switched_off_in_the_address(postgres_url: str) -> None:
    database = open_database(f"{postgres_url}&options=-c%20synchronous_commit%3Doff")

    def settings(connection: Connection) -> list[str]:
        names = ("synchronous_commit", "idle_in_transaction_session_timeout", "lock_timeout")
        return [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]

    assert await database.write(settings) == ["on", "5s", "5s"]
    assert await database.read(settings) == ["on", "5s", "5s"]
    await database.close()


async def test_a_lock_held_elsewhere_ends_in_unavailable_and_nothing_written(
    postgres: RunningPostgres, rig: Rig, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setattr(postgresql_engine, "DEADLINE_S", 0.3)
    address = f"host={postgres.socket_directory} user=postgres dbname={name_of(postgres_url)}"
    draft = a_placement(an_order())
    with psycopg.connect(address) as holder:
        holder.execute("SELECT 1 FROM account_sequences FOR UPDATE")
        with pytest.raises(Unavailable):
            await reserve(rig.ledger, draft)
    monkeypatch.setattr(postgresql_engine, "DEADLINE_S", 10.0)
    await reserve(rig.ledger, draft)


async def test_of_two_transactions_that_wait_for_each_other_both_succeed(
    postgres_url: str,
) -> None:
    database = open_database(postgres_url)
    runs: list[tuple[int, int]] = []

    async def cross(first: int, second: int) -> None:
        def work(connection: Connection) -> None:
            runs.append((first, second))
            connection.execute(text("SET LOCAL deadlock_timeout = '50ms'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({first}), pg_sleep(0.2)"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({second})"))

        await database.write(work)

    await asyncio.gather(cross(1, 2), cross(2, 1))
    assert len(runs) == 3
    await database.close()


async def test_what_contradicts_itself_is_corrupt_not_unavailable(database: Database) -> None:
    def stray(connection: Connection) -> None:
        connection.execute(insert(account_sequences), {"account_id": "no", "last_sequence": 0})

    with pytest.raises(CorruptState, match="contradicts itself"):
        await database.write(stray)
    await database.write(lambda c: c.execute(text("SELECT 1")))


async def test_what_the_database_cannot_compute_is_corrupt(postgres_url: str) -> None:
    database = open_database(postgres_url)
    with pytest.raises(CorruptState, match="division by zero"):
        await database.write(lambda c: c.execute(text("SELECT 1 / 0")))
    await database.close()


async def test_a_cancelled_caller_leaves_all_or_nothing(
    ledger: SqlIntentLedger, orders: SqlOrderStore
) -> None:
    for number in range(12):
        draft = a_placement(an_order(f"k{number}"))
        task = asyncio.create_task(reserve(ledger, draft))
        await asyncio.sleep(0.0005 * number)
        task.cancel()
        await asyncio.wait({task})
        again = await ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
        assert (await orders.get(draft.key.order_id)) is not None
        assert again.row == await ledger.read(draft.key)
    last = await orders.last_sequence("acc")
    changes = await orders.changes(["acc"], {}, limit=1000)
    assert [change.sequence for change in changes] == list(range(1, last + 1))


@pytest.fixture
def lock_holder(sqlite_url: str) -> Iterator[sqlite3.Connection]:
    """Another process's connection to the SQLite file."""
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite+aiosqlite:///"))
    holder.isolation_level = None
    yield holder
    holder.close()


async def test_a_sqlite_file_locked_for_too_long_is_unavailable(
    sqlite_url: str, lock_holder: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_engine, "BUSY_TIMEOUT_S", 0.1)
    database = open_database(sqlite_url)
    accounts = SqlAccountStore(database)
    lock_holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        await accounts.add(an_account(), trading=b"x", feed=None)
    assert await accounts.of_owner("local") == ()
    lock_holder.execute("ROLLBACK")
    await accounts.add(an_account(), trading=b"x", feed=None)
    await database.close()


async def test_sqlite_keeps_every_commit_on_disk_and_cannot_write_by_reading(
    sqlite_url: str,
) -> None:
    database = open_database(sqlite_url)

    def pragmas(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert await database.write(pragmas) == ["wal", 2, 1, 5000]
    assert await database.read(pragmas) == ["wal", 2, 1, 5000]
    values = {"principal_id": "p", "created_at": CREATED_AT}
    with pytest.raises(Unavailable, match="readonly"):
        await database.read(lambda c: c.execute(insert(principals), values))
    await database.close()


async def test_a_full_disk_is_unavailable_and_leaves_nothing(sqlite_url: str) -> None:
    database = open_database(sqlite_url)

    def limit(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    await database.write(limit)
    accounts = SqlAccountStore(database)
    with pytest.raises(Unavailable, match="full"):
        await accounts.add(an_account(), trading=b"x" * 100_000, feed=None)
    assert await accounts.get("acc") is None
    await database.close()


async def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(b"not a database at all" * 1000)
    database = open_database(f"sqlite+aiosqlite:///{path}")
    with pytest.raises(CorruptState, match="not a database"):
        await SqlAccountStore(database).get("acc")
    await database.close()


async def test_a_transaction_that_hangs_does_not_hold_its_caller(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_engine, "DEADLINE_S", 0.1)
    database = open_database(sqlite_url)
    release = threading.Event()
    waiting: list[Connection] = []
    with pytest.raises(Unavailable, match="may still be done"):
        await database.write(lambda _: release.wait(10))
    with pytest.raises(Unavailable, match="may still be done"):
        await database.write(waiting.append)
    release.set()
    monkeypatch.setattr(sqlite_engine, "DEADLINE_S", 5.0)
    assert await database.write(lambda c: c.exec_driver_sql("SELECT 1").scalar()) == 1
    assert waiting == []
    await database.close()


async def test_what_keeps_breaking_off_is_given_up(sqlite_url: str) -> None:
    database = open_database(sqlite_url)
    runs = []

    def breaks(_: Connection) -> None:
        runs.append(time.monotonic())
        raise Interrupted("again and again")

    with pytest.raises(Interrupted):
        await database.write(breaks)
    with pytest.raises(Interrupted):
        await database.read(breaks)
    assert len(runs) == 6
    await database.close()
