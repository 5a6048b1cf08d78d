"""The worker process of the rig: the product's own composition, with checkpoints and mutants."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from activities.resolution import ResolutionActivities
from domain.ports import IntentLedger
from process.logging import configure_logging
from serving.settings import Parts, WorkerSettings
from tests.crash.checkpoints import FileCheckpoints
from tests.crash.mutants import (
    AlwaysInserted,
    FenceIgnored,
    WithoutFence,
    add_reports,
    forget_fences,
)
from tests.crash.rig import MUTANT_VARIABLE, WITHOUT_FENCE
from worker import run_to_exit

RESOLUTIONS = {"fence-ignored": FenceIgnored, WITHOUT_FENCE: WithoutFence}


def _as_it_is(ledger: IntentLedger) -> IntentLedger:
    return ledger


def main() -> int:
    mutant = os.environ.get(MUTANT_VARIABLE, "")
    if mutant == "added-reports":
        add_reports()
    if mutant == WITHOUT_FENCE:
        forget_fences()
    settings = WorkerSettings.load_or_exit()
    configure_logging(service="worker", log_format=settings.log_format, level=settings.log_level)
    ledger: Callable[[IntentLedger], IntentLedger] = (
        AlwaysInserted if mutant == "always-inserted" else _as_it_is
    )
    parts = Parts(
        checkpoints=FileCheckpoints.from_environment(),
        ledger=ledger,
        resolution=RESOLUTIONS.get(mutant, ResolutionActivities),
    )
    return run_to_exit(settings, parts)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
