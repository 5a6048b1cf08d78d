"""Who follows the accounts of a place, and what the others hear of how fresh they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bus import leases
from bus.connection import Bus
from bus.group_freshness import KEY, AccountFreshness, said_freshness, say_freshness
from bus.lease_rules import Role
from domain.accounts import Network
from streaming import account_share
from streaming.account_share import AccountShare
from streaming.freshness import FreshnessBoard
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.streaming.test_ingest import until

PLACE = ("hyperliquid", Network.PAPER)
ELSEWHERE = ("hyperliquid", Network.TESTNET)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "TTL_S", 0.6)
    monkeypatch.setattr(leases, "LOOK_EVERY_S", 0.2)
    monkeypatch.setattr(account_share, "EXCHANGE_S", 0.1)


@dataclass
class Member:
    """One process's share, with the board that its sockets read."""

    bus: Bus
    board: FreshnessBoard
    share: AccountShare
    changes: list[str] = field(default_factory=list)

    @property
    def role(self) -> Role:
        return self.share.role(PLACE)

    @property
    def said(self) -> tuple[bool, str]:
        state = self.board.of("acc-1")
        return state.live, state.reason


@asynccontextmanager
async def member(valkey: ValkeyProcess) -> AsyncIterator[Member]:
    bus = Bus(valkey.url, call_timeout_s=0.3)
    changes: list[str] = []
    board = FreshnessBoard(asyncio.get_running_loop().time, changes.append)
    made = Member(bus, board, AccountShare(bus, board, lambda: changes.append("role")), changes)
    made.share.keep({PLACE: ["acc-1"], ELSEWHERE: []})
    task = asyncio.create_task(made.share.run())
    try:
        yield made
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done
        await bus.close()


async def test_others_know_what_the_owner_knows() -> None:
    with running_valkey() as valkey:
        async with member(valkey) as owner:
            await until(lambda: owner.role is Role.OWNER)
            async with member(valkey) as other:
                await until(lambda: other.role is Role.OTHER)
                assert other.share.is_anothers(PLACE)
                assert not owner.share.is_anothers(PLACE)
                assert other.share.roles() == {PLACE: Role.OTHER}
                owner.board.set("acc-1", live=True, reason="subscribed")
                owner.share.wake()
                await until(lambda: other.said == (True, "subscribed"))
                owner.board.set("acc-1", live=False, reason="the venue is silent")
                owner.share.wake()
                await until(lambda: other.said == (False, "the venue is silent"))
                assert other.changes.count("acc-1") == 3, "never heard, live, and not"


async def test_what_nobody_says_is_not_live() -> None:
    with running_valkey() as valkey:
        bus = Bus(valkey.url)
        lease = f"perp-dex:lease:accounts:hyperliquid:{Network.PAPER}"
        valkey.command("SET", lease, "somebody-that-is-dead")
        await say_freshness(bus, *PLACE, {"acc-1": AccountFreshness(True, "subscribed")})
        async with member(valkey) as other:
            await until(lambda: other.said == (True, "subscribed"))
            valkey.command("DEL", f"{KEY}hyperliquid:{Network.PAPER}")
            await until(lambda: other.said == (False, "no process says that it follows its feed"))
            valkey.command("SET", f"{KEY}hyperliquid:{Network.PAPER}", "junk")
            assert await said_freshness(bus, *PLACE) == {}
        await bus.close()


async def test_with_valkey_away_everybody_follows_and_says_what_it_hears() -> None:
    with running_valkey() as valkey:
        async with member(valkey) as one, member(valkey) as two:
            await until(lambda: {one.role, two.role} == {Role.OWNER, Role.OTHER})
            valkey.kill()
            await until(lambda: (one.role, two.role) == (Role.ALONE, Role.ALONE))
            for each in (one, two):
                each.board.set("acc-1", live=True, reason="subscribed")
            await asyncio.sleep(0.3)
            assert one.said == two.said == (True, "subscribed")


async def test_places_come_and_go() -> None:
    with running_valkey() as valkey:
        async with member(valkey) as only:
            await until(lambda: only.role is Role.OWNER)
            only.share.keep({ELSEWHERE: ["acc-2"]})
            await until(lambda: only.share.role(ELSEWHERE) is Role.OWNER)
            assert only.role is Role.UNDECIDED
            lease = f"perp-dex:lease:accounts:hyperliquid:{Network.PAPER}"
            await until(lambda: valkey.command("EXISTS", lease) == b":0\r\n")
