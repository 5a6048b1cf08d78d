"""The worker's care for keys: credentials sealed anew after a rotation, and old keys destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from temporalio.client import Client

from domain.errors import Unavailable
from sealing.errors import SealingError
from sealing.keepers import Keepers, KeyUse
from sealing.key_ring import KEY_RING_NAME, LiveKeyRing, drop_payload_keys
from sealing.keys import LiveKeyPairs, Recipient
from serving.chores import again
from serving.settings import WorkerSettings, now
from storage.opening import Storage
from storage.resealing import SealingKeyUpkeep, Upkeep
from workflows.payload_retention import unneeded_payload_keys

SEALING_KEYS_EVERY_S = 5.0
PAYLOAD_KEYS_EVERY_S = 3600.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUpkeep:
    """What is done for the worker's key files while it runs."""

    storage: Storage
    secrets: Path
    keepers: Keepers
    ring: LiveKeyRing
    sealing: SealingKeyUpkeep

    @classmethod
    def of(
        cls,
        settings: WorkerSettings,
        storage: Storage,
        secrets: Path,
        keepers: Keepers,
        ring: LiveKeyRing,
        pairs: LiveKeyPairs,
    ) -> KeyUpkeep:
        """Return the care for these files."""
        sealing = SealingKeyUpkeep(
            storage.database,
            pairs,
            secrets_directory=secrets,
            recipient=Recipient.WORKER,
            keepers=keepers,
            grace_s=settings.key_grace_s,
            now=now,
        )
        return cls(storage=storage, secrets=secrets, keepers=keepers, ring=ring, sealing=sealing)

    async def check(self) -> None:
        """Check at the start that no older key file was put in the place of a newer one.

        Raises:
            SecretFileRolledBack: one was.
            Unavailable: the database does not answer.
        """
        await self._see_payload_keys()
        await self.sealing.check()

    def chores(self, client: Client) -> tuple[Coroutine[Any, Any, None], ...]:
        """Return what is to be done again and again."""

        async def payload_keys() -> None:
            await self._payload_keys(client)

        return (
            again("sealing keys", SEALING_KEYS_EVERY_S, self._sealing_keys),
            again("payload keys", PAYLOAD_KEYS_EVERY_S, payload_keys),
        )

    async def _see_payload_keys(self) -> None:
        async def read() -> int:
            return (await self.ring.refresh()).version

        await self.storage.sealing_keys.see_file(KeyUse.PAYLOAD.value, read)

    async def _sealing_keys(self) -> None:
        try:
            done = await self.sealing.run()
        except SealingError as error:
            # Nothing is lost: what is sealed stays so, and the next round tries again.
            raise Unavailable(str(error)) from error
        if done != Upkeep():
            log.warning(
                "credentials sealed anew",
                count=done.resealed,
                keys_destroyed=done.destroyed,
                not_opened=done.shut,
            )

    async def _payload_keys(self, client: Client) -> None:
        try:
            ring = await self.ring.refresh()
            gone = await unneeded_payload_keys(client, ring.superseded, now())
            if gone:
                path = self.secrets / KEY_RING_NAME
                await asyncio.to_thread(drop_payload_keys, path, self.keepers, gone)
                log.warning("payload keys destroyed", keys=gone)
            await self._see_payload_keys()
        except SealingError as error:
            raise Unavailable(str(error)) from error
