"""The simulated venue's accounts: vaults with an API key and a Stark key each.

An account is named by its vault's number; both keys stand in the exchange's table of agents, so a
restarted exchange knows them, and either can be revoked.
"""

from __future__ import annotations

import json
import secrets
from decimal import Decimal
from typing import Final

import fast_stark_crypto

from venues.simulation.exchange import Exchange
from venues.simulation.ownership import open_account
from venues.simulation.records import Agent
from venues.simulation.tables import Tables

_API_KEY: Final = "api"
_STARK_KEY: Final = "stark"
_FIRST_VAULT: Final = 500_001
_FIRST_ACCOUNT_ID: Final = 3_001
_FOR_EVER_MS: Final = 4_102_444_800_000


def account_id_of(vault: str) -> int:
    """Return the venue's own number of an account."""
    return int(vault) - _FIRST_VAULT + _FIRST_ACCOUNT_ID


def vault_of_api_key(tables: Tables, api_key: str | None) -> str | None:
    """Return whose API key it is; None for nobody's."""
    agent = tables.agents.get(api_key) if api_key else None
    if agent is None or agent.revoked or agent.name != _API_KEY:
        return None
    return agent.account


def stark_key_of(tables: Tables, vault: str) -> str:
    """Return the public key that is registered for a vault."""
    return next(
        agent.address
        for agent in tables.agents.values()
        if agent.account == vault and agent.name == _STARK_KEY
    )


def api_keys_of(tables: Tables, vault: str) -> list[str]:
    """Return an account's API keys."""
    return [
        agent.address
        for agent in tables.agents.values()
        if agent.account == vault and agent.name == _API_KEY and not agent.revoked
    ]


async def open_funded(exchange: Exchange, balance: Decimal, name: str) -> dict[str, str]:
    """Fund a fresh vault and register fresh keys for it; return what their owner has to know."""
    tables = exchange.tables
    vault = str(_FIRST_VAULT + len(tables.accounts))
    private_key = secrets.randbelow(2**250) + 1
    public_key = hex(fast_stark_crypto.get_public_key(private_key))
    api_key = secrets.token_hex(16)
    with exchange.action("open_account") as receipt:
        open_account(tables, vault, balance, name=name)
        for address, kind in ((api_key, _API_KEY), (public_key, _STARK_KEY)):
            agent = Agent(address=address, account=vault, valid_until_ms=_FOR_EVER_MS, name=kind)
            tables.record(agent)
    await exchange.durable(receipt)
    credential = {
        "vault": vault,
        "private_key": hex(private_key),
        "public_key": public_key,
        "api_key": api_key,
    }
    return {
        "address": vault,
        "public_key": public_key,
        "api_key": api_key,
        "private_key": json.dumps(credential),
    }
