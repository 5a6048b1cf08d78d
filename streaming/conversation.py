"""What a client asks for and what it is answered: auth, subscribe, unsubscribe, ping.

Works on a hub session and the channels; knows no socket. Every subscription passes `authorize`.
Accounts' channels are answered here, markets' channels by `market_conversation`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import msgspec

from domain.accounts import Account, AccountState
from domain.errors import (
    InvalidInput,
    NotAllowed,
    NotFound,
    PerpDexError,
    Unavailable,
    VenueUnavailable,
)
from domain.ports import AccountStore
from domain.principals import Action, Principal, authorize
from streaming.channels import Channel
from streaming.hub import Hub, Session, Topic
from streaming.market_conversation import MarketConversation
from streaming.market_names import MARKET_CHANNELS, view_of
from streaming.paths import MARKETS
from streaming.protocol import (
    Ack,
    Auth,
    CloseCode,
    Error,
    Limits,
    MalformedMessage,
    Ping,
    Pong,
    Resync,
    Subscribe,
    Unsubscribe,
    Wanted,
    decode,
    encode,
)
from streaming.schema import rfc3339
from streaming.tokens import Authenticator, Grant

#: Sessions that are looked at before others get their turn.
TOGETHER_MAX: Final = 200
_ATTACH_TRIES: Final = 5


class Conversations:
    """Answers the messages of all sessions."""

    def __init__(
        self,
        hub: Hub,
        channels: Mapping[str, Channel],
        accounts: AccountStore,
        authenticator: Authenticator,
        limits: Limits,
        now: Callable[[], datetime],
        markets: MarketConversation | None = None,
    ) -> None:
        self._markets = markets
        self._hub = hub
        self._channels = channels
        self._accounts = accounts
        self._authenticator = authenticator
        self._limits = limits
        self._now = now
        self._grants: dict[bytes, tuple[Grant, dict[Session, None]]] = {}
        self._follow_all: dict[Session, None] = {}

    async def hear(self, session: Session, data: bytes) -> None:
        """Answer one message of a session."""
        try:
            message = decode(data)
        except MalformedMessage as error:
            if session.principal is None:
                self._unauthenticated(session)
                return
            self._send_error(session, None, "invalid_message", str(error))
            return
        if isinstance(message, Auth):
            self._authenticate(session, message)
        elif session.principal is None:
            self._unauthenticated(session)
        elif isinstance(message, Ping):
            server_time = rfc3339(self._now())
            self._hub.send(session, encode(Pong(id=message.id, server_time=server_time)))
        else:
            await self._subscription(session, session.principal, message)

    def forget(self, session: Session) -> None:
        """Drop what is kept of a session that is gone."""
        self._follow_all.pop(session, None)
        for mark, (_, sessions) in tuple(self._grants.items()):
            sessions.pop(session, None)
            if not sessions:
                del self._grants[mark]

    def revoke_replaced(self) -> None:
        """Close the sessions whose token is no longer good."""
        self._authenticator.refresh()
        for mark, (grant, sessions) in tuple(self._grants.items()):
            if not self._authenticator.is_valid(grant):
                del self._grants[mark]
                for session in sessions:
                    self._hub.close(session, CloseCode.UNAUTHENTICATED, "the token was replaced")

    async def follow_new_accounts(self) -> None:
        """Subscribe those who follow all accounts to accounts that came since.

        Raises:
            Unavailable: storage does not answer.
        """
        owned: dict[str, list[Account]] = {}
        for number, session in enumerate(tuple(self._follow_all)):
            principal = session.principal
            if principal is None or session.is_closed:
                continue
            if principal.principal_id not in owned:
                owned[principal.principal_id] = await self._owned(principal)
            for channel in tuple(session.follows_all):
                for account in self._room_for(session, channel, owned[principal.principal_id]):
                    topic = Topic(channel, account.account_id)
                    if topic not in session.subscriptions and not session.is_closed:
                        await self._attach(session, topic, account)
            if number % TOGETHER_MAX == TOGETHER_MAX - 1:
                await asyncio.sleep(0)

    async def resync(self, now_s: float) -> None:
        """Send snapshots where messages had to be left out.

        Raises:
            Unavailable: storage does not answer.
        """
        for session, topic in self._hub.due_for_resync():
            if session.is_closed or topic not in session.subscriptions:
                continue
            if topic.channel not in self._channels:
                if self._markets is not None:
                    self._markets.resync(session, topic)
                continue
            account = await self._accounts.get(topic.subject)
            if account is None or not self._hub.begin_resync(session, now_s):
                continue
            first = Resync(
                channel=topic.channel, account_id=topic.subject, reason="changes were left out"
            )
            try:
                await self._attach(session, topic, account, before=[encode(first)], again=True)
            except Unavailable:
                self._hub.undo_resync(session)
                raise

    def _authenticate(self, session: Session, message: Auth) -> None:
        grant = self._authenticator.grant(message.token)
        if grant is None:
            self._hub.close(session, CloseCode.UNAUTHENTICATED, "expected a valid token")
            return
        known = session.principal
        if known is not None and known.principal_id != grant.principal.principal_id:
            self._send_error(session, message.id, "not_allowed", "already authenticated")
            return
        if known is None and not self._hub.identify(session, grant.principal):
            return
        if grant.mark not in self._grants:
            self._grants[grant.mark] = grant, {}
        self._grants[grant.mark][1][session] = None
        self._hub.send(session, encode(Ack(id=message.id, op="auth")))

    def _unauthenticated(self, session: Session) -> None:
        self._hub.close(session, CloseCode.UNAUTHENTICATED, "expected auth as the first message")

    async def _subscription(
        self, session: Session, principal: Principal, message: Subscribe | Unsubscribe
    ) -> None:
        try:
            if isinstance(message, Subscribe):
                await self._subscribe(session, principal, message)
            else:
                self._unsubscribe(session, message)
        except InvalidInput as error:
            text = f"{error.field}: {error.message}"
            self._send_error(session, message.id, error.code, text, field=error.field)
        except VenueUnavailable as error:
            self._send_error(session, message.id, error.code, f"{error}; try again")
        except PerpDexError as error:
            text = str(error)
            if isinstance(error, NotFound):
                text = "not subscribed" if isinstance(message, Unsubscribe) else "no such account"
            elif isinstance(error, Unavailable):
                text = "storage does not answer; try again"
            self._send_error(session, message.id, error.code, text)

    def _channel(self, session: Session, message: Wanted) -> str | None:
        """Return the channel a message is about; None: it names none on a socket of several.

        Raises:
            InvalidInput: the socket does not have that channel.
        """
        offered = self._offered(session)
        if message.channel is None:
            return offered[0] if len(offered) == 1 else None
        if message.channel not in offered:
            raise InvalidInput("channel", f"expected one of {', '.join(offered)} on this socket")
        return message.channel

    def _offered(self, session: Session) -> tuple[str, ...]:
        """Return the channels of the socket that a session came in by."""
        if session.channel in self._channels:
            return (session.channel,)
        markets = () if self._markets is None else MARKET_CHANNELS
        return markets if session.channel == MARKETS else (*self._channels, *markets)

    async def _subscribe(self, session: Session, principal: Principal, message: Subscribe) -> None:
        channel = self._channel(session, message)
        if channel is None:
            offered = ", ".join(self._offered(session))
            raise InvalidInput("channel", f"expected one of {offered}, found none")
        if self._markets is not None and channel not in self._channels:
            await self._markets.subscribe(session, principal, channel, message)
            return
        _expect_no_market(channel, message)
        if message.account_id is None:
            authorize(principal, Action.READ_ACCOUNT, None)
            accounts = self._room_for(session, channel, await self._owned(principal))
        else:
            accounts = [await self._account(principal, message.account_id)]
        new = {Topic(channel, account.account_id): account for account in accounts}
        if len({*session.subscriptions, *new}) > self._limits.subscriptions_max:
            raise NotAllowed(f"expected at most {self._limits.subscriptions_max} subscriptions")
        names = [account.account_id for account in accounts]
        self._acknowledge(session, message, "subscribe", channel, names)
        if message.account_id is None and not session.is_closed:
            session.follows_all.add(channel)
            self._follow_all[session] = None
        for topic, account in new.items():
            if message.account_id is None and topic in session.subscriptions:
                # Followed before, perhaps from a sequence: it goes on where it is.
                continue
            try:
                await self._attach(session, topic, account, from_seq=message.from_seq)
            except Unavailable:
                # The subscription stands; its snapshot comes when storage answers again.
                self._hub.owe(session, topic)

    def _unsubscribe(self, session: Session, message: Unsubscribe) -> None:
        channel = self._channel(session, message)
        if channel is None:
            self._unsubscribe_all(session, message)
            return
        if self._markets is not None and channel not in self._channels:
            self._markets.unsubscribe(session, channel, message)
            return
        _expect_no_market(channel, message)
        if message.account_id is None:
            session.follows_all.discard(channel)
            topics = [topic for topic in session.subscriptions if topic.channel == channel]
        else:
            topics = [Topic(channel, message.account_id)]
            if topics[0] not in session.subscriptions:
                raise NotFound("not subscribed")
        for topic in topics:
            self._hub.unsubscribe(session, topic)
        names = [topic.subject for topic in topics]
        self._acknowledge(session, message, "unsubscribe", channel, names)

    def _unsubscribe_all(self, session: Session, message: Unsubscribe) -> None:
        """End every subscription of a socket with several channels."""
        if message.symbol is not None or message.account_id is not None:
            offered = ", ".join(self._offered(session))
            raise InvalidInput("channel", f"expected one of {offered}, found none")
        session.follows_all.clear()
        topics = list(session.subscriptions)
        accounts = [topic.subject for topic in topics if topic.channel in self._channels]
        markets = [view_of(topic) for topic in topics if topic.channel not in self._channels]
        for topic in topics:
            self._hub.unsubscribe(session, topic)
        ack = Ack(id=message.id, op="unsubscribe", accounts=accounts, markets=markets)
        self._hub.send(session, encode(ack))

    def _acknowledge(
        self, session: Session, message: Wanted, op: str, channel: str, accounts: list[str]
    ) -> None:
        # A socket of one channel needs no word on which; clients of old know none.
        told = msgspec.UNSET if session.channel == channel else channel
        ack = Ack(id=message.id, op=op, accounts=accounts, channel=told)
        self._hub.send(session, encode(ack))

    async def _account(self, principal: Principal, account_id: str) -> Account:
        account = await self._accounts.get(account_id)
        if account is None:
            raise NotFound("no such account")
        authorize(principal, Action.READ_ACCOUNT, account.owner)
        return account

    async def _owned(self, principal: Principal) -> list[Account]:
        owned = await self._accounts.of_owner(principal.principal_id)
        return [account for account in owned if account.state is AccountState.ACTIVE]

    def _room_for(self, session: Session, channel: str, owned: list[Account]) -> list[Account]:
        """Return the accounts a session follows already, and those it still may."""
        room = self._limits.subscriptions_max - len(session.subscriptions)
        found: list[Account] = []
        for account in owned:
            if Topic(channel, account.account_id) in session.subscriptions:
                found.append(account)
            elif room > 0:
                room -= 1
                found.append(account)
        return found

    async def _attach(
        self,
        session: Session,
        topic: Topic,
        account: Account,
        *,
        from_seq: int | None = None,
        before: list[bytes] | None = None,
        again: bool = False,
    ) -> None:
        """Read a start for a subscription and hand it to the hub, until both fit together."""
        channel = self._channels[topic.channel]
        for _ in range(_ATTACH_TRIES):
            start = None
            if from_seq is not None:
                start = await channel.since(
                    account, from_seq, at_most=self._limits.resume_changes_max
                )
            resumed = start is not None
            sequence, messages = start or await channel.snapshot(account)
            if from_seq is not None and not resumed:
                reason = "from_seq cannot be resumed from"
                resync = Resync(channel=topic.channel, account_id=topic.subject, reason=reason)
                messages = [encode(resync), *messages]
            if again and topic not in session.subscriptions:
                return
            messages = [*(before or ()), *messages, channel.status(topic.subject)]
            if self._hub.attach(session, topic, sequence, messages):
                return
        raise Unavailable("changes come faster than they can be read")

    def _send_error(
        self,
        session: Session,
        message_id: int | str | None,
        code: str,
        text: str,
        *,
        field: str | msgspec.UnsetType = msgspec.UNSET,
    ) -> None:
        error = Error(id=message_id, code=code, message=text, field=field)
        self._hub.send(session, encode(error))


def _expect_no_market(channel: str, message: Wanted) -> None:
    for name in ("venue", "network", "symbol", "interval"):
        if getattr(message, name) is not None:
            raise InvalidInput(name, f"expected none on channel {channel}")
