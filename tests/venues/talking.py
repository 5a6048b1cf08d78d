"""A public feed's conversation, driven by hand as its shell drives it."""

from __future__ import annotations

from venues.connector import MarketEvent
from venues.feeds import MarketConversation
from venues.stream_session import LiveStream


class MarketTalk(LiveStream[MarketEvent]):
    """The core of a public feed, with what its owner asks of the conversation."""

    def __init__(self, conversation: MarketConversation) -> None:
        super().__init__(conversation)
        self.want = conversation.want
