"""The watchdog, `python -m serving.watchdog`: cancels when the trading side of an account is gone.

A process beside the worker, with the worker's home and settings, so that it lives when the worker
does not. It looks each second at the switches that it keeps, remembers them in a file for when the
database is away, and opens keys only to find out whether it could, and to cancel.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog

from activities.watchdog import Watchdog
from domain.dead_man import DeadManSwitch
from domain.errors import PerpDexError, Unavailable
from domain.watchdog import WATCHDOG, is_due
from process.death import protect_memory
from process.heartbeat import Heartbeat
from process.logging import configure_logging
from process.signals import stop_event
from sealing.errors import SealingError
from serving.dead_man import AuditAlarm
from serving.emergency import emergency_parts, worker_keys
from serving.settings import EXIT_CONFIGURATION, WorkerSettings, now
from storage.dead_man import SqlDeadManStore
from storage.opening import Storage, open_storage
from storage.watched_file import WatchedFile

LOOK_EVERY_S: Final = 1.0
SIGN_EVERY_S: Final = 3.0
KEYS_EVERY_S: Final = 60.0
KEYS_RETRY_S: Final = 3.0
DATABASE_WITHIN_S: Final = 3.0
#: After a turn that did not come to its end.
AGAIN_AFTER_S: Final = 2.0

log = structlog.get_logger()


class WatchdogProcess:
    """Looks at the switches, and carries out those that have gone off."""

    def __init__(self, settings: WorkerSettings, storage: Storage, home: Path) -> None:
        self._settings = settings
        self._storage = storage
        self._file = WatchedFile(home)
        self._known: tuple[DeadManSwitch, ...] = ()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        #: What was carried out, so that it is not again; True once the database knows of it.
        self._done: dict[tuple[str, datetime | None], bool] = {}
        self._checked_at: float | None = None
        self._keys_open = False
        self._said_at = -SIGN_EVERY_S

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        self._known = self._file.read()
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._check_keys()
                await self._look()
                for switch in [one for one in self._known if await self._is_open(one)]:
                    self._under_way[switch.account_id] = tasks.create_task(
                        self._carry_out(switch), name=f"watchdog {switch.account_id}"
                    )
                await asyncio.sleep(LOOK_EVERY_S)

    async def _is_open(self, switch: DeadManSwitch) -> bool:
        """Tell whether a switch is to be carried out and nobody does or did."""
        busy = self._under_way.get(switch.account_id)
        if not is_due(switch, now()) or switch.armed_until is None:
            return False
        if busy is not None and not busy.done():
            return False
        store, key = self._storage.dead_man, (switch.account_id, switch.armed_until)
        try:
            if key not in self._done:
                known = await store.has_trigger(*key)
                self._done |= {key: True} if known else {}
            elif not self._done[key]:
                await store.note_trigger(*key)
                self._done[key] = True
        except Unavailable:
            pass
        return key not in self._done

    async def _look(self) -> None:
        """Read the switches, and say that we live; with the database away remember the last."""
        store = self._storage.dead_man
        try:
            async with asyncio.timeout(DATABASE_WITHIN_S):
                self._known = await store.wanted()
                if self._keys_open and time.monotonic() - self._said_at >= SIGN_EVERY_S:
                    await store.give_sign(WATCHDOG)
                    self._said_at = time.monotonic()
        except (PerpDexError, TimeoutError) as error:
            log.warning("the database does not answer", reason=str(error) or "too slow")
            return
        try:
            self._file.write(self._known)
        except Unavailable as error:
            log.error("the switches cannot be remembered", reason=str(error))

    async def _check_keys(self) -> None:
        """Find out now and then whether we could open the keys: only then we say that we live."""
        every_s = KEYS_EVERY_S if self._keys_open else KEYS_RETRY_S
        if self._checked_at is not None and time.monotonic() - self._checked_at < every_s:
            return
        self._checked_at = time.monotonic()
        try:
            await asyncio.to_thread(worker_keys, self._settings)
        except SealingError as error:
            if self._keys_open:
                log.error("the keys cannot be opened any more", reason=str(error))
            self._keys_open = False
        else:
            self._keys_open = True

    async def _carry_out(self, switch: DeadManSwitch) -> None:
        try:
            async with AsyncExitStack() as stack:
                parts = await emergency_parts(self._settings, stack, only=(switch.account_id,))
                store: SqlDeadManStore = (parts.storage or self._storage).dead_man
                watchdog = Watchdog(
                    switches=store,
                    access=parts.opened,
                    halt=parts.halt,
                    alarm=AuditAlarm(self._storage.audit),
                    now=now,
                )
                if await watchdog.is_wanted(switch):
                    log.error("the time of a dead man's switch is over", said=switch.reason)
                    if await watchdog.carry_out(switch):
                        self._done.setdefault((switch.account_id, switch.armed_until), False)
                        return
        except (PerpDexError, SealingError, OSError, TimeoutError) as error:
            log.error(
                "a dead man's switch cannot be carried out",
                account_id=switch.account_id,
                reason=str(error),
            )
        await asyncio.sleep(AGAIN_AFTER_S)


async def run(settings: WorkerSettings) -> None:
    """Watch until SIGTERM or SIGINT.

    Raises:
        StorageError: the database is missing or of another revision.
    """
    stop = stop_event()
    async with AsyncExitStack() as stack:
        heartbeat = await stack.enter_async_context(Heartbeat.from_environment())
        home = settings.perp_dex_home.expanduser()
        storage = await open_storage(settings.database_url, home)
        stack.push_async_callback(storage.close)
        watching = asyncio.create_task(WatchdogProcess(settings, storage, home).run())
        heartbeat.ready()
        log.info("watchdog ready")
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
        heartbeat.draining()
        stopping.cancel()
        if watching.done():
            watching.result()
        watching.cancel()
        await asyncio.wait({watching})


def main() -> int:
    """Run the process; 0 after a stop as asked, 2 when it is configured wrongly."""
    settings = WorkerSettings.load_or_exit()
    configure_logging(service="watchdog", log_format=settings.log_format, level=settings.log_level)
    protect_memory()
    try:
        asyncio.run(run(settings))
    except (PerpDexError, SealingError, OSError) as error:
        log.critical("the watchdog cannot start", reason=str(error))
        return EXIT_CONFIGURATION
    return 0


if __name__ == "__main__":
    code = main()
    # The SDK's native runtime can abort the interpreter at exit after all is done.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
