"""Changing accounts: labels, the one default, and leaving use with nothing open."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from domain.account_changes import HeldPosition, Holdings
from domain.accounts import (
    AccountState,
    AccountSummary,
    MarginMode,
    Network,
    Position,
    PositionSide,
)
from domain.brackets import BracketPlan, BracketState, BracketStatus, ExitRule
from domain.closing import ClosePlan
from domain.conditions import Conditions
from domain.errors import Conflict, NotFound, RiskRefused
from domain.guarding import GuardPlan, GuardState, GuardStatus
from sealing.box import CredentialPart
from storage.account_changes import SqlAccountChanges
from storage.accounts import SqlAccountStore
from storage.brackets import BRACKETS
from storage.closes import SqlCloseStore
from storage.conditions import SqlConditionStore
from storage.credential_rotation import SqlCredentialRotation, read_candidate
from storage.credentials import read_sealed
from storage.engine import Database
from storage.ledger import SqlIntentLedger
from storage.net_positions import SqlNetPositions
from storage.orders import SqlOrderStore
from storage.parent_orders import SqlParentOrderStore
from storage.positions import SqlPositionStore
from tests.storage.builders import CREATED_AT, a_placement, an_account, an_order, reserve
from tests.storage.conftest import Clock

D = Decimal


@pytest.fixture
def changes(database: Database, clock: Clock, accounts: SqlAccountStore) -> SqlAccountChanges:
    """The changes of accounts, with the account 'acc'."""
    return SqlAccountChanges(database, now=clock)


def a_word(quantity: str, clock: Clock) -> AccountSummary:
    """What a venue says of 'acc' now."""
    held = Decimal(quantity)
    position = Position(
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        side=PositionSide.LONG if held > 0 else PositionSide.SHORT,
        quantity=abs(held),
        entry_price=D(45_000),
        notional=abs(held) * 45_000,
        unrealized_pnl=D(0),
        liquidation_price=None,
        leverage=D(10),
        margin_mode=MarginMode.CROSS,
        initial_margin=D(10),
    )
    return AccountSummary(
        account_id="acc",
        equity=D(1000),
        available=D(1000),
        initial_margin=D(0),
        maintenance_margin=D(0),
        positions=(position,) if held else (),
        event_time=clock(),
    )


async def test_another_label_is_free_and_valid_for_accounts_in_use(
    accounts: SqlAccountStore, changes: SqlAccountChanges
) -> None:
    renamed = await changes.rename("acc", "desk-1")
    assert renamed == replace(an_account(), label="desk-1")
    assert await changes.rename("acc", "desk-1") == renamed, "doing it again changes nothing"
    await accounts.add(an_account("other", label="label-acc"), trading=b"t", feed=None)
    with pytest.raises(Conflict, match="labelled 'desk-1'") as taken:
        await changes.rename("other", "desk-1")
    assert taken.value.code == "label_taken"
    await accounts.set_state("acc", AccountState.REMOVED, reason=None, signer=None)
    assert (await changes.rename("other", "desk-1")).label == "desk-1"
    with pytest.raises(Conflict, match="'desk-1' is REMOVED") as gone:
        await changes.rename("acc", "x")
    assert gone.value.code == "account_out_of_use"
    with pytest.raises(NotFound):
        await changes.rename("nobody", "x")


async def test_one_account_is_the_default(
    accounts: SqlAccountStore, changes: SqlAccountChanges
) -> None:
    for name in "ab":
        await accounts.add(an_account(name, is_default=name == "a"), trading=b"t", feed=None)
    assert (await changes.make_default("b")).is_default
    defaults = [each.account_id for each in await accounts.of_owner("local") if each.is_default]
    assert defaults == ["b"]
    await asyncio.gather(*(changes.make_default(name) for name in ("a", "b", "acc") * 3))
    assert sum(each.is_default for each in await accounts.of_owner("local")) == 1
    await accounts.set_state("a", AccountState.REFUSED, reason="no", signer=None)
    with pytest.raises(Conflict, match="REFUSED"):
        await changes.make_default("a")
    with pytest.raises(NotFound):
        await changes.make_default("nobody")
    assert sum(each.is_default for each in await accounts.of_owner("local")) == 1


async def test_an_account_with_nothing_open_leaves_use(
    database: Database, accounts: SqlAccountStore, changes: SqlAccountChanges
) -> None:
    await changes.make_default("acc")
    await SqlCredentialRotation(database).propose("acc", trading=b"new", feed=None)
    removal = await changes.remove("acc", force=False, by="local")
    assert removal.is_done
    assert removal.left_open.is_empty
    assert removal.account.state is AccountState.REMOVED
    assert removal.account.state_reason == "removed by local with nothing open"
    assert not removal.account.is_default
    assert await read_sealed(database, "acc", CredentialPart.TRADING) is None
    assert await read_candidate(database, "acc") is None
    assert await accounts.all_active() == ()
    again = await changes.remove("acc", force=True, by="local")
    assert again == removal, "doing it again changes nothing"
    with pytest.raises(NotFound):
        await changes.remove("nobody", force=True, by="local")
    with pytest.raises(NotFound):
        await changes.holdings("nobody")


async def test_an_open_order_keeps_it_in_use_unless_forced(
    database: Database, ledger: SqlIntentLedger, changes: SqlAccountChanges
) -> None:
    order = an_order()
    await reserve(ledger, a_placement(order))
    refused = await changes.remove("acc", force=False, by="local")
    assert not refused.is_done
    assert refused.left_open == Holdings(order_ids=(order.order_id,))
    assert refused.left_open.in_words == "1 open order"
    assert refused.account.state is AccountState.ACTIVE
    assert await read_sealed(database, "acc", CredentialPart.TRADING) is not None
    forced = await changes.remove("acc", force=True, by="local")
    assert forced.is_done
    assert forced.left_open == refused.left_open
    assert forced.account.state_reason == "removed by local with 1 open order"
    kept = await read_sealed(database, "acc", CredentialPart.TRADING, signer="signer-acc")
    assert kept is not None, "what it signed can still be resolved"


async def test_a_position_is_the_venues_word_or_our_later_count(
    database: Database, clock: Clock, changes: SqlAccountChanges
) -> None:
    words, counts = SqlPositionStore(database), SqlNetPositions(database, now=clock)
    said_at = clock()
    await words.save_summary(a_word("-0.3", clock), seen_at=said_at, source="asked")
    held = await changes.holdings("acc")
    assert held.positions == (HeldPosition(symbol="BTC-PERP", quantity=D("-0.3")),)
    assert held.as_of == said_at
    assert held.in_words == "1 open position"
    assert not (await changes.remove("acc", force=False, by="local")).is_done
    clock.advance(seconds=1)
    await counts.correct("acc", "BTC-PERP", D("0.2"), "test")
    assert (await changes.holdings("acc")).positions == (
        HeldPosition(symbol="BTC-PERP", quantity=D("0.2")),
    )
    clock.advance(seconds=1)
    await words.save_summary(a_word("0", clock), seen_at=clock(), source="asked")
    assert (await changes.holdings("acc")).is_empty
    assert (await changes.remove("acc", force=False, by="local")).is_done


async def test_what_works_on_a_position_counts_too(
    database: Database, clock: Clock, changes: SqlAccountChanges
) -> None:
    plan = ClosePlan(
        close_id="c1",
        owner="local",
        account_id="acc",
        venue="hyperliquid",
        symbol="BTC-PERP",
        created_at=CREATED_AT,
        requested_by="local",
    )
    entry = an_order("entry")
    bracket = BracketPlan(
        entry=replace(entry, parent_id=entry.order_id), stop_loss=ExitRule(percent=D(1))
    )
    guard = GuardPlan(
        condition_id="g1",
        owner="local",
        account_id="acc",
        venue="hyperliquid",
        network=Network.PAPER,
        symbol="BTC-PERP",
        created_at=CREATED_AT,
        conditions=Conditions(price=D(50_000)),
    )
    closes = SqlCloseStore(database, now=clock)
    guards = SqlConditionStore(database, now=clock)
    await closes.request(plan)
    await SqlParentOrderStore(database, BRACKETS, now=clock).keep(BracketState(plan=bracket))
    await guards.keep(GuardState(plan=guard))

    held = await changes.holdings("acc")

    assert held == Holdings(
        close_ids=("c1",), bracket_ids=(bracket.bracket_id,), condition_ids=("g1",)
    )
    assert held.in_words == "1 running close, 1 running bracket, 1 conditional close"
    assert not (await changes.remove("acc", force=False, by="local")).is_done
    await closes.withdraw("c1")
    ended = BracketState(plan=bracket, status=BracketStatus.CANCELED)
    await SqlParentOrderStore(database, BRACKETS, now=clock).keep(ended)
    assert not (await changes.remove("acc", force=False, by="local")).is_done
    await guards.keep(GuardState(plan=guard, status=GuardStatus.CANCELED))
    assert (await changes.remove("acc", force=False, by="local")).is_done


async def test_no_order_slips_in_while_an_account_leaves_use(
    database: Database,
    accounts: SqlAccountStore,
    ledger: SqlIntentLedger,
    changes: SqlAccountChanges,
) -> None:
    """Of an order and a removal at the same moment one is refused, whichever comes second."""

    async def place(account_id: str) -> bool:
        order = an_order(account_id, account_id=account_id)
        draft = a_placement(order, signer=f"signer-{account_id}")
        try:
            await reserve(ledger, draft)
        except RiskRefused:
            return False
        return True

    names = [f"r{number}" for number in range(12)]
    for name in names:
        await accounts.add(an_account(name), trading=b"t", feed=None)
    pairs = await asyncio.gather(
        *(
            asyncio.gather(place(name), changes.remove(name, force=False, by="local"))
            for name in names
        )
    )
    for placed, removal in pairs:
        assert placed is not removal.is_done
        assert bool(removal.left_open.order_ids) is placed
    orders = SqlOrderStore(database)
    for order in await orders.live():
        account = await accounts.get(order.account_id)
        assert account is not None
        assert account.state is AccountState.ACTIVE
