"""What a client asks about markets: subscribe to a channel of one, unsubscribe, be brought up to
date. Every subscription passes `authorize`. Knows no socket.
"""

from __future__ import annotations

from domain.errors import NotAllowed, NotFound
from domain.principals import Action, Principal, authorize
from streaming.hub import Hub, Session, Topic
from streaming.market_names import name_of, view_of
from streaming.market_topics import MarketTopics
from streaming.protocol import Ack, Limits, MarketView, Subscribe, Unsubscribe, encode


class MarketConversation:
    """Answers subscriptions to market channels, for all sessions."""

    def __init__(self, hub: Hub, topics: MarketTopics, limits: Limits) -> None:
        self._hub = hub
        self._topics = topics
        self._limits = limits

    async def subscribe(
        self, session: Session, principal: Principal, channel: str, message: Subscribe
    ) -> None:
        """Subscribe a session, or again: it gets a new snapshot then.

        Raises:
            InvalidInput: no such market, or a field that does not belong there.
            NotAllowed: not for this principal, or too many subscriptions.
            Unavailable: the venue does not answer.
        """
        authorize(principal, Action.READ_MARKET, None)
        name = name_of(channel, message)
        topic = name.topic
        if len({*session.subscriptions, topic}) > self._limits.subscriptions_max:
            raise NotAllowed(f"expected at most {self._limits.subscriptions_max} subscriptions")
        await self._topics.open(name)
        if session.is_closed:
            self._topics.close_unfollowed(topic)
            return
        self._acknowledge(session, message, [name.view])
        self._topics.attach(session, topic)

    def unsubscribe(self, session: Session, channel: str, message: Unsubscribe) -> None:
        """End one subscription, or all of a channel where no market is named.

        Raises:
            InvalidInput: a field that does not belong there.
            NotFound: there is no such subscription.
        """
        if message.symbol is None:
            topics = [topic for topic in session.subscriptions if topic.channel == channel]
        else:
            topics = [name_of(channel, message).topic]
            if topics[0] not in session.subscriptions:
                raise NotFound("not subscribed")
        self._acknowledge(session, message, [view_of(topic) for topic in topics])
        for topic in topics:
            self._hub.unsubscribe(session, topic)

    def resync(self, session: Session, topic: Topic) -> None:
        """Bring a session to the newest state of a market."""
        self._topics.resync(session, topic)

    def _acknowledge(
        self, session: Session, message: Subscribe | Unsubscribe, views: list[MarketView]
    ) -> None:
        op = "subscribe" if isinstance(message, Subscribe) else "unsubscribe"
        channel = views[0].channel if views else (message.channel or "")
        self._hub.send(session, encode(Ack(id=message.id, op=op, channel=channel, markets=views)))
