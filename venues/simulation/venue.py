"""What a venue's simulator gives to the server that runs it: its wire, and how it spells things.

A Protocol, and how a venue's is found: it is the file `simulator` in the venue's folder. Loading
one imports that and nothing else of the venue.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol, cast

from aiohttp import web

from venues import folders
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultPlan
from venues.simulation.instruments import Instrument, default_instruments
from venues.simulation.records import Order


class VenueSimulator(Protocol):
    """One venue's wire over one exchange."""

    application: web.Application

    def venue_symbol(self, symbol: str) -> str:
        """Return the exchange's symbol for ours (`BTC-PERP`) or its own (`BTC`)."""
        ...

    async def open_account(self, balance: Decimal, name: str) -> dict[str, str]:
        """Make a funded account with fresh keys and return them, durable."""
        ...

    def order_reference(self, text: str) -> int | str:
        """Return the order id or client id that `text` spells."""
        ...

    def order_status(self, order: Order) -> str:
        """Return the venue's word for the order's state."""
        ...

    async def close_sockets(self) -> None:
        """Cut every socket."""
        ...


class BuildsSimulator(Protocol):
    """The function `simulator` of a venue's module."""

    def __call__(
        self, exchange: Exchange, faults: FaultPlan, environment: Mapping[str, str]
    ) -> VenueSimulator:
        """Build the venue's wire over an exchange."""
        ...


def lettered(name: str) -> str:
    """Return a market's name with `k` for a lot of a thousand, as some venues write `1000`."""
    return f"k{name[4:]}" if name.startswith("1000") else name


class NoSimulator(ValueError):
    """There is no simulator of that venue."""


def load_simulator(venue: str) -> BuildsSimulator:
    """Import a venue's simulator. Raises `NoSimulator` for a venue that has none."""
    return cast(BuildsSimulator, _module(venue).simulator)


def markets_of(venue: str) -> tuple[Instrument, ...]:
    """Return a venue's markets: its own, or those of a fresh exchange. Raises `NoSimulator`."""
    own: tuple[Instrument, ...] | None = getattr(_module(venue), "INSTRUMENTS", None)
    return default_instruments() if own is None else own


def _module(venue: str) -> Any:
    if venue not in folders.names():
        raise NoSimulator(f"venue: expected one of {', '.join(folders.names())}; found {venue!r}")
    return importlib.import_module(f"{folders.folder_of(venue)}.simulator")
