"""Accounts, sub-accounts, the keys that may trade for them, and their leverage settings.

Runs inside one action of the exchange. Signatures are the venue's simulator's business.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from venues.simulation import margin
from venues.simulation.events import AccountChanged
from venues.simulation.records import ZERO, Account, Agent, Reason, Transfer
from venues.simulation.tables import Tables

#: 1 unnamed and 3 named agents.
NAMED_AGENTS_MAX: Final = 3


def open_account(
    tables: Tables, address: str, deposit: Decimal, *, master: str | None = None, name: str = ""
) -> Account:
    """Make an account with a first deposit; one that exists gets the deposit only."""
    account = tables.accounts.get(address)
    if account is None:
        account = Account(address=address, master=master, name=name)
        tables.record(account)
    if deposit:
        move_cash(tables, account, deposit, "deposit")
    return account


def move_cash(
    tables: Tables, account: Account, amount: Decimal, kind: str, counterparty: str | None = None
) -> None:
    """Add to (or with a negative amount take from) an account's cash, and keep a record of it."""
    account.cash += amount
    tables.touch(account)
    tables.record(
        Transfer(
            account=account.address,
            kind=kind,
            amount=amount,
            time_ms=tables.now_ms,
            action_hash=tables.action_hash,
            counterparty=counterparty,
        )
    )
    tables.emit(AccountChanged(address=account.address))


def transfer(tables: Tables, source: Account, target: Account, amount: Decimal) -> bool:
    """Move cash between accounts; False when the source cannot spare it."""
    if not can_spare(tables, source, amount):
        return False
    move_cash(tables, source, -amount, "transfer", target.address)
    move_cash(tables, target, amount, "transfer", source.address)
    return True


def can_spare(tables: Tables, account: Account, amount: Decimal) -> bool:
    """Tell whether that much may leave the account."""
    return 0 < amount <= margin.cross_summary(tables, account.address).withdrawable


def put_aside(tables: Tables, account: Account, amount: Decimal) -> bool:
    """Move cash to the spot side, or with a negative amount back; False where it is not there."""
    enough = can_spare(tables, account, amount) if amount > 0 else account.spot_cash >= -amount
    if not amount or not enough:
        return False
    account.spot_cash += amount
    move_cash(tables, account, -amount, "accountClassTransfer")
    return True


def agents_of(tables: Tables, account: str) -> list[Agent]:
    """Return the agents of an account that are valid now."""
    return [
        agent
        for agent in tables.agents.values()
        if agent.account == account and is_valid(tables, agent)
    ]


def is_valid(tables: Tables, agent: Agent, now_ms: int | None = None) -> bool:
    """Tell whether an agent may sign at the time of the present action, or at `now_ms`."""
    return not agent.revoked and agent.valid_until_ms > (now_ms or tables.now_ms)


def approve_agent(
    tables: Tables, account: str, address: str, name: str, valid_until_ms: int
) -> bool:
    """Let a key trade for an account, in place of the one of the same name.

    Returns False when the account has no room for another name.
    """
    present = agents_of(tables, account)
    replaced = [agent for agent in present if agent.name == name]
    named = [agent for agent in present if agent.name and agent.name != name]
    if name and len(named) >= NAMED_AGENTS_MAX:
        return False
    for agent in replaced:
        agent.revoked = True
        tables.record(agent)
    tables.record(Agent(address=address, account=account, valid_until_ms=valid_until_ms, name=name))
    return True


def set_leverage(
    tables: Tables, account: str, symbol: str, leverage: int, *, is_isolated: bool
) -> Reason | None:
    """Set leverage and margin mode of one market; the reason where that is refused."""
    if not 1 <= leverage <= tables.instruments[symbol].max_leverage:
        return Reason.INVALID_QUANTITY
    row = tables.position(account, symbol)
    if row.quantity and row.is_isolated != is_isolated:
        return Reason.USER
    if row.quantity:
        more = margin.notional(tables, row) / leverage - margin.notional(tables, row) / row.leverage
        if more > margin.available_margin(tables, account):
            return Reason.MARGIN
        if row.is_isolated:
            row.isolated_margin += more
            tables.accounts[account].cash -= more
            tables.touch(tables.accounts[account])
    row.leverage = leverage
    row.is_isolated = is_isolated
    tables.touch(row)
    tables.emit(AccountChanged(address=account))
    return None


def move_isolated_margin(
    tables: Tables, account: str, symbol: str, amount: Decimal
) -> Reason | None:
    """Add margin to (or take it from) an isolated position; the reason where that is refused."""
    row = tables.position(account, symbol)
    if not row.quantity or not row.is_isolated:
        return Reason.REDUCE_ONLY
    needed = margin.notional(tables, row) / row.leverage
    left = margin.margin_used(tables, row) + amount
    if amount > max(ZERO, margin.available_margin(tables, account)):
        return Reason.MARGIN
    if amount < 0 and left < needed:
        return Reason.MARGIN
    row.isolated_margin += amount
    tables.accounts[account].cash -= amount
    tables.touch(row)
    tables.touch(tables.accounts[account])
    tables.emit(AccountChanged(address=account))
    return None
