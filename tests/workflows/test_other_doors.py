"""The doors to closes, guards, brackets, halts and accounts, with nobody behind them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from temporalio.client import Client

from domain.accounts import Account, AccountState, MarginMode
from domain.brackets import BracketPlan, ExitRule
from domain.conditions import ConditionKind, Crossing
from domain.errors import NotFound, Unavailable
from domain.halts import HaltLevel, HaltScope
from tests.activities.floor import an_order
from tests.api.serving import account
from tests.workflows.closing import a_plan
from tests.workflows.guarding import a_guard
from tests.workflows.halting import a_switch
from tests.workflows.stage import KEYS, NAMESPACE, Stage
from tests.workflows.test_client import closed_port
from workflows.account_read_client import AccountReads
from workflows.bracket_client import BracketWorkflows
from workflows.client import connect
from workflows.close_client import CloseWorkflows
from workflows.condition_client import ConditionWorkflows
from workflows.halt_client import KillSwitchWorkflows
from workflows.leverage_client import Leverages
from workflows.reconciliation_client import ReconcileWorkflows
from workflows.rotation_client import Rotations

NOBODY = "44444444-4444-4444-8444-444444444444"
SCOPE = HaltScope(level=HaltLevel.ACCOUNT, name=NOBODY)


def an_account() -> Account:
    return account(account_id=NOBODY, state=AccountState.ACTIVE)


def a_bracket() -> BracketPlan:
    return BracketPlan(entry=an_order(account_id=NOBODY), stop_loss=ExitRule(price=Decimal(40_000)))


@dataclass(frozen=True)
class Doors:
    """Every door over one client."""

    client: Client

    @property
    def closes(self) -> CloseWorkflows:
        return CloseWorkflows(self.client)

    @property
    def guards(self) -> ConditionWorkflows:
        return ConditionWorkflows(self.client)

    @property
    def brackets(self) -> BracketWorkflows:
        return BracketWorkflows(self.client)

    @property
    def halts(self) -> KillSwitchWorkflows:
        return KillSwitchWorkflows(self.client)

    @property
    def audits(self) -> ReconcileWorkflows:
        return ReconcileWorkflows(self.client)


Call = Callable[[Doors], Awaitable[Any]]
A_CROSSING = Crossing(kind=ConditionKind.TIME, at=datetime.now(UTC), source="clock")

ASKING: dict[str, Call] = {
    "close.state": lambda d: d.closes.state(NOBODY, "BTC-PERP"),
    "close.stop": lambda d: d.closes.stop(NOBODY, "BTC-PERP", NOBODY, "r", wait_s=5),
    "guard.state": lambda d: d.guards.state(NOBODY),
    "guard.change": lambda d: d.guards.change(a_guard(condition_id=NOBODY), "r", wait_s=5),
    "guard.cancel": lambda d: d.guards.cancel(NOBODY, "r", wait_s=5),
    "bracket.state": lambda d: d.brackets.state(NOBODY),
    "bracket.end": lambda d: d.brackets.end(NOBODY, "r", wait_s=5),
    "halt.state": lambda d: d.halts.state(SCOPE),
    "reconcile.state": lambda d: d.audits.state(NOBODY),
}
"""What is asked of a workflow that has to be there."""

TELLING: dict[str, tuple[Call, object]] = {
    "close.running": (lambda d: d.closes.running(NOBODY, "BTC-PERP"), None),
    "guard.crossed": (lambda d: d.guards.crossed(NOBODY, A_CROSSING), False),
    "guard.moved": (lambda d: d.guards.moved(NOBODY), False),
    "halt.stop": (lambda d: d.halts.stop(SCOPE), None),
    "halt.is_running": (lambda d: d.halts.is_running(SCOPE), False),
    "reconcile.wake": (lambda d: d.audits.wake(NOBODY), None),
}
"""What may find nobody, and what it says then."""

BEGINNING: dict[str, Call] = {
    "close.begin": lambda d: d.closes.begin(a_plan(account_id=NOBODY), wait_s=5),
    "guard.begin": lambda d: d.guards.begin(a_guard(condition_id=str(uuid.uuid4())), wait_s=5),
    "bracket.start": lambda d: d.brackets.start(a_bracket()),
    "bracket.adopt": lambda d: d.brackets.adopt(a_bracket()),
    "halt.start": lambda d: d.halts.start(a_switch(SCOPE)),
    "reconcile.ensure": lambda d: d.audits.ensure(an_account(), wake=True),
    "reconcile": lambda d: d.audits.reconcile(an_account(), "r", requested_by="local", wait_s=5),
    "leverage": lambda d: Leverages(d.client).set(
        an_account(), "BTC-PERP", 5, MarginMode.CROSS, wait_s=5
    ),
    "rotation": lambda d: Rotations(d.client).rotate(an_account(), wait_s=5),
    "account.read": lambda d: AccountReads(d.client).read(an_account(), wait_s=5),
}
"""What starts a workflow."""


@pytest.fixture
async def nowhere() -> Doors:
    return Doors(await connect(f"127.0.0.1:{closed_port()}", NAMESPACE, KEYS))


@pytest.mark.parametrize("name", [*ASKING, *TELLING, *BEGINNING])
async def test_a_temporal_that_was_never_reached_is_unavailable(nowhere: Doors, name: str) -> None:
    call = {**ASKING, **{key: told for key, (told, _) in TELLING.items()}, **BEGINNING}[name]
    with pytest.raises(Unavailable, match="cannot be reached"):
        await call(nowhere)


@pytest.mark.parametrize("name", ASKING)
async def test_a_workflow_that_was_never_begun_is_not_found(stage: Stage, name: str) -> None:
    with pytest.raises(NotFound):
        await ASKING[name](Doors(stage.client))


@pytest.mark.parametrize("name", TELLING)
async def test_telling_nobody_is_no_error(stage: Stage, name: str) -> None:
    call, said = TELLING[name]
    assert await call(Doors(stage.client)) == said
