"""The API as a process: it refuses an old database, serves, tells its heartbeat, and drains."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import WorkerSealer, compose
from api.serving import listen
from api.settings import ApiSettings
from domain.errors import Unavailable
from sealing.box import BoxLabel, CredentialPart, unseal
from sealing.choosing import file_keepers
from sealing.keys import Recipient, ensure_key_pairs


def environment(home: Path, **changes: str) -> dict[str, str]:
    """Return the environment of an API whose Temporal and Valkey are not there."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PERP_DEX_HOME": str(home),
        "PERP_DEX_HEARTBEAT_FILE": str(home / "api.heartbeat"),
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "API_PORT": "0",
        "LOG_FORMAT": "json",
        **changes,
    }


def command() -> list[str]:
    return [sys.executable, "-P", "-m", "api.main"]


@asynccontextmanager
async def running(
    home: Path, **changes: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start the process and wait until it says where it serves."""
    process = await asyncio.create_subprocess_exec(
        *command(),
        cwd=home,
        env=environment(home, **changes),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process, await endpoint_of(home / "api.heartbeat", process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def endpoint_of(heartbeat: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(60):
        while True:
            assert process.returncode is None, "the process ended"
            if heartbeat.exists():
                beat: dict[str, Any] = json.loads(heartbeat.read_text())
                if beat["state"] == "ready":
                    return str(beat["endpoint"])
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("with_file", [False, True])
def test_it_refuses_a_database_of_another_revision_and_says_what_to_run(
    tmp_path: Path, with_file: bool
) -> None:
    if with_file:
        (tmp_path / "perp-dex.db").touch(mode=0o600)
    done = subprocess.run(
        command(), env=environment(tmp_path), cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"perp-dex db upgrade" in done.stderr


def test_it_refuses_wrong_settings(tmp_path: Path) -> None:
    changed = environment(tmp_path, API_PORT="70000", TEMPORAL_UI_URL="not a url")
    done = subprocess.run(command(), env=changed, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"API_PORT" in done.stderr
    assert b"TEMPORAL_UI_URL" in done.stderr


async def test_it_serves_and_drains(database_template: Path, tmp_path: Path) -> None:
    shutil.copy(database_template, tmp_path / "perp-dex.db")
    async with running(tmp_path, TEMPORAL_UI_URL="http://127.0.0.1:8233") as (process, url):
        token_file = tmp_path / "api-token"
        assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
        headers = {"Authorization": f"Bearer {token_file.read_text().strip()}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers) as http:
            assert (await http.get("/healthz")).status_code == 200
            ready = await http.get("/readyz")
            assert ready.status_code == 503
            assert ready.json()["checks"] == {
                "storage": "ok",
                "temporal": "Temporal does not answer",
            }
            assert (await http.get("/api/v1/orders")).json()["orders"] == []
            assert (await http.get("/api/v1/accounts")).json() == {"accounts": []}
            assert (await http.get("/api/v1/endpoints")).json()["api"] == url
            ticket = (await http.post("/api/v1/operator/tickets")).json()
            assert ticket["url"].startswith(url)
            missing = await http.get("/api/v1/orders/99999999-9999-4999-8999-999999999999")
            assert missing.status_code == 503
            without = await http.get("/api/v1/orders", headers={"Authorization": "Bearer x"})
            assert without.status_code == 401
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert not (tmp_path / "api.heartbeat").exists()


def test_a_taken_port_is_told(database_template: Path, tmp_path: Path) -> None:
    shutil.copy(database_template, tmp_path / "perp-dex.db")
    listener = listen("127.0.0.1", 0)
    try:
        port = str(listener.getsockname()[1])
        done = subprocess.run(
            command(),
            env=environment(tmp_path, API_PORT=port),
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
    finally:
        listener.close()
    assert done.returncode == 2
    assert b"in use" in done.stderr


async def test_the_parts_fit_together(
    database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(database_template, tmp_path / "perp-dex.db")
    for name in os.environ.keys() & {"DATABASE_URL", "TEMPORAL_ADDRESS", "REDIS_URL"}:
        monkeypatch.delenv(name)
    settings = ApiSettings.load(
        perp_dex_home=tmp_path,
        temporal_address="127.0.0.1:1",
        temporal_ui_url="http://127.0.0.1:8233",
        api_allowed_hosts="Trade.Example, ",
        api_venues="hyperliquid, lighter",
    )
    listener = listen("127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        parts = await compose(settings, stack, listener)
        assert parts.venues == ("hyperliquid", "lighter")
        assert {"127.0.0.1", "localhost", "[::1]", "trade.example"} == parts.hosts
        assert parts.origins == {"http://127.0.0.1:8233"}
        await parts.probes["storage"]()
        with pytest.raises(Unavailable):
            await parts.probes["temporal"]()
        assert parts.endpoints.workflow_url("order-1") == (
            "http://127.0.0.1:8233/namespaces/default/workflows/order-1"
        )


def test_what_is_sealed_only_the_worker_opens(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    sealer = WorkerSealer(secrets)
    with pytest.raises(Unavailable, match="key pair"):
        sealer.seal("a1", "hyperliquid", "the key")
    pairs = ensure_key_pairs(secrets, Recipient.WORKER, file_keepers(secrets))
    sealed = sealer.seal("a1", "hyperliquid", "the key")
    assert b"the key" not in sealed
    key = pairs.keys[pairs.current]
    label = BoxLabel(account_id="a1", venue="hyperliquid", part=CredentialPart.TRADING)
    assert unseal(sealed, key, label) == b"the key"
