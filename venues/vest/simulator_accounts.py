"""Who asks and who signs at the simulated venue: registrations, API keys, groups, listen keys.

A registration is a row of the exchange's own (an agent, named by its API key), so it outlives a
restart; listen keys do not. Both a signing key and its API key end with the registration.

Source: the official v2 API page, POST /register, POST /account/listenKey, WebSocket close codes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from venues.simulation.exchange import Exchange
from venues.simulation.ownership import open_account
from venues.simulation.records import Agent

_GROUPS: Final = 4
_LISTEN_KEY_MS: Final = 60 * 60_000
_TEN_YEARS_MS: Final = 10 * 365 * 86_400_000


@dataclass(slots=True)
class ListenKey:
    """A key to an account's private channel."""

    address: str
    expires_ms: int


class Accounts:
    """Registrations over one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._by_key: dict[str, Agent] = {
            agent.name: agent for agent in exchange.tables.agents.values()
        }
        self._listen: dict[str, ListenKey] = {}

    def group_of(self, address: str) -> int:
        """Return the shard on which an account lives."""
        return int(address[-2:], 16) % _GROUPS

    def has_group(self, group: int) -> bool:
        """Tell whether there is such a shard."""
        return 0 <= group < _GROUPS

    def register(self, primary: str, signing: str, expiry_ms: int) -> str:
        """Let a key sign for an account until a time, and return a new API key; inside an action.

        An account that nobody knows yet begins with nothing.
        """
        tables = self._exchange.tables
        open_account(tables, primary, Decimal(0))
        key = secrets.token_hex(20)
        agent = Agent(address=signing, account=primary, valid_until_ms=expiry_ms, name=key)
        before = tables.agents.get(signing)
        if before is not None:
            self._by_key.pop(before.name, None)
        tables.record(agent)
        self._by_key[key] = agent
        return key

    def registered(self, api_key: str) -> str | None:
        """Return the account that an API key asks for; None for one that is none, or expired."""
        agent = self._by_key.get(api_key)
        if agent is None:
            return None
        current = self._exchange.tables.agents.get(agent.address)
        if current is None or current.name != api_key or not self._is_valid(current):
            return None
        return current.account

    def may_sign(self, address: str, signer: str) -> bool:
        """Tell whether who signed may sign for an account: itself, or a key that it approved."""
        if signer == address:
            return True
        agent = self._exchange.tables.agents.get(signer)
        return agent is not None and agent.account == address and self._is_valid(agent)

    def _is_valid(self, agent: Agent) -> bool:
        return not agent.revoked and agent.valid_until_ms > self._exchange.now_ms()

    # Listen keys.

    def listen(self, address: str) -> str:
        """Return an account's listen key, valid for an hour from now."""
        expires_ms = self._exchange.now_ms() + _LISTEN_KEY_MS
        for key, known in self._listen.items():
            if known.address == address and known.expires_ms > self._exchange.now_ms():
                known.expires_ms = expires_ms
                return key
        key = secrets.token_hex(16)
        self._listen[key] = ListenKey(address, expires_ms)
        return key

    def end_listening(self, address: str) -> None:
        """Forget an account's listen keys."""
        self._listen = {
            key: known for key, known in self._listen.items() if known.address != address
        }

    def listener(self, key: str) -> ListenKey | None:
        """Return whom a listen key listens to, also after it expired; None for an unknown one."""
        return self._listen.get(key)

    def is_expired(self, known: ListenKey) -> bool:
        """Tell whether a listen key's hour is over."""
        return known.expires_ms <= self._exchange.now_ms()


def far_expiry(now_ms: int) -> int:
    """Return an expiry that no test and no paper account lives to see."""
    return now_ms + _TEN_YEARS_MS
