"""What a connector can besides, where its venue counts nonces for each key. Knows no venue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from domain.accounts import TradingAccess
from domain.lanes import LaneSet
from domain.ledger import CommandSlot
from venues.connector import Connector

#: Signs a command's message once its slot is known; called inside the ledger's transaction.
MessageSigner = Callable[[CommandSlot, str], str]


@runtime_checkable
class Laned(Protocol):
    """A connector of a venue with a sequence of nonces for each of an account's keys."""

    def lanes_of(self, access: TradingAccess) -> LaneSet:
        """Return the lanes of a credential. Raises InvalidInput if it is none."""
        ...

    async def next_nonce(self, access: TradingAccess, lane: str) -> int:
        """Return the nonce that the venue expects next on a lane.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        ...

    def lane_is_clear(self, access: TradingAccess, lane: str) -> bool:
        """Tell whether this process knows what the venue expects next on a lane.

        Not at first, and not after a transaction that got no answer.
        """
        ...

    def forget_lane(self, access: TradingAccess, lane: str) -> None:
        """Know nothing of a lane any more: another process had it."""
        ...

    def message_signer(self, access: TradingAccess, lane: str) -> MessageSigner:
        """Return what signs a message with a lane's key, so that its hash is in the ledger."""
        ...


def message_signer(connector: Connector, access: TradingAccess, lane: str) -> MessageSigner | None:
    """Return what signs with a lane's key; None at a venue without lanes."""
    return connector.message_signer(access, lane) if isinstance(connector, Laned) else None
