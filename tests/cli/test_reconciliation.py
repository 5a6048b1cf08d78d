"""`perp-dex account reconcile` and `account findings`: what is shown, what scripts conclude."""

from __future__ import annotations

import json

from cli.exit_codes import ExitCode
from tests.api.serving import PAPER, Api
from tests.cli.conftest import Terminal


async def test_a_reconciliation_is_shown_with_what_differed(api: Api, desk: Terminal) -> None:
    done = await desk("account", "reconcile", "paper", "--wait")

    assert done.code == ExitCode.DONE, done.err
    assert "PASSED" in done.out
    assert "external_order" in done.out
    assert "venue order 77" in done.out
    again = await desk("account", "reconcile", PAPER, "--full", "--json")
    document = json.loads(again.out)
    assert (document["status"], document["is_full"]) == ("PASSED", True)
    assert [finding["kind"] for finding in document["findings"]] == ["external_order"]


async def test_the_exit_code_says_how_it_ended(api: Api, desk: Terminal) -> None:
    api.reconciliations.script = "incomplete"
    assert (await desk("account", "reconcile", "paper")).code == ExitCode.PARTLY_DONE
    api.reconciliations.script = "hang"
    left = await desk("account", "reconcile", "paper", "--json")
    assert left.code == ExitCode.STILL_LIVE
    assert json.loads(left.out)["status"] == "RUNNING"
    assert "still under way" in left.err
    api.reconciliations.script = "not_active"
    refused = await desk("account", "reconcile", "paper")
    assert "not active" in refused.err
    assert refused.code == ExitCode.REFUSED
    assert (await desk("account", "reconcile", "nobody")).code == ExitCode.NOT_FOUND


async def test_findings_are_listed_and_whether_the_account_is_due(api: Api, desk: Terminal) -> None:
    assert "not reconciled yet" in (await desk("account", "findings", "paper")).err
    await desk("account", "reconcile", "paper")
    await api.storage.reconciliations.make_due()

    shown = await desk("account", "findings", "paper")

    assert shown.code == ExitCode.DONE
    assert "no new exposure before" in shown.err
    assert "external_order" in shown.out
    document = json.loads((await desk("account", "findings", "paper", "--json")).out)
    assert document["due_since"] is not None
    assert len(document["reconciliations"]) == 1
