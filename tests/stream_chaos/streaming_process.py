"""The product's own streaming process, but that its feeds wait no longer than half a second.

The venue allows few new connections a minute, and the product is as patient as that takes; a storm
of half a minute would then be spent waiting. `PATIENT=1` leaves the product as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from domain.accounts import Network
from domain.instruments import Instrument
from streaming import main as streaming_main
from venues import registry
from venues.connections import ConnectionBudget
from venues.connector import AccountFeed, MarketFeed, VenueSpec
from venues.hyperliquid import account_stream as hyperliquid_account
from venues.hyperliquid import market_stream as hyperliquid_market
from venues.hyperliquid.settings import HyperliquidSettings
from venues.hyperliquid.spec import HyperliquidSpec
from venues.pacifica import account_stream as pacifica_account
from venues.pacifica import market_stream as pacifica_market
from venues.pacifica.feed_reading import FeedReading
from venues.pacifica.settings import PacificaSettings
from venues.pacifica.spec import PacificaSpec
from venues.stream import Backoff

PATIENT_VARIABLE = "STREAM_CHAOS_PATIENT"
OPENED_PER_MINUTE = 100_000


@dataclass(frozen=True, slots=True)
class Impatient(HyperliquidSpec):
    """Hyperliquid, with feeds that come back at once."""

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed."""
        connections = ConnectionBudget(connections_max=9, opened_per_minute_max=OPENED_PER_MINUTE)
        url = HyperliquidSettings().base_url(network)
        return hyperliquid_account.account_feed(url, connections=connections, backoff=_soon)

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed."""
        connections = ConnectionBudget(connections_max=1, opened_per_minute_max=OPENED_PER_MINUTE)
        url = HyperliquidSettings().base_url(network)
        return hyperliquid_market.market_feed(
            url, instruments, connections=connections, backoff=_soon()
        )


@dataclass(frozen=True, slots=True)
class ImpatientPacifica(PacificaSpec):
    """Pacifica, with feeds that come back at once."""

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed."""
        connections = ConnectionBudget(connections_max=90, opened_per_minute_max=OPENED_PER_MINUTE)
        settings = PacificaSettings()
        reading = FeedReading(settings.base_url(network))
        url = settings.socket_url(network)
        return pacifica_account.account_feed(url, reading, connections=connections, backoff=_soon)

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed."""
        connections = ConnectionBudget(connections_max=1, opened_per_minute_max=OPENED_PER_MINUTE)
        url = PacificaSettings().socket_url(network)
        return pacifica_market.market_feed(
            url, instruments, connections=connections, backoff=_soon()
        )


def _soon() -> Backoff:
    return Backoff(first_s=0.1, longest_s=0.5)


_IMPATIENT = {"hyperliquid": Impatient(), "pacifica": ImpatientPacifica()}


_patient = registry.load


def _load(venue: str) -> VenueSpec:
    return cast(VenueSpec, _IMPATIENT.get(venue)) or _patient(venue)


if __name__ == "__main__":
    if not os.environ.get(PATIENT_VARIABLE):
        registry.load = _load
    code = streaming_main.main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
