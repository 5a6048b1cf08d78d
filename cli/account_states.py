"""Whether what a followed account shows is live, and for how long it has not been. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cli.live_table import Cell, age_text
from cli.output import safe

if TYPE_CHECKING:
    from perp_dex_client import AccountEvent, OrderEvent, PositionsEvent

    AccountNews = OrderEvent | PositionsEvent | AccountEvent


@dataclass(frozen=True, slots=True)
class _State:
    stale: bool
    since: float | None
    reason: str


class AccountStates:
    """The states of all accounts that were spoken of, by their labels."""

    def __init__(self, labels: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._labels = labels
        self._clock = clock
        self._states: dict[str, _State] = {}

    def label(self, account_id: str) -> str:
        """Return an account's label, or its id where none is known."""
        return self._labels.get(account_id, account_id)

    def take(self, event: AccountNews) -> list[str]:
        """Take a status; return the line that tells of it, if it is news."""
        since = None if event.age_s is None else self._clock() - event.age_s
        state = _State(stale=event.stale, since=since, reason=event.reason)
        before = self._states.get(event.account_id)
        self._states[event.account_id] = state
        if before is not None and before.stale == state.stale:
            return []
        label = self.label(event.account_id)
        if not event.stale:
            return [f"{label}: live"]
        return [f"{label}: {self._stale(state)}: {safe(event.reason)}"]

    def cell(self, account_id: str) -> Cell:
        """Return how fresh an account is."""
        state = self._states.get(account_id)
        if state is None:
            return Cell(None)
        return Cell(self._stale(state), "alarm") if state.stale else Cell("live")

    def document(self, channel: str, event: AccountNews) -> dict[str, Any]:
        """Return what every event of a channel has in the shape that `--json` prints.

        Of a status that is all; others add what they tell.
        """
        document: dict[str, Any] = {
            "type": event.kind,
            "channel": channel,
            "account": self.label(event.account_id),
            "account_id": event.account_id,
        }
        if event.kind == "status":
            return {
                **document,
                "stale": event.stale,
                "age_s": event.age_s,
                "reason": event.reason,
            }
        return {**document, "seq": event.seq}

    def _stale(self, state: _State) -> str:
        if state.since is None:
            return "stale, never live"
        return f"stale {age_text(self._clock() - state.since)}"
