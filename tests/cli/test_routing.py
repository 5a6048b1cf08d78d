"""`trade buy --venue auto`, `--group`, `--split`, and looking at what was chosen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from cli.exit_codes import ExitCode
from domain.orders import OrderReport, Verdict
from domain.split_steps import FinishSplit, after_look, finished
from domain.splits import SplitSight, SplitStatus
from tests.api.serving import PAPER, Api
from tests.api.test_splits import api
from tests.cli.conftest import Terminal

__all__ = ["api"]

BUY = ("trade", "buy", "BTC-PERP", "0.05", "--price", "45100")


async def test_an_order_goes_where_it_costs_least(desk: Terminal, api: Api) -> None:
    result = await desk(*BUY, "--venue", "auto", "--key", "mine", "--json")
    assert result.code == 0, result.err
    order = json.loads(result.out)
    assert (order["venue"], order["account"]) == ("pacifica", "second")
    assert order["routing"]["candidates"][0]["average_price"] == "45005"
    again = await desk(*BUY, "--dex", "auto", "--key", "mine")
    assert "pacifica/second; 0.05 executes at 45005" in again.out
    shown = await desk("trade", "route", order["order_id"])
    assert "pacifica/second" in shown.out
    assert "hyperliquid/paper" in shown.out
    document = json.loads((await desk("trade", "route", order["order_id"], "--json")).out)
    assert document == order["routing"]
    plain = json.loads((await desk(*BUY, "--account", "paper", "--json")).out)
    assert plain["routed"] is None
    assert (await desk("trade", "route", plain["order_id"])).code == ExitCode.NOT_FOUND


async def test_a_group_or_a_network_bounds_the_choice(desk: Terminal, api: Api) -> None:
    await api.storage.account_groups.replace("local", "majors", [PAPER])
    order = json.loads((await desk(*BUY, "--group", "majors", "--json")).out)
    assert order["account"] == "paper"
    other = ("--account", "auto", "--network", "testnet")
    assert (await desk(*BUY, *other)).code == ExitCode.USAGE


async def test_a_dry_run_shows_all_figures(desk: Terminal, api: Api) -> None:
    await api.storage.halts.halt(PAPER, reason="drill", by="local")
    shown = await desk(*BUY, "--venue", "auto", "--dry-run")
    assert shown.code == 0, shown.err
    assert "second" in shown.out
    assert "halted" in shown.out
    document = json.loads((await desk(*BUY, "--venue", "auto", "-n", "--json")).out)
    assert document["routing"]["exclusions"][0]["why"] == "halted"
    await api.storage.halts.resume(PAPER, by="local", reason="over")
    split = json.loads((await desk(*BUY[:3], "0.2", *BUY[4:], "--split", "-n", "--json")).out)
    assert len(split["routing"]["parts"]) == 2


async def test_when_nobody_can_take_it_every_reason_is_said(desk: Terminal, api: Api) -> None:
    api.terms.silent = {"paper", "second"}
    refused = await desk(*BUY, "--venue", "auto", "--json")
    assert refused.code == ExitCode.REFUSED
    problem = json.loads(refused.err.splitlines()[-1])
    assert problem["code"] == "no_route"
    assert "second: pacifica did not tell" in problem["detail"]
    dry = await desk(*BUY, "--venue", "auto", "--dry-run")
    assert dry.code == ExitCode.USAGE
    assert not api.desk.starts


async def placed(desk: Terminal, *more: str) -> dict[str, Any]:
    result = await desk(*BUY[:3], "0.1", *BUY[4:], "--split", "--json", *more)
    assert result.code == 0, result.err
    document: dict[str, Any] = json.loads(result.out)
    return document


async def test_a_split_order_is_placed_shown_and_canceled(desk: Terminal, api: Api) -> None:
    found = await placed(desk, "--key", "mine")
    split_id = found["split_id"]
    assert [leg["quantity"] for leg in found["legs"]] == ["0.06", "0.04"]
    shown = await desk("trade", "split", split_id)
    assert "0 of 0.1" in shown.out
    assert "hyperliquid/paper" in shown.out
    live = json.loads((await desk("trade", "split", split_id, "--live", "--json")).out)
    assert live["source"] == "workflow"
    listed = await desk("trade", "splits")
    assert split_id in listed.out
    assert json.loads((await desk("trade", "splits", "--status", "all", "--json")).out)
    assert "pacifica/second" in (await desk("trade", "route", split_id)).out

    api.splits.end_script = "hang"
    assert (await desk("trade", "split-cancel", split_id)).code == ExitCode.STILL_LIVE
    waited = await desk("trade", "split-cancel", split_id, "--wait", "--timeout", "0")
    assert waited.code == ExitCode.STILL_LIVE
    api.splits.end_script = "done"
    assert (await desk("trade", "split-cancel", split_id)).code == 0
    assert (await desk("trade", "split-cancel", split_id)).code == ExitCode.REFUSED
    ended = await desk("trade", "split", split_id, "--wait-fill")
    assert ended.code == ExitCode.REFUSED


async def fill(api: Api, split_id: str, status: SplitStatus) -> None:
    """Have every child filled, and the parent ended so."""
    state = await api.storage.splits.get(split_id)
    assert state is not None
    for leg in state.legs:
        await api.desk.fill(leg.order_id)
    sight = SplitSight(at=datetime.now(UTC), orders=())
    step = FinishSplit(status=status, reason="filled")
    await api.storage.splits.keep(finished(after_look(state, sight), step, datetime.now(UTC)))


async def test_waiting_for_the_fills(desk: Terminal, api: Api) -> None:
    live = await desk(*BUY, "--split", "--wait-fill", "--timeout", "0")
    assert live.code == ExitCode.STILL_LIVE
    split_id = (await placed(desk))["split_id"]
    await fill(api, split_id, SplitStatus.FILLED)
    done = await desk("trade", "split", split_id, "--wait-fill")
    assert done.code == 0
    assert "at 45100" in done.out
    other = (await placed(desk))["split_id"]
    await fill(api, other, SplitStatus.PARTLY_FILLED)
    assert (await desk("trade", "split", other, "--wait-fill")).code == ExitCode.PARTLY_DONE


async def test_a_refused_share_and_a_refused_whole(desk: Terminal, api: Api) -> None:
    api.splits.refuse_at = {"hyperliquid"}
    found = await placed(desk)
    shown = await desk("trade", "split", found["split_id"])
    assert "sent nowhere else" in shown.out
    api.desk.script = "reject"
    api.splits.refuse_at = set()
    assert (await desk(*BUY, "--split")).code == ExitCode.REFUSED


async def test_what_is_not_decided_yet_says_how_to_follow(desk: Terminal, api: Api) -> None:
    api.desk.script = "unknown"
    result = await desk(*BUY[:3], "0.1", *BUY[4:], "--split")
    assert result.code == ExitCode.UNKNOWN
    assert "perp-dex trade split " in result.err


async def test_a_report_of_one_child_shows_in_the_parent(desk: Terminal, api: Api) -> None:
    found = await placed(desk)
    child = found["legs"][0]["order_id"]
    await api.desk.report(
        OrderReport(
            order_id=child,
            revision=0,
            verdict=Verdict.PARTIALLY_FILLED,
            filled_quantity=Decimal("0.01"),
            average_price=Decimal(45_005),
        )
    )
    shown = json.loads((await desk("trade", "split", found["split_id"], "--json")).out)
    assert (shown["filled_quantity"], shown["average_price"]) == ("0.01", "45005")
