"""`perp-dex position close`: what is asked, printed and concluded."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from domain.closing import CloseStatus
from domain.identifiers import order_id_for
from domain.numbers import plain
from perp_dex_client.closing import ClosesApi
from perp_dex_client.errors import UnreadableAnswer
from tests.api.serving import Api
from tests.cli.conftest import Terminal

CLOSE = ("position", "close", "paper:BTC-PERP")
MISSING = "99999999-9999-4999-8999-999999999999"


async def test_close_prints_its_id_first_and_how_it_ended(desk: Terminal, api: Api) -> None:
    result = await desk(*CLOSE, "--percent", "50", "--key", "mine")

    assert result.code == ExitCode.DONE
    assert result.err.splitlines()[0] == f"close {order_id_for('local', 'mine')}"
    assert "DONE" in result.out
    assert "0.25 of 0.25" in result.out
    (plan,) = api.closes.begun
    assert plan.percent == 50
    assert plan.max_slippage_bps == 500


async def test_json_is_one_object(desk: Terminal) -> None:
    result = await desk(*CLOSE, "--market", "--max-slippage", "50", "--json")

    assert result.code == 0, result.err
    view = json.loads(result.out)
    assert view["filled_quantity"] == view["target_quantity"] == "0.5"
    assert view["max_slippage_bps"] == 50
    assert view["is_terminal"] is True


async def test_the_timetable_is_passed_on(desk: Terminal, api: Api) -> None:
    api.closes.script = "rest"

    result = await desk(
        *CLOSE,
        "--limit",
        "46000",
        "--reprice-every",
        "5",
        "--reprices",
        "3",
        "--then",
        "stay",
        "--json",
    )

    assert result.code == ExitCode.DONE
    assert "under way" in result.err
    (plan,) = api.closes.begun
    assert plan.limit_price is not None
    assert plain(plan.limit_price) == "46000"
    assert plan.escalation is not None
    assert (plan.escalation.reprice_every_s, plan.escalation.reprices) == (5, 3)
    assert plan.escalation.then == "stay"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (CloseStatus.DONE, ExitCode.DONE),
        (CloseStatus.FLAT, ExitCode.DONE),
        (CloseStatus.POSITION_CHANGED, ExitCode.REFUSED),
        (CloseStatus.STOPPED, ExitCode.REFUSED),
    ],
)
async def test_wait_tells_the_progress_and_concludes(
    desk: Terminal, api: Api, status: CloseStatus, code: ExitCode
) -> None:
    api.closes.script = "rest"
    waiting = asyncio.create_task(desk(*CLOSE, "--limit", "46000", "--wait", "--json"))
    async with asyncio.timeout(10):
        while not api.closes.running:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.7)

    await api.closes.end_elsewhere(status)

    result = await waiting
    assert result.code == code, result.err
    assert json.loads(result.out)["status"] == status
    assert "RUNNING 0 of 0.5 closed, limit" in result.err
    assert f"{status} 0 of 0.5 closed" in result.err


async def test_wait_ends_with_the_time(desk: Terminal, api: Api) -> None:
    api.closes.script = "rest"

    result = await desk(*CLOSE, "--limit", "46000", "--wait", "--timeout", "0.2")

    assert result.code == ExitCode.STILL_LIVE


async def test_show_list_stop(desk: Terminal, api: Api) -> None:
    api.closes.script = "rest"
    begun = json.loads((await desk(*CLOSE, "--limit", "46000", "--json")).out)
    close_id = begun["close_id"]

    shown = await desk("position", "close-show", close_id)
    assert shown.code == 0
    assert "paper:BTC-PERP" in shown.out
    still = await desk("position", "close-show", close_id, "--wait", "--timeout", "0.1")
    assert still.code == ExitCode.STILL_LIVE
    listed = await desk("position", "closes", "--status", "open", "--json")
    assert [each["close_id"] for each in json.loads(listed.out)] == [close_id]
    table = await desk("position", "closes", "--account", "paper", "--symbol", "BTC-PERP")
    assert close_id in table.out
    stopped = await desk("position", "close-stop", close_id)
    assert stopped.code == 0
    assert "CANCELED" in stopped.out
    again = await desk("position", "close-stop", close_id)
    assert again.code == ExitCode.REFUSED


async def test_a_stop_on_its_way(desk: Terminal, api: Api) -> None:
    api.closes.script = "rest"
    begun = json.loads((await desk(*CLOSE, "--limit", "46000", "--json")).out)
    api.closes.stop_script = "hang"

    result = await desk("position", "close-stop", begun["close_id"])

    assert result.code == ExitCode.STILL_LIVE


async def test_a_position_that_is_gone(desk: Terminal, api: Api) -> None:
    api.closes.script = "gone"

    result = await desk(*CLOSE)

    assert result.code == ExitCode.REFUSED
    assert "no position" in result.err


async def test_nobody_has_taken_it_up(desk: Terminal, api: Api) -> None:
    api.closes.script = "queued"

    result = await desk(*CLOSE)

    assert result.code == ExitCode.UNKNOWN
    assert "no worker" in result.err


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "percent 0": (("--percent", "0"), "--percent"),
    "percent 101": (("--percent", "101"), "--percent"),
    "percent NaN": (("--percent", "NaN"), "--percent"),
    "limit and market": (("--limit", "1", "--market"), "found both"),
    "market with prices": (("--market", "--reprice-every", "5"), "--reprice-every"),
    "prices without time": (("--reprices", "5"), "--reprice-every"),
    "end without time": (("--then", "stop"), "--reprice-every"),
    "a bound of nothing": (("--limit", "1", "--max-slippage", "5bps"), "--max-slippage"),
    "a bound without unit": (("--max-slippage", "1x"), "--max-slippage"),
    "no such end": (("--reprice-every", "5", "--then", "pray"), "--then"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_input_sends_nothing(desk: Terminal, api: Api, case: str) -> None:
    options, says = BAD[case]

    result = await desk(*CLOSE, *options)

    assert result.code == ExitCode.USAGE
    assert says in result.err
    assert not api.closes.begun


async def test_no_such_close(desk: Terminal) -> None:
    assert (await desk("position", "close-show", MISSING)).code == ExitCode.NOT_FOUND


class Keyboard(io.StringIO):
    """A terminal at which somebody answers."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("answer", "code", "begun"), [("y\n", ExitCode.DONE, 1), ("n\n", ExitCode.REFUSED, 0)]
)
async def test_a_terminal_is_asked(
    desk: Terminal,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    code: ExitCode,
    begun: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(answer))

    result = await desk(*CLOSE, "--reprice-every", "5")

    assert result.code == code
    assert "repriced 1 × every 5 s, then market?" in result.err
    assert len(api.closes.begun) == begun


async def test_yes_asks_nothing(desk: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Keyboard(""))

    assert (await desk(*CLOSE, "--yes")).code == ExitCode.DONE


async def test_interrupted_says_what_goes_on(
    desk: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(work: Any) -> Any:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.position_close.asyncio.run", interrupted)

    result = await desk(*CLOSE, "--wait", "--key", "k")
    assert result.code == ExitCode.INTERRUPTED
    assert f"close {order_id_for('local', 'k')} goes on" in result.err
    shown = await desk("position", "close-show", MISSING, "--wait")
    assert shown.code == ExitCode.INTERRUPTED


async def test_a_lost_answer_is_looked_for(
    desk: Terminal, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to the command is cut off; the close is found by the id it had before."""
    begin = ClosesApi.begin

    async def cut(self: ClosesApi, *arguments: Any, **more: Any) -> Any:
        await begin(self, *arguments, **more)
        raise UnreadableAnswer("cut off")

    monkeypatch.setattr(ClosesApi, "begin", cut)

    result = await desk(*CLOSE, "--wait", "--json")
    assert result.code == ExitCode.DONE
    assert "looking for the close" in result.err
    assert json.loads(result.out)["status"] == "DONE"
    assert (await desk(*CLOSE)).code == ExitCode.UNKNOWN
