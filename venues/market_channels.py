"""Which channels a public feed has to carry, spelled as the venue's subscriptions. Knows no venue.

Several channels may be carried by one subscription (prices of all markets), so what has to be said
to the venue is the difference of the subscriptions, not of the channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from domain.errors import InvalidInput
from venues.connector import MarketChannel, MarketChannelKind

#: What makes a subscription one: the venue's channel first, then whom it is about.
Key = tuple[str, str, str]
Subscription = dict[str, Any]
_UNBOUNDED: Final = 1_000_000


class MarketChannels:
    """The channels wanted of one feed.

    `names` are the venue's names by symbol of ours; `spell` returns a channel's subscription for a
    venue's name. The venue carries `count_max` subscriptions, `of_a_channel_max` of one channel.
    """

    def __init__(
        self,
        venue: str,
        names: Mapping[str, str],
        intervals: Collection[str],
        spell: Callable[[MarketChannel, str], tuple[Key, Subscription]],
        *,
        count_max: int = _UNBOUNDED,
        of_a_channel_max: int = _UNBOUNDED,
    ) -> None:
        self._venue = venue
        self._names = names
        self._intervals = intervals
        self._spell = spell
        self._count_max = count_max
        self._of_a_channel_max = of_a_channel_max
        self._wanted: frozenset[MarketChannel] = frozenset()
        #: The venue's names by what is wanted of them: asked for with each frame of some venues.
        self._names_of: dict[MarketChannelKind, frozenset[str]] = {}

    def all(self) -> list[Subscription]:
        """Return everything to ask for on a fresh connection, in order."""
        spelled = self._spelled(self._wanted)
        return [spelled[key] for key in sorted(spelled)]

    def names_of(self, kind: MarketChannelKind) -> frozenset[str]:
        """Return the venue's names of the markets of which that kind is wanted."""
        return self._names_of.get(kind, frozenset())

    def want(
        self, channels: Iterable[MarketChannel]
    ) -> tuple[list[Subscription], list[Subscription]]:
        """Set the channels; return what to ask for no longer, and what to ask for besides.

        Raises:
            InvalidInput: a channel is for no market of the venue's, or has no such interval, or
                there are more than the venue carries; nothing is changed.
        """
        wanted = frozenset(channels)
        for channel in wanted:
            self._check(channel)
        spelled = self._spelled(wanted)
        self._check_count(spelled)
        before = self._spelled(self._wanted)
        self._wanted = wanted
        self._names_of = {
            kind: frozenset(self._names[each.symbol] for each in wanted if each.kind is kind)
            for kind in MarketChannelKind
        }
        gone, new = before.keys() - spelled.keys(), spelled.keys() - before.keys()
        return [before[key] for key in sorted(gone)], [spelled[key] for key in sorted(new)]

    def _spelled(self, channels: Iterable[MarketChannel]) -> dict[Key, Subscription]:
        return dict(self._spell(channel, self._names[channel.symbol]) for channel in channels)

    def _check(self, channel: MarketChannel) -> None:
        if channel.symbol not in self._names:
            raise InvalidInput(
                "symbol", f"expected a market of {self._venue}, found {channel.symbol[:64]!r}"
            )
        if (channel.kind is MarketChannelKind.CANDLES) != (channel.interval in self._intervals):
            raise InvalidInput(
                "interval",
                f"expected one of {', '.join(self._intervals)} for candles and none otherwise, "
                f"found {channel.interval!r} for {channel.kind.name}",
            )

    def _check_count(self, spelled: Collection[Key]) -> None:
        if len(spelled) > self._count_max:
            raise InvalidInput(
                "channels", f"expected at most {self._count_max}, found {len(spelled)}"
            )
        for channel, count in Counter(key[0] for key in spelled).items():
            if count > self._of_a_channel_max:
                raise InvalidInput(
                    "channels",
                    f"expected at most {self._of_a_channel_max} of {channel} on {self._venue}, "
                    f"found {count}",
                )
