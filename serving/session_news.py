"""Telling the others how this worker's sessions are: clocks, circuits, budgets, keys, tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from domain.accounts import Account
from domain.ports import AccountStore
from domain.session_states import PlaceSession, TradingSession
from serving.settings import now
from venues.connector import Connector, TellsBudget, TellsTokens
from venues.started import Connectors


class SessionNews(Protocol):
    """Where it is said."""

    async def say_trading(
        self, places: Iterable[PlaceSession], accounts: Iterable[TradingSession]
    ) -> None:
        """Say what this worker knows of places and accounts. Raises Unavailable."""
        ...


async def say_sessions(connectors: Connectors, accounts: AccountStore, news: SessionNews) -> None:
    """Say of every connected place, and every account there, what this process knows of it.

    Of an account of which nothing is known here nothing is said: another's word stays.

    Raises:
        Unavailable: nobody hears it now, or the database does not answer; say it again.
    """
    started = {(each.venue, each.network): each for each in connectors.started()}
    active = [
        account
        for account in await accounts.all_active()
        if (account.venue, account.network) in started
    ]
    trading = (
        _trading(connectors, started[account.venue, account.network], account) for account in active
    )
    await news.say_trading(
        [_place(connectors, connector) for connector in started.values()],
        [each for each in trading if each.rights is not None or each.tokens],
    )


def _place(connectors: Connectors, connector: Connector) -> PlaceSession:
    venue, network = connector.venue, connector.network
    return PlaceSession(
        venue=venue,
        network=network.value,
        said_at=now(),
        circuit=connectors.circuits.state(venue, network),
        clock=connectors.clock(venue, network),
        budget=connector.budget_left() if isinstance(connector, TellsBudget) else None,
    )


def _trading(connectors: Connectors, connector: Connector, account: Account) -> TradingSession:
    tokens = None
    if isinstance(connector, TellsTokens):
        tokens = dict(connector.token_expiries(account.account_id))
    return TradingSession(
        account_id=account.account_id,
        said_at=now(),
        rights=connectors.rights.of(account.account_id),
        tokens=tokens,
    )
