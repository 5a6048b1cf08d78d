"""What a worker does for dead man's switches: it renews them, and stands in for the watchdog.

Knows no venue; what is decided is in `domain.dead_man` and `domain.watchdog`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from activities.access import CommandParts, ConnectorSource
from activities.dead_man import DeadManRenewal
from activities.emergency_halt import EmergencyHalt
from activities.emergency_journal import CachedAccess
from activities.orders import OrderActivities
from activities.watchdog import Watchdog
from domain.accounts import TradingAccess
from domain.dead_man import DeadManSwitch
from domain.errors import PerpDexError, Unavailable
from domain.ports import AuditLog, AuditRecord, TradingAccessSource
from domain.watchdog import STAND_IN_AFTER, WATCHDOG, is_due
from serving.settings import Parts, now
from storage.opening import Storage

if TYPE_CHECKING:
    from serving.reserve import Reserve

TEMPORAL_EVERY_S = 2.0

log = structlog.get_logger()


class AuditAlarm:
    """Implements `activities.watchdog.Alarm`: a line in the log, and one in the audit log."""

    def __init__(self, audit: AuditLog, clock: Callable[[], datetime] = now) -> None:
        self._audit = audit
        self._clock = clock

    async def went_off(self, switch: DeadManSwitch, said: str, *, done: bool) -> None:
        """Tell that a switch went off, and what came of it."""
        outcome = "canceled" if done else "not finished"
        log.error(
            "a dead man's switch went off", account_id=switch.account_id, outcome=outcome, said=said
        )
        record = AuditRecord(
            principal_id=WATCHDOG,
            action="account.dead_man",
            subject=f"account:{switch.account_id}",
            outcome=outcome,
            at=self._clock(),
            detail={"due_at": str(switch.armed_until)},
        )
        try:
            await self._audit.append(record)
        except PerpDexError as error:
            log.warning("not in the audit log", reason=str(error))


class TemporalSign:
    """When Temporal last answered this process."""

    def __init__(
        self, healthy: Callable[[], Awaitable[bool]], clock: Callable[[], datetime] = now
    ) -> None:
        self._healthy = healthy
        self._clock = clock
        self._at: datetime | None = None

    def at(self) -> datetime | None:
        """Return the time, None before the first answer."""
        return self._at

    async def look(self) -> None:
        """Ask now."""
        asked_at = self._clock()
        if await self._healthy():
            self._at = asked_at


class StandIn:
    """Carries switches out that our watchdog has left, as this worker lives still."""

    def __init__(self, watchdog: Watchdog, wanted: Callable[[], Awaitable[Switches]]) -> None:
        self._watchdog = watchdog
        self._wanted = wanted
        self._known: Switches = ()
        self._done: set[tuple[str, datetime | None]] = set()

    async def run(self) -> None:
        """Look once, and carry out what is due."""
        try:
            self._known = await self._wanted()
        except Unavailable:
            # What was known last holds: without the database no time can be moved on.
            if not self._known:
                raise
        grace = self._watchdog.grace
        due = [each for each in self._known if is_due(each, now(), grace=grace)]
        await asyncio.gather(*(self._carry_out(each) for each in due))

    async def _carry_out(self, switch: DeadManSwitch) -> None:
        key = switch.account_id, switch.armed_until
        if key in self._done or not await self._watchdog.is_wanted(switch):
            return
        if await self._watchdog.carry_out(switch):
            self._done.add(key)


Switches = Sequence[DeadManSwitch]


class DeadManMeter(Collector):
    """Tells Prometheus how many switches there are, by who keeps them and how they stand."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()

    def saw(self, switches: Iterable[DeadManSwitch]) -> None:
        """Take note of the switches that are wanted."""
        at = now()
        self._counts = Counter(
            (
                "unknown" if each.kept_by is None else each.kept_by.value,
                "went_off" if each.has_gone_off(at) else each.state.value.lower(),
            )
            for each in switches
        )

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        switches = GaugeMetricFamily(
            "perp_dex_dead_man_switches",
            "Dead man's switches that are wanted, by who keeps them and how they stand.",
            labels=("kept_by", "state"),
        )
        for labels, count in self._counts.items():
            switches.add_metric(labels, count)
        yield switches


def renewal(
    storage: Storage,
    connectors: ConnectorSource,
    access: TradingAccessSource,
    temporal: TemporalSign,
) -> DeadManRenewal:
    """Return what renews."""
    return DeadManRenewal(
        switches=storage.dead_man,
        watched=storage.dead_man,
        access=access,
        connectors=connectors,
        nonces=storage.signer_nonces,
        now=now,
        temporal_at=temporal.at,
    )


class _OpenOrLast:
    """Opens credentials, and with the database away takes those that were opened last."""

    def __init__(self, access: CachedAccess) -> None:
        self._access = access

    async def open(self, account_id: str) -> TradingAccess:
        """Return the account with its credential. See `TradingAccessSource`."""
        try:
            return await self._access.open(account_id)
        except Unavailable:
            return self._access.last(account_id)

    async def open_signer(self, account_id: str, signer: str) -> TradingAccess:
        """Return the account with that signer's credential. See `TradingAccessSource`."""
        return await self._access.open_signer(account_id, signer)


def stand_in(
    reserve: Reserve, connectors: ConnectorSource, parts: Parts, meter: DeadManMeter
) -> StandIn:
    """Return what stands in for the watchdog."""
    storage = reserve.storage
    injected = CommandParts(
        ledger=parts.ledger(storage.ledger),
        orders=storage.orders,
        access=reserve.access,
        connectors=connectors,
        checkpoints=parts.checkpoints,
        now=now,
        blocks=storage.halts,
    )

    async def wanted() -> Switches:
        found = await storage.dead_man.wanted()
        meter.saw(found)
        return found

    watchdog = Watchdog(
        switches=storage.dead_man,
        access=_OpenOrLast(reserve.access),
        halt=EmergencyHalt(injected, OrderActivities(injected, reserve.emergency)),
        alarm=AuditAlarm(storage.audit),
        now=now,
        grace=STAND_IN_AFTER,
    )
    return StandIn(watchdog, wanted)
