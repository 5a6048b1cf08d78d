"""Market events and channels in the words of the relay between processes, and back. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from bus.market_relay import RelayedChannel, RelayedEvent
from streaming import market_board
from venues.connector import (
    BookSeen,
    CandleSeen,
    FeedState,
    MarketChannel,
    MarketChannelKind,
    MarketEvent,
    TickerSeen,
    TradesSeen,
)


def relayed_channel(channel: MarketChannel) -> RelayedChannel:
    """Return a channel in the relay's words."""
    return RelayedChannel(channel.kind.value, channel.symbol, channel.interval)


def channel_in(relayed: RelayedChannel) -> MarketChannel | None:
    """Return the channel that is meant, or None where it is of a kind that is not known here."""
    try:
        kind = MarketChannelKind(relayed.kind)
    except ValueError:
        return None
    return MarketChannel(kind=kind, symbol=relayed.symbol, interval=relayed.interval)


def channel_of(event: MarketEvent) -> MarketChannel | None:
    """Return the channel an event came over; None for one that came over none."""
    if isinstance(event, FeedState) or (isinstance(event, TradesSeen) and not event.market):
        return None
    return market_board.channel_of(event)


def relayed_event(event: MarketEvent, source: str) -> RelayedEvent:
    """Return an event in the relay's words."""
    match event:
        case BookSeen():
            return RelayedEvent(source=source, book=event.book, is_top=event.is_top)
        case TradesSeen():
            return RelayedEvent(
                source=source,
                trades=event.trades,
                is_backlog=event.is_backlog,
                symbol=event.symbol,
            )
        case TickerSeen():
            return RelayedEvent(source=source, ticker=event.ticker)
        case CandleSeen():
            return RelayedEvent(source=source, candle=event.candle)
        case FeedState():
            return RelayedEvent(source=source, live=event.live, reason=event.reason, at=event.at)


def event_in(relayed: RelayedEvent) -> MarketEvent | None:
    """Return the event that is meant, or None where it is of a kind that is not known here."""
    if relayed.book is not None:
        return BookSeen(book=relayed.book, is_top=relayed.is_top)
    if relayed.trades is not None:
        return TradesSeen(
            trades=relayed.trades, is_backlog=relayed.is_backlog, symbol=relayed.symbol
        )
    if relayed.ticker is not None:
        return TickerSeen(ticker=relayed.ticker)
    if relayed.candle is not None:
        return CandleSeen(candle=relayed.candle)
    if relayed.live is not None:
        return FeedState(
            account_id=None,
            live=relayed.live,
            reason=relayed.reason,
            at=relayed.at or datetime.now(UTC),
        )
    return None
