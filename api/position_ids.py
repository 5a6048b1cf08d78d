"""Which position a request names: `account:symbol`, by the account's id or label, or a bare symbol.

A bare symbol that may name several is refused with the list; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from api.context import Context
from api.problems import Problem, ProblemError, invalid_parameter
from domain.accounts import Account, AccountState
from domain.errors import InvalidInput, NotFound
from domain.identifiers import check_symbol
from domain.principals import Action, Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPosition:
    """The account and symbol that a position's name stands for."""

    account: Account
    symbol: str

    @property
    def position_id(self) -> str:
        """The name that is never ambiguous."""
        return position_id_of(self.account.account_id, self.symbol)


def position_id_of(account_id: str, symbol: str) -> str:
    """Return the id of an account's position in a market."""
    return f"{account_id}:{symbol}"


async def named_position(
    context: Context, principal: Principal, action: Action, text: str
) -> NamedPosition:
    """Return the position that `text` names, of an account of the caller that is in use.

    Raises:
        NotFound: no account of the caller is named so.
        ProblemError: 422, it is no position's name; 409 `ambiguous_position`, it names several.
    """
    name, colon, rest = text.partition(":")
    if colon and (symbol := _symbol_of(rest)):
        account = await context.account(principal, action, name)
        return NamedPosition(account=account, symbol=symbol)
    symbol = _symbol_of(text)
    if symbol is None:
        raise ProblemError(
            invalid_parameter(
                "position_id",
                "expected account:symbol such as 'main:BTC-PERP', or a symbol, found "
                f"{text[:64]!a}",
            )
        )
    await context.authorize(principal, action, None, f"position:{symbol}")
    return await _only_one(context, principal, symbol)


async def _only_one(context: Context, principal: Principal, symbol: str) -> NamedPosition:
    mine = [
        account
        for account in await context.parts.accounts.of_owner(principal.principal_id)
        if account.state is AccountState.ACTIVE
    ]
    if not mine:
        raise NotFound("there is no active account; add one first")
    holding = [account for account in mine if await _holds(context, account, symbol)]
    candidates = holding or mine
    if len(candidates) > 1:
        names = sorted(f"{account.label}:{symbol}" for account in candidates)
        raise ProblemError(
            Problem(
                status=HTTPStatus.CONFLICT,
                code="ambiguous_position",
                detail=f"{symbol} names several positions; expected one of {', '.join(names)}",
                extra={"positions": names},
            )
        )
    return NamedPosition(account=candidates[0], symbol=symbol)


async def _holds(context: Context, account: Account, symbol: str) -> bool:
    held = await context.parts.net_positions.of_account(account.account_id)
    return any(each.symbol == symbol and each.quantity for each in held)


def _symbol_of(text: str) -> str | None:
    try:
        return check_symbol(text)
    except InvalidInput:
        return None
