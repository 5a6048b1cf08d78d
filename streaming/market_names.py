"""What a client names when it asks for market data, and the topic that carries it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from domain.accounts import Network
from domain.errors import InvalidInput
from domain.identifiers import check_symbol
from streaming.hub import Topic
from streaming.protocol import MarketView, Wanted
from venues.connector import MarketChannel, MarketChannelKind

MARKET_CHANNELS: Final = tuple(kind.value for kind in MarketChannelKind)
#: The channels that show all venues together when none is named.
SHARED_KINDS: Final = (MarketChannelKind.BOOK, MarketChannelKind.TOP)
_INTERVAL_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class MarketName:
    """One market channel as clients name it; `venue` None: all venues together."""

    kind: MarketChannelKind
    venue: str | None
    network: Network
    symbol: str
    interval: str | None = None

    @property
    def topic(self) -> Topic:
        """The topic of this channel's messages. Trades are queued; states give way to newer."""
        subject = f"{self.venue or ''}|{self.network}|{self.symbol}|{self.interval or ''}"
        newest_only = self.kind is not MarketChannelKind.TRADES
        return Topic(self.kind.value, subject, newest_only, 0)

    @property
    def channel(self) -> MarketChannel:
        """The channel of a venue that feeds this one."""
        return MarketChannel(kind=self.kind, symbol=self.symbol, interval=self.interval)

    @property
    def view(self) -> MarketView:
        """The name as it is told."""
        return MarketView(
            channel=self.kind.value,
            venue=self.venue,
            network=self.network.value,
            symbol=self.symbol,
            interval=self.interval,
        )


def name_of(channel: str, wanted: Wanted) -> MarketName:
    """Return the market channel that a client's message names.

    Raises:
        InvalidInput: a field is missing, does not belong there, or cannot be taken.
    """
    kind = MarketChannelKind(channel)
    if wanted.account_id is not None:
        raise InvalidInput("account_id", f"expected none on channel {channel}")
    if wanted.symbol is None:
        raise InvalidInput("symbol", "expected a market such as BTC-PERP, found nothing")
    if kind is MarketChannelKind.CANDLES:
        if wanted.interval is None or len(wanted.interval) > _INTERVAL_MAX:
            raise InvalidInput("interval", "expected one such as 1m")
    elif wanted.interval is not None:
        raise InvalidInput("interval", f"expected none on channel {channel}")
    if wanted.venue is None and kind not in SHARED_KINDS:
        raise InvalidInput(
            "venue", f"expected a venue: channel {channel} has no view of all venues together"
        )
    return MarketName(
        kind=kind,
        venue=wanted.venue,
        network=wanted.network or Network.MAINNET,
        symbol=check_symbol(wanted.symbol),
        interval=wanted.interval,
    )


def view_of(topic: Topic) -> MarketView:
    """Return what a topic of `MarketName.topic` is called outside."""
    venue, network, symbol, interval = topic.subject.split("|")
    return MarketView(
        channel=topic.channel,
        venue=venue or None,
        network=network,
        symbol=symbol,
        interval=interval or None,
    )
