"""What starts and signals of the kill switch's workflows carry."""

from __future__ import annotations

from dataclasses import dataclass

from domain.halts import AccountProgress, KillSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitchStart:
    """The start of a kill switch; the state comes along when it continues as new."""

    state: KillSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltRequest:
    """The `halt` signal: a second halt of the same scope, which may want more."""

    flatten: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHaltStart:
    """The start of the stopping of one account; `parents` are told how far it is."""

    progress: AccountProgress
    reason: str
    requested_by: str
    parents: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """The `join` signal: another kill switch wants this account stopped too, and to be told."""

    parent_id: str
    flatten: bool
