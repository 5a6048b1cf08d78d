"""The venues there are, each by the entry in its folder. Naming a venue loads nothing of it."""

from __future__ import annotations

import importlib
from typing import cast

from venues.connector import VenueSpec
from venues.folders import folder_of as folder_of
from venues.folders import names as names


def load(venue: str) -> VenueSpec:
    """Import a venue and return its entry, `SPEC` of its `spec`.

    Raises:
        InvalidInput: there is no venue of that name.
    """
    return cast(VenueSpec, importlib.import_module(f"{folder_of(venue)}.spec").SPEC)
