"""The circuits of one process: one for each venue and network that it sends commands to.

Decisions are in `domain.circuits`; this keeps them, with a clock, and counts for the metrics. Knows
no venue by name.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from domain.accounts import Network
from domain.circuits import Circuit, RequestClass, noted, passed, wait_s
from domain.outcomes import Outcome
from domain.session_states import CircuitState

Place = tuple[str, Network]


class Circuits:
    """What this process has found of its venues; `monotonic` tells seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._circuits: dict[Place, Circuit] = {}
        #: Commands by place and outcome, and opening commands refused, for the metrics.
        self.outcomes: Counter[tuple[str, Network, str]] = Counter()
        self.refused: Counter[Place] = Counter()

    def opening_refusal(self, venue: str, network: Network) -> str | None:
        """Return why a command that may raise exposure is refused now, or None.

        None lets it through: of an open circuit it is the trial.
        """
        place, now_s = (venue, network), self._monotonic()
        circuit = self._circuits.get(place, Circuit())
        wait = wait_s(circuit, RequestClass.OPENING, now_s)
        if wait > 0.0:
            self.refused[place] += 1
            return (
                f"{venue} ({network}) gave no verdict on {circuit.unanswered} commands in a row; "
                f"nothing that raises exposure is sent for {wait:.0f} s, cancels and reduce-only "
                "orders go as ever"
            )
        if circuit.is_open:
            self._circuits[place] = passed(circuit, RequestClass.OPENING, now_s)
        return None

    def note_outcome(self, venue: str, network: Network, outcome: Outcome) -> None:
        """Learn from a command's outcome, whatever it did to risk."""
        place = (venue, network)
        self.outcomes[venue, network, outcome.kind] += 1
        circuit = self._circuits.get(place, Circuit())
        self._circuits[place] = noted(circuit, outcome, self._monotonic())

    def state(self, venue: str, network: Network) -> CircuitState:
        """Return what is shown of a place; one that nothing was sent to is closed."""
        circuit = self._circuits.get((venue, network), Circuit())
        wait = wait_s(circuit, RequestClass.OPENING, self._monotonic())
        return CircuitState(
            is_open=circuit.is_open,
            retry_in_s=wait if circuit.is_open else None,
            unanswered=circuit.unanswered,
        )

    def opens_in_s(self) -> Mapping[Place, float | None]:
        """Return for each place in how many seconds an order may try again; None: it is closed."""
        now_s = self._monotonic()
        return {
            place: wait_s(circuit, RequestClass.OPENING, now_s) if circuit.is_open else None
            for place, circuit in self._circuits.items()
        }
