"""Follows the private feeds of every active account and hands what they say to the intake.

One feed per venue and network, in one process of a group. A gap, a failing feed or a busy database
is answered by catching up, never by guessing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from domain.accounts import Account, Network
from domain.errors import InvalidInput, Unavailable
from domain.feed_credentials import FeedCredentialSource
from domain.ports import AccountStore
from streaming.account_sessions import AccountSessions
from streaming.account_share import AccountShare
from streaming.catch_up import CatchUp
from streaming.connectors import LoadVenue
from streaming.feed_meters import ACCOUNTS, FeedMeter, FeedMeters
from streaming.freshness import FreshnessBoard
from streaming.intake import Intake
from streaming.positions import PositionBoard
from venues.connector import (
    AccountEvent,
    AccountFeed,
    AccountSeen,
    CredentialedFeed,
    FeedState,
    FillsSeen,
    FundingSeen,
    OrdersSeen,
    TellsTokens,
    VenueSpec,
)

REFRESH_S: Final = 3.0
RESTART_FIRST_S: Final = 0.5
RESTART_MAX_S: Final = 30.0

_log = logging.getLogger(__name__)

_Place = tuple[str, Network]


class Ingest:
    """Keeps one feed per venue and network on exactly the active accounts."""

    def __init__(
        self,
        accounts: AccountStore,
        load: LoadVenue,
        intake: Intake,
        positions: PositionBoard,
        catch_up: CatchUp,
        board: FreshnessBoard,
        *,
        credentials: FeedCredentialSource | None = None,
        meters: FeedMeters | None = None,
        share: AccountShare | None = None,
        sessions: AccountSessions | None = None,
        refresh_s: float = REFRESH_S,
    ) -> None:
        self._share = share
        self._sessions = sessions
        self._tasks: dict[_Place, asyncio.Task[None]] = {}
        self._accounts = accounts
        self._load = load
        self._intake = intake
        self._positions = positions
        self._catch_up = catch_up
        self._board = board
        self._credentials = credentials
        self._meters = meters or FeedMeters(time.monotonic)
        self._refresh_s = refresh_s
        self._look = asyncio.Event()
        self._followers: dict[_Place, Follower] = {}
        self._unusable: set[_Place] = set()
        self._storage_away = False

    def wake(self) -> None:
        """Look for accounts that came or went."""
        self._look.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        # After a failure this runs again, and the followers of the run before have ended with it.
        self._followers.clear()
        self._tasks.clear()
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._look.clear()
                await self._refresh(tasks)
                try:
                    async with asyncio.timeout(self._refresh_s):
                        await self._look.wait()
                except TimeoutError:
                    continue

    async def _refresh(self, tasks: asyncio.TaskGroup) -> None:
        try:
            places: dict[_Place, dict[str, Account]] = defaultdict(dict)
            for account in await self._accounts.all_active():
                places[account.venue, account.network][account.account_id] = account
            if self._share is not None:
                self._share.keep(places)
            for place in {*places, *self._followers}:
                if self._share is None or self._share.acts(place):
                    await self._follow(place, places.get(place, {}), tasks)
                elif self._share.is_anothers(place):
                    self._leave(place)
        except Unavailable as error:
            if not self._storage_away:
                _log.warning("accounts cannot be read: %s", error)
            self._storage_away = True
        else:
            if self._storage_away:
                _log.info("accounts can be read again")
            self._storage_away = False

    async def _follow(
        self, place: _Place, accounts: dict[str, Account], tasks: asyncio.TaskGroup
    ) -> None:
        follower = self._followers.get(place)
        if follower is None:
            follower = self._new_follower(place)
            if follower is None:
                return
        for account in accounts.values():
            await self._catch_up.follow(account)
        for account_id in follower.accounts.keys() - accounts.keys():
            self._catch_up.unfollow(account_id)
            self._board.forget(account_id)
            self._forget_session(account_id)
        if place not in self._followers:
            self._followers[place] = follower
            for account_id in accounts:
                # What another process said of it is no word of a feed of ours.
                self._board.set(account_id, live=False, reason="its feed is about to be followed")
            self._tasks[place] = tasks.create_task(
                follower.run(accounts), name=f"feed-{place[0]}-{place[1]}"
            )
        elif follower.accounts != accounts:
            await follower.watch(accounts)

    def _leave(self, place: _Place) -> None:
        """Leave a place to the process that follows it now."""
        follower = self._followers.pop(place, None)
        if follower is None:
            return
        self._tasks.pop(place).cancel()
        # Given away is not lost.
        self._meters.of(*place, ACCOUNTS).keep(())
        for account_id in follower.accounts:
            self._catch_up.unfollow(account_id)
            self._board.set(account_id, live=False, reason="another process follows its feed")
            self._forget_session(account_id)

    def _forget_session(self, account_id: str) -> None:
        if self._sessions is not None:
            self._sessions.forget(account_id)

    def _new_follower(self, place: _Place) -> Follower | None:
        venue, network = place
        try:
            spec = self._load(venue)
            self._feed(spec, network)
        except InvalidInput as error:
            if place not in self._unusable:
                self._unusable.add(place)
                _log.error("accounts cannot be followed: %s", error, extra={"venue": venue})
            return None
        return Follower(
            lambda: self._feed(spec, network),
            self._intake,
            self._positions,
            self._catch_up,
            self._board,
            self._meters.of(venue, network, ACCOUNTS),
            self._sessions,
        )

    def _feed(self, spec: VenueSpec, network: Network) -> AccountFeed:
        feed = spec.account_feed(network)
        if spec.capabilities.feed_credential:
            if self._credentials is None or not isinstance(feed, CredentialedFeed):
                raise InvalidInput(
                    "venue", f"expected a feed of {spec.venue} that takes credentials, found none"
                )
            feed.use_credentials(self._credentials)
        return feed


class Follower:
    """One feed of one venue and network; made anew when it fails."""

    def __init__(
        self,
        make_feed: Callable[[], AccountFeed],
        intake: Intake,
        positions: PositionBoard,
        catch_up: CatchUp,
        board: FreshnessBoard,
        meter: FeedMeter | None = None,
        sessions: AccountSessions | None = None,
    ) -> None:
        self._sessions = sessions
        self._meter = meter or FeedMeter(time.monotonic)
        self._make_feed = make_feed
        self._intake = intake
        self._positions = positions
        self._catch_up = catch_up
        self._board = board
        self._feed: AccountFeed | None = None
        self.accounts: dict[str, Account] = {}

    async def watch(self, accounts: dict[str, Account]) -> None:
        """Follow these accounts from now on."""
        self.accounts = accounts
        self._meter.keep(accounts)
        if self._feed is not None:
            await self._feed.watch(tuple(accounts.values()))

    async def run(self, accounts: dict[str, Account]) -> None:
        """Follow until cancelled."""
        self.accounts = accounts
        failures = 0
        while True:
            feed = self._feed = self._make_feed()
            try:
                await feed.watch(tuple(self.accounts.values()))
                async for event in feed.events():
                    failures = 0
                    await self._take(event)
                _log.warning("a feed ended, following it anew")
            except Exception:  # noqa: BLE001 - whatever a feed does, it is followed anew
                _log.exception("a feed failed, following it anew")
            finally:
                self._feed = None
                await feed.close()
            self._say(None, live=False, reason="the feed failed")
            self._meter.restarts += 1
            failures += 1
            await asyncio.sleep(min(RESTART_FIRST_S * 2 ** (failures - 1), RESTART_MAX_S))

    async def _take(self, event: AccountEvent) -> None:
        if isinstance(event, FeedState):
            self._say(event.account_id, live=event.live, reason=event.reason)
            return
        if event.account_id not in self.accounts:
            _log.warning("a feed spoke of an account it was not asked for")
            return
        if self._sessions is not None:
            self._sessions.heard(event.account_id, event.kind)
        try:
            _measure(self._meter, event, datetime.now(UTC))
            await self._store(event)
        except Unavailable:
            # The event is gone; the venue still has what it said.
            self._catch_up.request(event.account_id)
        except Exception:  # noqa: BLE001 - one event that cannot be taken must not end the feed
            _log.exception("an event could not be taken", extra={"account_id": event.account_id})
            self._catch_up.request(event.account_id)

    async def _store(self, event: OrdersSeen | FillsSeen | AccountSeen | FundingSeen) -> None:
        match event:
            case OrdersSeen():
                await self._intake.take_orders(
                    event.account_id, event.orders, source="feed", hold=True
                )
            case FillsSeen():
                await self._intake.take_fills(event.fills)
                self._positions.touch(event.account_id)
            case AccountSeen():
                await self._positions.take_summary(event.summary)
            case FundingSeen():
                await self._positions.take_funding(event.account_id, event.payments)

    def _say(self, account_id: str | None, *, live: bool, reason: str) -> None:
        for one in self.accounts if account_id is None else (account_id,):
            if one in self.accounts:
                self._meter.went(one, live=live)
                self._board.set(one, live=live, reason=reason)
                if self._sessions is not None:
                    self._sessions.went(one, live=live, reason=reason, tokens=self._tokens)
                self._catch_up.feed_is(one, live=live)

    def _tokens(self, account_id: str) -> Mapping[str, datetime] | None:
        """Return when the tokens that the feed holds end; None where it has none."""
        feed = self._feed
        return dict(feed.token_expiries(account_id)) if isinstance(feed, TellsTokens) else None


def _measure(
    meter: FeedMeter, event: OrdersSeen | FillsSeen | AccountSeen | FundingSeen, now: datetime
) -> None:
    """Count a message. What a subscription begins with is old, and says nothing of lateness."""
    match event:
        case OrdersSeen():
            times = [order.event_time for order in event.orders]
        case FillsSeen():
            times = [] if event.is_snapshot else [fill.event_time for fill in event.fills]
        case AccountSeen():
            times = [event.summary.event_time]
        case FundingSeen():
            times = [] if event.is_snapshot else [paid.event_time for paid in event.payments]
    meter.heard(event.kind, min((at for at in times if at is not None), default=None), now)
