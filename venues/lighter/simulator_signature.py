"""Whose signature it is: the keys registered for accounts, and tokens to read with.

A key is registered for an account under an index; which index signed is said in the transaction.
Keys of paper accounts are made from the exchange's seed: they guard nothing, and a test that opens
the same account again finds the same key, whose table is there already.

Source: lighter-sdk 1.1.8 `create_auth_token_with_expiry`; docs api-keys; NOTES.md "Keys".
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from venues.lighter.simulator_curve import ORDER, public_key, verify
from venues.lighter.simulator_transactions import Transaction, text_message
from venues.simulation.records import Agent
from venues.simulation.tables import Tables

_FOR_EVER_MS: Final = 4_102_444_800_000
#: A token's deadline lies at most eight hours ahead.
_TOKEN_MAX_S: Final = 8 * 3600


class NotVerified(Exception):
    """The signature is not taken: code and text are the venue's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def fresh_key(seed: int, account_index: int, key_index: int) -> tuple[str, str]:
    """Make a paper key; return private and public key in hex."""
    name = f"paper/{seed}/{account_index}/{key_index}".encode()
    scalar = int.from_bytes(hashlib.sha512(name).digest(), "little") % ORDER
    private = scalar.to_bytes(40, "little")
    return private.hex(), _public(private).hex()


@lru_cache(maxsize=1024)
def _public(private: bytes) -> bytes:
    return public_key(private)


def register(tables: Tables, account_index: int, key_index: int, public: str) -> None:
    """Have a key sign for an account; inside an action."""
    tables.record(
        Agent(
            address=_slot(account_index, key_index),
            account=str(account_index),
            valid_until_ms=_FOR_EVER_MS,
            name=public,
        )
    )


def registered(tables: Tables, account_index: int, key_index: int) -> str | None:
    """Return the public key of an account's index, or None."""
    agent = tables.agents.get(_slot(account_index, key_index))
    return None if agent is None or agent.revoked else agent.name


def revoke(tables: Tables, account_index: int) -> None:
    """Take all keys of an account away; inside an action."""
    for agent in tuple(tables.agents.values()):
        if agent.account == str(account_index):
            agent.revoked = True
            tables.record(agent)


def key_indexes(tables: Tables, account_index: int) -> list[int]:
    """Return the indexes that have a key, in order."""
    found = [
        int(agent.address.partition("/")[2])
        for agent in tables.agents.values()
        if agent.account == str(account_index) and not agent.revoked
    ]
    return sorted(found)


def verify_transaction(tables: Tables, transaction: Transaction) -> None:
    """Check that a registered key signed it. Raises `NotVerified`."""
    if str(transaction.account_index) not in tables.accounts:
        raise NotVerified(21100, "account not found")
    public = registered(tables, transaction.account_index, transaction.key_index)
    if public is None:
        raise NotVerified(21109, "api key not found")
    if not verify(bytes.fromhex(public), transaction.message, transaction.signature):
        raise NotVerified(21120, "invalid signature")


def verify_token(tables: Tables, token: str, now_ms: int) -> int:
    """Return the account that a token reads. Raises `NotVerified`."""
    fields = token.split(":")
    if len(fields) != 4 or not all(field.isascii() and field.isdigit() for field in fields[:3]):
        raise NotVerified(20013, "invalid auth: malformed token")
    deadline_s, account_index, key_index = (int(field) for field in fields[:3])
    public = registered(tables, account_index, key_index)
    if public is None:
        raise NotVerified(20013, "invalid auth: api key not found")
    if deadline_s * 1_000 <= now_ms:
        raise NotVerified(20013, "invalid auth: token expired")
    if deadline_s * 1_000 > now_ms + _TOKEN_MAX_S * 1_000:
        raise NotVerified(20013, "invalid auth: deadline too far")
    if not _is_token_signed(public, token):
        raise NotVerified(20013, "invalid auth: invalid signature")
    return account_index


@lru_cache(maxsize=1024)
def _is_token_signed(public: str, token: str) -> bool:
    text, _, signature = token.rpartition(":")
    try:
        return verify(bytes.fromhex(public), text_message(text), bytes.fromhex(signature))
    except ValueError:
        return False


def _slot(account_index: int, key_index: int) -> str:
    return f"{account_index}/{key_index}"
