"""`perp-dex monitor` over the real sockets: as lines, as JSON, drawn, and through restarts."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pexpect
import pytest

from cli.exit_codes import ExitCode
from storage.opening import Storage
from tests.api.serving import PAPER, Api, order, serving
from tests.bus.waiting import eventually
from tests.cli.conftest import Terminal, command, environment
from tests.cli.sockets import Sockets

ORDER_ID = "33333333-3333-5333-8333-333333333333"


@pytest.fixture
async def sockets(storage: Storage) -> AsyncIterator[Sockets]:
    """The sockets, started."""
    made = Sockets(storage)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def api(storage: Storage, sockets: Sockets) -> AsyncIterator[Api]:
    """The API, which tells where they are."""
    async with serving(storage, streaming=sockets.url) as running:
        yield running


class Following:
    """One command line as a process, its lines as they come."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.heard: list[dict[str, Any]] = []

    async def until(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next message that fits."""
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            while line := await self.process.stdout.readline():
                message: dict[str, Any] = json.loads(line)
                self.heard.append(message)
                if fits(message):
                    return message
        raise AssertionError(f"it ended: {self.heard}")

    async def interrupt(self) -> int | None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self.process.wait(), 20)


@asynccontextmanager
async def following(*arguments: str) -> AsyncIterator[Following]:
    process = await asyncio.create_subprocess_exec(
        *command(), *arguments, "--json", env=environment(), stdout=subprocess.PIPE
    )
    try:
        yield Following(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def is_type(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda message: message["type"] == kind


async def test_orders_as_json_lines_of_one_shape(desk: Terminal, api: Api) -> None:
    await api.desk.place(order(), wait_s=1)
    result = await desk("monitor", "orders", "--account", "paper", "--count", "2", "--json")
    assert result.code == ExitCode.DONE, result.err
    connection, snapshot, status = map(json.loads, result.out.splitlines())
    assert (connection["type"], connection["connected"]) == ("connection", True)
    assert snapshot.keys() == {
        *("type", "channel", "account", "account_id", "seq", "more", "orders", "received_at")
    }
    assert (snapshot["account"], snapshot["channel"]) == ("paper", "orders")
    [shown] = snapshot["orders"]
    assert (shown["order_id"], shown["account"], shown["price"]) == (ORDER_ID, "paper", "45000")
    assert status.keys() == {
        *("type", "channel", "account", "account_id", "stale", "age_s", "reason", "received_at")
    }
    assert (status["type"], status["stale"], status["age_s"]) == ("status", True, None)


async def test_what_happened_during_a_restart_is_told_once(
    desk: Terminal, api: Api, sockets: Sockets
) -> None:
    kept = order()
    await api.desk.place(kept, wait_s=1)
    async with following("monitor", "orders") as seen:
        snapshot = await seen.until(is_type("snapshot"))
        await sockets.stop()
        lost = await seen.until(is_type("connection"))
        assert (lost["connected"], lost["reason"]) == (False, "the server stops; connect again")
        await api.desk.fill(kept.order_id, quantity=kept.quantity / 2)
        await api.desk.fill(kept.order_id)
        await sockets.start()
        back = await seen.until(is_type("connection"))
        assert back["connected"] is True
        filled = await seen.until(
            lambda message: message["type"] == "update" and message["order"]["status"] == "FILLED"
        )
        assert await seen.interrupt() == ExitCode.INTERRUPTED
    updates = [message for message in seen.heard if message["type"] == "update"]
    assert [message["seq"] for message in updates] == [snapshot["seq"] + 1, filled["seq"]]
    assert sum(message["type"] == "snapshot" for message in seen.heard) == 1


async def test_positions_and_money_in_lines(desk: Terminal, api: Api, sockets: Sockets) -> None:
    sockets.feed(live=True, reason="subscribed")
    await sockets.hold("0.5")
    positions = await desk("monitor", "positions", "--count", "2")
    assert positions.code == ExitCode.DONE, positions.err
    held, live = positions.out.splitlines()
    assert "paper:BTC-PERP LONG 0.5 entry 45000 mark 46000 unrealized +500" in held
    assert live == "paper: live"
    money = await desk("monitor", "account", "--account", PAPER, "--count", "2")
    assert "paper equity 1000 available 500 initial margin 400" in money.out
    as_json = await desk("monitor", "account", "--count", "1", "--json")
    assert json.loads(as_json.out.splitlines()[1])["balance"]["equity"] == "1000"


async def test_a_feed_that_fails_is_said(desk: Terminal, api: Api, sockets: Sockets) -> None:
    sockets.feed(live=True, reason="subscribed")
    async with following("monitor", "positions") as seen:
        await seen.until(lambda message: message.get("stale") is False)
        sockets.feed(live=False)
        stale = await seen.until(lambda message: message.get("stale") is True)
        assert stale["reason"] == "the feed failed"
        assert stale["age_s"] >= 0


async def test_it_ends_by_itself_when_the_time_is_over(desk: Terminal, api: Api) -> None:
    result = await desk("monitor", "orders", "--for", "1")
    assert (result.code, result.out) == (
        ExitCode.DONE,
        "paper: no open orders\npaper: stale, never live: its feed is not followed\n",
    )


async def test_a_stream_that_is_never_reached_is_an_error(
    desk: Terminal, api: Api, sockets: Sockets
) -> None:
    await sockets.stop()
    result = await desk("monitor", "orders", "--for", "0.7")
    assert result.code == ExitCode.UNREACHABLE
    assert "not connected" in result.err
    assert "was not reached" in result.err
    assert result.out == ""


async def test_a_token_that_is_not_taken_and_accounts_that_are_not_there(
    desk: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = await desk("monitor", "orders", "--account", "nobody")
    assert unknown.code == ExitCode.NOT_FOUND
    monkeypatch.setattr("perp_dex_client.token_file.load_api_token", lambda path: "wrong" * 9)
    refused = await desk("monitor", "orders", "--for", "20")
    assert refused.code == ExitCode.NOT_AUTHORIZED


async def test_an_api_without_sockets_says_so(
    desk: Terminal, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(storage, streaming=None) as running:
        monkeypatch.setenv("PERP_DEX_API_URL", running.url)
        result = await desk("monitor", "orders")
    assert result.code == ExitCode.UNREACHABLE
    assert "where the sockets are" in result.err


async def test_nobody_reads_any_more(desk: Terminal, api: Api) -> None:
    line = " ".join([*command(), "monitor", "orders", "--json", "|", "head", "-1"])
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}", env=environment(), stdout=subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    assert json.loads(out)["type"] == "connection"
    assert process.returncode == ExitCode.CLOSED_OUTPUT


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


async def test_drawn_in_a_terminal_with_colours_age_and_the_last_events(
    desk: Terminal, api: Api, sockets: Sockets, tmp_path: Path
) -> None:
    await sockets.hold("0.5")
    sockets.feed(live=True, reason="subscribed")
    log = tmp_path / "screen"
    loop = asyncio.get_running_loop()

    def call(work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(20)

    def look() -> tuple[int | None, str]:
        with log.open("w", encoding="utf-8") as kept:
            child = pexpect.spawn(
                command()[0],
                [*command()[1:], "monitor", "positions"],
                env=environment(TERM="xterm-256color"),
                dimensions=(30, 160),
                timeout=20,
                encoding="utf-8",
                logfile=kept,
            )
            child.expect(r"\x1b\[32m *\+500")
            call(sockets.hold("0.75"))
            child.expect(r"\+750")
            call(sockets.stop())
            child.expect("disconnected, age 1 s")
            # What is not the present has no colour of its own.
            assert "\x1b[32m" not in str(child.before).rpartition("disconnected")[2]
            call(sockets.start())
            call(sockets.hold("0.25"))
            child.expect(r"\+250")
            child.sendintr()
            child.expect(pexpect.EOF)
            child.close()
        return child.exitstatus, log.read_text(encoding="utf-8")

    code, shown = await asyncio.to_thread(look)
    assert code == ExitCode.INTERRUPTED
    assert "Traceback" not in shown
    text = plain(shown)
    assert "account  symbol" in text
    assert "paper:BTC-PERP LONG 0.75 entry 45000" in text
    # The cursor is shown again.
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")


async def test_a_dumb_terminal_gets_lines(desk: Terminal, api: Api, sockets: Sockets) -> None:
    def look() -> str:
        shown = pexpect.run(
            " ".join([*command(), "monitor", "orders", "--count", "1"]),
            env=environment(TERM="dumb"),
            timeout=30,
        )
        assert isinstance(shown, bytes)
        return shown.decode()

    assert await asyncio.to_thread(look) == "paper: no open orders\r\n"


async def test_an_order_that_is_filled_shows_in_lines(
    desk: Terminal, api: Api, sockets: Sockets
) -> None:
    kept = order()
    await api.desk.place(kept, wait_s=1)
    watching = asyncio.create_task(desk("monitor", "orders", "--count", "4"))
    await eventually(lambda: any(one.subscriptions for one in sockets.server.hub.sessions))
    await api.desk.fill(kept.order_id, quantity=Decimal("0.05"))
    await api.desk.fill(kept.order_id)
    result = await watching
    assert result.code == ExitCode.DONE
    lines = result.out.splitlines()
    assert f"paper BUY 0.1 BTC-PERP @ 45000 ACCEPTED filled 0 {ORDER_ID}" in lines[0]
    assert "PARTIALLY_FILLED filled 0.05" in lines[2]
    assert "FILLED filled 0.1" in lines[3]
