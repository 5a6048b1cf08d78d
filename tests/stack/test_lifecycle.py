"""`up`, `down`, `status`, `logs` with the real Temporal and Valkey and stand-ins of our processes.

The stand-ins have the module names of the real ones, in a copy of the product's layout.
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

import stack
from stack import __main__ as stack_main
from stack import probes
from stack.errors import (
    ChildFailed,
    PortTaken,
    StackAlreadyRunning,
    StackConfigurationError,
    StackError,
)
from stack.lifecycle import DownResult, UpOptions, down, logs, status, up
from stack.lock import lock_holder, supervisor_lock
from stack.paths import StackPaths
from stack.ports import PortChoice, is_free, simulator_ports
from stack.servers import RETENTION, SEARCH_ATTRIBUTES, server_environment
from stack.settings import SIMULATED
from stack.spec import ProcessState
from stack.state import Durability, Phase, StackStatus, process_names
from tests.stack.building import QUICK, events_of, eventually, is_alive, pids_of

FAKES = Path(__file__).with_name("fake_product")
OPTIONS = UpOptions(ports=PortChoice.AUTO, pace=QUICK)


@pytest.fixture(autouse=True)
def _product(paths: StackPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a copy of the stack beside the stand-ins and have everything started from there."""
    tree = tmp_path / "product"
    shutil.copytree(FAKES, tree)
    shutil.copytree(Path(stack.__file__).parent, tree / "stack")
    monkeypatch.setattr(stack, "__file__", str(tree / "stack" / "__init__.py"))
    monkeypatch.setenv("PERP_DEX_HOME", str(paths.home))


def state_of(found: StackStatus, name: str) -> ProcessState:
    return next(process.state for process in found.processes if process.name == name)


def pid_of(found: StackStatus, name: str) -> int:
    pid = next(process.pid for process in found.processes if process.name == name)
    assert pid is not None
    return pid


def restarted(now: StackStatus, before: StackStatus) -> set[str]:
    """Name the processes that are ready with another pid than before."""
    former = {process.name: process.pid for process in before.processes}
    return {
        process.name
        for process in now.processes
        if process.state is ProcessState.READY and process.pid not in (None, former[process.name])
    }


def pids_in(found: StackStatus) -> list[int]:
    return [process.pid for process in found.processes if process.pid is not None]


async def test_a_whole_life_detached(paths: StackPaths, capsys: pytest.CaptureFixture[str]) -> None:
    ready: list[StackStatus] = []
    found = await up(replace(OPTIONS, detach=True), on_ready=ready.append)
    assert ready == [found]
    assert "worker: ready" in capsys.readouterr().err
    assert [process.name for process in found.processes] == list(process_names())
    assert all(process.state is ProcessState.READY for process in found.processes)
    assert found == status()
    assert events_of(paths)[0] == "migrate upgrade"
    assert sorted(events_of(paths)[1:]) == [
        "api started",
        *(f"sim-{venue} started" for venue in sorted(SIMULATED)),
        "streaming started",
        "watchdog started",
        "worker started",
    ]
    await _assert_contract(found, paths)
    await _assert_temporal(found)

    with pytest.raises(StackAlreadyRunning, match=f"supervisor pid {found.supervisor_pid}"):
        await up(replace(OPTIONS, detach=True))
    with pytest.raises(StackAlreadyRunning):
        await up(OPTIONS)
    assert status() == found

    os.kill(pid_of(found, "worker"), signal.SIGKILL)
    os.kill(pid_of(found, "temporal"), signal.SIGKILL)
    await eventually(
        lambda: {"worker", "temporal"} <= restarted(status(), found), "worker and temporal are back"
    )
    assert status().ports == found.ports

    lines = [line async for line in logs("migrate")]
    assert [line.text for line in lines] == ["migrating upgrade"]
    assert {line.name for line in [line async for line in logs()]} >= {"temporal", "supervisor"}

    running = pids_in(status())
    ended = await down()
    assert ended.was_running
    assert not ended.killed
    assert ended.status.phase is Phase.STOPPED
    assert {process.state for process in ended.status.processes} == {ProcessState.STOPPED}
    assert ended.status.api_url is None
    assert not any(is_alive(pid) for pid in running)
    stops = [event for event in events_of(paths) if event.endswith("stopped")]
    assert set(stops[:2]) == {"api stopped", "streaming stopped"}
    assert set(stops[2:4]) == {"watchdog stopped", "worker stopped"}
    assert sorted(stops[4:]) == [f"sim-{venue} stopped" for venue in sorted(SIMULATED)]
    assert await down() == DownResult(was_running=False, killed=False, status=status())

    again = await up(replace(OPTIONS, detach=True))
    assert again.ports == found.ports
    await down()


async def _assert_contract(found: StackStatus, paths: StackPaths) -> None:
    content = json.loads(json.dumps(found.to_json()))
    ports = found.ports
    assert content["api_url"] == f"http://127.0.0.1:{ports['api']}"
    assert content["ws_url"] == f"ws://127.0.0.1:{ports['streaming']}"
    assert content["temporal_ui_url"] == f"http://127.0.0.1:{ports['temporal_ui']}"
    assert content["sim_control_url"] == f"http://127.0.0.1:{ports['sim_control']}"
    assert content["sim_control_urls"] == {
        venue: f"http://127.0.0.1:{ports[simulator_ports(venue)[1]]}" for venue in SIMULATED
    }
    assert content["durability"] == "power"
    assert content["home"] == str(paths.home)
    assert {"name", "pid", "state", "endpoint"} <= set(content["processes"][0])
    environment = json.loads((paths.home / "worker.environment").read_text(encoding="utf-8"))
    assert environment == {
        "DATABASE_URL": f"sqlite+aiosqlite:///{paths.home}/perp-dex.db",
        "TEMPORAL_ADDRESS": f"127.0.0.1:{ports['temporal']}",
        "TEMPORAL_NAMESPACE": "default",
        "REDIS_URL": f"redis://127.0.0.1:{ports['valkey']}/0",
        "API_PORT": str(ports["api"]),
        "STREAMING_PORT": str(ports["streaming"]),
        "METRICS_PORT": str(ports["worker_metrics"]),
        **{
            f"{venue.upper()}_PAPER_URL": f"http://127.0.0.1:{ports[simulator_ports(venue)[0]]}"
            for venue in SIMULATED
        },
        "SIM_PORT": None,
        "SIM_CONTROL_PORT": None,
        "SIM_HOME": None,
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "PERP_DEX_HOME": str(paths.home),
        "TEMPORAL_UI_URL": found.temporal_ui_url,
        "TEMPORAL_UI_UPSTREAM": found.temporal_ui_url,
    }
    for secret_place in (paths.home, paths.run, paths.logs, paths.home / "secrets"):
        assert secret_place.stat().st_mode & 0o077 == 0
    for file in (paths.state_file, paths.log_file("worker"), paths.home / "temporal.db"):
        assert file.stat().st_mode & 0o077 == 0
    assert await probes.valkey("127.0.0.1", ports["valkey"])()
    assert await probes.http("127.0.0.1", ports["temporal_ui"], "/healthz")()


async def _assert_temporal(found: StackStatus) -> None:
    """The tuning is on the command line, retention and search attributes are in the server."""
    command = psutil.Process(pid_of(found, "temporal")).cmdline()
    assert "journal_mode=wal" in command
    assert "synchronous=full" in command
    assert "history.transferProcessorMaxPollRPS=5000" in command
    assert command[command.index("--ui-public-path") + 1] == "/temporal"
    assert command[command.index("--ui-codec-endpoint") + 1] == "/api/v1/codec"
    address = ["--address", f"127.0.0.1:{found.ports['temporal']}", "-o", "json"]
    binary = str(Path(sys.executable).with_name("temporal"))
    _, described = await probes.run_command(
        [binary, "operator", "namespace", "describe", "-n", "default", *address],
        server_environment(),
    )
    assert json.loads(described)["config"]["workflowExecutionRetentionTtl"] == "2592000s"
    assert RETENTION == "720h"
    _, listed = await probes.run_command(
        [binary, "operator", "search-attribute", "list", *address], server_environment()
    )
    for name in SEARCH_ATTRIBUTES:
        assert f'"{name}"' in listed


async def test_nothing_is_left_when_the_supervisor_is_killed(paths: StackPaths) -> None:
    found = await up(replace(OPTIONS, detach=True))
    running = pids_in(found)
    assert len(running) == len(process_names())
    assert all(is_alive(pid) for pid in running)
    assert found.supervisor_pid is not None
    os.kill(found.supervisor_pid, signal.SIGKILL)
    await eventually(lambda: not any(is_alive(pid) for pid in running), "all children are gone")
    await eventually(lambda: status().phase is Phase.STOPPED, "the old file reads as stopped")
    stale = status()
    assert {process.state for process in stale.processes} == {ProcessState.STOPPED}
    assert stale.api_url is None
    assert pids_in(stale) == []
    again = await up(replace(OPTIONS, detach=True))
    assert again.phase is Phase.READY
    await down()


async def test_in_the_foreground_until_a_signal(paths: StackPaths) -> None:
    said: list[str] = []
    ready: list[StackStatus] = []

    def on_ready(found: StackStatus) -> None:
        ready.append(found)
        os.kill(os.getpid(), signal.SIGTERM)

    final = await up(OPTIONS, progress=said.append, on_ready=on_ready)
    assert ready[0].phase is Phase.READY
    assert ready[0].supervisor_pid == os.getpid()
    assert final.phase is Phase.STOPPED
    assert said[0] == "migrate: bringing the database up to date"
    assert said[-1] == "stack: stopped"
    assert "stack: ready" in said
    assert lock_holder(paths.lock_file) is None
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    log = paths.log_file("supervisor").read_text(encoding="utf-8")
    assert log.splitlines()[0].endswith(said[0])


async def test_a_second_signal_does_not_wait_for_a_drain(paths: StackPaths) -> None:
    def on_ready(found: StackStatus) -> None:
        # Frozen, it would be waited for; the rest of the stack is ready by now.
        os.kill(pid_of(found, "worker"), signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGINT)
        asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)

    said: list[str] = []
    async with asyncio.timeout(60):
        await up(OPTIONS, progress=said.append, on_ready=on_ready)
    assert not any("was killed" in line for line in said)
    assert not any(is_alive(pid) for pid in pids_of(paths))


async def test_a_migration_that_hangs_is_given_up(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stack.migration._TIMEOUT_S", 0.2)
    (paths.home / "migrate-upgrade.hang").touch()
    with pytest.raises(ChildFailed, match=r"`upgrade` took longer than 0.2 s"):
        await up(OPTIONS)


@pytest.mark.parametrize("detach", [True, False])
async def test_a_process_that_fails_is_shown_with_its_log(paths: StackPaths, detach: bool) -> None:
    (paths.home / "worker.broken").touch()
    with pytest.raises(StackError) as caught:
        await up(replace(OPTIONS, detach=detach))
    assert "worker: ended with exit code 1" in str(caught.value)
    assert "told to break" in str(caught.value)
    found = status()
    assert found.phase is Phase.STOPPED
    assert found.failure == str(caught.value)
    assert not any(is_alive(pid) for pid in pids_of(paths))


@pytest.mark.parametrize("detach", [True, False])
async def test_a_migration_that_fails_starts_nothing(paths: StackPaths, detach: bool) -> None:
    (paths.home / "migrate-upgrade.exit").write_text("7", encoding="utf-8")
    with pytest.raises(StackError) as caught:
        await up(replace(OPTIONS, detach=detach))
    assert "migrate: database migration ended with exit code 7" in str(caught.value)
    assert "migrating upgrade" in str(caught.value)
    assert events_of(paths) == ["migrate upgrade"]


async def test_weaker_durability_is_for_paper_only(paths: StackPaths) -> None:
    weak = replace(OPTIONS, durability=Durability.PROCESS)
    answer = paths.home / "migrate-paper-only.exit"
    answer.write_text("3", encoding="utf-8")
    with pytest.raises(StackConfigurationError, match="expected only paper accounts"):
        await up(replace(weak, detach=True))
    answer.write_text("1", encoding="utf-8")
    with pytest.raises(ChildFailed, match="check for paper accounts ended with 1"):
        await up(weak)
    answer.write_text("0", encoding="utf-8")
    found = await up(replace(weak, detach=True))
    assert found.durability is Durability.PROCESS
    assert "synchronous=normal" in psutil.Process(pid_of(found, "temporal")).cmdline()
    await down()


async def test_a_taken_port_is_named_with_its_owner(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("VALKEY_PORT", str(port))
        with pytest.raises(PortTaken) as caught:
            await up(OPTIONS)
        own = psutil.Process().name()
        assert str(caught.value) == (
            f"VALKEY_PORT: expected port {port} to be free, found it taken by {own} (pid "
            f"{os.getpid()}); stop that process, set VALKEY_PORT to another port, or use "
            "--ports auto"
        )
        with pytest.raises(StackConfigurationError, match="VALKEY_PORT: expected port"):
            await up(replace(OPTIONS, detach=True))
    assert events_of(paths) == []


async def test_servers_of_the_user_replace_the_embedded_ones(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as temporal,
        closing(socket.create_server(("127.0.0.1", 0))) as redis,
    ):
        address = f"127.0.0.1:{temporal.getsockname()[1]}"
        url = f"redis://:canary@127.0.0.1:{redis.getsockname()[1]}/3"
        (paths.home / "redis-url").write_text(url, encoding="utf-8")
        monkeypatch.setenv("TEMPORAL_ADDRESS", address)
        monkeypatch.setenv("REDIS_URL_FILE", str(paths.home / "redis-url"))
        monkeypatch.setenv("TEMPORAL_UI_URL", "https://ui.example")
        monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://db/x")
        found = await up(replace(OPTIONS, detach=True))
    assert state_of(found, "temporal") is ProcessState.EXTERNAL
    assert state_of(found, "valkey") is ProcessState.EXTERNAL
    assert found.temporal_ui_url == "https://ui.example"
    assert "temporal" not in found.ports
    assert "valkey" not in found.ports
    environment = json.loads((paths.home / "api.environment").read_text(encoding="utf-8"))
    assert environment["TEMPORAL_ADDRESS"] == address
    assert environment["REDIS_URL"] == url
    assert environment["DATABASE_URL"] == "postgresql+psycopg://db/x"
    assert "canary" not in json.dumps(found.to_json())
    await down()


async def test_a_server_of_the_user_that_is_down_is_said_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("REDIS_URL", f"redis://:canary@127.0.0.1:{port}/3")
    with pytest.raises(StackConfigurationError, match="REDIS_URL: expected a server") as caught:
        await up(OPTIONS)
    assert "canary" not in str(caught.value)


async def test_down_kills_a_supervisor_that_does_not_stop(paths: StackPaths) -> None:
    program = (
        "import signal, sys, time; from pathlib import Path; from stack.lock import supervisor_lock"
        "\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "with supervisor_lock(Path(sys.argv[1])):\n    print('up', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(paths.lock_file)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(stack.__file__).parents[1],
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert status().phase is Phase.STARTING
        assert status().supervisor_pid == process.pid
        said: list[str] = []
        ended = await down(progress=said.append, timeout_s=0.3)
        assert ended.killed
        assert said[-1] == "not stopped within 0.3 s; killing supervisor and processes"
    assert process.returncode == -signal.SIGKILL


async def test_a_supervisor_that_dies_early_is_explained(paths: StackPaths) -> None:
    (Path(stack.__file__).parent / "foreground.py").write_text("raise ImportError('gone')\n")
    with pytest.raises(StackError, match=r"(?s)ended with exit code 1; its last lines:.*gone"):
        await up(replace(OPTIONS, detach=True))


async def test_an_interrupted_wait_leaves_no_supervisor(paths: StackPaths) -> None:
    (paths.home / "worker.broken").touch()
    waiting = asyncio.create_task(up(replace(OPTIONS, detach=True)))
    await eventually(lambda: bool(lock_holder(paths.lock_file)), "the supervisor is there")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await eventually(lambda: lock_holder(paths.lock_file) is None, "the supervisor is gone")


async def test_logs_follow_through_a_rotation(paths: StackPaths) -> None:
    path = paths.log_file("worker")
    path.write_text("".join(f"line {number}\n" for number in range(5)), encoding="utf-8")
    seen: list[str] = []

    async def read() -> None:
        async for line in logs("worker", lines=2, follow=True):
            assert line.name == "worker"
            seen.append(line.text)

    reading = asyncio.create_task(read())
    await eventually(lambda: seen == ["line 3", "line 4"], "the tail")
    with path.open("a", encoding="utf-8") as log:
        log.write("fresh\x1b[2J\npart")
    await eventually(lambda: seen[2:] == ["fresh�[2J"], "whole lines only")
    os.truncate(path, 0)
    with path.open("a", encoding="utf-8") as log:
        log.write("new\n")
    await eventually(lambda: seen[3:] == ["new"], "after the rotation")
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_a_log_that_does_not_exist_is_refused_by_name() -> None:
    assert [line async for line in logs("worker")] == []
    with pytest.raises(StackError, match="expected one of temporal, valkey"):
        [line async for line in logs("../secrets/key")]


def test_status_of_a_home_that_was_never_used(tmp_path: Path) -> None:
    found = status(tmp_path / "unused")
    assert found.phase is Phase.STOPPED
    assert [process.name for process in found.processes] == list(process_names())
    assert not (tmp_path / "unused").exists()


def test_a_lock_is_free_again_after_its_holder(paths: StackPaths) -> None:
    with supervisor_lock(paths.lock_file):
        assert lock_holder(paths.lock_file) == os.getpid()
        with pytest.raises(StackAlreadyRunning), supervisor_lock(paths.lock_file):
            pass
    assert lock_holder(paths.lock_file) is None
    assert is_free(0)


def test_the_supervisor_s_own_process_says_by_its_exit_code_what_was_wrong(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["stack", "--home", str(paths.home), "--ports", "auto", "--durability", "power"]
    monkeypatch.setattr(sys, "argv", arguments)
    umask = os.umask(0o077)
    try:
        (paths.home / "migrate-upgrade.exit").write_text("1", encoding="utf-8")
        assert stack_main.main() == 1
        monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
        (paths.home / "migrate-upgrade.exit").unlink()
        assert stack_main.main() == 2
    finally:
        os.umask(umask)
    assert "TEMPORAL_ADDRESS: expected a server" in (status().failure or "")
