"""What the stand-ins of our processes have in common: beat, listen, note, stop on SIGTERM."""

import json
import os
import signal
import socket
import time
from pathlib import Path

HOME = Path(os.environ["PERP_DEX_HOME"])
NOTED = (
    "DATABASE_URL",
    "TEMPORAL_ADDRESS",
    "TEMPORAL_NAMESPACE",
    "REDIS_URL",
    "API_PORT",
    "STREAMING_PORT",
    "METRICS_PORT",
    *(name for name in os.environ if name.endswith("_PAPER_URL")),
    "SIM_PORT",
    "SIM_CONTROL_PORT",
    "SIM_HOME",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "PERP_DEX_HOME",
    "TEMPORAL_UI_URL",
    "TEMPORAL_UI_UPSTREAM",
)


def note(text: str) -> None:
    descriptor = os.open(HOME / "events", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{text}\n".encode())
    os.close(descriptor)


def run(name: str, port: str | None = None) -> None:
    """Behave like the process `name`, answering any request on `port` with 200."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    (HOME / f"{name}.environment").write_text(
        json.dumps({key: os.environ.get(key) for key in NOTED})
    )
    if (HOME / f"{name}.broken").exists():
        raise SystemExit("told to break")
    listener = None
    if port is not None:
        listener = socket.create_server(("127.0.0.1", int(port)))
        listener.settimeout(0.05)
    note(f"{name} started {os.getpid()}")
    path = Path(os.environ["PERP_DEX_HEARTBEAT_FILE"])
    while not stopped:
        new = path.with_suffix(".new")
        new.write_text(json.dumps({"pid": os.getpid(), "state": "ready", "endpoint": None}))
        new.replace(path)
        if listener is None:
            time.sleep(0.05)
            continue
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    note(f"{name} stopped")
