"""Tokens for the feed: made by the worker, renewed long before they end, and of no other power."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.feed_credentials import FeedRenewal
from domain.accounts import Account, SecretText
from domain.errors import VenueRefused, VenueUnavailable
from tests.venues.lighter.building import Desk, desk
from venues.connector import FeedState
from venues.lighter.account_stream import LighterAccountFeed
from venues.lighter.feed_reading import FeedReading
from venues.lighter.limits import Tier
from venues.lighter.proofs import TOKEN_LIFETIME_S
from venues.lighter.tokens import end_of

__all__ = ("desk",)


class House:
    """Accounts, access, connectors and what is kept, over a desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.kept: list[tuple[Account, SecretText]] = []
        self.fails = False

    async def all_active(self) -> tuple[Account, ...]:
        account = self.desk.account
        return (account, replace(account, account_id="other", venue="elsewhere"))

    async def open(self, account_id: str) -> Any:
        return self.desk.access

    async def connector(self, venue: str, network: object) -> Any:
        if self.fails:
            raise VenueUnavailable("not now")
        return self.desk.connector

    async def keep(self, account: Account, secret: SecretText) -> None:
        self.kept.append((account, secret))


def renewal(house: Any) -> FeedRenewal:
    return FeedRenewal(
        accounts=house, access=house, connectors=house, venues=frozenset({"lighter"}), feeds=house
    )


async def test_a_token_is_made_anew_for_each_account_that_is_served(desk: Desk) -> None:
    house = House(desk)
    assert await renewal(house).run() == 1
    ((account, secret),) = house.kept
    assert account == desk.account
    ahead = end_of(secret.reveal()) - datetime.now(UTC)
    assert timedelta(hours=6, minutes=59) < ahead <= timedelta(seconds=TOKEN_LIFETIME_S)


async def test_what_cannot_be_made_now_is_left_for_the_next_time(desk: Desk) -> None:
    house = House(desk)
    house.fails = True
    assert await renewal(house).run() == 0
    assert house.kept == []


async def test_a_token_reads_its_own_account_and_signs_nothing(desk: Desk) -> None:
    token = await desk.connector.mint_feed_credential(desk.access)
    for key in json.loads(desk.secret.reveal())["api_private_keys"].values():
        assert key not in token.reveal()

    class Given:
        async def open(self, account: Account) -> SecretText:
            return token

    desk.connector.use_credentials(Given())
    assert await desk.connector.open_orders(desk.account) == ()
    opened = await desk.venue.simulator.open_account(
        desk.venue.exchange.tables.accounts[desk.account.address].cash, "stranger"
    )
    stranger = replace(desk.account, account_id="s", address=opened["address"])
    with pytest.raises(VenueRefused):
        await desk.connector.open_orders(stranger)


async def test_without_anything_to_ask_with_nothing_is_answered(desk: Desk) -> None:
    class Nothing:
        async def open(self, account: Account) -> None:
            return None

    desk.connector.use_credentials(Nothing())
    with pytest.raises(VenueRefused, match="only to who has its key"):
        await desk.connector.open_orders(desk.account)


async def test_when_the_connectors_token_ends_is_told_and_the_token_is_not(desk: Desk) -> None:
    account_id = desk.account.account_id
    assert desk.connector.token_expiries(account_id) == {}
    await desk.connector.open_orders(desk.account)
    told = desk.connector.token_expiries(account_id)
    ahead = told["auth"] - datetime.now(UTC)
    assert timedelta(hours=6, minutes=59) < ahead <= timedelta(seconds=TOKEN_LIFETIME_S)
    assert set(map(type, told.values())) == {datetime}


async def test_when_the_token_of_a_socket_ends_is_told_while_it_is_followed(desk: Desk) -> None:
    class Given:
        async def open(self, account: Account) -> SecretText:
            return await desk.connector.mint_feed_credential(desk.access)

    feed = LighterAccountFeed(
        f"ws{desk.venue.url.removeprefix('http')}/stream",
        FeedReading(desk.venue.url, tier=Tier.BUILDER),
    )
    feed.use_credentials(Given())
    account_id = desk.account.account_id
    assert feed.token_expiries(account_id) == {}
    await feed.watch([desk.account])
    try:
        async with asyncio.timeout(10):
            async for event in feed.events():
                if isinstance(event, FeedState) and event.live:
                    break
        assert feed.token_expiries(account_id)["auth"] > datetime.now(UTC) + timedelta(hours=6)
        await feed.watch([])
        assert feed.token_expiries(account_id) == {}
    finally:
        await feed.close()
