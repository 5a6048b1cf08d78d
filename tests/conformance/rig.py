"""A venue's rig: the little that the suite has to be told of a venue, as data and small functions.

Everything else is taken from the venue's registry entry, from its instruments, and from the
simulated exchange that all venues share. A rig knows the venue's wire and its simulator's accounts;
it must not know the suite.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from domain.commands import CommandKind
from venues import folders, notes, registry
from venues.error_table import ErrorRow
from venues.simulation.server import RunningSimulator

#: What `open_account` of a venue's simulator returned: an account's addresses and keys.
Opened = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireReply:
    """An answer as the venue would write it; `headers` are what it says of its rate limit."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRig:
    """What the suite needs of one venue.

    `paper_variable` is the setting that holds the simulator's address. `address`, `signer` and
    `credential` pick those out of an opened account; `refused_credentials` are further ones that
    the venue's self-check has to refuse, by what they are ("the master key").

    `actions` names the commands as the simulator's faults know them, `command_paths` the HTTP paths
    that bear signed commands. `spell_error` writes the answer to a placement that a row of
    `error_table` stands for. `expire` makes an account's credential expire at the exchange now.

    `venue_order_id` spells the number of an order of the simulated exchange as the venue's id.

    `symbol` is a market of the simulated exchange that is open. `reading_needs_key`: who has no
    valid credential is told nothing of an account, not even what rests. `confirms_trades`: the
    public feed says when it tells every trade from then on, also where nobody trades. `closing`:
    how the rows are spelled after which the connector waits with everything but cancels.
    """

    venue: str
    paper_variable: str
    address: Callable[[Opened], str]
    signer: Callable[[Opened], str]
    credential: Callable[[Opened], str]
    refused_credentials: Mapping[str, Callable[[Opened], str]] = field(default_factory=dict)
    actions: Mapping[CommandKind, str]
    command_paths: frozenset[str]
    error_table: tuple[ErrorRow, ...]
    spell_error: Callable[[ErrorRow], WireReply]
    expire: Callable[[RunningSimulator, Opened], Awaitable[None]]
    venue_order_id: Callable[[int], str] = str
    symbol: str = "BTC-PERP"
    reading_needs_key: bool = False
    confirms_trades: bool = False
    closing: frozenset[str] = frozenset({"429"})

    @property
    def notes(self) -> Path:
        """The venue's NOTES.md."""
        return notes.notes_of(self.venue)


def rig_of(venue: str) -> VenueRig:
    """Return a venue's rig; a venue without one has no place in the registry.

    The rig of a folder `venues.vest` is `tests.venues.vest.rig`; one in the tests has it beside it.
    """
    room = folders.folder_of(venue)
    room = f"tests.{room}" if room.startswith("venues.") else room.rpartition(".")[0]
    module = importlib.import_module(f"{room}.rig")
    return cast(VenueRig, module.RIG)


def rigs() -> tuple[VenueRig, ...]:
    """Return the rig of every registered venue."""
    return tuple(rig_of(venue) for venue in registry.names())
