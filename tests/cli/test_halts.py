"""`perp-dex halt`, `resume` and `halts`: what they do, ask, show and exit with."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from domain.errors import Unavailable
from domain.halts import EVERYTHING, AccountProgress, HaltStage, account_scope, venue_scope
from tests.api.serving import PAPER, Api
from tests.cli.conftest import Terminal


class Screen:
    """Standard input that is a terminal where somebody answers."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self, *_: Any) -> str:
        return f"{self._answer}\n"


PROGRESS = AccountProgress(
    account_id=PAPER,
    venue="hyperliquid",
    owner="local",
    stage=HaltStage.CANCELING,
    orders=1,
    still_open=("order BUY 1 BTC-PERP @ 1 \x1b[31m",),
    needs_attention=True,
)


async def test_everything_is_halted_and_resumed(api: Api, desk: Terminal) -> None:
    halted = await desk("halt", "--all", "--flatten", "--reason", "loss")
    assert halted.code == ExitCode.DONE
    assert "everything is halted" in halted.err
    [started] = api.halts.started
    assert (started.scope, started.flatten, started.reason) == (EVERYTHING, True, "loss")

    refused = await desk("resume", "--all", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "force the resume" in refused.err
    resumed = await desk("resume", "--all", "--force")
    assert resumed.code == ExitCode.DONE
    assert "what is open stays open" in resumed.err
    assert await api.storage.halts.halted() == ()
    assert (await desk("resume", "--all")).code == ExitCode.REFUSED


async def test_an_account_or_a_venue(api: Api, desk: Terminal) -> None:
    assert (await desk("halt", "--account", "paper")).code == ExitCode.DONE
    assert (await desk("halt", "--dex", "hyperliquid")).code == ExitCode.DONE
    assert (await desk("halt", "--account", "nobody")).code == ExitCode.NOT_FOUND
    scopes = [account_scope(PAPER), venue_scope("hyperliquid")]
    assert [state.scope for state in api.halts.started] == scopes
    resumed = await desk("resume", "--account", "paper", "--force", "--json")
    document = json.loads(resumed.out)
    assert document["stopped"]["stage"] == "STOPPED"
    assert [left["name"] for left in document["halts"]] == ["hyperliquid"]
    spoken = await desk("halt", "--account", "paper")
    assert spoken.code == ExitCode.DONE
    again = await desk("resume", "--venue", "hyperliquid", "--force")
    assert "still halted: account paper" in again.err


async def test_a_group_is_halted_account_by_account(api: Api, desk: Terminal) -> None:
    await api.storage.account_groups.replace("local", "mine", [PAPER])
    halted = await desk("halt", "--group", "mine", "--json")
    assert halted.code == ExitCode.DONE
    assert json.loads(halted.out)["name"] == "paper"
    assert "group mine is halted" in halted.err
    assert (await desk("resume", "--group", "mine", "--force")).code == ExitCode.DONE
    assert (await desk("halt", "--group", "none")).code == ExitCode.NOT_FOUND


@pytest.mark.parametrize(
    "arguments", [(), ("--all", "--account", "paper"), ("--venue", "x", "--account", "paper")]
)
async def test_what_names_no_scope_or_two_does_nothing(
    api: Api, desk: Terminal, arguments: tuple[str, ...]
) -> None:
    for command in ("halt", "resume"):
        assert (await desk(command, *arguments)).code == ExitCode.USAGE
    assert await api.storage.halts.halted() == ()


async def test_it_asks_on_a_terminal(
    api: Api, desk: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Screen("n"))
    assert (await desk("halt", "--all")).code == ExitCode.REFUSED
    assert await api.storage.halts.halted() == ()
    assert (await desk("halt", "--all", "--yes")).code == ExitCode.DONE
    assert (await desk("resume", "--all", "--force")).code == ExitCode.REFUSED
    monkeypatch.setattr("sys.stdin", Screen("y"))
    assert (await desk("resume", "--all", "--force")).code == ExitCode.DONE


async def test_waiting_shows_what_is_open_until_nothing_is(api: Api, desk: Terminal) -> None:
    async def proceed() -> None:
        while not (running := await api.storage.kill_switches.running()):
            await asyncio.sleep(0.01)
        [state] = running
        state = await api.storage.kill_switches.keep(state.with_progress(PROGRESS))
        await asyncio.sleep(1.2)
        done = state.with_progress(
            replace(PROGRESS, stage=HaltStage.HALTED, orders=0, needs_attention=False)
        )
        await api.storage.kill_switches.keep(replace(done, stage=HaltStage.HALTED))

    proceeding = asyncio.create_task(proceed())
    waited = await desk("halt", "--all", "--wait", "--timeout", "20", "--json")
    await proceeding

    assert waited.code == ExitCode.DONE
    assert "paper (hyperliquid): CANCELING, 1 orders and 0 positions open" in waited.err
    assert "still open: order BUY 1 BTC-PERP @ 1 \\x1b[31m" in waited.err
    assert json.loads(waited.out)["stage"] == "HALTED"


async def test_the_time_is_over_and_it_goes_on(api: Api, desk: Terminal) -> None:
    waited = await desk("halt", "--all", "--wait", "--timeout", "0.1")
    assert waited.code == ExitCode.STILL_LIVE
    assert "still at it" in waited.err


async def test_a_forced_resume_ends_the_wait(api: Api, desk: Terminal) -> None:
    async def force() -> None:
        while not await api.storage.kill_switches.running():
            await asyncio.sleep(0.01)
        await api.storage.kill_switches.resume(EVERYTHING, reason="x", by="local", forced=True)

    forcing = asyncio.create_task(force())
    waited = await desk("halt", "--all", "--wait", "--timeout", "20")
    await forcing
    assert waited.code == ExitCode.REFUSED
    assert "what is open stays open" in waited.err


async def test_without_temporal_it_says_what_waits(api: Api, desk: Terminal) -> None:
    api.halts.answering = False
    halted = await desk("halt", "--all")
    assert halted.code == ExitCode.DONE
    assert "as soon as Temporal answers again" in halted.err


async def test_without_the_database_it_names_the_way_out(
    api: Api, desk: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise Unavailable("the database does not answer")

    monkeypatch.setattr(api.storage.kill_switches, "begin", away)
    halted = await desk("halt", "--all")
    assert halted.code == ExitCode.UNREACHABLE
    assert "python -m worker emergency cancel-all" in halted.err


async def test_all_halts_are_listed(api: Api, desk: Terminal) -> None:
    refused = await desk("halt", "--all", "--reason", "loss \x1b[31m")
    assert refused.code == ExitCode.USAGE
    await desk("halt", "--all")
    [state] = await api.storage.kill_switches.running()
    await api.storage.kill_switches.begin(replace(state, reason="loss \x1b[31m"))
    await api.storage.kill_switches.keep(state.with_progress(PROGRESS))

    shown = await desk("halts")
    document = json.loads((await desk("halts", "--json")).out)

    assert shown.code == ExitCode.DONE
    assert "everything" in shown.out
    assert "ATTENTION" in shown.out
    assert "\x1b[31m" not in shown.out
    assert document["halts"][0]["reason"] == "loss \x1b[31m"
    assert document["kill_switches"][0]["accounts"][0]["stage"] == "CANCELING"
