"""What can be asked of a market's past (trades, funding, candles), and what an answer holds.

The same for every venue. Bounds are here, so that nobody asks a venue for more. Knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from domain.accounts import Network
from domain.candle_intervals import interval_length
from domain.errors import InvalidInput
from domain.identifiers import check_symbol
from domain.market_data import Candle, FundingRate, Trade

#: So many trades, rates or candles at most in one answer.
ENTRIES_MAX: Final = 500
#: So far back at most funding is asked for; as long as no time is named, from `FUNDING_SINCE` on.
FUNDING_BACK_MAX: Final = timedelta(days=90)
FUNDING_SINCE: Final = timedelta(days=7)
#: An answer that is older is shown as stale.
FRESH: Final = timedelta(seconds=15)


class MarketQuery(StrEnum):
    """What of a market's past can be asked for; not every venue answers every one."""

    TRADES = "trades"
    FUNDING = "funding"
    CANDLES = "candles"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastQuestion:
    """A question about one market's past; the newest `limit` entries are wanted.

    `since` is for funding: how far back (None: `FUNDING_SINCE`). `interval` and `until` are for
    candles: of which length, and where they end (None: now).
    """

    venue: str
    network: Network
    symbol: str
    query: MarketQuery
    limit: int
    interval: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def check(self, now: datetime) -> None:
        """Check that it may be asked.

        Raises:
            InvalidInput: naming the field.
        """
        check_symbol(self.symbol)
        if not 1 <= self.limit <= ENTRIES_MAX:
            raise InvalidInput("limit", f"expected 1 to {ENTRIES_MAX}, found {self.limit}")
        if (self.query is MarketQuery.CANDLES) != (self.interval is not None):
            raise InvalidInput("interval", "expected one for candles, and none otherwise")
        if self.interval is not None:
            interval_length(self.interval)
        if self.since is not None and not now - FUNDING_BACK_MAX <= self.since <= now:
            raise InvalidInput(
                "since",
                f"expected a time within the last {FUNDING_BACK_MAX.days} days, "
                f"found {self.since.isoformat()}",
            )
        if self.until is not None and self.until > now + timedelta(days=1):
            raise InvalidInput(
                "until", f"expected a time that is not to come, found {self.until.isoformat()}"
            )

    def funding_since(self, now: datetime) -> datetime:
        """Return from when on funding is wanted."""
        return now - FUNDING_SINCE if self.since is None else self.since

    def candle_window(self, now: datetime) -> tuple[datetime, datetime]:
        """Return between which times the wanted candles begin.

        Raises:
            InvalidInput: there is no interval, or the window begins before the year 2000.
        """
        length = interval_length(self.interval or "")
        end = now if self.until is None else self.until
        try:
            start = end - length * self.limit
        except OverflowError:
            start = datetime.min.replace(tzinfo=end.tzinfo)
        if start.year < _FIRST_YEAR:
            raise InvalidInput(
                "until",
                f"expected {self.limit} candles of {self.interval} to begin in {_FIRST_YEAR} or "
                "later; ask for fewer of them",
            )
        return start, end


#: Before this there were no such markets.
_FIRST_YEAR: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPast:
    """An answer: the entries of its kind, as the venue knew them at `as_of`, by our clock.

    `source` tells how it came ("query", "stream"). Trades and rates come newest first, candles
    oldest first. `present_rate` goes with rates: what funding is now, where the venue says.
    """

    source: str
    as_of: datetime
    trades: tuple[Trade, ...] = ()
    rates: tuple[FundingRate, ...] = ()
    candles: tuple[Candle, ...] = ()
    present_rate: FundingRate | None = None

    def age_s(self, now: datetime) -> float:
        """Return how old it is, in seconds; never below zero."""
        return max((now - self.as_of).total_seconds(), 0.0)

    def is_stale(self, now: datetime) -> bool:
        """Tell whether it is too old to be shown as what is known now."""
        return now - self.as_of > FRESH
