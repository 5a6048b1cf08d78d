"""What accounts hold right now: the newest word of the venue, our fills at once, live marks.

Keeps in memory what is newer than storage, and for every followed account the numbered states that
sockets send. Knows no socket and no venue.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from domain.accounts import AccountSummary, FundingPayment
from domain.position_document import Document, balance_document, position_document
from domain.position_store import PositionStore
from domain.positions import (
    AccountBooks,
    MarkPrice,
    OpenPosition,
    SeenSummary,
    open_positions,
)
from streaming.marks import Mark, MarketKey, Marks

#: A summary that says nothing new is written this often, so that its age is known elsewhere.
SAVE_EVERY_S: Final = 5.0
STATES_KEPT: Final = 512
SOURCE: Final = "feed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """One numbered state of an account: its open positions, and its money where known.

    `heard_at` is when the first news that is in it was heard, by the monotonic clock; None for the
    beginning.
    """

    sequence: int
    positions: tuple[Document, ...]
    balance: Document | None
    heard_at: float | None = None


@dataclass(slots=True)
class _Account:
    """One account in memory. `dirty`: what was published may not be true any more.

    `dirty_at`: since when; by the monotonic clock.
    """

    seen: SeenSummary | None = None
    saved_at: float = float("-inf")
    saved: AccountSummary | None = None
    dirty: bool = True
    dirty_at: float | None = None
    states: deque[AccountState] = field(default_factory=lambda: deque(maxlen=STATES_KEPT))
    wanted: frozenset[MarketKey] = frozenset()


class PositionBoard:
    """The present state of accounts. `changed` hears of an account that is worth a look now."""

    def __init__(
        self,
        store: PositionStore,
        marks: Marks,
        changed: Callable[[], None],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._marks = marks
        self._changed = changed
        self._now = now
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._followed: dict[str, frozenset[str]] = {}
        marks.listen(self._marked)

    async def take_summary(self, summary: AccountSummary) -> None:
        """Take the venue's word on an account; keep it where it says something new.

        Raises:
            Unavailable: storage does not answer; it is shown all the same.
        """
        account = self._of(summary.account_id)
        if account.seen is not None and summary.event_time < account.seen.summary.event_time:
            return
        account.seen = SeenSummary(summary=summary, seen_at=self._now(), source=SOURCE)
        self.touch(summary.account_id)
        is_news = account.saved is None or _told(summary) != _told(account.saved)
        if is_news or self._clock() - account.saved_at >= SAVE_EVERY_S:
            await self._store.save_summary(summary, seen_at=account.seen.seen_at, source=SOURCE)
            account.saved, account.saved_at = summary, self._clock()

    async def take_funding(self, account_id: str, payments: Collection[FundingPayment]) -> None:
        """Book funding, each payment once.

        Raises:
            Unavailable: storage does not answer; nothing was booked.
        """
        if await self._store.book_funding(tuple(payments)):
            self.touch(account_id)

    def touch(self, account_id: str | None) -> None:
        """Look at an account (None: at all) again: its orders, fills or money changed."""
        for account in self._accounts.values() if account_id is None else [self._of(account_id)]:
            self._soil(account)
        self._changed()

    async def state(self, account_id: str) -> AccountState:
        """Return the present state of an account, numbered anew if it differs from the last.

        Raises:
            NotFound: there is no such account.
            Unavailable: storage does not answer.
        """
        account = self._of(account_id)
        if account.dirty or not account.states:
            # What comes in while storage is read is looked at next time.
            heard_at = account.dirty_at
            account.dirty, account.dirty_at = False, None
            try:
                await self._renew(account_id, account, heard_at)
            except BaseException:
                account.dirty, account.dirty_at = True, heard_at
                raise
        return account.states[-1]

    def after(self, account_id: str, sequence: int) -> list[AccountState] | None:
        """Return the states past a sequence, or None where they are not all here any more."""
        states = self._of(account_id).states
        if not states or not states[0].sequence <= sequence + 1 <= states[-1].sequence + 1:
            return None
        return [state for state in states if state.sequence > sequence]

    def follow(self, channel: str, account_ids: Collection[str]) -> None:
        """Learn whom a channel follows; of whom nobody follows no marks are needed."""
        followed = frozenset(account_ids)
        if self._followed.get(channel) == followed:
            return
        self._followed[channel] = followed
        everybody = frozenset().union(*self._followed.values())
        for account_id, account in self._accounts.items():
            if account.wanted and account_id not in everybody:
                self._want(account, frozenset())
                account.dirty = True

    def _soil(self, account: _Account) -> None:
        account.dirty = True
        if account.dirty_at is None:
            account.dirty_at = self._clock()

    async def _renew(self, account_id: str, account: _Account, heard_at: float | None) -> None:
        books = await self._store.books(account_id)
        if account.seen is not None and (
            books.seen is None or books.seen.seen_at < account.seen.seen_at
        ):
            books = replace(books, seen=account.seen)
        found = open_positions(books)
        self._want(account, frozenset(_market(books, position) for position in found))
        found = open_positions(replace(books, marks=self._fresh(books, found)))
        positions = tuple(position_document(position) for position in found)
        balance = None if books.seen is None else balance_document(books.seen)
        last = account.states[-1] if account.states else None
        if last is None:
            # Numbers of an earlier process are all below: who has them gets a snapshot.
            first = int(self._now().timestamp() * 1000) * 1000
            account.states.append(
                AccountState(sequence=first, positions=positions, balance=balance)
            )
        elif _news(last.positions, last.balance) != _news(positions, balance):
            account.states.append(
                AccountState(
                    sequence=last.sequence + 1,
                    positions=positions,
                    balance=balance,
                    heard_at=heard_at,
                )
            )

    def _fresh(
        self, books: AccountBooks, positions: Collection[OpenPosition]
    ) -> dict[str, MarkPrice]:
        """Return the marks known, the newest of each market."""
        marks = dict(books.marks)
        for position in positions:
            live = self._marks.latest(_market(books, position))
            known = marks.get(position.symbol)
            if live is not None and (known is None or known.seen_at <= live.received_time):
                marks[position.symbol] = MarkPrice(price=live.price, seen_at=live.received_time)
        return marks

    def _want(self, account: _Account, wanted: frozenset[MarketKey]) -> None:
        for key in wanted - account.wanted:
            self._marks.want(key)
        for key in account.wanted - wanted:
            self._marks.release(key)
        account.wanted = wanted

    def _marked(self, key: MarketKey, mark: Mark) -> None:
        # Nobody is woken: the poll of a quarter second is as often as a price is worth a message.
        for account in self._accounts.values():
            if key in account.wanted:
                self._soil(account)

    def _of(self, account_id: str) -> _Account:
        return self._accounts.setdefault(account_id, _Account())


def _market(books: AccountBooks, position: OpenPosition) -> MarketKey:
    return MarketKey(position.venue, books.account.network, position.symbol)


def _told(summary: AccountSummary) -> tuple[object, ...]:
    """Return what of a summary is worth writing at once: what is held, not what it is worth."""
    return tuple((p.symbol, p.side, p.quantity, p.entry_price) for p in summary.positions)


def _news(positions: tuple[Document, ...], balance: Document | None) -> object:
    """Return what makes a state another one: not the time at which the same was said again."""
    times = ("as_of", "mark_at", "event_time")
    return (
        [{k: v for k, v in one.items() if k not in times} for one in positions],
        None if balance is None else {k: v for k, v in balance.items() if k not in times},
    )
