"""What is said over our sockets, both ways, and the close codes.

Client messages are JSON objects with an `op`, server messages JSON objects with a `type`. Knows no
socket and no session.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

import msgspec

from domain.accounts import Network
from streaming.schema import EventView, OrderView, rfc3339

MessageId = int | str | None


class CloseCode(IntEnum):
    """Why a socket was closed by us; below 4000 the codes of RFC 6455."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    #: No valid `auth` as the first message within the time, a token in the address, or revoked.
    UNAUTHENTICATED = 4001
    #: The Origin or Host is not allowed.
    FORBIDDEN = 4003
    #: The client reads slower than the messages come.
    SLOW_CONSUMER = 4008
    #: Too many messages, or too many connections of one principal.
    TOO_MANY = 4029


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one client may use; times in seconds, sizes in bytes."""

    auth_s: float = 5.0
    heartbeat_s: float = 5.0
    slow_s: float = 10.0
    message_bytes_max: int = 16 * 1024
    messages_per_s: float = 20.0
    messages_burst: int = 40
    subscriptions_max: int = 256
    sessions_max: int = 12_000
    sessions_per_principal_max: int = 50
    queued_messages_max: int = 256
    queued_bytes_max: int = 1024 * 1024
    resyncs_per_minute_max: int = 6
    #: Changes a `from_seq` may reach back; beyond it the answer is a snapshot.
    resume_changes_max: int = 2_000


class Auth(msgspec.Struct, tag_field="op", tag="auth", forbid_unknown_fields=True):
    """The first message: who is speaking."""

    token: str
    id: MessageId = None

    def __repr__(self) -> str:
        return "Auth(token='***')"


class Wanted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is subscribed to. `channel` may be left out where the socket has one only.

    Accounts' channels take `account_id`; without it all accounts of the principal, also those
    added later. Markets' channels take `venue` (without it, for book and top, all venues
    together), `network` (else mainnet), `symbol` and, for candles, `interval`.
    """

    channel: str | None = None
    account_id: str | None = None
    venue: str | None = None
    network: Network | None = None
    symbol: str | None = None
    interval: str | None = None
    id: MessageId = None


class Subscribe(Wanted, tag_field="op", tag="subscribe", kw_only=True, forbid_unknown_fields=True):
    """Follow something.

    Asked for all, accounts that are followed already go on where they are.
    `from_seq` is the last sequence the client has of that account: it gets what came after.
    """

    from_seq: int | None = None


class Unsubscribe(
    Wanted, tag_field="op", tag="unsubscribe", kw_only=True, forbid_unknown_fields=True
):
    """Follow something no more; without any field but `channel`, or with none, all of that."""


class Ping(msgspec.Struct, tag_field="op", tag="ping", forbid_unknown_fields=True):
    """Ask for a `pong`."""

    id: MessageId = None


ClientMessage = Auth | Subscribe | Unsubscribe | Ping
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_encoder = msgspec.json.Encoder()

_TEXT_MAX: Final = 128


class MalformedMessage(Exception):
    """A client message that cannot be taken; the text never repeats what the client sent."""


def decode(data: bytes) -> ClientMessage:
    """Return the message in `data` (UTF-8, checked before).

    Raises:
        MalformedMessage: it is not one of ours.
    """
    try:
        message = _client_decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError):
        raise MalformedMessage(
            "expected a JSON object with op auth, subscribe, unsubscribe or ping and the fields "
            "of that op only"
        ) from None
    if isinstance(message.id, str) and len(message.id) > _TEXT_MAX:
        raise MalformedMessage(f"id: expected at most {_TEXT_MAX} characters")
    if isinstance(message, Wanted):
        for name in ("channel", "account_id", "venue", "symbol", "interval"):
            text = getattr(message, name)
            if text is not None and not 0 < len(text) <= _TEXT_MAX:
                raise MalformedMessage(f"{name}: expected 1 to {_TEXT_MAX} characters")
    if isinstance(message, Subscribe) and message.from_seq is not None:
        if message.account_id is None:
            raise MalformedMessage("from_seq: expected together with account_id only")
        if not 0 <= message.from_seq < 2**63:
            raise MalformedMessage("from_seq: expected the last sequence received, 0 or more")
    return message


class ServerMessage(msgspec.Struct, kw_only=True, tag_field="type"):
    """What the server says; `type` tells what it is."""


class LimitsView(msgspec.Struct, frozen=True, kw_only=True):
    """The limits a client has to know."""

    auth_timeout_ms: int
    message_bytes_max: int
    messages_per_s: float
    subscriptions_max: int


class Hello(ServerMessage, tag="hello"):
    """The first message of the server."""

    channel: str
    session: str
    server_time: str
    heartbeat_ms: int
    limits: LimitsView


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """What market a message is about; `venue` null: all venues together."""

    channel: str
    venue: str | None
    network: str
    symbol: str
    interval: str | None = None


class Ack(ServerMessage, tag="ack"):
    """A request was taken; `accounts` are those it concerned, `markets` the market channels.

    `channel` is there on sockets that carry several.
    """

    id: MessageId
    op: str
    accounts: list[str] | None = None
    channel: str | msgspec.UnsetType = msgspec.UNSET
    markets: list[MarketView] | msgspec.UnsetType = msgspec.UNSET


class Error(ServerMessage, tag="error"):
    """A request was not taken; nothing changed. `field` names what was wrong, where one was."""

    id: MessageId
    code: str
    message: str
    field: str | msgspec.UnsetType = msgspec.UNSET


class Pong(ServerMessage, tag="pong"):
    """The answer to `ping`."""

    id: MessageId
    server_time: str


class Heartbeat(ServerMessage, tag="heartbeat"):
    """Sent at a fixed cadence; two missing mean a dead connection."""

    server_time: str


class Resync(ServerMessage, tag="resync"):
    """Changes were left out for this account; a snapshot follows."""

    channel: str
    account_id: str
    reason: str


class Status(ServerMessage, tag="status"):
    """How fresh an account's data is. `age_ms` counts since the venue's feed was last live."""

    channel: str
    account_id: str
    stale: bool
    age_ms: int | None
    reason: str


class OrdersSnapshot(ServerMessage, tag="snapshot"):
    """All open and the lately ended orders of an account, as of sequence `seq`.

    `more` tells that another message of the same snapshot follows.
    """

    channel: str
    account_id: str
    seq: int
    more: bool
    orders: list[OrderView]
    snapshot: bool = True


class OrderUpdate(ServerMessage, tag="update"):
    """One change of an order: the order after it."""

    channel: str
    account_id: str
    seq: int
    prev_seq: int
    event: EventView
    order: OrderView


class PositionsSnapshot(ServerMessage, tag="snapshot"):
    """All open positions of an account, as of sequence `seq`."""

    channel: str
    account_id: str
    seq: int
    positions: list[dict[str, str | None]]
    snapshot: bool = True


class PositionsUpdate(ServerMessage, tag="update"):
    """All open positions of an account, again because something of them changed.

    One that is missing is closed.
    """

    channel: str
    account_id: str
    seq: int
    prev_seq: int
    positions: list[dict[str, str | None]]


class AccountSnapshot(ServerMessage, tag="snapshot"):
    """An account's money as of sequence `seq`; null before its venue was heard."""

    channel: str
    account_id: str
    seq: int
    balance: dict[str, str | None] | None
    snapshot: bool = True


class AccountUpdate(ServerMessage, tag="update"):
    """An account's money after a change of it or of its positions."""

    channel: str
    account_id: str
    seq: int
    prev_seq: int
    balance: dict[str, str | None] | None


def encode(message: ServerMessage) -> bytes:
    """Return a server message as it goes out."""
    return _encoder.encode(message)


def hello(channel: str, session: str, limits: Limits, now: datetime) -> bytes:
    """Return the greeting of a new session."""
    return encode(
        Hello(
            channel=channel,
            session=session,
            server_time=rfc3339(now),
            heartbeat_ms=int(limits.heartbeat_s * 1000),
            limits=LimitsView(
                auth_timeout_ms=int(limits.auth_s * 1000),
                message_bytes_max=limits.message_bytes_max,
                messages_per_s=limits.messages_per_s,
                subscriptions_max=limits.subscriptions_max,
            ),
        )
    )
