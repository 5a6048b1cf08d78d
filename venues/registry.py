"""The venues there are: one lazy line each. Naming a venue loads nothing of it."""

from __future__ import annotations

import importlib
from typing import Final, cast

from domain.errors import InvalidInput
from venues.connector import VenueSpec

_VENUES: Final = {
    "edgex": "venues.edgex.spec",
    "extended": "venues.extended.spec",
    "hyperliquid": "venues.hyperliquid.spec",
    "lighter": "venues.lighter.spec",
    "pacifica": "venues.pacifica.spec",
    "vest": "venues.vest.spec",
}


def names() -> tuple[str, ...]:
    """Return the names of all venues, sorted."""
    return tuple(sorted(_VENUES))


def load(venue: str) -> VenueSpec:
    """Import a venue and return its entry.

    Raises:
        InvalidInput: there is no venue of that name.
    """
    return cast(VenueSpec, importlib.import_module(_entry(venue)).SPEC)


def room_of(venue: str) -> str:
    """Return the package that a venue's entry stands in, and so all of its files.

    Raises:
        InvalidInput: there is no venue of that name.
    """
    return _entry(venue).rpartition(".")[0]


def _entry(venue: str) -> str:
    module = _VENUES.get(venue)
    if module is None:
        raise InvalidInput("venue", f"expected one of {', '.join(names())}, found {venue[:64]!r}")
    return module
