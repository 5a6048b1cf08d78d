"""Faults that an operator or a test asks for: what goes wrong, how often, for which action.

A plan is looked at by the venue's simulator at the points where a real exchange or the way to it
fails. Faults live in memory: a restarted exchange has none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FaultKind(StrEnum):
    """What can go wrong."""

    DELAY = "delay"  # the request takes `delay_ms` longer to be applied
    DELAY_ANSWER = "delay-answer"  # applied at once, answered `delay_ms` later
    DROP_BEFORE_APPLY = "drop-before-apply"  # connection cut, nothing happened
    DROP_AFTER_APPLY = "drop-after-apply"  # connection cut, it did happen
    RATE_LIMIT = "429"
    ERROR_BEFORE_APPLY = "500-before"
    ERROR_AFTER_APPLY = "500-after"
    GARBLE = "garble"  # applied, the answer cannot be decoded
    DUPLICATE = "duplicate"  # socket frames come twice
    REORDER = "reorder"  # socket frames come in reverse order, and before the answer
    STALL = "stall"  # sockets stay open and say nothing
    MAINTENANCE = "maintenance"  # everything answers 503, sockets are closed
    UPGRADE_GATE = "upgrade-gate"  # only post-only orders are taken


_ALIASES: Final[dict[str, FaultKind]] = {
    "drop-before": FaultKind.DROP_BEFORE_APPLY,
    "drop-after": FaultKind.DROP_AFTER_APPLY,
    "rate-limit": FaultKind.RATE_LIMIT,
    "error-before": FaultKind.ERROR_BEFORE_APPLY,
    "error-after": FaultKind.ERROR_AFTER_APPLY,
    "500-before-apply": FaultKind.ERROR_BEFORE_APPLY,
    "500-after-apply": FaultKind.ERROR_AFTER_APPLY,
    "upgrade": FaultKind.UPGRADE_GATE,
}

#: Filters that stand for several actions.
_GROUPS: Final[dict[str, frozenset[str]]] = {
    "cancel": frozenset({"cancel", "cancelByCloid"}),
    "modify": frozenset({"modify", "batchModify"}),
}


class UnknownFault(ValueError):
    """There is no such kind of fault."""


def fault_kind(text: str) -> FaultKind:
    """Return the kind that `text` names; underscores count as hyphens. Raises `UnknownFault`."""
    name = text.lower().replace("_", "-")
    if name in _ALIASES:
        return _ALIASES[name]
    try:
        return FaultKind(name)
    except ValueError as error:
        known = ", ".join(kind.value for kind in FaultKind)
        raise UnknownFault(f"kind: expected one of {known}; found {text!r}") from error


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault; `remaining` None lasts until cleared.

    `action` None fits every signed action and every frame of a socket; a socket's frames are also
    known by their channel.
    """

    fault_id: int
    kind: FaultKind
    remaining: int | None = 1
    action: str | None = None
    delay_ms: int = 0
    applied: int = 0

    def fits(self, names: Collection[str], *, is_query: bool) -> bool:
        """Tell whether a request of these names is meant; queries only when they are named."""
        if self.action is None:
            return not is_query
        return not _GROUPS.get(self.action, frozenset({self.action})).isdisjoint(names)


class FaultPlan:
    """The faults that are armed, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._next_id = 1

    def add(
        self,
        kind: FaultKind,
        *,
        count: int | None = 1,
        action: str | None = None,
        delay_ms: int = 0,
    ) -> Fault:
        """Arm a fault for the next `count` requests (or frames) that fit; None: until cleared."""
        fault = Fault(
            fault_id=self._next_id, kind=kind, remaining=count, action=action, delay_ms=delay_ms
        )
        self._faults[fault.fault_id] = fault
        self._next_id += 1
        return fault

    def clear(self, fault_id: int | None = None) -> int:
        """Disarm one fault, or all; return how many there were."""
        if fault_id is None:
            count = len(self._faults)
            self._faults.clear()
            return count
        return 0 if self._faults.pop(fault_id, None) is None else 1

    def listed(self) -> list[Fault]:
        """Return what is armed."""
        return list(self._faults.values())

    def take(
        self, kind: FaultKind, names: Collection[str] = (), *, is_query: bool = False
    ) -> Fault | None:
        """Use up one application of the first fault of this kind that fits."""
        if not self._faults:
            return None
        for fault in self._faults.values():
            if fault.kind is kind and fault.fits(names, is_query=is_query):
                fault.applied += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                    if fault.remaining <= 0:
                        del self._faults[fault.fault_id]
                return fault
        return None

    def is_armed(self, kind: FaultKind, names: Collection[str] = ()) -> bool:
        """Tell whether a fault of this kind that fits is armed, without using it up."""
        return any(
            fault.kind is kind and fault.fits(names, is_query=False)
            for fault in self._faults.values()
        )
