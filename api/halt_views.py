"""What the outside sees of halts and kill switches."""

from __future__ import annotations

from api.views import View, moment
from domain.halt_store import Halt
from domain.halts import AccountProgress, HaltScope, KillSwitch


class HaltView(View):
    """A halt in force: whatever raises exposure in its scope is refused."""

    scope: str
    name: str | None
    reason: str
    set_by: str
    set_at: str


class AccountProgressView(View):
    """How far a kill switch is with one account; `still_open` names what it saw last."""

    account_id: str
    label: str
    venue: str
    stage: str
    needs_attention: bool
    open_orders: int
    open_positions: int
    still_open: list[str]
    looks: int
    last_answer: str
    last_look: str | None
    ended_at: str | None


class KillSwitchView(View):
    """A kill switch: BLOCKING, CANCELING, FLATTENING, VERIFYING, then HALTED or STOPPED.

    ATTENTION: it has taken longer than it should, and goes on.
    """

    kill_switch_id: str
    scope: str
    name: str | None
    stage: str
    flatten: bool
    reason: str
    requested_by: str
    requested_at: str
    ended_at: str | None
    workflow_url: str | None
    accounts: list[AccountProgressView]


class HaltAnswerView(View):
    """The answer to a halt: it is in force. `started` False: orders are canceled when Temporal
    answers again; `note` says so. `more` are those of a group's other accounts."""

    kill_switch: KillSwitchView
    started: bool
    note: str | None
    more: list[KillSwitchView]


class HaltsView(View):
    """The halts in force, and the newest kill switches with their stages."""

    halts: list[HaltView]
    kill_switches: list[KillSwitchView]


class ResumeAnswerView(View):
    """The answer to a resume; `stopped` is the kill switch that it ended, `halts` are left.

    `more` are those that it ended of a group's other accounts.
    """

    stopped: KillSwitchView | None
    halts: list[HaltView]
    more: list[KillSwitchView]


def halt_view(halt: Halt, name: str | None) -> HaltView:
    """Return what is shown of a halt; `name` is its venue's or account's."""
    return HaltView(
        scope=halt.scope.level.value,
        name=name,
        reason=halt.reason,
        set_by=halt.set_by,
        set_at=moment(halt.set_at),
    )


def kill_switch_view(
    state: KillSwitch, names: dict[str, str], workflow_url: str | None
) -> KillSwitchView:
    """Return what is shown of a kill switch; `names` are labels by account id."""
    return KillSwitchView(
        kill_switch_id=state.kill_switch_id,
        scope=state.scope.level.value,
        name=name_of(state.scope, names),
        stage=state.shown_stage,
        flatten=state.flatten,
        reason=state.reason,
        requested_by=state.requested_by,
        requested_at=moment(state.requested_at),
        ended_at=None if state.ended_at is None else moment(state.ended_at),
        workflow_url=workflow_url,
        accounts=[_progress_view(each, names) for each in state.accounts],
    )


def name_of(scope: HaltScope, names: dict[str, str]) -> str | None:
    """Return a scope's name for people: the venue's, or the account's label."""
    return names.get(scope.name, scope.name) or None


def _progress_view(progress: AccountProgress, names: dict[str, str]) -> AccountProgressView:
    return AccountProgressView(
        account_id=progress.account_id,
        label=names.get(progress.account_id, progress.account_id),
        venue=progress.venue,
        stage=progress.stage.value,
        needs_attention=progress.needs_attention and not progress.stage.is_terminal,
        open_orders=progress.orders,
        open_positions=progress.positions,
        still_open=list(progress.still_open),
        looks=progress.round,
        last_answer=progress.last_answer,
        last_look=None if progress.last_look is None else moment(progress.last_look),
        ended_at=None if progress.ended_at is None else moment(progress.ended_at),
    )
