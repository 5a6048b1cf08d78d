"""What is measured of the venues' feeds: how late their words come, and how often they fail.

Kept by whoever follows a feed, read when somebody scrapes. Pure; bounded by venues, networks, ways
and kinds of messages, never by markets or accounts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from domain.accounts import Network
from domain.distributions import Distribution
from streaming.market_feeds import Place
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannelKind,
    MarketEvent,
    TradesSeen,
)

#: The way that words on accounts come; those on markets come by the ways of `market_feeds`.
ACCOUNTS: Final = "accounts"


@dataclass(slots=True)
class ChannelMeter:
    """One kind of message. `last_at` by the monotonic clock; None before the first."""

    lag: Distribution = field(default_factory=Distribution)
    messages: int = 0
    last_at: float | None = None


class FeedMeter:
    """One feed of one venue and network."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        #: By the kind of message.
        self.channels: dict[str, ChannelMeter] = {}
        #: How often it was live no more; of accounts each for itself.
        self.losses = 0
        #: How often it failed or ended and was made anew by us.
        self.restarts = 0
        self._live: set[str | None] = set()

    def heard(
        self,
        channel: str,
        event_time: datetime | None = None,
        received_time: datetime | None = None,
    ) -> None:
        """Count a message, and how late it came where the venue says when it happened."""
        meter = self.channels.get(channel)
        if meter is None:
            meter = self.channels[channel] = ChannelMeter()
        meter.messages += 1
        meter.last_at = self._clock()
        if event_time is not None and received_time is not None:
            meter.lag.add((received_time - event_time).total_seconds())

    def went(self, account_id: str | None, *, live: bool) -> None:
        """Take note that one account, or (None) the whole feed, is live or is not any more."""
        if live:
            self._live.add(account_id)
            return
        lost = self._live if account_id is None else self._live & {account_id}
        self.losses += bool(lost)
        self._live = self._live - lost

    def keep(self, account_ids: Collection[str]) -> None:
        """Forget the accounts that are followed no more; nothing was lost of them."""
        self._live &= set(account_ids)

    @property
    def live(self) -> int:
        """How many accounts are live; of a feed of markets 1 or 0."""
        return len(self._live)


class FeedMeters:
    """The meters of all feeds of this process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.meters: dict[tuple[str, Network, str], FeedMeter] = {}
        #: By channel, how long it took from having something to having handed it on.
        self.handed_on: defaultdict[str, Distribution] = defaultdict(Distribution)

    def of(self, venue: str, network: Network, source: str) -> FeedMeter:
        """Return the meter of one way to a venue and network, the same one each time."""
        key = (venue, network, source)
        meter = self.meters.get(key)
        if meter is None:
            meter = self.meters[key] = FeedMeter(self._clock)
        return meter

    def silences(self) -> dict[tuple[str, Network, bool, str], float]:
        """Return how many seconds ago a kind of message came last, whichever way.

        Keys are venue, network, whether it is about accounts, and the kind.
        """
        last: dict[tuple[str, Network, bool, str], float] = {}
        for (venue, network, source), meter in self.meters.items():
            if source == ACCOUNTS and not meter.live:
                # Nothing is to be heard of it here; that it is not live is told otherwise.
                continue
            for channel, measured in meter.channels.items():
                key = (venue, network, source == ACCOUNTS, channel)
                if measured.last_at is not None:
                    last[key] = max(measured.last_at, last.get(key, float("-inf")))
        now = self._clock()
        return {key: now - at for key, at in last.items()}


class MarketMeter:
    """Measures events of markets. To be told last of all, when everybody has been handed them."""

    def __init__(self, meters: FeedMeters, now: Callable[[], datetime]) -> None:
        self._meters = meters
        self._now = now

    def take(self, place: Place, event: MarketEvent, source: str) -> None:
        """Count one event (a `streaming.market_feeds.Deliver`)."""
        meter = self._meters.of(place.venue, place.network, source)
        if isinstance(event, FeedState):
            meter.went(None, live=event.live)
            return
        event_time: datetime | None = None
        received: datetime | None = None
        if isinstance(event, BookSeen):
            kind = MarketChannelKind.TOP if event.is_top else MarketChannelKind.BOOK
            event_time, received = event.book.event_time, event.book.received_time
        elif isinstance(event, TradesSeen):
            kind = MarketChannelKind.TRADES
            if event.trades and not event.is_backlog:
                event_time, received = event.trades[0].event_time, event.trades[0].received_time
        elif isinstance(event, CandleSeen):
            kind = MarketChannelKind.CANDLES
        else:
            kind, received = MarketChannelKind.TICKER, event.ticker.received_time
        meter.heard(kind.value, event_time, received)
        if received is not None:
            took_s = (self._now() - received).total_seconds()
            self._meters.handed_on[kind.value].add(took_s)
