"""What accounts' sockets tell, and of whom."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from domain.accounts import Account
from tests.venues.making import an_account
from venues.connector import AccountEvent, OrdersSeen
from venues.feeds import AccountSockets
from venues.stream import EventQueue


def _account() -> Account:
    now = datetime(2026, 11, 30, tzinfo=UTC)
    return an_account("venue", address="address", signer="signer", now=now)


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_what_waits_is_not_told_of_an_account_that_was_let_go() -> None:
    queue: EventQueue[AccountEvent] = EventQueue()
    sockets = AccountSockets("venue", queue, lambda account: _for_ever())
    kept = _account()
    let_go = replace(kept, account_id="acc-let-go")
    await sockets.watch([kept, let_go])
    for account in (let_go, kept):
        queue.put(OrdersSeen(account_id=account.account_id, orders=()))
    await sockets.watch([kept])
    queue.put(OrdersSeen(account_id=let_go.account_id, orders=()))
    queue.put(OrdersSeen(account_id=kept.account_id, orders=()))
    told = sockets.events()
    heard = [await anext(told), await anext(told)]
    assert [event.account_id for event in heard] == [kept.account_id] * 2


async def test_what_waits_is_told_before_the_end() -> None:
    queue: EventQueue[AccountEvent] = EventQueue()
    sockets = AccountSockets("venue", queue, lambda account: _for_ever())
    account = _account()
    await sockets.watch([account])
    queue.put(OrdersSeen(account_id=account.account_id, orders=()))
    await sockets.close()
    assert [event.account_id async for event in sockets.events()] == [account.account_id]
