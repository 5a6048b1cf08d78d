"""The streaming process of the rig: the product's own, or one that adds reports up."""

from __future__ import annotations

import os
import sys

from streaming.main import main
from tests.crash.mutants import add_reports
from tests.crash.rig import MUTANT_VARIABLE

if __name__ == "__main__":
    if os.environ.get(MUTANT_VARIABLE) == "added-reports":
        add_reports()
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
