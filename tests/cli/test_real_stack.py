"""The command line against everything for real: up, trade, lose an answer, kill the API, down."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.exit_codes import ExitCode
from domain.identifiers import order_id_for
from tests.cli.conftest import ROOT, command
from venues import registry

pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Stack:
    """A running stack in a home of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "PERP_DEX_HOME": str(self.home), "PYTHONPATH": str(ROOT)}

    def run(self, *arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
        """Run one command line to its end."""
        return subprocess.run(
            [*command(), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run one command line with `--json` and read what it printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == code, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start one command line."""
        return subprocess.Popen(
            [*command(), *arguments],
            env=self.environment,
            cwd=self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def venue_orders(self, order_id: str) -> list[dict[str, Any]]:
        """Return what the exchange itself has of an order."""
        client_order_id = "0x" + order_id.replace("-", "")
        ledger = self.json("sim", "ledger", "hyperliquid")
        return [one for one in ledger["orders"] if one["client_order_id"] == client_order_id]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, with a funded paper account."""
    running = Stack(tmp_path_factory.mktemp("home"))
    up = running.run("up", "--detach", "--ports", "auto", "--durability", "process", timeout_s=250)
    try:
        assert up.returncode == 0, up.stderr
        account = running.json("account", "add", "--dex", "hyperliquid", "--paper")
        assert account["state"] == "ACTIVE"
        yield running
    finally:
        down = running.run("down")
        assert down.returncode == 0, down.stderr


def test_a_market_order_fills(stack: Stack) -> None:
    order = stack.json("trade", "buy", "BTC-PERP", "0.1", "--market", "--wait-fill")
    assert (order["status"], order["filled_quantity"]) == ("FILLED", "0.1")
    [seen] = stack.venue_orders(order["order_id"])
    assert seen["filled_quantity"] == "0.1"
    assert seen["venue_order_id"] == order["venue_order_id"]
    listed = stack.json("trade", "orders", "--status", "all")["orders"]
    assert order["order_id"] in [each["order_id"] for each in listed]


def test_a_markets_past_and_the_session_are_told(stack: Stack) -> None:
    stack.json("trade", "buy", "BTC-PERP", "0.1", "--market", "--wait-fill")
    trades = stack.json("market", "trades", "BTC-PERP", "--limit", "1")
    assert trades["trades"][0]["quantity"] == "0.1" and not trades["stale"]
    candles = stack.json("market", "candles", "BTC-PERP", "--interval", "1m")
    assert candles["candles"][-1]["volume"] != "0"
    funding = stack.json("market", "funding", "BTC-PERP", "--venue", "all")["venues"]
    assert {each["venue"] for each in funding} >= {"hyperliquid", "pacifica"}
    assert all(each["funding"]["present"]["rate"] for each in funding), funding
    (account,) = [
        each for each in stack.json("account", "list")["accounts"] if each["label"] == "paper"
    ]
    deadline = time.monotonic() + 30
    while True:
        session = stack.json("account", "info", account["account_id"])["session"]
        states = {name: session[name]["state"] for name in ("rights", "feed", "circuit")}
        if states == {"rights": "proved", "feed": "live", "circuit": "closed"}:
            break
        assert time.monotonic() < deadline, session
        time.sleep(0.3)
    assert session["rights"]["signer"] == account["signer"]
    assert session["nonces"]["lanes"][0]["last_nonce"] > 0
    assert session["rate_budget"]["left"] > 0


def test_an_order_rests_changes_and_is_canceled(stack: Stack) -> None:
    book = stack.json("market", "orderbook", "BTC-PERP", "--depth", "2")
    assert len(book["bids"]) == 2
    ticker = stack.json("market", "ticker", "BTC-PERP")
    assert ticker["best_bid"] < ticker["best_ask"]
    assert ticker["mark_price"]
    placed = stack.json("trade", "buy", "BTC-PERP", "0.01", "--price", "30000", "--post-only")
    order_id = placed["order_id"]
    assert stack.json("trade", "modify", order_id, "--price", "31000")["price"] == "31000"
    shown = stack.run("trade", "show", order_id, "--live")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert stack.json("trade", "cancel", order_id, "--wait")["status"] == "CANCELED"
    again = stack.run("trade", "cancel", order_id)
    assert again.returncode == ExitCode.REFUSED
    history = stack.json("trade", "show", order_id, "--history")
    assert history["workflow_id"] == f"order-{order_id}"
    assert len(history["events"]) > 3


def test_a_rejection_is_the_venues_word(stack: Stack) -> None:
    refused = stack.run("trade", "buy", "BTC-PERP", "1000", "--market", "--json")
    assert refused.returncode == ExitCode.REFUSED
    problem = json.loads(refused.stderr.splitlines()[-1])
    assert problem["code"] == "venue_rejected"
    assert problem["outcome"] == "rejected"


def test_a_lost_answer_makes_one_order_and_repeating_it_none(stack: Stack) -> None:
    stack.json("sim", "fault", "hyperliquid", "drop-after-apply", "--count", "1")
    arguments = ("trade", "buy", "BTC-PERP", "0.05", "--price", "30500", "--key", "lost-answer")
    first = stack.run(*arguments, "--wait-fill", "--timeout", "15", "--json")
    assert first.returncode == ExitCode.STILL_LIVE, first.stderr
    again = stack.json(*arguments)
    assert again["order_id"] == json.loads(first.stdout)["order_id"]
    assert again["status"] == "ACCEPTED"
    assert len(stack.venue_orders(again["order_id"])) == 1


@pytest.mark.parametrize("venue", registry.names())
def test_a_venue_is_verified_step_by_step(stack: Stack, venue: str) -> None:
    label = f"verify-{venue}"
    stack.json("account", "add", "--dex", venue, "--paper", "--label", label)
    arguments = ("venue", "verify", venue, "--network", "paper", "--account", label, "--yes")
    done = stack.json(*arguments)
    assert [(step["name"], step["passed"]) for step in done["steps"]] == [
        (name, True)
        for name in (
            "venue", "account", "market", "feed", "place", "look up", "modify", "cancel",
            "look up again", "feed told",
        )
    ]  # fmt: skip
    assert (done["passed"], done["left_open"], done["order_status"]) == (True, False, "CANCELED")
    evidence = {step["name"]: step["evidence"] for step in done["steps"]}
    assert evidence["place"]["venue_order_id"]
    assert int(evidence["look up"]["orders seen at the venue"]) >= 1
    assert evidence["modify"]["price"] != evidence["place"]["price"]
    orders = stack.json("sim", "ledger", venue)["orders"]
    shown = evidence["place"]["venue_order_id"]
    # The exchange counts; one venue spells its numbers in hex.
    number = str(int(shown, 16)) if shown.startswith("0x") else shown
    placed = [each for each in orders if each["venue_order_id"] == number]
    assert [each["is_live"] for each in placed] == [False]


def test_another_venue_trades_beside_it(stack: Stack) -> None:
    added = stack.json("account", "add", "--dex", "pacifica", "--paper", "--label", "second")
    assert (added["venue"], added["state"], added["is_default"]) == ("pacifica", "ACTIVE", False)
    on_it = ("--account", "second")
    bought = stack.json("trade", "buy", "BTC-PERP", "0.01", "--market", "--wait-fill", *on_it)
    assert (bought["status"], bought["filled_quantity"]) == ("FILLED", "0.01")
    stack.json("sim", "fault", "pacifica", "drop-after-apply", "--action", "order")
    arguments = ("trade", "buy", "BTC-PERP", "0.01", "--price", "30500", *on_it)
    lost = stack.run(*arguments, "--key", "lost", "--wait-fill", "--timeout", "15", "--json")
    assert lost.returncode == ExitCode.STILL_LIVE, lost.stderr
    again = stack.json(*arguments, "--key", "lost")
    assert again["status"] == "ACCEPTED"
    ledger = stack.json("sim", "ledger", "pacifica", "--account", added["address"])
    assert [one["client_order_id"] for one in ledger["orders"]] == [
        bought["order_id"],
        again["order_id"],
    ]
    assert stack.json("trade", "cancel", again["order_id"], "--wait")["status"] == "CANCELED"
    closed = stack.run("position", "close", "second:BTC-PERP")
    assert closed.returncode == ExitCode.DONE, closed.stderr
    assert stack.json("position", "list", "--dex", "pacifica")["positions"] == []


def test_an_order_finds_its_account_and_is_split_over_several(stack: Stack) -> None:
    """After the second venue joined: the choice stays, and each share is on its exchange once."""
    buy = ("trade", "buy", "BTC-PERP")
    shown = stack.json(*buy, "0.02", "--venue", "auto", "--price", "30000", "--dry-run")
    venues = {each["venue"] for each in shown["routing"]["candidates"]}
    # An experimental exchange is chosen only where it is named.
    assert venues == set(registry.names()) - {"vest"}, shown["routing"]["exclusions"]
    first = stack.json(*buy, "0.02", "--venue", "auto", "--price", "30000", "--key", "routed")
    assert first["routed"].startswith(f"{first['venue']}/{first['account']}; 0.02 waits")
    again = stack.json(*buy, "0.02", "--venue", "auto", "--price", "30000", "--key", "routed")
    assert (again["order_id"], again["venue"]) == (first["order_id"], first["venue"])
    assert stack.json("trade", "route", first["order_id"]) == first["routing"]
    stack.json("trade", "cancel", first["order_id"], "--wait")

    # So much that the best level of one book is dearer than a level of the other.
    mark = Decimal(stack.json("market", "ticker", "BTC-PERP")["mark_price"])
    bound = ("--price", str(int(mark * Decimal("1.01"))), "--tif", "IOC")
    split = stack.json(*buy, "20", *bound, "--split", "--wait-fill", "--key", "split")
    assert (split["status"], split["filled_quantity"]) == ("FILLED", "20")
    assert len({leg["venue"] for leg in split["legs"]}) >= 2
    assert {leg["venue"] for leg in split["legs"]} <= venues
    assert sum(Decimal(leg["quantity"]) for leg in split["legs"]) == 20
    for leg in split["legs"]:
        ledger = stack.json("sim", "ledger", leg["venue"])
        name = leg["order"]["client_order_id"]
        assert [one for one in ledger["orders"] if one["client_order_id"] == name]
    assert stack.json(*buy, "20", *bound, "--split", "--key", "split") == {
        **split,
        "routing": stack.json("trade", "route", split["split_id"]),
    }
    for leg in split["legs"]:
        closed = stack.run("position", "close", f"{leg['account']}:BTC-PERP")
        assert closed.returncode == ExitCode.DONE, closed.stderr


def test_an_experimental_venue_trades_and_says_what_it_is(stack: Stack) -> None:
    added = stack.json("account", "add", "--dex", "vest", "--paper", "--label", "third")
    assert (added["venue"], added["state"]) == ("vest", "ACTIVE")
    assert "vest is experimental here, and not verified live" in added["state_reason"]
    (told,) = [v for v in stack.json("venue", "list")["venues"] if v["venue"] == "vest"]
    assert (told["experimental"], told["live_verified"]) == (True, False)
    shown = stack.run("venue", "info", "vest").stdout
    assert "experimental, not verified live" in shown
    assert "derived from orders" in shown
    arguments = ("trade", "buy", "BTC-PERP", "0.01", "--venue", "vest", "--price", "65100")
    bought = stack.json(*arguments, "--wait-fill", "--account", "third")
    assert (bought["status"], bought["filled_quantity"]) == ("FILLED", "0.01")
    rested = stack.json(*arguments[:-1], "30500.5", "--account", "third")
    assert rested["status"] == "ACCEPTED"
    assert stack.json("trade", "cancel", rested["order_id"], "--wait")["status"] == "CANCELED"
    closed = stack.run("position", "close", "third:BTC-PERP")
    assert closed.returncode == ExitCode.DONE, closed.stderr
    assert stack.json("position", "list", "--dex", "vest")["positions"] == []


def test_a_wait_survives_the_death_of_the_api(stack: Stack) -> None:
    order_id = order_id_for("local", "survivor")
    waiting = stack.start(
        *("trade", "buy", "BTC-PERP", "0.02", "--price", "29000", "--key", "survivor"),
        *("--wait-fill", "--timeout", "90", "--json"),
    )
    try:
        assert waiting.stderr is not None
        said = ""
        while "waiting for the fill" not in said:
            line = waiting.stderr.readline()
            assert line, said
            said += line
        processes = stack.json("status")["processes"]
        [api] = [each["pid"] for each in processes if each["name"] == "api"]
        os.kill(api, signal.SIGKILL)
        # It asks the API for the order's name at the exchange: again, until one is there.
        filled = stack.run("sim", "fill", "hyperliquid", order_id, "--json")
        deadline = time.monotonic() + 60
        while filled.returncode == ExitCode.UNREACHABLE and time.monotonic() < deadline:
            filled = stack.run("sim", "fill", "hyperliquid", order_id, "--json")
        assert filled.returncode == ExitCode.DONE, filled.stderr
        assert json.loads(filled.stdout)["status"] == "filled"
        out, err = waiting.communicate(timeout=120)
        assert waiting.returncode == ExitCode.DONE, err
        assert json.loads(out)["status"] == "FILLED"
    finally:
        waiting.kill()
        waiting.communicate()
    deadline = time.monotonic() + 60
    while stack.run("status").returncode != ExitCode.DONE:
        assert time.monotonic() < deadline, "the API was not started again"
        time.sleep(0.5)


def test_what_is_followed_survives_the_death_of_the_streaming_process(stack: Stack) -> None:
    # Orders that name no account go to the default one.
    [mine] = [one for one in stack.json("account", "list")["accounts"] if one["is_default"]]
    account = ("--account", mine["account_id"])
    following = stack.start("monitor", "orders", "--json", "--for", "120", *account)
    heard: list[dict[str, Any]] = []

    def until(kind: str, order_id: str | None = None) -> dict[str, Any]:
        assert following.stdout is not None
        while line := following.stdout.readline():
            heard.append(json.loads(line))
            order = heard[-1].get("order", {})
            if heard[-1]["type"] == kind and order.get("order_id") == order_id:
                return heard[-1]
        raise AssertionError(heard)

    try:
        snapshot = until("snapshot")
        processes = stack.json("status")["processes"]
        [streaming] = [each["pid"] for each in processes if each["name"] == "streaming"]
        os.kill(streaming, signal.SIGKILL)
        assert until("connection")["connected"] is False
        # Placed while nobody streams: told afterwards, with everything in between.
        placed = stack.json("trade", "buy", "BTC-PERP", "0.03", "--price", "28000")
        first = until("update", placed["order_id"])
        following.send_signal(signal.SIGINT)
        assert following.wait(30) == ExitCode.INTERRUPTED
    finally:
        following.kill()
        following.communicate()
    assert first["seq"] == snapshot["seq"] + 1
    assert [message["type"] for message in heard].count("snapshot") == 1
    stack.json("trade", "cancel", placed["order_id"], "--wait")


@pytest.mark.parametrize(
    ("process", "sample"),
    [
        ("api", 'perp_dex_api_requests_total{method="POST",route="/api/v1/orders",status="201"}'),
        ("worker", 'perp_dex_activities_total{activity="place_order",outcome="done"}'),
        (
            "streaming",
            'perp_dex_feed_live{network="paper",source="accounts",venue="hyperliquid"}',
        ),
    ],
)
def test_each_process_tells_prometheus(stack: Stack, process: str, sample: str) -> None:
    import httpx2

    port = stack.json("status")["ports"][f"{process}_metrics"]
    deadline = time.monotonic() + 30
    url = f"http://127.0.0.1:{port}/metrics"
    # How often, or how many: whatever the tests before did, at least once.
    above_zero = re.compile(re.escape(sample) + r" [1-9]")
    while above_zero.search(text := httpx2.get(url).text) is None:
        assert time.monotonic() < deadline, f"{sample} is not above zero"
        time.sleep(0.2)
    assert "perp_dex_event_loop_delay_seconds_count" in text
    for account in stack.json("account", "list")["accounts"]:
        assert account["account_id"] not in text
        assert account["address"] not in text


def test_the_operators_address_opens_once(stack: Stack) -> None:
    import httpx2

    url = stack.run("ui", "--print").stdout.strip()
    opened = httpx2.get(url)
    assert opened.status_code == 303
    assert "HttpOnly" in opened.headers["set-cookie"]
    assert httpx2.get(url).status_code == 401


def test_a_condition_closes_though_its_watchers_die(stack: Stack) -> None:
    bought = stack.json("trade", "buy", "ETH-PERP", "1", "--market", "--wait-fill")
    assert bought["status"] == "FILLED"
    options = ("--close-at-loss", "5%", "--key", "guarded")
    condition = stack.json("position", "watch", "ETH-PERP", *options)
    condition_id = condition["condition_id"]
    assert condition["status"] == "WATCHING"
    assert stack.json("position", "info", "ETH-PERP")["positions"][0]["protection"] == "GUARD"

    attached = stack.start("position", "watch", "--attach", condition_id)
    try:
        assert attached.stderr is not None
        said = ""
        while "watched live" not in said:
            line = attached.stderr.readline()
            assert line, said
            said += line
        attached.send_signal(signal.SIGINT)
        attached.communicate(timeout=30)
        assert attached.returncode == ExitCode.INTERRUPTED
    finally:
        attached.kill()
        attached.communicate()

    processes = stack.json("status")["processes"]
    for name in ("streaming", "worker", "temporal"):
        [pid] = [each["pid"] for each in processes if each["name"] == name]
        os.kill(pid, signal.SIGKILL)
    [threshold] = condition["thresholds"]
    price = str(int(float(threshold["price"]) * 0.99))
    stack.json("sim", "price", "hyperliquid", "ETH-PERP", price)

    done = stack.run("position", "watch", "--attach", condition_id, "--json", timeout_s=150)
    assert done.returncode == ExitCode.DONE, done.stderr
    assert json.loads(done.stdout)["status"] == "CLOSED"
    ledger = stack.json("sim", "ledger", "hyperliquid")
    closing = [o for o in ledger["orders"] if o["symbol"] == "ETH" and o["reduce_only"]]
    assert [order["filled_quantity"] for order in closing] == ["1"]
    assert not [p for p in ledger["positions"] if p["symbol"] == "ETH" and float(p["quantity"])]
