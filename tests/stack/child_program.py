"""A tiny supervised process: `child_program.py <directory> <name> <habit>…`; standard library only.

It notes what happens to it in `<directory>/events` and beats as the real processes do.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def note(directory: Path, text: str) -> None:
    descriptor = os.open(directory / "events", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def beat(state: str, endpoint: "str | None" = None) -> None:
    path = Path(os.environ["PERP_DEX_HEARTBEAT_FILE"])
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.write_text(json.dumps({"pid": os.getpid(), "state": state, "endpoint": endpoint}))
    new.replace(path)


def main() -> None:
    directory, name, *habits = Path(sys.argv[1]), sys.argv[2], *sys.argv[3:]
    note(directory, f"{name} started {os.getpid()}")
    print(f"{name} says hello")
    print("its last words", flush=True)
    if "broken" in habits:
        sys.exit(1)
    if "misconfigured" in habits:
        sys.exit(2)
    if "broken-once" in habits and not (directory / f"{name}.once").exists():
        (directory / f"{name}.once").touch()
        sys.exit(1)
    if "parent" in habits:
        grandchild = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
        )
        note(directory, f"{name} grandchild {grandchild.pid}")
    stopped: list[int] = []
    if "stubborn" in habits:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    while not stopped:
        if not ((directory / f"{name}.freeze").exists() or "silent" in habits):
            wait = directory / f"{name}.not-ready"
            beat("starting" if wait.exists() else "ready", f"http://{name}")
        time.sleep(0.02)
    beat("draining")
    if "slow-to-stop" in habits:
        time.sleep(0.3)
    note(directory, f"{name} stopped")


main()
