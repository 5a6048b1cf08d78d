"""Has the seventh venue join: its line among the folders, and for tests its rig.

It is not there unless a process is told of it: each that has `environment()` does it as it starts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from venues import folders

NAME: Final = "seventh"
FOLDER: Final = "tests.seventh.venue"
ROOT: Final = Path(__file__).parents[2]
_ON_PATH: Final = Path(__file__).parent / "path"


def join() -> None:
    """Add the venue's line, as an edit of `venues/folders.py` would."""
    folders._FOLDERS[NAME] = FOLDER


def join_stack() -> None:
    """Add its simulator to the supervisor's settings, as an edit of `stack/settings.py` would."""
    from stack import settings

    settings.SIMULATED[NAME] = "sim_seventh"

    class WithSeventh(settings.StackSettings):
        sim_seventh_port: settings.Port = 8722
        sim_seventh_control_port: settings.Port = 8723

    vars(settings)["StackSettings"] = WithSeventh


def environment() -> dict[str, str]:
    """Return the environment of a process in which the venue is there, as in all its children."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(_ON_PATH), str(ROOT)))}
