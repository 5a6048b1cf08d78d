"""The worker's care for its key files: payload keys go when nothing needs them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Unavailable
from sealing import protected_file
from sealing.choosing import file_keepers
from sealing.key_ring import KEY_RING_NAME, LiveKeyRing, load_key_ring, rotate_key_ring
from sealing.keys import LiveKeyPairs, Recipient, rotate_key_pair
from serving import key_upkeep
from serving.key_upkeep import KeyUpkeep
from serving.settings import WorkerSettings, now
from storage.opening import open_storage
from tests.api.conftest import database_template

__all__ = ["database_template"]


class Temporal:
    """Has `count` workflows, whatever is asked."""

    def __init__(self, count: int) -> None:
        self.count = count

    async def count_workflows(self, query: str) -> Any:
        return self


async def test_keys_that_nothing_needs_are_destroyed(
    database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cheap = protected_file.KeyDerivation(memory_kib=64, iterations=1, lanes=1)
    monkeypatch.setattr(protected_file, "DEFAULT_COST", cheap)
    monkeypatch.setenv("PERP_DEX_KEY_GRACE_S", "0")
    (tmp_path / "perp-dex.db").write_bytes(database_template.read_bytes())
    secrets = tmp_path / "secrets"
    keepers = file_keepers(secrets)
    path = secrets / KEY_RING_NAME
    ring = LiveKeyRing(path, keepers)
    pairs = LiveKeyPairs(secrets, Recipient.WORKER, keepers)
    settings = WorkerSettings.load(perp_dex_home=tmp_path)
    storage = await open_storage(f"sqlite+aiosqlite:///{tmp_path / 'perp-dex.db'}", tmp_path)
    try:
        upkeep = KeyUpkeep.of(settings, storage, secrets, keepers, ring, pairs)
        await upkeep.check()
        rotate_key_pair(secrets, Recipient.WORKER, keepers)
        await upkeep._sealing_keys()
        assert len(pairs.value.keys) == 1
        current = rotate_key_ring(path, keepers).current
        later = now() + timedelta(hours=2)
        monkeypatch.setattr(key_upkeep, "now", lambda: later)
        some: Any = Temporal(1)
        none: Any = Temporal(0)
        await upkeep._payload_keys(some)
        assert len(load_key_ring(path, keepers).keys) == 2
        await upkeep._payload_keys(none)
        assert set(load_key_ring(path, keepers).keys) == {current} == set(ring.ring().keys)
        for damaged in (path, secrets / "worker.keys"):
            damaged.write_text("{}")
        with pytest.raises(Unavailable, match="key file"):
            await upkeep._sealing_keys()
        with pytest.raises(Unavailable, match="key file"):
            await upkeep._payload_keys(none)
    finally:
        await storage.close()
