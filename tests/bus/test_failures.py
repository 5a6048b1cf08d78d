"""The whole bus while a real Valkey fails in each way it can: later, yes; wrong or stuck, never."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bus.connection import Bus
from bus.lease_rules import Role
from bus.leases import Lease
from bus.market_requests import MarketAnswers, MarketRequests
from bus.nudges import Nudge, NudgeKind, NudgePublisher, NudgeSubscriber
from domain.accounts import Network
from domain.errors import InvalidInput, Unavailable
from domain.market_data import OrderBook
from tests.bus.test_market_requests import BOOK, always_the_book
from tests.bus.tls import make_certificates, tls_before
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.bus.waiting import eventually

PASSWORD = "hunter2-of-the-test"


@dataclass
class Working:
    """Every part of the bus at work: who listens, who speaks, who asks and who answers."""

    bus: Bus
    publisher: NudgePublisher
    heard: list[Nudge] = field(default_factory=list)

    async def is_heard(self, account_id: str, timeout_s: float = 20.0) -> None:
        """Nudge until it is heard: what was dropped meanwhile was allowed to be."""
        wanted = Nudge(kind=NudgeKind.ORDERS, account_id=account_id)

        def nudged() -> bool:
            self.publisher.nudge(account_id)
            return wanted in self.heard

        await eventually(nudged, timeout_s=timeout_s)

    async def book(self) -> OrderBook | None:
        try:
            return await MarketRequests(self.bus, deadline_s=1.0).request_book(
                "hyperliquid", Network.PAPER, "BTC-PERP"
            )
        except Unavailable:
            return None

    async def is_answered(self, timeout_s: float = 20.0) -> None:
        async with asyncio.timeout(timeout_s):
            while await self.book() != BOOK:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def working(bus: Bus) -> AsyncIterator[Working]:
    async with NudgePublisher(bus) as publisher:
        made = Working(bus, publisher)
        tasks = [
            asyncio.create_task(NudgeSubscriber(bus, made.heard.append).run()),
            asyncio.create_task(MarketAnswers(bus, always_the_book).run()),
        ]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            done, late = await asyncio.wait(tasks, timeout=5)
            assert not late
            assert all(task.cancelled() for task in done)


async def all_is_well(made: Working, mark: str) -> None:
    await made.is_heard(mark)
    await made.is_answered()


@pytest.mark.parametrize("trouble", ["flushed", "killed", "frozen", "cut"])
async def test_the_bus_goes_on_after(valkey_process: ValkeyProcess, trouble: str) -> None:
    bus = Bus(valkey_process.url, call_timeout_s=0.3)
    async with working(bus) as made:
        await all_is_well(made, "before")
        match trouble:
            case "flushed":
                valkey_process.command("FLUSHALL")
            case "killed":
                valkey_process.kill()
                assert await made.book() is None
                valkey_process.start()
            case "frozen":
                valkey_process.freeze()
                assert await made.book() is None
                await eventually(lambda: not bus.is_up)
                valkey_process.thaw()
            case "cut":
                valkey_process.command("CLIENT", "KILL", "TYPE", "normal")
        await all_is_well(made, "after")
    await bus.close()


async def test_out_of_memory_refuses_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with running_valkey("--maxmemory-policy", "noeviction") as valkey:
        bus = Bus(valkey.url, call_timeout_s=0.5)
        async with working(bus) as made:
            await all_is_well(made, "before")
            valkey.command("CONFIG", "SET", "maxmemory", "1")
            made.publisher.nudge("refused")
            await eventually(lambda: made.publisher.dropped >= 1)
            with pytest.raises(Unavailable, match=r"its memory full; raise maxmemory"):
                await MarketRequests(bus).request_book("v", Network.PAPER, "BTC-PERP")
            assert await bus.check(), "what only reads goes on"
            valkey.command("CONFIG", "SET", "maxmemory", "0")
            await all_is_well(made, "after")
        await bus.close()
    refusals = [r for r in caplog.records if r.message.startswith("valkey refuses")]
    assert len(refusals) == 1, "once, not for every call"


async def test_behind_a_password(caplog: pytest.LogCaptureFixture) -> None:
    with running_valkey(password=PASSWORD) as valkey:
        bus = Bus(f"redis://:{PASSWORD}@127.0.0.1:{valkey.port}/0")
        async with working(bus) as made:
            await all_is_well(made, "with the password")
            valkey.kill()
            valkey.start()
            await all_is_well(made, "with the password again")
        await bus.close()
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("given", ["", ":wrong-and-secret@", "nobody:wrong-and-secret@"])
async def test_a_wrong_password_is_said_without_it(
    given: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with running_valkey(password=PASSWORD) as valkey:
        bus = Bus(f"redis://{given}127.0.0.1:{valkey.port}/0")
        for _ in range(3):
            with pytest.raises(Unavailable, match="refused; correct them in REDIS_URL") as raised:
                await bus.call(lambda redis: redis.get("anything"))
        assert not bus.is_up
        await bus.close()
    said = str(raised.value) + "".join(str(record.__dict__) for record in caplog.records)
    assert "wrong-and-secret" not in said
    assert PASSWORD not in said
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.__dict__["remedy"] for record in warnings] == ["correct them in REDIS_URL"]


async def test_a_user_of_its_own_needs_no_more_than_is_documented() -> None:
    rights = rights_in_the_documents()
    with running_valkey() as valkey:
        valkey.command("ACL", "SETUSER", "perp-dex", "on", f">{PASSWORD}", *rights)
        valkey.command("ACL", "SETUSER", "default", "off")
        bus = Bus(f"redis://perp-dex:{PASSWORD}@127.0.0.1:{valkey.port}/0")
        async with working(bus) as made:
            await all_is_well(made, "as another user")
            with pytest.raises(Unavailable, match="may not use; give that user the rights"):
                await bus.call(lambda redis: redis.flushall())
            with pytest.raises(Unavailable, match="may not use"):
                await bus.call(lambda redis: redis.get("somebody-elses-key"))
            assert bus.is_up
        await bus.close()


def rights_in_the_documents() -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    line = next(line for line in text.splitlines() if line.startswith("ACL SETUSER perp-dex"))
    rights = line.split(">PASSWORD", 1)[1].split()
    assert rights
    return rights


async def test_over_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with running_valkey(password=PASSWORD) as valkey:
        async with tls_before(valkey.port, certificates) as port:
            url = f"rediss://:{PASSWORD}@127.0.0.1:{port}/0"
            bus = Bus(url, ca_file=certificates.authority)
            async with working(bus) as made:
                await all_is_well(made, "over TLS")
                valkey.kill()
                valkey.start()
                await all_is_well(made, "over TLS again")
            await bus.close()


async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    with running_valkey() as valkey:
        async with tls_before(valkey.port, certificates) as port:
            for url, ca_file, expected in (
                (f"rediss://127.0.0.1:{port}/0", None, "REDIS_CA_FILE"),
                (f"rediss://localhost:{port}/0", certificates.authority, "host it is for"),
            ):
                bus = Bus(url, ca_file=ca_file)
                with pytest.raises(Unavailable, match=expected):
                    await bus.call(lambda redis: redis.get("anything"))
                await bus.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://user:hunter2@127.0.0.1/0",
        "127.0.0.1:6379",
        "redis://:hunter2@127.0.0.1:port/0",
        "redis://:hunter2@127.0.0.1:6379/0?socket_timeout=hunter2",
        "redis://:hunter2@127.0.0.1:6379/0?no_such_option=hunter2",
    ],
)
def test_what_is_no_url_is_said_without_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="REDIS_URL") as raised:
        Bus(url)
    assert "hunter2" not in str(raised.value)


def test_an_authority_needs_tls_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"REDIS_CA_FILE.*rediss://"):
        Bus("redis://127.0.0.1:6379/0", ca_file=tmp_path)
    with pytest.raises(InvalidInput, match=r"REDIS_CA_FILE.*no file at"):
        Bus("rediss://127.0.0.1:6379/0", ca_file=tmp_path / "nothing.pem")


async def test_installations_on_one_server_hear_nothing_of_each_other(
    valkey_process: ValkeyProcess,
) -> None:
    first, second = Bus(valkey_process.url, group="one"), Bus(valkey_process.url, group="two")
    lease, anothers = Lease(first, "thing"), Lease(second, "thing")
    await lease.look()
    await anothers.look()
    assert (lease.role, anothers.role) == (Role.OWNER, Role.OWNER)
    async with working(first) as one, NudgePublisher(second) as publisher:
        publisher.nudge("of the second")
        await all_is_well(one, "of the first")
        with pytest.raises(Unavailable, match="streaming process"):
            await MarketRequests(second, deadline_s=0.2).request_book(
                "hyperliquid", Network.PAPER, "BTC-PERP"
            )
        assert all(nudge.account_id != "of the second" for nudge in one.heard)
    keys = {key for key in await first.redis.keys("*") if isinstance(key, bytes)}
    assert {key.split(b":")[1] for key in keys} == {b"one", b"two"}
    await first.close()
    await second.close()


@pytest.mark.parametrize("what", ["call", "answers", "publisher"])
async def test_whatever_is_canceled_ends(bus: Bus, what: str) -> None:
    async def calling() -> None:
        while True:
            await bus.call(lambda redis: redis.echo("again"))

    for turn in range(40):
        async with NudgePublisher(bus) as publisher:
            match what:
                case "call":
                    task = asyncio.create_task(calling())
                case "answers":
                    task = asyncio.create_task(MarketAnswers(bus, always_the_book).run())
                case _:
                    assert publisher._task is not None
                    task = publisher._task
            for step in range(turn):
                publisher.nudge(f"a{step}")
                await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)
            assert done, f"it went on after a cancellation in turn {turn}"
            assert task.cancelled()
