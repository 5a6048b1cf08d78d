"""Record the histories that the tests replay: `python -m tests.workflows.record [name …]`.

Lives through each scenario with the present code and keeps what Temporal wrote of it. A history is
recorded anew only when a change of the workflow is meant to end the lives that are under way.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

import pytest

from storage.schema import upgrade
from tests.workflows.scenarios import GO_ON_AS_NEW, SCENARIOS, SUGGEST_AFTER_EVENTS
from tests.workflows.stage import open_stage, temporal_server

HISTORIES = Path(__file__).with_name("histories")


async def record(name: str, address: str, template: Path, home: Path) -> Path:
    """Live through one scenario and write its history; return the file."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        async with open_stage(address, template, home, monkeypatch) as stage:
            kept = await SCENARIOS[name](stage)
            handle = stage.client.get_workflow_handle(kept.workflow_id, run_id=kept.run_id)
            history = await handle.fetch_history()
    events = json.loads(history.to_json())
    path = HISTORIES / f"{name}.json"
    content = {"workflow_id": kept.workflow_id, "history": events}
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    return path


def main(names: list[str]) -> int:
    """Record the named scenarios, or all."""
    HISTORIES.mkdir(exist_ok=True)
    suggest = {"limit.historyCount.suggestContinueAsNew": SUGGEST_AFTER_EVENTS}
    with (
        tempfile.TemporaryDirectory() as scratch,
        temporal_server() as patient,
        temporal_server(**suggest) as impatient,
    ):
        template = Path(scratch) / "template.db"
        upgrade(f"sqlite+aiosqlite:///{template}")
        for name in names or SCENARIOS:
            home = Path(scratch) / name
            home.mkdir()
            address = impatient if name in GO_ON_AS_NEW else patient
            path = asyncio.run(record(name, address, template, home))
            print(f"{path.name}: {path.stat().st_size} bytes", flush=True)
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
