"""The routes of positions, profit and balances: what is open, what it brought, what is there.

Read from our own books; with `live=true` the venue is asked first, through a worker. What is
older than it should be says so by its age.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from api.account_bodies import GroupName
from api.account_groups import group_named
from api.context import Caller, Context, Ctx, bounded
from api.fields import MarketName
from api.position_views import (
    BalanceView,
    PnlView,
    PositionsView,
    balance_view,
    pnl_view,
    positions_view,
)
from api.problems import ProblemError, invalid_parameter, unavailable
from api.strict_json import StrictRoute
from domain.accounts import Account, AccountState
from domain.errors import InvalidInput, PerpDexError
from domain.identifiers import check_symbol
from domain.latest_prices import with_newer_marks
from domain.positions import OpenPosition, SeenSummary, open_positions, split_position_id
from domain.principals import Action, Principal

LIVE_WAIT_S: Final = 6.0
DAYS_MAX: Final = 3_650
_SHOWN = (AccountState.ACTIVE, AccountState.PENDING)

router = APIRouter(prefix="/api/v1", tags=["positions"], route_class=StrictRoute)

Live = Annotated[bool, Query(description="Ask the venue first.")]


@router.get("/positions", operation_id="list_positions", response_model=PositionsView)
async def list_positions(
    context: Ctx,
    caller: Caller,
    venue: str | None = None,
    account: str | None = None,
    group: GroupName | None = None,
    symbol: MarketName | None = None,
    live: Live = False,
) -> JSONResponse:
    """List open positions of all accounts, with exposure by symbol, venue and account."""
    accounts = await _accounts(context, caller, account, venue, group)
    if symbol is not None:
        _checked_symbol("symbol", symbol)
    return await _answer(context, accounts, symbol, live=live)


@router.get("/positions/{position_id}", operation_id="get_position", response_model=PositionsView)
async def get_position(
    position_id: str, context: Ctx, caller: Caller, live: Live = False
) -> JSONResponse:
    """Read a symbol's positions over all accounts with their sum, or `account:symbol` alone.

    A flat market gives an empty list.
    """
    try:
        account, symbol = split_position_id(position_id)
    except InvalidInput as error:
        raise ProblemError(invalid_parameter("position_id", error.message)) from None
    symbol = _checked_symbol("position_id", symbol)
    accounts = await _accounts(context, caller, account, None)
    return await _answer(context, accounts, symbol, live=live)


@router.get("/pnl", operation_id="get_pnl", response_model=PnlView)
async def get_pnl(
    context: Ctx,
    caller: Caller,
    account: str | None = None,
    venue: str | None = None,
    group: GroupName | None = None,
    symbol: MarketName | None = None,
    days: Annotated[str | None, Query(description="The last so many days; all if left out")] = None,
) -> JSONResponse:
    """Read realised profit, fees and funding of a period, by account and market.

    `unrealized_pnl` is of what is open now, whenever it was opened.
    """
    count = None
    if days is not None:
        count = bounded("days", days, default=1, least=1, greatest=DAYS_MAX)
    accounts = await _accounts(context, caller, account, venue, group)
    if symbol is not None:
        _checked_symbol("symbol", symbol)
    since = None if count is None else context.parts.now() - timedelta(days=count)
    rows = [
        row
        for each in accounts
        for row in await context.parts.positions.period(each.account_id, since=since)
        if symbol in (None, row.symbol)
    ]
    found = await _open(context, accounts, symbol)
    labels = {each.account_id: each.label for each in accounts}
    return JSONResponse(pnl_view(rows, found, labels, since).json_ready())


@router.get(
    "/accounts/{account_id}/balance", operation_id="get_balance", response_model=BalanceView
)
async def get_balance(
    account_id: str, context: Ctx, caller: Caller, live: Live = True
) -> JSONResponse:
    """Read an account's money; the venue is asked unless `live=false`.

    When it does not answer in time, its last word is given with its age; 503 if there is none.
    """
    account = await context.account(caller, Action.READ_ACCOUNT, account_id)
    seen = await _read(context, account) if live else None
    if seen is None:
        seen = await context.parts.positions.summary(account.account_id)
    if seen is None:
        raise ProblemError(unavailable(f"{account.venue} has not been heard on this account yet"))
    return JSONResponse(balance_view(account, seen, context.parts.now()).json_ready())


async def _accounts(
    context: Context,
    caller: Principal,
    name: str | None,
    venue: str | None,
    group: str | None = None,
) -> list[Account]:
    members = None if group is None else (await group_named(context, caller, group)).account_ids
    if name is not None:
        found = [await context.account(caller, Action.READ_ACCOUNT, name)]
    else:
        await context.authorize(caller, Action.READ_ACCOUNT, None, "position:list")
        found = [
            each
            for each in await context.parts.accounts.of_owner(caller.principal_id)
            if each.state in _SHOWN
        ]
    return [
        each
        for each in found
        if venue in (None, each.venue) and (members is None or each.account_id in members)
    ]


async def _answer(
    context: Context, accounts: Sequence[Account], symbol: str | None, *, live: bool
) -> JSONResponse:
    unread: list[str] = []
    if live:
        seen = await asyncio.gather(*(_read(context, each) for each in accounts))
        unread = [each.label for each, word in zip(accounts, seen, strict=True) if word is None]
    found = await _open(context, accounts, symbol)
    labels = {each.account_id: each.label for each in accounts}
    view = positions_view(found, labels, context.parts.now(), unread=unread)
    return JSONResponse(view.json_ready())


async def _open(
    context: Context, accounts: Sequence[Account], symbol: str | None
) -> list[OpenPosition]:
    books = [await context.parts.positions.books(each.account_id) for each in accounts]
    # The newest marks are a cache's; without it, those that were stored are shown, with their age.
    markets = {
        (position.venue, each.account.network, position.symbol)
        for each in books
        for position in open_positions(each)
    }
    latest = await context.parts.latest_prices.read_many(sorted(markets))
    marks = [price for price in latest if price is not None]
    return [
        position
        for each in books
        for position in open_positions(with_newer_marks(each, marks))
        if symbol in (None, position.symbol)
    ]


async def _read(context: Context, account: Account) -> SeenSummary | None:
    """Return the venue's word on an account now, or None: the last one is shown with its age."""
    try:
        return await context.ask(context.parts.account_reader.read(account, wait_s=LIVE_WAIT_S))
    except PerpDexError:
        return None


def _checked_symbol(field: str, symbol: str) -> str:
    try:
        return check_symbol(symbol)
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(field, error.message)) from None
