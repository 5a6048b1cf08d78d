"""A planted key and the API's token, searched for wherever a secret could have gone.

The real stack trades, refuses, errs and rotates with them; then its files, its database, its
histories, its processes and its answers are read. Only the worker may know the key.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from sealing.choosing import file_keepers
from sealing.key_ring import KEY_RING_NAME, load_key_ring
from tests.secrets.stage import Needles, Stage, running_stage
from workflows.payloads import ENCODING, UNDECODABLE, EncryptingCodec, PayloadKeys

pytestmark = pytest.mark.timeout(400)

# Nobody's key: the exchange refuses it, and its text must not be kept for that.
REFUSED_KEY = "0x" + "badc0de5" * 8


@dataclass
class Planted:
    """A stack that has seen the canaries, and every answer it gave meanwhile."""

    stage: Stage
    canaries: list[Needles]
    token: Needles
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def all(self) -> list[Needles]:
        return [*self.canaries, self.token]

    def ask(self, client: httpx2.Client, method: str, path: str, body: Any = None) -> Any:
        """Ask the API, and keep what it answered, headers too."""
        answer = client.request(method, path, json=body)
        self.answers.append(
            (
                f"{method} {path} {answer.status_code}",
                answer.content + repr(answer.headers).encode(),
            )
        )
        return answer


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    home = tmp_path_factory.mktemp("canary")
    with running_stage(home, LOG_LEVEL="DEBUG") as stage:
        funded = stage.simulator("POST", "/accounts", {"name": "canary"})
        other = stage.simulator("POST", "/accounts", {"name": "other"})
        keys = {
            "trading key": funded["private_key"],
            "master key": funded["master_private_key"],
            "another account's key": other["private_key"],
            "refused key": REFUSED_KEY,
        }
        canaries = [Needles.of_key(name, key) for name, key in keys.items()]
        planted = Planted(stage, canaries, Needles.of_text("API token", stage.token))
        with stage.api() as client:
            trade(planted, client, funded)
            err(planted, client, funded, other)
        rotated = stage.run("keys", "rotate", "worker")
        assert rotated.returncode == 0, rotated.stderr
        planted.answers.append(("keys rotate", (rotated.stdout + rotated.stderr).encode()))
        listed = stage.run("keys", "list")
        planted.answers.append(("keys list", (listed.stdout + listed.stderr).encode()))
        with stage.api() as client:
            placed = planted.ask(client, "POST", "/api/v1/orders", order(price="30500"))
            assert placed.status_code == 201, placed.text
        yield planted


def account(funded: Any, key: str, label: str) -> dict[str, Any]:
    return {
        "venue": "hyperliquid",
        "label": label,
        "network": "paper",
        "address": funded["address"],
        "credential": {"private_key": key},
    }


def order(**changes: Any) -> dict[str, Any]:
    return {"symbol": "BTC-PERP", "side": "BUY", "quantity": "0.01", **changes}


def trade(planted: Planted, client: httpx2.Client, funded: Any) -> None:
    """Add the account, fill, rest, cancel, and have an answer lost."""
    added = planted.ask(
        client, "POST", "/api/v1/accounts?wait=20", account(funded, funded["private_key"], "main")
    )
    added = planted.ask(client, "GET", "/api/v1/accounts")
    deadline = time.monotonic() + 60
    while added.json()["accounts"][0]["state"] != "ACTIVE":
        assert time.monotonic() < deadline, added.text
        time.sleep(0.2)
        added = planted.ask(client, "GET", "/api/v1/accounts")
    filled = planted.ask(client, "POST", "/api/v1/orders", order())
    assert filled.json()["status"] == "FILLED", filled.text
    rests = planted.ask(client, "POST", "/api/v1/orders", order(price="30000"))
    canceled = planted.ask(client, "DELETE", f"/api/v1/orders/{rests.json()['order_id']}")
    assert canceled.status_code in (200, 202), canceled.text
    planted.stage.simulator("POST", "/faults", {"kind": "drop-after-apply", "count": 1})
    lost = planted.ask(client, "POST", "/api/v1/orders", order(price="30100"))
    assert lost.status_code in (201, 202), lost.text


def err(planted: Planted, client: httpx2.Client, funded: Any, other: Any) -> None:
    """Give keys where they do not belong, and orders that are refused."""
    accounts = planted.ask(client, "GET", "/api/v1/accounts").json()["accounts"]
    credential = f"/api/v1/accounts/{accounts[0]['account_id']}/credential"
    master = funded["master_private_key"]
    refused = [
        ("/api/v1/orders", order(quantity="1000")),
        ("/api/v1/accounts?wait=20", account(other, master, "stranger")),
        ("/api/v1/accounts?wait=20", account(other, REFUSED_KEY, "nobody")),
        ("/api/v1/accounts?wait=20", account(other, f"{master}!", "damaged")),
        ("/api/v1/accounts", account(other, master, "x") | {"private_key": master}),
        ("/api/v1/accounts", account(other, master, "x") | {"venue": master}),
        ("/api/v1/accounts", {"credential": master}),
        (f"{credential}?wait=20", {"private_key": other["private_key"]}),
        (f"{credential}?wait=20", {"private_key": f"no key {master}"}),
        (credential, {"private_key": [master]}),
    ]
    for path, body in refused:
        answer = planted.ask(client, "POST", path, body)
        assert answer.status_code in (401, 404, 405, 422, 202, 400), (path, answer.status_code)
    planted.ask(client, "GET", "/openapi.json")
    planted.ask(client, "GET", "/api/v1/nothing")
    # A key in a path comes back to who wrote it there; it must not stay behind in a log.
    assert client.get(f"/api/v1/orders/{master}").status_code in (404, 422)
    broken = client.post("/api/v1/accounts", content=b"{" + master.encode())
    planted.answers.append(("broken JSON", broken.content))
    stranger = httpx2.get(
        f"{planted.stage.status['api_url']}/api/v1/accounts",
        headers={"Authorization": f"Bearer {planted.stage.token}x"},
        trust_env=False,
    )
    assert stranger.status_code == 401
    planted.answers.append(("wrong token", stranger.content))


def found_in(needles: list[Needles], named: Iterator[tuple[str, bytes]]) -> list[str]:
    return [
        f"{each.name} in {name}"
        for name, content in named
        for each in needles
        if each.within(content)
    ]


def files(home: Path, *, besides: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    for path in sorted(home.rglob("*")):
        if path.is_file() and path.name not in besides:
            yield str(path.relative_to(home)), path.read_bytes()


def test_what_is_planted_is_really_used(planted: Planted) -> None:
    """The search is worth something only if the worker opened the key and traded with it."""
    with planted.stage.api() as client:
        accounts = client.get("/api/v1/accounts").json()["accounts"]
        assert [each["state"] for each in accounts if each["label"] == "main"] == ["ACTIVE"]
        assert len(client.get("/api/v1/orders?status=all").json()["orders"]) >= 4
    assert len(planted.answers) > 20
    assert len(list(files(planted.stage.home))) > 15


def test_no_file_holds_them(planted: Planted) -> None:
    home = planted.stage.home
    # The simulated exchange made the keys and gives them out: its own log is its own.
    outside = [
        (name, content) for name, content in files(home) if not name.startswith("sim-hyperliquid/")
    ]
    assert found_in(planted.canaries, iter(outside)) == []
    rest = [each for each in outside if each[0] != "api-token"]
    assert found_in([planted.token], iter(rest)) == []
    assert any(name.startswith("logs/") and content for name, content in outside)


def test_no_row_of_the_database_holds_them(planted: Planted) -> None:
    with closing(sqlite3.connect(planted.stage.home / "perp-dex.db")) as database:
        database.text_factory = bytes
        names = [
            row[0].decode()
            for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        rows = 0
        for name in names:
            for row in database.execute(f'SELECT * FROM "{name}"'):
                rows += 1
                for value in row:
                    content = value if isinstance(value, bytes) else str(value).encode()
                    assert found_in(planted.all, iter([(f"table {name}", content)])) == []
    assert rows > 50


async def test_no_history_holds_them_with_and_without_the_codec(planted: Planted) -> None:
    stage = planted.stage
    secrets = stage.home / "secrets"
    ring = load_key_ring(secrets / KEY_RING_NAME, file_keepers(secrets))
    codec = EncryptingCodec(PayloadKeys(ring.current, ring.keys))
    client = await Client.connect(f"127.0.0.1:{stage.status['ports']['temporal']}")
    workflows = opened = 0
    async for workflow in client.list_workflows():
        workflows += 1
        handle = client.get_workflow_handle(workflow.id, run_id=workflow.run_id)
        history = await handle.fetch_history()
        whole = history.to_json().encode()
        assert found_in(planted.all, iter([(workflow.id, whole)])) == []
        assert (
            found_in(planted.all, iter([(workflow.id, workflow.raw_info.SerializeToString())]))
            == []
        )
        for event in history.events:
            for payload in payloads_of(event):
                if payload.metadata.get("encoding") != ENCODING:
                    continue
                [plain] = await codec.decode([payload])
                assert plain.metadata.get("encoding") != UNDECODABLE
                opened += 1
                content = plain.SerializeToString()
                assert found_in(planted.all, iter([(workflow.id, content)])) == []
    assert workflows >= 6
    assert opened > 50


def payloads_of(message: Message) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        assert descriptor.message_type is not None
        if descriptor.message_type.GetOptions().map_entry:
            values = [one for one in value.values() if isinstance(one, Message)]
        elif descriptor.is_repeated:
            values = list(value)
        else:
            values = [value]
        for one in values:
            yield from payloads_of(one)


def test_no_process_was_started_with_them(planted: Planted) -> None:
    read = 0
    for name, pid in planted.stage.pids.items():
        for what in ("cmdline", "environ"):
            try:
                content = Path(f"/proc/{pid}/{what}").read_bytes()
            except PermissionError:
                # Ours forbid even their own user to look.
                assert name in ("worker", "watchdog", "api", "streaming")
                continue
            read += 1
            assert found_in(planted.all, iter([(f"{name} {what}", content)])) == []
    assert read >= 7


def test_no_answer_holds_them(planted: Planted) -> None:
    assert found_in(planted.all, iter(planted.answers)) == []


async def test_what_the_api_is_made_of_shows_none(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compose the API in this process over the same home, and look at all of its parts."""
    from api.main import compose
    from api.serving import listen
    from api.settings import ApiSettings

    status = planted.stage.status
    for name, value in planted.stage.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{status['ports']['temporal']}")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{status['ports']['valkey']}/0")
    monkeypatch.chdir(planted.stage.home)
    settings = ApiSettings.load()
    shown = [("settings", repr(settings)), ("dump", settings.model_dump_json())]
    async with AsyncExitStack() as stack:
        listener = listen("127.0.0.1", 0)
        stack.callback(listener.close)
        parts = await compose(settings, stack, listener)
        shown.append(("parts", repr(parts)))
        for name in parts.__dataclass_fields__:
            part = getattr(parts, name)
            shown.append((name, repr(part)))
            shown.append((name, repr(getattr(part, "__dict__", ""))))
    assert found_in(planted.all, ((name, text.encode()) for name, text in shown)) == []


def test_the_apis_memory_keeps_no_key(planted: Planted) -> None:
    """Read what the API process has in memory, after other requests have come and gone.

    A network buffer that was freed may hold the bytes of a request until it is used again: that,
    in the words of the request, is all that may be found, and no copy of the key by itself.
    """
    with planted.stage.api() as client:
        for _ in range(30):
            planted.ask(client, "GET", "/api/v1/orders?status=all")
            planted.ask(client, "POST", "/api/v1/accounts", {"credential": {"private_key": "x"}})
    # The master key was also written into paths and other fields, where nothing hides it.
    given = [each for each in planted.canaries if each.name != "master key"]
    kept, read = set(), 0
    for content in memory_of(planted.stage.pids["api"]):
        read += len(content)
        for needles in given:
            for form in needles.forms:
                for hit in re.finditer(re.escape(form), content):
                    before = content[max(0, hit.start() - 400) : hit.start()]
                    if not RAW_REQUEST.search(before):
                        kept.add(needles.name)
    assert kept == set()
    assert read > 20_000_000
    limits = Path(f"/proc/{planted.stage.pids['api']}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits)


RAW_REQUEST = re.compile(rb'"(private_key|credential|venue)":|POST /api/v1/|"label":|^[{]')


def memory_of(pid: int) -> Iterator[bytes]:
    """Yield every readable part of a process's memory; needs to be root, or allowed to."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps.splitlines():
            span = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
            if span is None or "[v" in line:
                continue
            start, end = (int(each, 16) for each in span.groups())
            memory.seek(start)
            yield memory.read(end - start)
