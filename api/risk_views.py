"""What the outside sees of risk limits: their values, how much of each is used, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from api.problems import NOT_SENT, Problem, violation_members
from api.views import View
from domain.accounts import Account
from domain.halt_store import Halt
from domain.numbers import plain
from domain.risk import LimitUse
from domain.risk_limits import RiskLimits
from domain.risk_store import LimitsInForce
from domain.violations import LimitName, Violation, in_words

RISK_LIMIT = "risk_limit"


class LimitUseView(View):
    """One limit and its present use; None where nothing is limited or nothing can be told.

    `symbol` names the market of the greatest position. `exceeded`: only what reduces passes.
    """

    limit: str
    limit_value: str | None
    value: str | None
    symbol: str | None
    exceeded: bool


class ScopeView(View):
    """The limits of one scope: `*` for everything, else an account's id.

    `version` is what `If-Match` compares; 0 means that they were never set.
    """

    scope: str
    account: str | None
    version: int
    set_by: str | None
    set_at: str | None
    limits: dict[str, str | int | None]
    use: list[LimitUseView]
    warnings: list[str]


class HaltView(View):
    """A halt in force. `name` is the venue or account id, None for everything."""

    level: str
    name: str | None
    reason: str
    set_by: str
    set_at: str


class RiskView(View):
    """Limits of everything (None where the key may not see them) and of accounts, and halts."""

    everything: ScopeView | None
    accounts: list[ScopeView]
    halts: list[HaltView]


def scope_view(
    in_force: LimitsInForce, use: Sequence[LimitUse], account: Account | None
) -> ScopeView:
    """Return the view of one scope's limits, with what is to be said of those exceeded now."""
    return ScopeView(
        scope=in_force.scope,
        account=None if account is None else account.label,
        version=in_force.version,
        set_by=in_force.set_by,
        set_at=None if in_force.set_at is None else in_force.set_at.isoformat(),
        limits=limits_document(in_force.limits),
        use=[_use_view(each) for each in use],
        warnings=[_warning(each) for each in use if each.is_exceeded],
    )


def limits_document(limits: RiskLimits) -> dict[str, str | int | None]:
    """Return limits as a document: every name, None where nothing is limited."""
    document: dict[str, str | int | None] = {}
    for name in LimitName:
        value = getattr(limits, name.value)
        document[name.value] = value if value is None or isinstance(value, int) else plain(value)
    return document


def halt_view(halt: Halt) -> HaltView:
    """Return the view of a halt."""
    return HaltView(
        level=halt.scope.level.value,
        name=halt.scope.name or None,
        reason=halt.reason,
        set_by=halt.set_by,
        set_at=halt.set_at.isoformat(),
    )


def risk_limit_problem(violations: Sequence[Violation], **changes: Any) -> Problem:
    """Return the problem of an order that would exceed limits; nothing was started."""
    members: dict[str, Any] = {
        "status": HTTPStatus.UNPROCESSABLE_ENTITY,
        "code": RISK_LIMIT,
        "detail": in_words(violations),
        "outcome": NOT_SENT,
    }
    extra = {**violation_members(violations), **changes.pop("extra", {})}
    return Problem(**{**members, **changes}, extra=extra)


def _use_view(use: LimitUse) -> LimitUseView:
    return LimitUseView(
        limit=use.limit.value,
        limit_value=None if use.limit_value is None else plain(use.limit_value),
        value=None if use.value is None else plain(use.value),
        symbol=use.symbol,
        exceeded=use.is_exceeded,
    )


def _warning(use: LimitUse) -> str:
    where = f" in {use.symbol}" if use.symbol is not None else ""
    limit = "–" if use.limit_value is None else plain(use.limit_value)
    value = "–" if use.value is None else plain(use.value)
    return (
        f"{use.limit.value} is {limit}, and {value} is used{where} already: until it is less, only "
        "orders that reduce exposure pass"
    )
