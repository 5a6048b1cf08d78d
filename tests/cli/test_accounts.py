"""`perp-dex account`: info, balance, switch, rename, remove and groups, against a serving API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from domain.accounts import AccountState, SignerFacts
from domain.errors import VenueUnavailable
from domain.positions import SeenSummary
from domain.risk_limits import RiskLimits
from tests.api.said_sessions import a_session
from tests.api.serving import PAPER, Api, account, keep, order
from tests.api.test_positions import SECOND, say, summary
from tests.cli.conftest import Terminal


@pytest.fixture
async def two(api: Api) -> Api:
    """An API with the accounts `paper` and `second`."""
    made = account(account_id=SECOND, label="second", address="0x" + "cd" * 20, is_default=False)
    await api.storage.accounts.add(made, trading=b"sealed", feed=None)
    await api.storage.accounts.set_state(
        SECOND, AccountState.ACTIVE, reason=None, signer="0xagent2"
    )
    return api


def hears(api: Api, quantity: str) -> None:
    """Have the venue answer that so much is held."""
    api.reader.seen = SeenSummary(
        summary=summary(PAPER, quantity), seen_at=datetime.now(UTC), source="asked"
    )


def fields(out: str) -> dict[str, str]:
    return {line[:22].split("  ")[0].strip(): line for line in out.splitlines()}


async def test_everything_of_an_account_is_shown(two: Api, desk: Terminal) -> None:
    until = datetime(2026, 12, 1, tzinfo=UTC)
    facts = SignerFacts(signer="0xagent", master_address="0xmm", power="agent", expires_at=until)
    await two.storage.accounts.note_facts(PAPER, facts)
    await two.storage.risk.put(PAPER, RiskLimits(max_open_orders=3), by="local")
    await desk("account", "group", "add", "majors", "paper")
    await keep(two.storage, order())
    shown = await desk("account", "info", "paper")
    assert shown.code == ExitCode.DONE
    found = fields(shown.out)
    assert "0xmm" in found["sub-account of"]
    assert "agent" in found["power"]
    assert "2026-12-01" in found["expires"]
    assert "max-open-orders 3" in found["limits"]
    assert "majors" in found["groups"]
    assert "1 orders" in found["open"]
    document = json.loads((await desk("account", "info", PAPER, "--json")).out)
    assert document["groups"] == ["majors"]
    assert document["open"]["orders"] == [order().order_id]
    plain = await desk("account", "info", "second")
    assert "nothing" in fields(plain.out)["open"]
    assert (await desk("account", "info", "nobody")).code == ExitCode.NOT_FOUND


async def test_the_state_of_a_session_is_shown_with_its_age(two: Api, desk: Terminal) -> None:
    nothing = fields((await desk("account", "info", "paper")).out)
    assert "unknown, nobody said it" in nothing["feed"]
    assert "none taken (TIME_MS)" in nothing["nonces"]
    two.sessions.said = a_session(PAPER)
    found = fields((await desk("account", "info", "paper")).out)
    assert "proved: 0xagent of 0xmm, expires" in found["key proved"]
    assert ", soon (0 s ago)" in found["key proved"]
    assert "live since" in found["feed"] and "orders 2 s ago" in found["channels"]
    assert "+12 ms, ± 3 ms (0 s ago)" in found["clock"]
    assert "open, an order may try in 5 s, 8 commands without" in found["circuit"]
    assert "900 of 1200 weight per minute" in found["rate budget"]
    assert "held by streaming" in found["token read"]
    two.sessions.said = a_session(PAPER, ago=timedelta(minutes=30))
    old = fields((await desk("account", "info", "paper")).out)
    for name in ("feed", "clock", "circuit", "rate budget"):
        assert "unknown, last said 30 min ago" in old[name], name
    document = json.loads((await desk("account", "info", "paper", "--json")).out)
    assert document["session"]["feed"]["state"] == "unknown"
    assert document["session"]["rights"]["signer"] == "0xagent"


async def test_the_money_is_the_venues_word_now_or_its_last(two: Api, desk: Terminal) -> None:
    assert (await desk("account", "balance", "second")).code == ExitCode.UNREACHABLE
    hears(two, "0")
    now = await desk("account", "balance", "paper")
    assert now.code == ExitCode.DONE
    assert "1000" in fields(now.out)["equity"]
    two.reader.error = VenueUnavailable("away")
    last = await desk("account", "balance", "paper", "--last", "--json")
    assert json.loads(last.out)["equity"] == "1000"
    await say(two, SECOND, "0")
    silent = await desk("account", "balance", "second")
    assert silent.code == ExitCode.DONE
    assert "its last word" in silent.err


async def test_the_default_and_labels_are_changed(two: Api, desk: Terminal) -> None:
    switched = await desk("account", "switch", "second")
    assert switched.code == ExitCode.DONE
    assert "second (hyperliquid, paper) is the default" in switched.err
    renamed = await desk("account", "rename", "second", "desk-1", "--json")
    assert json.loads(renamed.out)["label"] == "desk-1"
    assert "desk-1 is b now" in (await desk("account", "rename", "desk-1", "b")).err
    listed = await desk("account", "list", "--json")
    accounts = json.loads(listed.out)["accounts"]
    assert [(a["label"], a["is_default"]) for a in accounts] == [("paper", False), ("b", True)]
    back = await desk("account", "switch", "paper", "--json")
    assert json.loads(back.out)["is_default"] is True
    taken = await desk("account", "rename", "b", "paper")
    assert (taken.code, "labelled 'paper' already" in taken.err) == (ExitCode.REFUSED, True)
    assert (await desk("account", "rename", "b", "Upper")).code == ExitCode.USAGE
    assert (await desk("account", "switch", "nobody")).code == ExitCode.NOT_FOUND


async def test_what_is_open_keeps_an_account_unless_forced(two: Api, desk: Terminal) -> None:
    hears(two, "0.25")
    await keep(two.storage, order())
    refused = await desk("account", "remove", "paper", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert order().order_id in refused.out
    assert f"{PAPER}:BTC-PERP" in refused.out
    assert "1 open order, 1 open position" in refused.err
    as_json = await desk("account", "remove", "paper", "--json")
    assert as_json.out == ""
    assert json.loads(as_json.err)["open"]["orders"] == [order().order_id]
    forced = await desk("account", "remove", "paper", "--force")
    assert forced.code == ExitCode.DONE
    assert "looked after by nobody here" in forced.err
    assert order().order_id in forced.out
    gone = await two.storage.accounts.get(PAPER)
    assert gone is not None
    assert gone.state is AccountState.REMOVED


async def test_an_account_with_nothing_open_is_removed(two: Api, desk: Terminal) -> None:
    silent = await desk("account", "remove", "second")
    assert silent.code == ExitCode.UNREACHABLE
    two.reader.seen = SeenSummary(
        summary=summary(SECOND, "0"), seen_at=datetime.now(UTC), source="asked"
    )
    removed = await desk("account", "remove", "second")
    assert removed.code == ExitCode.DONE
    assert "second is out of use" in removed.err
    again = await desk("account", "remove", "second", "--json")
    assert json.loads(again.out)["account"]["state"] == "REMOVED"
    assert (await desk("account", "rename", "second", "x")).code == ExitCode.REFUSED


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n"])
async def test_at_a_terminal_it_is_asked_first(
    two: Api, desk: Terminal, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    import io

    class Keyboard(io.StringIO):
        def isatty(self) -> bool:
            return True

    hears(two, "0")
    await keep(two.storage, order())
    monkeypatch.setattr("sys.stdin", Keyboard(answer))
    done = await desk("account", "remove", "paper", "--force")
    assert "paper at hyperliquid (paper" in done.err
    assert "1 orders" in done.err
    kept = await two.storage.accounts.get(PAPER)
    assert kept is not None
    if answer == "y\n":
        assert (done.code, kept.state) == (ExitCode.DONE, AccountState.REMOVED)
    else:
        assert (done.code, kept.state) == (ExitCode.REFUSED, AccountState.ACTIVE)
        assert "nothing was done" in done.err


async def test_groups_are_made_changed_and_looked_at(two: Api, desk: Terminal) -> None:
    made = await desk("account", "group", "set", "majors", "paper", "second")
    assert made.code == ExitCode.DONE
    assert [line.split()[:2] for line in made.out.splitlines()[1:]] == [
        ["majors", "paper"],
        ["majors", "second"],
    ]
    dropped = await desk("account", "group", "remove", "majors", "paper", "--json")
    assert names(dropped.out) == ["second"]
    added = await desk("account", "group", "add", "alts", "second", "paper", "--json")
    assert names(added.out) == ["paper", "second"]
    listed = json.loads((await desk("account", "group", "list", "--json")).out)
    assert [each["name"] for each in listed["groups"]] == ["alts", "majors"]
    assert "majors" in (await desk("account", "group", "list")).out
    assert "second" in (await desk("account", "group", "show", "majors")).out
    await say(two, PAPER, "1")
    await say(two, SECOND, "-0.5")
    for command in (
        ("position", "list"),
        ("position", "risk"),
        ("position", "pnl", "--unrealized"),
    ):
        shown = json.loads((await desk(*command, "--group", "majors", "--json")).out)
        assert [each["account"] for each in shown["positions"]] == ["second"], command
    profit = await desk("position", "pnl", "--group", "majors", "--json")
    assert json.loads(profit.out)["rows"] == []
    accounts = json.loads((await desk("account", "list", "--group", "majors", "--json")).out)
    assert [each["label"] for each in accounts["accounts"]] == ["second"]
    emptied = await desk("account", "group", "remove", "alts", "paper", "second")
    assert "no group any more" in emptied.err
    gone = await desk("account", "group", "delete", "majors")
    assert gone.code == ExitCode.DONE
    assert (await desk("account", "group", "show", "majors")).code == ExitCode.NOT_FOUND
    assert (await desk("position", "list", "--group", "majors")).code == ExitCode.NOT_FOUND
    assert (await desk("account", "group", "set", "Majors", "paper")).code == ExitCode.USAGE
    assert (await desk("account", "group", "set", "majors", "nobody")).code == ExitCode.USAGE
    assert (await desk("account", "group", "set", "majors")).code == ExitCode.USAGE


def names(out: str) -> list[str]:
    group: dict[str, Any] = json.loads(out)
    return [each["account"] for each in group["accounts"]]
