"""What this process knows of the private feeds it follows, told to the others again and again.

Since when an account is live or not, when each kind of message was heard last, and when tokens end.
Shown and nothing else: what is acted upon is the board of freshness. Knows no venue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from domain.errors import Unavailable
from domain.session_states import FeedSession

SAY_EVERY_S: Final = 2.0

#: Returns when an account's tokens end, by name; None where its feed has none.
TokenExpiries = Callable[[str], Mapping[str, datetime] | None]


class FeedNews(Protocol):
    """Where it is said."""

    async def say_feeds(self, feeds: Iterable[FeedSession]) -> None:
        """Say what this process knows of accounts' feeds. Raises Unavailable."""
        ...


@dataclass(slots=True)
class _Kept:
    live: bool
    since: datetime
    reason: str
    tokens: TokenExpiries
    channels: dict[str, datetime] = field(default_factory=dict)


def _none(account_id: str) -> Mapping[str, datetime] | None:
    return None


class AccountSessions:
    """The feeds of this process's accounts; `news` is where they are told."""

    def __init__(
        self,
        news: FeedNews,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        every_s: float = SAY_EVERY_S,
    ) -> None:
        self._news = news
        self._now = now
        self._every_s = every_s
        self._kept: dict[str, _Kept] = {}
        self._changed = asyncio.Event()

    def went(
        self, account_id: str, *, live: bool, reason: str, tokens: TokenExpiries = _none
    ) -> None:
        """Take note that an account's feed is live, or is not."""
        kept = self._kept.get(account_id)
        if kept is None:
            self._kept[account_id] = _Kept(live, self._now(), reason, tokens)
            self._changed.set()
            return
        if kept.live != live:
            kept.since = self._now()
            self._changed.set()
        kept.live, kept.reason, kept.tokens = live, reason, tokens

    def heard(self, account_id: str, channel: str) -> None:
        """Take note of a message; quick, called for every one."""
        kept = self._kept.get(account_id)
        if kept is not None:
            kept.channels[channel] = self._now()

    def forget(self, account_id: str) -> None:
        """Say nothing of an account any more: it is followed elsewhere, or nowhere."""
        self._kept.pop(account_id, None)

    def states(self) -> tuple[FeedSession, ...]:
        """Return what is known of every followed account now."""
        now = self._now()
        return tuple(
            FeedSession(
                account_id=account_id,
                said_at=now,
                live=kept.live,
                since=kept.since,
                reason=kept.reason,
                channels=dict(kept.channels),
                tokens=kept.tokens(account_id),
            )
            for account_id, kept in self._kept.items()
        )

    async def run(self) -> None:
        """Tell the others until cancelled: soon after a change, and every two seconds."""
        while True:
            self._changed.clear()
            try:
                await self._news.say_feeds(self.states())
            except Unavailable:
                # It is said again; who asks meanwhile is told how old the last word is.
                await asyncio.sleep(self._every_s)
                continue
            try:
                async with asyncio.timeout(self._every_s):
                    await self._changed.wait()
            except TimeoutError:
                continue
