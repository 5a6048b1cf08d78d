"""Stopping on request, dying with the parent, and keeping memory off the disk."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from process.death import die_with_parent, protect_memory
from process.signals import STOP_SIGNALS, stop_event, until_stopped


def eventually(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("number", STOP_SIGNALS)
async def test_the_first_signal_asks_for_a_drain(number: signal.Signals) -> None:
    event = stop_event()
    assert not event.is_set()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(10):
        await event.wait()
    loop = asyncio.get_running_loop()
    assert not any(loop.remove_signal_handler(one) for one in STOP_SIGNALS)


async def test_until_stopped_returns() -> None:
    waiting = asyncio.create_task(until_stopped())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await waiting


def test_a_second_signal_ends_a_process_that_does_not_drain() -> None:
    program = (
        "import asyncio\nfrom process.signals import until_stopped\n"
        "async def main():\n"
        "    waiting = asyncio.create_task(until_stopped())\n"
        "    await asyncio.sleep(0)\n    print('up', flush=True)\n    await waiting\n"
        "    print('draining', flush=True)\n    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        child.terminate()
        assert child.stdout.readline() == "draining\n"
        child.terminate()
        assert child.wait(timeout=20) == -signal.SIGTERM


CHILD = (
    "from process.death import die_with_parent; import os, sys, time; {} print(os.getpid(),"
    "flush=True); time.sleep(600)"
)


def grandchild_of(call: str) -> tuple[subprocess.Popen[str], int]:
    parent = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {CHILD.format(call)!r}])\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_child_dies_with_its_killed_parent() -> None:
    parent, child = grandchild_of("assert die_with_parent(os.getppid());")
    with parent:
        parent.kill()
        eventually(
            lambda: (
                not psutil.pid_exists(child)
                or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
            )
        )


def test_a_child_whose_parent_is_already_gone_dies_at_once() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from process.death import die_with_parent; die_with_parent(1)"],
        timeout=30,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL


def test_memory_is_protected() -> None:
    program = (
        "from process.death import protect_memory; import resource, ctypes\n"
        "assert protect_memory()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], timeout=30, check=True)


def test_elsewhere_than_on_linux_the_kernel_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(resource, "setrlimit", lambda what, to: limits.append((what, to)))
    assert not die_with_parent()
    assert not protect_memory()
    assert limits == [(resource.RLIMIT_CORE, (0, 0))]


def test_a_refusal_of_the_kernel_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("process.death._PR_SET_PDEATHSIG", 999_999)
    with pytest.raises(OSError, match=r"prctl\(999999"):
        die_with_parent()
