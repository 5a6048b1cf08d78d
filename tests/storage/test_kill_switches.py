"""Kill switches: begun with their halt, joined, upgraded, resumed; what has ended stays ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio

from domain.accounts import AccountState, PositionSide
from domain.errors import Conflict, NotFound, RiskRefused
from domain.halts import (
    EVERYTHING,
    AccountProgress,
    AccountSight,
    HaltScope,
    HaltStage,
    KillSwitch,
    OpenPosition,
    account_scope,
    venue_scope,
)
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.kill_switches import SqlKillSwitchStore
from storage.ledger import SqlIntentLedger
from tests.storage.builders import CREATED_AT, a_cancel, a_placement, an_account, an_order, reserve
from tests.storage.conftest import Clock

ID = "00000000-0000-4000-8000-000000000001"
OTHER_ID = "00000000-0000-4000-8000-000000000002"


@pytest_asyncio.fixture
async def store(database: Database, clock: Clock) -> SqlKillSwitchStore:
    await SqlAccountStore(database, now=clock).add(an_account(), trading=b"t", feed=None)
    return SqlKillSwitchStore(database, now=clock)


def asked(
    scope: HaltScope = EVERYTHING, *, kill_switch_id: str = ID, flatten: bool = False
) -> KillSwitch:
    return KillSwitch(
        kill_switch_id=kill_switch_id,
        scope=scope,
        owner="local",
        flatten=flatten,
        reason="a test",
        requested_by="local",
        requested_at=CREATED_AT,
    )


PROGRESS = AccountProgress(account_id="acc", venue="hyperliquid", owner="local")


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        (EVERYTHING, "trading is halted: a test"),
        (venue_scope("hyperliquid"), "trading at hyperliquid is halted: a test"),
        (account_scope("acc"), "the account is halted: a test"),
    ],
)
async def test_once_begun_no_new_exposure_is_reserved_and_everything_else_is(
    store: SqlKillSwitchStore, database: Database, clock: Clock, scope: HaltScope, words: str
) -> None:
    ledger = SqlIntentLedger(database, now=clock)
    resting = an_order("resting")
    await reserve(ledger, a_placement(resting))

    assert await store.begin(asked(scope)) == asked(scope)

    [halt] = await store.halted()
    assert (halt.scope, halt.reason, halt.set_by) == (scope, "a test", "local")
    with pytest.raises(RiskRefused, match=words):
        await reserve(ledger, a_placement(an_order("new")))
    await reserve(ledger, a_cancel(resting))
    await reserve(ledger, a_placement(an_order("closing"), raises_exposure=False))
    await store.resume(scope, reason="fine", by="local", forced=True)
    await reserve(ledger, a_placement(an_order("new")))


async def test_the_halt_of_another_venue_forbids_nothing(
    store: SqlKillSwitchStore, database: Database, clock: Clock
) -> None:
    await store.begin(asked(venue_scope("lighter")))
    await reserve(SqlIntentLedger(database, now=clock), a_placement(an_order("new")))


async def test_an_unknown_account_is_not_halted(store: SqlKillSwitchStore) -> None:
    with pytest.raises(NotFound):
        await store.begin(asked(account_scope("none")))
    assert await store.halted() == ()
    assert await store.running() == ()


async def test_a_second_one_of_a_scope_joins_and_upgrades_the_first(
    store: SqlKillSwitchStore,
) -> None:
    done = replace(PROGRESS, stage=HaltStage.HALTED)
    await store.begin(asked())
    await store.keep(replace(asked(), accounts=(done,)))

    joined = await store.begin(asked(kill_switch_id=OTHER_ID))
    assert (joined.kill_switch_id, joined.flatten) == (ID, False)
    upgraded = await store.begin(asked(kill_switch_id=OTHER_ID, flatten=True))
    assert (upgraded.kill_switch_id, upgraded.flatten) == (ID, True)
    assert upgraded.accounts == (replace(PROGRESS, flatten=True),)
    assert await store.get(OTHER_ID) is None

    # Whoever did not hear of it yet does not take it back, nor end without it.
    kept = await store.keep(replace(asked(), stage=HaltStage.HALTED, accounts=(done,)))
    assert (kept.flatten, kept.stage) == (True, HaltStage.BLOCKING)
    assert await store.running() == (kept,)


async def test_twenty_at_once_are_one(store: SqlKillSwitchStore) -> None:
    ids = [f"00000000-0000-4000-8000-0000000001{number:02}" for number in range(20)]
    begun = await asyncio.gather(*(store.begin(asked(kill_switch_id=one)) for one in ids))
    assert len({one.kill_switch_id for one in begun}) == 1


async def test_a_resume_is_refused_while_it_runs_unless_forced(store: SqlKillSwitchStore) -> None:
    with pytest.raises(Conflict) as nothing:
        await store.resume(EVERYTHING, reason="x", by="local", forced=True)
    assert nothing.value.code == "not_halted"
    await store.begin(asked())
    with pytest.raises(Conflict, match="still BLOCKING") as runs:
        await store.resume(EVERYTHING, reason="x", by="local", forced=False)
    assert runs.value.code == "kill_switch_running"
    assert len(await store.halted()) == 1

    stopped = await store.resume(EVERYTHING, reason="x", by="local", forced=True)

    assert stopped is not None
    assert stopped.stage is HaltStage.STOPPED
    assert await store.halted() == ()
    assert await store.running() == ()
    # The workflow that writes next hears that it is over.
    assert await store.keep(replace(asked(), stage=HaltStage.CANCELING)) == stopped


async def test_what_has_ended_is_resumed_without_force_and_listed(
    store: SqlKillSwitchStore, clock: Clock
) -> None:
    await store.begin(asked())
    ended = replace(asked(), stage=HaltStage.HALTED, ended_at=clock.time)
    assert await store.keep(ended) == ended
    assert await store.running() == ()
    assert len(await store.halted()) == 1
    second = replace(asked(kill_switch_id=OTHER_ID), requested_at=clock.advance(seconds=1))
    assert await store.begin(second) == second
    assert await store.newest(limit=1) == (second,)
    assert await store.newest(limit=9) == (second, ended)
    await store.keep(replace(second, stage=HaltStage.HALTED))
    assert await store.resume(EVERYTHING, reason="fine", by="local", forced=False) is None
    assert await store.halted() == ()


async def test_what_was_never_begun_is_kept_all_the_same(store: SqlKillSwitchStore) -> None:
    assert await store.keep(asked()) == asked()
    assert await store.get(ID) == asked()


async def test_progress_keeps_every_digit_and_word(store: SqlKillSwitchStore) -> None:
    sight = AccountSight(
        at=CREATED_AT,
        positions=(
            OpenPosition(symbol="BTC-PERP", side=PositionSide.SHORT, quantity=Decimal("0.10")),
        ),
    )
    progress = replace(PROGRESS, flatten=True).seen(sight)
    state = asked(flatten=True).with_progress(progress)
    await store.begin(asked(flatten=True))
    await store.keep(state)
    kept = await store.get(ID)
    assert kept == state
    assert kept is not None
    assert kept.accounts[0].still_open == ("position SHORT 0.1 BTC-PERP",)


async def test_the_accounts_of_a_scope_are_those_that_may_have_something_open(
    store: SqlKillSwitchStore, database: Database, clock: Clock
) -> None:
    accounts = SqlAccountStore(database, now=clock)
    for name, state, signer in (
        ("rotating", AccountState.PENDING, "0xsigner"),
        ("new", AccountState.PENDING, ""),
        ("gone", AccountState.ACTIVE, "0xsigner"),
    ):
        clock.advance(seconds=1)
        account = an_account(
            name, state=state, signer=signer, label=name, address=f"0x{name}", created_at=clock.time
        )
        await accounts.add(account, trading=b"t", feed=None)
    await accounts.set_state("gone", AccountState.REMOVED, reason=None, signer=None)

    async def named(scope: HaltScope) -> list[str]:
        return [one.account_id for one in await store.accounts(scope)]

    assert await named(EVERYTHING) == ["acc", "rotating"]
    assert await named(venue_scope("hyperliquid")) == ["acc", "rotating"]
    assert await named(venue_scope("lighter")) == []
    assert await named(account_scope("acc")) == ["acc"]
