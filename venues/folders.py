"""Where each venue's files are: one line for each venue there is. Knows names and loads nothing.

What is in a folder, and what must not know what, is in docs/adding-a-venue.md.
"""

from __future__ import annotations

from typing import Final

from domain.errors import InvalidInput

_FOLDERS: Final = {
    "edgex": "venues.edgex",
    "extended": "venues.extended",
    "hyperliquid": "venues.hyperliquid",
    "lighter": "venues.lighter",
    "pacifica": "venues.pacifica",
    "vest": "venues.vest",
}


def names() -> tuple[str, ...]:
    """Return the names of all venues, sorted."""
    return tuple(sorted(_FOLDERS))


def folder_of(venue: str) -> str:
    """Return the package that holds all of a venue's files.

    Raises:
        InvalidInput: there is no venue of that name.
    """
    folder = _FOLDERS.get(venue)
    if folder is None:
        raise InvalidInput("venue", f"expected one of {', '.join(names())}, found {venue[:64]!r}")
    return folder
