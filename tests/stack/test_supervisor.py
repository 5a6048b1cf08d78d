"""The supervisor with tiny real processes: order, restarts, frozen processes, draining."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from functools import partial

import pytest

from stack.errors import ChildFailed, StackConfigurationError, StackError
from stack.paths import StackPaths
from stack.spec import ExternalServer, Pace, ProcessState
from stack.state import Phase
from tests.stack.building import (
    QUICK,
    Running,
    child,
    events_of,
    eventually,
    is_alive,
    pids_of,
    supervise,
)


def is_replaced(running: Running, pid: int | None) -> bool:
    return running.pid_of("a") not in (None, pid)


async def test_stages_start_in_order_and_drain_in_theirs(paths: StackPaths) -> None:
    (paths.home / "database.not-ready").touch()
    running = supervise(
        paths,
        child(paths, "api", start_stage=2, drain_stage=0),
        child(paths, "worker", "slow-to-stop", start_stage=1, drain_stage=1),
        child(paths, "database", start_stage=0, drain_stage=2),
        order=("database", "worker", "api"),
    )
    await eventually(lambda: running.state_of("database") is ProcessState.STARTING, "database")
    await eventually(lambda: "database started" in events_of(paths), "database runs")
    assert events_of(paths) == ["database started"]
    phase = running.supervisor.phase
    assert phase is Phase.STARTING
    (paths.home / "database.not-ready").unlink()
    await running.until_ready()
    assert events_of(paths) == ["database started", "worker started", "api started"]
    statuses = running.supervisor.statuses()
    assert [one.name for one in statuses] == ["database", "worker", "api"]
    assert [one.endpoint for one in statuses] == ["http://database", "http://worker", "http://api"]
    assert all(one.state is ProcessState.READY and one.pid for one in statuses)
    await running.end()
    assert events_of(paths)[3:] == ["api stopped", "worker stopped", "database stopped"]
    assert running.supervisor.phase is Phase.STOPPED
    assert [one.state for one in running.supervisor.statuses()] == [ProcessState.STOPPED] * 3
    assert not any(is_alive(pid) for pid in pids_of(paths))
    assert not list(paths.run.glob("*.new"))


async def test_a_killed_process_is_started_again_and_the_others_live_on(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a"), child(paths, "b"))
    await running.until_ready()
    first, neighbour = running.pid_of("a"), running.pid_of("b")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: running.state_of("a") is ProcessState.RESTARTING, "seen dead")
    await eventually(lambda: running.state_of("a") is ProcessState.READY, "a is back")
    assert running.pid_of("a") not in (None, first)
    assert running.pid_of("b") == neighbour
    status = running.supervisor.statuses()[0]
    assert status.restarts == 1
    assert status.last_end == "ended by SIGKILL"
    await running.end()


async def test_a_process_without_heartbeat_is_killed_and_started_again(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "worker", frozen_after_s=0.5))
    await running.until_ready()
    first = running.pid_of("worker")
    (paths.home / "worker.freeze").touch()
    await eventually(
        lambda: "no sign of life for 0.5 s; killed; starting it again" in running.said_of("worker"),
        "killed",
    )
    (paths.home / "worker.freeze").unlink()
    await eventually(lambda: running.state_of("worker") is ProcessState.READY, "back")
    assert first is not None
    assert not is_alive(first)
    await running.end()


async def test_a_stopped_process_is_frozen_too(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "worker", frozen_after_s=0.5))
    await running.until_ready()
    first = running.pid_of("worker")
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    await eventually(lambda: not is_alive(first), "killed")
    await eventually(lambda: running.state_of("worker") is ProcessState.READY, "back")
    await running.end()


async def test_a_process_that_never_beats_is_killed(paths: StackPaths) -> None:
    pace = replace(QUICK, starting_silence_max_s=0.3, crashes_max=2)
    running = supervise(paths, child(paths, "mute", "silent", frozen_after_s=0.1), pace=pace)
    with pytest.raises(ChildFailed, match=r"mute: no sign of life for 0.3 s; killed"):
        await running.until_ready()


async def test_a_process_that_still_starts_may_be_silent_for_longer(paths: StackPaths) -> None:
    (paths.home / "a.not-ready").touch()
    pace = replace(QUICK, starting_silence_max_s=1.5, crashes_max=1)
    running = supervise(paths, child(paths, "a", frozen_after_s=0.1), pace=pace)
    await eventually(paths.heartbeat_file("a").exists, "a beats")
    began = time.monotonic()
    (paths.home / "a.freeze").touch()
    with pytest.raises(ChildFailed, match=r"a: no sign of life for 1.5 s; killed"):
        await running.until_ready()
    assert time.monotonic() - began >= 1.0


async def test_a_first_crash_does_not_fail_the_start(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a", "broken-once"))
    await running.until_ready()
    assert running.supervisor.statuses()[0].restarts == 1
    await running.end()


async def test_a_process_that_keeps_crashing_fails_the_start_with_its_log(
    paths: StackPaths,
) -> None:
    paths.log_file("bad").write_text("of yesterday\n", encoding="utf-8")
    running = supervise(paths, child(paths, "good"), child(paths, "bad", "broken", start_stage=1))
    with pytest.raises(ChildFailed) as caught:
        await running.until_ready()
    assert caught.value.name == "bad"
    assert caught.value.log_lines == ("bad says hello", "its last words")
    assert "ended with exit code 1" in str(caught.value)
    assert "last lines of its log:\n  bad says hello" in str(caught.value)
    assert events_of(paths).count("bad started") == QUICK.crashes_max
    assert events_of(paths)[-1] == "good stopped"


async def test_wrong_settings_fail_at_once(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "bad", "misconfigured"))
    with pytest.raises(ChildFailed, match="exit code 2"):
        await running.until_ready()
    assert events_of(paths) == ["bad started"]


async def test_a_program_that_does_not_exist_is_named(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "ghost", command=("/nowhere/ghost",)))
    with pytest.raises(ChildFailed, match="cannot start '/nowhere/ghost': No such file"):
        await running.until_ready()


async def test_a_start_that_takes_too_long_names_who_is_late(paths: StackPaths) -> None:
    (paths.home / "late.not-ready").touch()
    pace = replace(QUICK, start_timeout_s=1.0)
    running = supervise(paths, child(paths, "good"), child(paths, "late"), pace=pace)
    with pytest.raises(ChildFailed, match=r"late: not ready within 1 s .* STACK_START_TIMEOUT_S"):
        await running.until_ready()


async def test_once_up_a_failing_process_is_retried_for_ever(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a", "broken-once"), child(paths, "b"))
    await running.until_ready()
    program = paths.home / "a.once"
    program.unlink()
    for _ in range(QUICK.crashes_max):
        pid = running.pid_of("a")
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        program.unlink(missing_ok=True)
        await eventually(partial(is_replaced, running, pid), "again")
    await eventually(
        lambda: any(said.startswith("failed: ") for said in running.said_of("a")), "called failed"
    )
    await eventually(lambda: running.state_of("a") is ProcessState.READY, "back in the end")
    assert running.state_of("b") is ProcessState.READY
    assert not running.task.done()
    await running.end()


async def test_backoff_grows_to_its_cap(paths: StackPaths) -> None:
    pace = replace(QUICK, backoff_first_s=0.1, backoff_max_s=0.4, crashes_max=5)
    running = supervise(paths, child(paths, "bad", "broken"), pace=pace)
    began = time.monotonic()
    with pytest.raises(ChildFailed):
        await running.until_ready()
    # At least half of 0.1 + 0.2 + 0.4 + 0.4 is waited, jitter at its lowest.
    assert time.monotonic() - began >= 0.55


async def test_a_long_good_run_forgives_earlier_ends(paths: StackPaths) -> None:
    pace = replace(QUICK, stable_after_s=0.0, crashes_max=2)
    running = supervise(paths, child(paths, "a"), pace=pace)
    await running.until_ready()
    for _ in range(3):
        pid = running.pid_of("a")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await eventually(partial(is_replaced, running, pid), "back")
        await eventually(lambda: running.state_of("a") is ProcessState.READY, "ready")
    assert not any(said.startswith("failed") for said in running.said_of("a"))
    await running.end()


async def test_a_process_that_will_not_stop_is_killed_after_its_grace(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a", "stubborn", grace_s=0.3))
    await running.until_ready()
    await running.end()
    assert "did not stop within 0.3 s and was killed" in running.said_of("a")
    assert not any(is_alive(pid) for pid in pids_of(paths))


async def test_in_a_hurry_nothing_is_waited_for(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a", "stubborn", grace_s=300.0))
    await running.until_ready()
    running.stop.set()
    await eventually(lambda: running.supervisor.phase is Phase.DRAINING, "draining")
    running.hurry.set()
    async with asyncio.timeout(20):
        await running.task


async def test_a_stop_during_the_start_leaves_nothing(paths: StackPaths) -> None:
    (paths.home / "a.not-ready").touch()
    running = supervise(paths, child(paths, "a"), child(paths, "b", start_stage=1))
    await eventually(lambda: "a started" in events_of(paths), "begun")
    await running.end()
    assert "b started" not in events_of(paths)
    assert not any(is_alive(pid) for pid in pids_of(paths))


async def test_a_stop_during_the_backoff_does_not_wait(paths: StackPaths) -> None:
    pace = replace(QUICK, backoff_first_s=600.0, backoff_max_s=600.0)
    running = supervise(paths, child(paths, "a"), pace=pace)
    await running.until_ready()
    pid = running.pid_of("a")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await eventually(lambda: running.state_of("a") is ProcessState.RESTARTING, "waiting")
    await running.end()


async def test_what_a_process_left_behind_ends_with_it(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a", "parent"))
    await running.until_ready()
    await eventually(lambda: "a grandchild" in events_of(paths), "grandchild runs")
    await running.end()
    await eventually(lambda: not any(is_alive(pid) for pid in pids_of(paths)), "all gone")


async def test_readiness_may_be_lost_and_found(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a"))
    await running.until_ready()
    (paths.home / "a.not-ready").touch()
    await eventually(lambda: running.state_of("a") is ProcessState.RESTARTING, "not ready")
    (paths.home / "a.not-ready").unlink()
    await eventually(lambda: running.state_of("a") is ProcessState.READY, "ready again")
    assert running.supervisor.statuses()[0].restarts == 0
    await running.end()


async def test_a_heartbeat_is_not_enough_where_a_probe_must_answer(paths: StackPaths) -> None:
    answers: list[bool] = []

    async def probe() -> bool:
        answers.append(False)
        if len(answers) == 1:
            raise ConnectionRefusedError
        return len(answers) > 3

    running = supervise(paths, child(paths, "api", probe=probe))
    await running.until_ready()
    assert len(answers) == 4
    await running.end()


async def test_a_server_without_heartbeat_lives_by_its_answers(paths: StackPaths) -> None:
    silent = paths.home / "silent"

    async def probe() -> bool:
        if silent.exists():
            raise TimeoutError
        return True

    running = supervise(
        paths, child(paths, "server", heartbeat_file=None, probe=probe, frozen_after_s=0.5)
    )
    await running.until_ready()
    first = running.pid_of("server")
    silent.touch()
    await eventually(lambda: running.pid_of("server") != first, "killed")
    silent.unlink()
    await eventually(lambda: running.state_of("server") is ProcessState.READY, "back")
    await running.end()


async def test_a_preparation_that_fails_is_tried_with_a_new_process(paths: StackPaths) -> None:
    tries: list[int] = []

    async def prepare() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StackError("the namespace is not there")

    running = supervise(paths, child(paths, "server", prepare=prepare))
    await running.until_ready()
    assert len(tries) == 3
    said = "answered, but could not be prepared: the namespace is not there; starting it again"
    assert said in running.said_of("server")
    await running.end()


async def test_an_external_server_must_answer(paths: StackPaths) -> None:
    async def dead() -> bool:
        raise ConnectionRefusedError

    async def alive() -> bool:
        return True

    server = ExternalServer(
        name="temporal", endpoint="far:7233", setting="TEMPORAL_ADDRESS", probe=dead
    )
    running = supervise(paths, child(paths, "a"), external=(server,))
    with pytest.raises(StackConfigurationError, match=r"TEMPORAL_ADDRESS: .*far:7233"):
        await running.until_ready()
    assert events_of(paths) == []
    running = supervise(paths, child(paths, "a"), external=(replace(server, probe=alive),))
    await running.until_ready()
    status = running.supervisor.statuses()[1]
    assert (status.state, status.pid, status.endpoint) == (ProcessState.EXTERNAL, None, "far:7233")
    await running.end()


async def test_logs_are_kept_small_while_a_process_runs(paths: StackPaths) -> None:
    running = supervise(paths, child(paths, "a"), pace=replace(QUICK, log_size_max_bytes=10))
    await running.until_ready()
    former = paths.logs / "a.log.1"
    await eventually(lambda: former.exists() and paths.log_file("a").stat().st_size == 0, "rotated")
    assert "its last words" in former.read_text(encoding="utf-8")
    await running.end()


async def test_a_defect_of_the_supervision_ends_the_stack_loudly(
    paths: StackPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = supervise(paths, child(paths, "a"), child(paths, "b"))
    await running.until_ready()

    def defect(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("stack.process.SupervisedProcess._take_in", defect)
    with pytest.raises(RuntimeError, match="a defect"):
        async with asyncio.timeout(30):
            await running.task
    assert not any(is_alive(pid) for pid in pids_of(paths))


def test_the_real_pace_is_the_documented_one() -> None:
    assert Pace().backoff_max_s == 10.0
    assert Pace().look_ready_s <= 0.5
