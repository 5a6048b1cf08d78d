"""Has the seventh venue join: one line in the registry, one among the simulators, and its rig.

Where SEVENTH_VENUE names the folder that `making` wrote. Every Python process of that environment
does it as it starts: the folder has a `sitecustomize.py`, and is on the path.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, cast

import tests.venues
import venues
from tests.seventh.making import NAME
from venues import registry

VARIABLE: Final = "SEVENTH_VENUE"


def join_registry() -> None:
    """Add the venue's line to the registry, if there is one and it is not there yet."""
    named = os.environ.get(VARIABLE)
    entries = cast("dict[str, Any]", registry._VENUES)
    if not named or NAME in entries:
        return
    venues.__path__.append(str(Path(named) / "venues"))
    tests.venues.__path__.append(str(Path(named) / "rigs"))
    entries[NAME] = f"venues.{NAME}.spec"


def join_simulators() -> None:
    """Add the venue's line to the simulators; this loads an HTTP server."""
    from venues.simulation import venue as simulators

    if os.environ.get(VARIABLE):
        simulators.SIMULATORS[NAME] = f"venues.{NAME}.simulator"


join_registry()
