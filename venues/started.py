"""The started connectors of one process, our clock's offset to each of their venues, and circuits.

Made when first needed and kept until the process ends. Knows no venue by name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from domain.accounts import Account, Network
from domain.errors import CorruptState, InvalidInput, PerpDexError
from domain.feed_credentials import FeedCredentialSource
from domain.outcomes import Outcome
from domain.session_states import MeasuredClock
from domain.verdict_looks import FeedWord
from venues import registry
from venues.circuits import Circuits
from venues.connector import Connector, CredentialedQueries, HearsFeed
from venues.rights import RightsBoard

CLOCK_OFFSET_BOUND = timedelta(milliseconds=500)
CLOCK_QUESTIONS = 3
"""So often the venue's time is asked for at most, until an answer is quick enough to count."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far our clock is before a venue's, and by how much that may be wrong.

    The venue read its clock at some moment of the round trip: half of it is what is not known.
    """

    offset: timedelta
    uncertainty: timedelta
    measured_at: datetime
    coarseness: timedelta = timedelta(0)

    @classmethod
    def of(
        cls, before: datetime, venue_time: datetime, after: datetime, *, step_s: float = 0.0
    ) -> ClockOffset:
        """Return what one answer tells; `step_s` is what the venue rounds its clock down to."""
        half, coarseness = (after - before) / 2, timedelta(seconds=step_s / 2)
        middle = venue_time + coarseness
        return cls(before + half - middle, half + coarseness, after, coarseness)

    @property
    def tells_nothing(self) -> bool:
        """Whether the answer came too slowly to find anything out; what was known is better."""
        return self.uncertainty - self.coarseness > CLOCK_OFFSET_BOUND

    @property
    def is_beyond_bound(self) -> bool:
        """Whether the clocks are too far apart for certain."""
        return abs(self.offset) - self.uncertainty > CLOCK_OFFSET_BOUND


@dataclass
class Connectors:
    """Started connectors, one per venue and network, of the venues that this process serves.

    `credentials` opens what questions about an account need, at venues that tell nobody else.
    `feed` tells connectors that can hear of it what accounts' feeds have told.
    """

    venues: frozenset[str]
    credentials: FeedCredentialSource | None = None
    circuits: Circuits = field(default_factory=Circuits)
    rights: RightsBoard = field(default_factory=RightsBoard)
    feed: FeedWord | None = None
    _started: dict[tuple[str, Network], Connector] = field(default_factory=dict)
    _offsets: dict[tuple[str, Network], ClockOffset] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def connector(self, venue: str, network: Network) -> Connector:
        """Return the started connector of a venue and network.

        Raises:
            InvalidInput: this process does not serve that venue, or it lacks the network.
            VenueUnavailable: it could not be started.
            CorruptState: it needs credentials to ask with, and this process was given none.
        """
        found = self._started.get((venue, network))
        if found is not None:
            return found
        if venue not in self.venues:
            raise InvalidInput("venue", f"this worker does not serve {venue!r}")
        async with self._lock:
            if (venue, network) not in self._started:
                connector = registry.load(venue).connect(network)
                self._give_access(connector)
                if self.feed is not None and isinstance(connector, HearsFeed):
                    connector.use_feed(self.feed)
                try:
                    await connector.start()
                except BaseException:
                    await connector.close()
                    raise
                self._started[venue, network] = connector
        return self._started[venue, network]

    def _give_access(self, connector: Connector) -> None:
        """Let a connector open the credentials that its venue wants of whoever asks."""
        if isinstance(connector, CredentialedQueries) and self.credentials is not None:
            connector.use_credentials(self.credentials)
        elif connector.capabilities.queries_need_credential:
            raise CorruptState(
                f"expected access to credentials for {connector.venue}, and a connector that takes "
                "it, found none"
            )

    def clock_refusal(self, venue: str, network: Network) -> str | None:
        """Return why our clock forbids new exposure, or None."""
        measured = self._offsets.get((venue, network))
        if measured is None or not measured.is_beyond_bound:
            return None
        return (
            f"our clock is {measured.offset.total_seconds():+.3f} s from {venue}'s, more than "
            f"{CLOCK_OFFSET_BOUND.total_seconds():g} s; set the clock, then try again"
        )

    def opening_refusal(self, venue: str, network: Network) -> str | None:
        """Return why a venue that gives no verdicts forbids new exposure now, or None."""
        return self.circuits.opening_refusal(venue, network)

    def note_outcome(self, venue: str, network: Network, outcome: Outcome) -> None:
        """Learn from a command's outcome whether the venue gives verdicts."""
        self.circuits.note_outcome(venue, network, outcome)

    def clock(self, venue: str, network: Network) -> MeasuredClock | None:
        """Return our clock's offset to a venue as it was measured last, or None."""
        measured = self._offsets.get((venue, network))
        if measured is None:
            return None
        return MeasuredClock(
            offset_s=measured.offset.total_seconds(),
            uncertainty_s=measured.uncertainty.total_seconds(),
            is_beyond_bound=measured.is_beyond_bound,
            measured_at=measured.measured_at,
        )

    def started(self) -> tuple[Connector, ...]:
        """Return all started connectors."""
        return tuple(self._started.values())

    async def measure_clock(self, accounts: Iterable[Account], *, only_new: bool = False) -> None:
        """Measure the offset to every venue that an account of ours lives on.

        `only_new`: to those that were never measured.

        Raises:
            VenueUnavailable, VenueRefused: of one that did not say it; the others were measured.
        """
        by_place = {(account.venue, account.network): account for account in accounts}
        failed: PerpDexError | None = None
        for place, account in by_place.items():
            connector = self._started.get(place)
            if connector is None or (only_new and place in self._offsets):
                continue
            try:
                self._keep_offset(place, await _measured(connector, account))
            except PerpDexError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def _keep_offset(self, place: tuple[str, Network], measured: ClockOffset) -> None:
        if measured.tells_nothing and place in self._offsets:
            _log.info("%s (%s) answered too slowly to measure our clock by", *place)
            return
        self._offsets[place] = measured
        _log.info(
            "our clock is %+.3f s from that of %s (%s), give or take %.3f s",
            measured.offset.total_seconds(),
            *place,
            measured.uncertainty.total_seconds(),
        )

    async def close(self) -> None:
        """Close every connector."""
        for connector in self.started():
            await connector.close()


async def _measured(connector: Connector, account: Account) -> ClockOffset:
    """Ask until an answer is quick enough to count, and return what the quickest tells."""
    quickest: ClockOffset | None = None
    for _ in range(CLOCK_QUESTIONS):
        before = datetime.now(UTC)
        venue_time = await connector.venue_time(account)
        step_s = connector.proofs.clock_step_s
        found = ClockOffset.of(before, venue_time, datetime.now(UTC), step_s=step_s)
        if quickest is None or found.uncertainty < quickest.uncertainty:
            quickest = found
        if quickest.uncertainty - quickest.coarseness < CLOCK_OFFSET_BOUND / 4:
            break
    assert quickest is not None  # noqa: S101 - at least one question was asked
    return quickest
