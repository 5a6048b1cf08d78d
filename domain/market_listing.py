"""Which markets a listing shows, page by page, over all venues. Knows no venue and no store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.accounts import Network
from domain.instruments import Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketFilter:
    """Which markets a listing shows: of these venues on a network; `symbol` None means any.

    `cursor` continues an earlier page.
    """

    network: Network
    venues: tuple[str, ...]
    symbol: str | None = None
    limit: int = 200
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMarket:
    """A market, and when a worker last read it of its venue."""

    instrument: Instrument
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketPage:
    """A page of markets, by symbol and then venue, and the cursor of the next one if there is one.

    The markets of one symbol stand together, whatever venue they are of.
    """

    markets: tuple[ListedMarket, ...]
    next_cursor: str | None
