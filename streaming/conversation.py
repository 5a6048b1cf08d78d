"""What a client asks for and what it is answered: auth, subscribe, unsubscribe, ping.

Works on a hub session and the channels; knows no socket. Every subscription passes `authorize`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from domain.accounts import Account, AccountState
from domain.errors import NotAllowed, NotFound, PerpDexError, Unavailable
from domain.ports import AccountStore
from domain.principals import Action, Principal, authorize
from streaming.channels import Channel
from streaming.hub import Hub, Session, Topic
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
    decode,
    encode,
)
from streaming.schema import rfc3339
from streaming.tokens import Authenticator, Grant

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
    ) -> None:
        self._hub = hub
        self._channels = channels
        self._accounts = accounts
        self._authenticator = authenticator
        self._limits = limits
        self._now = now
        self._grants: dict[Session, Grant] = {}

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
        self._grants.pop(session, None)

    def revoke_replaced(self) -> None:
        """Close the sessions whose token is no longer good."""
        self._authenticator.refresh()
        for session, grant in list(self._grants.items()):
            if not self._authenticator.is_valid(grant):
                self._grants.pop(session)
                self._hub.close(session, CloseCode.UNAUTHENTICATED, "the token was replaced")

    async def follow_new_accounts(self) -> None:
        """Subscribe those who follow all accounts to accounts that came since.

        Raises:
            Unavailable: storage does not answer.
        """
        for session in self._hub.sessions:
            if session.follows_all and session.principal is not None:
                for account in await self._all_accounts(session, session.principal):
                    topic = Topic(session.channel, account.account_id)
                    if topic not in session.subscriptions and not session.is_closed:
                        await self._attach(session, topic, account)

    async def resync(self, now_s: float) -> None:
        """Send snapshots where messages had to be left out.

        Raises:
            Unavailable: storage does not answer.
        """
        for session, topic in self._hub.due_for_resync():
            if session.is_closed or topic not in session.subscriptions:
                continue
            account = await self._accounts.get(topic.account_id)
            if account is None or not self._hub.begin_resync(session, now_s):
                continue
            first = Resync(
                channel=topic.channel, account_id=topic.account_id, reason="changes were left out"
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
        self._grants[session] = grant
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
        except PerpDexError as error:
            text = str(error)
            if isinstance(error, NotFound):
                text = "no such account"
            elif isinstance(error, Unavailable):
                text = "storage does not answer; try again"
            self._send_error(session, message.id, error.code, text)

    async def _subscribe(self, session: Session, principal: Principal, message: Subscribe) -> None:
        if message.account_id is None:
            authorize(principal, Action.READ_ACCOUNT, None)
            accounts = await self._all_accounts(session, principal)
        else:
            accounts = [await self._account(principal, message.account_id)]
        new = {Topic(session.channel, account.account_id): account for account in accounts}
        if len({*session.subscriptions, *new}) > self._limits.subscriptions_max:
            raise NotAllowed(f"expected at most {self._limits.subscriptions_max} subscriptions")
        names = [account.account_id for account in accounts]
        self._hub.send(session, encode(Ack(id=message.id, op="subscribe", accounts=names)))
        session.follows_all = session.follows_all or message.account_id is None
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
        if message.account_id is None:
            session.follows_all = False
            topics = list(session.subscriptions)
        else:
            topics = [Topic(session.channel, message.account_id)]
            if topics[0] not in session.subscriptions:
                raise NotFound("not subscribed")
        for topic in topics:
            self._hub.unsubscribe(session, topic)
        names = [topic.account_id for topic in topics]
        self._hub.send(session, encode(Ack(id=message.id, op="unsubscribe", accounts=names)))

    async def _account(self, principal: Principal, account_id: str) -> Account:
        account = await self._accounts.get(account_id)
        if account is None:
            raise NotFound("no such account")
        authorize(principal, Action.READ_ACCOUNT, account.owner)
        return account

    async def _all_accounts(self, session: Session, principal: Principal) -> list[Account]:
        owned = await self._accounts.of_owner(principal.principal_id)
        kept = [account for account in owned if account.state is AccountState.ACTIVE]
        known = {topic.account_id for topic in session.subscriptions}
        room = self._limits.subscriptions_max
        return [a for a in kept if a.account_id in known or len(known) < room][:room]

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
                resync = Resync(channel=topic.channel, account_id=topic.account_id, reason=reason)
                messages = [encode(resync), *messages]
            if again and topic not in session.subscriptions:
                return
            messages = [*(before or ()), *messages, channel.status(topic.account_id)]
            if self._hub.attach(session, topic, sequence, messages):
                return
        raise Unavailable("changes come faster than they can be read")

    def _send_error(
        self, session: Session, message_id: int | str | None, code: str, text: str
    ) -> None:
        self._hub.send(session, encode(Error(id=message_id, code=code, message=text)))
