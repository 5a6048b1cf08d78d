"""Follow orders, positions and money over the WebSocket API: the present first, then changes.

Reconnects by itself and continues where it was; a repeated change is not yielded twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec
from websockets.asyncio.client import ClientConnection

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.models import Event, Order
from perp_dex_client.positions import LiveBalance, LivePosition
from perp_dex_client.streams import OnConnection, Speaker, followed

#: Accounts that are resumed one by one; the server takes so many messages at once.
_RESUMED_MAX: Final = 32
_RESUME: Final = "resume"


class OrderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """News of one account.

    `snapshot` carries orders as they are at sequence `seq` (`more`: the next event goes on with
    it), `update` one changed order and what happened, `status` how fresh the account's data is
    (`stale`: the venue's feed is not live, for `age_s` if it ever was).
    """

    kind: Literal["snapshot", "update", "status"]
    account_id: str
    seq: int | None = None
    orders: tuple[Order, ...] = ()
    more: bool = False
    event: Event | None = None
    stale: bool = False
    age_s: float | None = None
    reason: str = ""


class PositionsEvent(msgspec.Struct, frozen=True, kw_only=True):
    """All open positions of an account, or with `status` how fresh they are.

    A position that is missing is closed. A new one comes at every change, live marks included.
    """

    kind: Literal["snapshot", "update", "status"]
    account_id: str
    seq: int | None = None
    positions: tuple[LivePosition, ...] = ()
    stale: bool = False
    age_s: float | None = None
    reason: str = ""


class AccountEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An account's money (None before its venue was heard), or with `status` how fresh it is."""

    kind: Literal["snapshot", "update", "status"]
    account_id: str
    seq: int | None = None
    balance: LiveBalance | None = None
    stale: bool = False
    age_s: float | None = None
    reason: str = ""


E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class _Channel(Generic[E]):
    """What a channel is called, and how its messages become events."""

    name: str
    event: Callable[..., E]
    #: What a snapshot or an update says, as fields of the event.
    told: Callable[[dict[str, Any]], dict[str, Any]]


class _Watch(Generic[E]):
    """What has been seen so far of one channel, over all connections."""

    def __init__(
        self,
        url: str,
        token: str,
        account_id: str | None,
        channel: _Channel[E],
        on_connection: OnConnection | None,
    ) -> None:
        self.on_connection = on_connection or (lambda connected, reason: None)
        self.url = f"{url.rstrip('/')}/ws/v1/{channel.name}"
        self.token = token
        self.account_id = account_id
        self.channel = channel
        self.seen: dict[str, int] = {}

    async def over(self, socket: ClientConnection) -> AsyncIterator[E]:
        """Authenticate, subscribe, and yield until the connection ends."""
        speaker = Speaker(socket, self.token, self.on_connection)
        await speaker.greet()
        for wanted in self._subscriptions():
            await speaker.say(wanted)
        while True:
            message = await speaker.hear()
            if message.get("type") == "error":
                if message.get("id") == _RESUME:
                    # An account that was removed meanwhile; the others are followed.
                    continue
                raise UnreadableAnswer(f"the stream refuses: {message.get('message')}")
            event = self._event(message)
            if event is not None:
                yield event

    def _subscriptions(self) -> list[dict[str, object]]:
        """Return what to ask: each account seen before from there on, then whatever there is."""
        wanted: dict[str, object] = {"op": "subscribe", "id": "subscribe"}
        if self.account_id is not None:
            wanted["account_id"] = self.account_id
            if self.account_id in self.seen:
                wanted["from_seq"] = self.seen[self.account_id]
            return [wanted]
        if len(self.seen) > _RESUMED_MAX:
            return [wanted]
        resumed: list[dict[str, object]] = [
            {"op": "subscribe", "id": _RESUME, "account_id": account_id, "from_seq": seq}
            for account_id, seq in self.seen.items()
        ]
        return [*resumed, wanted]

    def _event(self, message: dict[str, Any]) -> E | None:
        kind = message.get("type")
        if kind in ("snapshot", "update"):
            account_id, seq = str(message["account_id"]), int(message["seq"])
            if kind == "update" and seq <= self.seen.get(account_id, -1):
                return None
            self.seen[account_id] = seq
            told = self.channel.told(message)
            return self.channel.event(kind=kind, account_id=account_id, seq=seq, **told)
        if kind == "status":
            age_ms = message.get("age_ms")
            return self.channel.event(
                kind="status",
                account_id=str(message["account_id"]),
                stale=bool(message["stale"]),
                age_s=None if age_ms is None else age_ms / 1000,
                reason=str(message.get("reason", "")),
            )
        return None


def _orders_told(message: dict[str, Any]) -> dict[str, Any]:
    if message["type"] == "snapshot":
        return {
            "orders": msgspec.convert(message["orders"], tuple[Order, ...]),
            "more": bool(message.get("more", False)),
        }
    return {
        "orders": (msgspec.convert(message["order"], Order),),
        "event": msgspec.convert(message["event"], Event),
    }


def _positions_told(message: dict[str, Any]) -> dict[str, Any]:
    return {"positions": msgspec.convert(message["positions"], tuple[LivePosition, ...])}


def _account_told(message: dict[str, Any]) -> dict[str, Any]:
    return {"balance": msgspec.convert(message["balance"], LiveBalance | None)}


_ORDERS: Final = _Channel("orders", OrderEvent, _orders_told)
_POSITIONS: Final = _Channel("positions", PositionsEvent, _positions_told)
_ACCOUNT: Final = _Channel("account", AccountEvent, _account_told)


def watch_orders(
    url: str,
    token: str,
    *,
    account_id: str | None = None,
    on_connection: OnConnection | None = None,
) -> AsyncGenerator[OrderEvent, None]:
    """Yield news of one account's orders, or of all accounts', for ever.

    `url` is the streaming endpoint, such as `ws://127.0.0.1:8701`. A lost connection is made again
    and goes on at the last change; where the server cannot, it begins with a new snapshot.
    `on_connection` hears of every connection made and lost: between the two, what came last may
    not be true any more.

    Raises:
        NotAuthorized: the token is not taken.
        UnreadableAnswer: the stream refuses the subscription, or is none of ours.
    """
    return followed(_Watch(url, token, account_id, _ORDERS, on_connection))


def watch_positions(
    url: str,
    token: str,
    *,
    account_id: str | None = None,
    on_connection: OnConnection | None = None,
) -> AsyncGenerator[PositionsEvent, None]:
    """Yield the open positions of one account, or of all, whenever they change, for ever.

    See `watch_orders`; a stream that was restarted begins with a new snapshot.

    Raises:
        NotAuthorized: the token is not taken.
        UnreadableAnswer: the stream refuses the subscription, or is none of ours.
    """
    return followed(_Watch(url, token, account_id, _POSITIONS, on_connection))


def watch_account(
    url: str,
    token: str,
    *,
    account_id: str | None = None,
    on_connection: OnConnection | None = None,
) -> AsyncGenerator[AccountEvent, None]:
    """Yield the money of one account, or of all, whenever it changes, for ever.

    See `watch_orders`; a stream that was restarted begins with a new snapshot.

    Raises:
        NotAuthorized: the token is not taken.
        UnreadableAnswer: the stream refuses the subscription, or is none of ours.
    """
    return followed(_Watch(url, token, account_id, _ACCOUNT, on_connection))
