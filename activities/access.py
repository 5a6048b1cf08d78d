"""What activities are given: ports, connectors by venue, and named points to be killed at.

Protocols only; `worker.py` injects what implements them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from activities.lanes import Lanes, NoLanes
from domain.accounts import Network
from domain.outcomes import Outcome
from domain.ports import IntentLedger, OrderStore, SymbolBlocks, TradingAccessSource
from venues.connector import Connector, SignerCheck


class ConnectorSource(Protocol):
    """Hands out started connectors."""

    async def connector(self, venue: str, network: Network) -> Connector:
        """Return the started connector of a venue and network.

        Raises:
            InvalidInput: this worker does not serve that venue or network.
            VenueUnavailable: it could not be started.
        """
        ...

    def clock_refusal(self, venue: str, network: Network) -> str | None:
        """Return why new exposure is refused for our clock's sake, or None.

        Fences depend on the clock: past 500 ms of offset to the venue nothing new is risked.
        """
        ...

    def opening_refusal(self, venue: str, network: Network) -> str | None:
        """Return why new exposure is refused at a venue that gives no verdicts, or None.

        To be asked once for each command that would go: None may make it the trial.
        """
        ...

    def note_outcome(self, venue: str, network: Network, outcome: Outcome) -> None:
        """Be told what became of a command that was sent."""
        ...


class RightsNotes(Protocol):
    """Is told what self-checks of keys proved."""

    def note(self, account_id: str, check: SignerCheck) -> None:
        """Be told what a check of the account's key proved just now."""
        ...


class Checkpoints(Protocol):
    """Named points between the steps of a command, where tests kill or freeze the process."""

    def reached(self, point: str) -> None:
        """Be told that `point` is reached; returns at once unless the point is armed."""
        ...


class NoCheckpoints:
    """Checkpoints of a process that nobody kills on purpose."""

    def reached(self, point: str) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandParts:
    """What the activities of orders work with; `now` is our clock, aware UTC.

    `lanes` gives commands their lanes, at venues that count nonces for each key.
    `blocks` is None where there is no database to keep them in, and so no placement either.
    """

    ledger: IntentLedger
    orders: OrderStore
    access: TradingAccessSource
    connectors: ConnectorSource
    checkpoints: Checkpoints
    now: Callable[[], datetime]
    lanes: Lanes = field(default_factory=NoLanes)
    blocks: SymbolBlocks | None = None
