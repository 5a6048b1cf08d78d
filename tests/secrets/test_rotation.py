"""Keys change while the real stack trades: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sealing.choosing import file_keepers
from sealing.keys import Recipient, load_key_pairs
from tests.secrets.stage import Stage, running_stage

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stack that destroys a former key as soon as nothing needs it."""
    home = tmp_path_factory.mktemp("rotation")
    with running_stage(home, PERP_DEX_KEY_GRACE_S="0") as running:
        assert add(running, "main")["state"] == "ACTIVE"
        yield running


def add(stage: Stage, label: str) -> Any:
    funded = stage.simulator("POST", "/accounts", {"name": label})
    with stage.api() as client:
        answer = client.post(
            "/api/v1/accounts?wait=25",
            json={
                "venue": "hyperliquid",
                "label": label,
                "network": "paper",
                "address": funded["address"],
                "credential": {"private_key": funded["private_key"]},
            },
        )
        assert answer.status_code in (201, 202), answer.text
        account = answer.json()
        while account["state"] == "PENDING":
            time.sleep(0.1)
            account = client.get(f"/api/v1/accounts/{account['account_id']}").json()
        return account


def place(stage: Stage, key: str, account: str, price: int) -> Any:
    with stage.api() as client:
        answer = client.post(
            "/api/v1/orders?wait=20",
            json={
                "symbol": "BTC-PERP",
                "side": "BUY",
                "quantity": "0.001",
                "price": str(price),
                "account": account,
            },
            headers={"Idempotency-Key": key, "Prefer": "wait=20"},
        )
        assert answer.status_code in (201, 202), answer.text
        return answer.json()


def keys(stage: Stage, name: str) -> list[dict[str, Any]]:
    return [each for each in stage.json("keys", "list") if each["name"] == name]


def rotate(stage: Stage, name: str) -> str:
    return str(stage.json("keys", "rotate", name)["key_id"])


def until_only(stage: Stage, name: str, key_id: str) -> None:
    """Wait until every former key is destroyed."""
    secrets = stage.home / "secrets"
    deadline = time.monotonic() + 90
    while set(load_key_pairs(secrets, Recipient(name), file_keepers(secrets)).keys) != {key_id}:
        assert time.monotonic() < deadline, keys(stage, name)
        time.sleep(0.5)


def venue_orders(stage: Stage, order_id: str) -> list[Any]:
    client_order_id = "0x" + order_id.replace("-", "")
    ledger = stage.simulator("GET", "/ledger")
    return [one for one in ledger["orders"] if one["client_order_id"] == client_order_id]


def test_nothing_is_lost_when_keys_change_under_load(stage: Stage) -> None:
    pids = stage.pids
    labels = [f"loaded-{number}" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        added = [pool.submit(add, stage, label) for label in labels]
        placed = [
            pool.submit(place, stage, f"load-{number}", "main", 20_000 + number)
            for number in range(16)
        ]
        for _ in range(2):
            rotate(stage, "worker")
            rotate(stage, "payload")
        for waiting in added:
            assert waiting.result()["state"] == "ACTIVE"
        orders = [waiting.result() for waiting in placed]
    last = rotate(stage, "worker")
    until_only(stage, "worker", last)
    [current] = keys(stage, "worker")
    assert current["sealed_parts"] == len(labels) + 1
    # Every account signs with what was sealed anew, and the orders from before can be canceled.
    for number, label in enumerate(labels):
        orders.append(place(stage, f"after-{number}", label, 21_000 + number))
    with stage.api() as client:
        for order in orders:
            shown = client.get(f"/api/v1/orders/{order['order_id']}?live=true").json()
            assert shown["status"] == "ACCEPTED", shown
            assert len(venue_orders(stage, order["order_id"])) == 1
    assert stage.pids == pids
    assert all(each["restarts"] == 0 for each in stage.status["processes"])


def test_a_key_changed_while_an_order_is_unknown_places_nothing_twice(stage: Stage) -> None:
    stage.simulator("POST", "/faults", {"kind": "drop-after-apply", "count": 1})
    key = str(uuid.uuid4())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(place, stage, key, "main", 22_000)
        last = rotate(stage, "worker")
        rotate(stage, "payload")
        order = waiting.result()
    until_only(stage, "worker", last)
    deadline = time.monotonic() + 60
    with stage.api() as client:
        while order["status"] != "ACCEPTED":
            assert time.monotonic() < deadline, order
            time.sleep(0.2)
            order = client.get(f"/api/v1/orders/{order['order_id']}").json()
    assert place(stage, key, "main", 22_000)["order_id"] == order["order_id"]
    assert len(venue_orders(stage, order["order_id"])) == 1


def test_former_payload_keys_stay_as_long_as_a_history_needs_them(stage: Stage) -> None:
    before = {each["key_id"] for each in keys(stage, "payload")}
    current = rotate(stage, "payload")
    after = {each["key_id"]: each["current"] for each in keys(stage, "payload")}
    assert set(after) == before | {current}
    assert [key for key, is_current in after.items() if is_current] == [current]


def test_rotations_are_audited_and_show_no_key(stage: Stage) -> None:
    with closing(sqlite3.connect(stage.home / "perp-dex.db")) as database:
        rows = database.execute(
            "SELECT action, subject, outcome FROM audit WHERE action LIKE 'keys.%'"
        ).fetchall()
    assert ("keys.rotate", "key:worker", "current") in rows
    shown = stage.run("keys", "list")
    assert "current" in shown.stdout
    assert "Argon2id" in shown.stdout
    secrets = json.loads((stage.home / "secrets" / "worker.keys").read_text())
    assert secrets["sealed"] not in shown.stdout


def test_an_older_key_file_put_back_stops_the_worker_with_words(stage: Stage) -> None:
    path = stage.home / "secrets" / "worker.keys"
    older = path.read_bytes()
    # The worker itself writes the file once more, when nothing needs the former key.
    until_only(stage, "worker", rotate(stage, "worker"))
    newest = path.read_bytes()
    replace(path, older)
    refused = stage.run("keys", "rotate", "worker")
    assert refused.returncode == 1
    assert "older file was put in its place" in refused.stderr
    log = stage.home / "logs" / "worker.log"
    deadline = time.monotonic() + 60
    while "was put in its place" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    # What it read before stays in use, and the newest put back is taken up again.
    assert place(stage, "meanwhile", "main", 23_000)["status"] == "ACCEPTED"
    replace(path, newest)
    assert rotate(stage, "worker")


def replace(path: Path, content: bytes) -> None:
    beside = path.with_name("put-back")
    beside.write_bytes(content)
    beside.chmod(0o600)
    beside.replace(path)
