"""The channels of positions and money: numbered states per account, from the board of accounts.

Every message holds the whole present state, so that one left out is made good by the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from domain.accounts import Account
from streaming.channels import status_of
from streaming.freshness import FreshnessBoard
from streaming.hub import Topic
from streaming.positions import AccountState, PositionBoard
from streaming.protocol import (
    AccountSnapshot,
    AccountUpdate,
    PositionsSnapshot,
    PositionsUpdate,
    encode,
)

POSITIONS: Final = "positions"
ACCOUNT: Final = "account"


class PositionsChannel:
    """Open positions with live profit and loss."""

    name = POSITIONS

    def __init__(
        self,
        board: PositionBoard,
        freshness: FreshnessBoard,
        *,
        handed_on: Callable[[float], None] = lambda took_s: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._board = board
        self._freshness = freshness
        self._handed_on = handed_on
        self._clock = clock

    async def snapshot(self, account: Account) -> tuple[int, list[bytes]]:
        """Return the present state."""
        state = await self._board.state(account.account_id)
        return state.sequence, [self._snapshot(account.account_id, state)]

    async def since(
        self, account: Account, sequence: int, *, at_most: int
    ) -> tuple[int, list[bytes]] | None:
        """Return the states past a sequence, or None: take a snapshot."""
        await self._board.state(account.account_id)
        states = self._board.after(account.account_id, sequence)
        if states is None or len(states) > at_most:
            return None
        last = states[-1].sequence if states else sequence
        return last, [self._update(account.account_id, state) for state in states]

    async def read(self, after: Mapping[str, int]) -> list[tuple[Topic, int, bytes]]:
        """Return what is new past these sequences."""
        self._board.follow(self.name, after)
        found: list[tuple[Topic, int, bytes]] = []
        for account_id, sequence in after.items():
            newest = await self._board.state(account_id)
            states = self._board.after(account_id, sequence)
            # Who is further behind than what is kept is told of a jump, and takes a snapshot.
            for state in [newest] if states is None else states:
                if state.heard_at is not None:
                    self._handed_on(self._clock() - state.heard_at)
                topic = Topic(self.name, account_id)
                found.append((topic, state.sequence, self._update(account_id, state)))
        return found

    def status(self, account_id: str) -> bytes:
        """Return how fresh an account's positions are."""
        return status_of(self.name, account_id, self._freshness.of(account_id))

    def _snapshot(self, account_id: str, state: AccountState) -> bytes:
        return encode(
            PositionsSnapshot(
                channel=self.name,
                account_id=account_id,
                seq=state.sequence,
                positions=list(state.positions),
            )
        )

    def _update(self, account_id: str, state: AccountState) -> bytes:
        return encode(
            PositionsUpdate(
                channel=self.name,
                account_id=account_id,
                seq=state.sequence,
                prev_seq=state.sequence - 1,
                positions=list(state.positions),
            )
        )


class AccountChannel(PositionsChannel):
    """An account's money."""

    name = ACCOUNT

    def _snapshot(self, account_id: str, state: AccountState) -> bytes:
        return encode(
            AccountSnapshot(
                channel=self.name,
                account_id=account_id,
                seq=state.sequence,
                balance=state.balance,
            )
        )

    def _update(self, account_id: str, state: AccountState) -> bytes:
        return encode(
            AccountUpdate(
                channel=self.name,
                account_id=account_id,
                seq=state.sequence,
                prev_seq=state.sequence - 1,
                balance=state.balance,
            )
        )
