"""One process that serves one venue, as far as its imports go: `worker` or `streaming`.

The account to check, and the key that signs for it, come by standard input. The last line printed
are the names of all modules that are loaded then.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from datetime import UTC, datetime
from typing import Any

from domain.accounts import Account, AccountState, Network, SecretText, TradingAccess

#: What each process is composed by: importing it imports all that it needs before any venue.
ROOTS = {"worker": "worker", "streaming": "streaming.main"}


class OneAccess:
    """Implements `TradingAccessSource` for the one account there is."""

    def __init__(self, access: TradingAccess) -> None:
        self._access = access

    async def open(self, account_id: str) -> TradingAccess:
        return self._access

    async def open_signer(self, account_id: str, signer: str) -> TradingAccess:
        return self._access


async def work(access: TradingAccess) -> None:
    """Do what a worker does at a venue first: connect, and check the account's signer."""
    from domain.feed_credentials import TradingSecrets
    from venues.started import Connectors

    source, venue = OneAccess(access), access.account.venue
    connectors = Connectors(frozenset({venue}), TradingSecrets(source))
    connector = await connectors.connector(venue, Network.PAPER)
    check = await connector.check_signer(access)
    assert check.refusal is None, check
    await connectors.close()


async def stream(access: TradingAccess) -> None:
    """Do what streaming does: have the feeds of a venue."""
    from venues import registry

    spec = registry.load(access.account.venue)
    await spec.account_feed(Network.PAPER).close()
    await spec.market_feed(Network.PAPER, ()).close()


def main(process: str) -> None:
    told: dict[str, Any] = json.loads(sys.stdin.read())
    account = Account(
        account_id="acc",
        owner="local",
        venue=told["venue"],
        label="main",
        network=Network.PAPER,
        address=told["address"],
        signer=told["signer"],
        state=AccountState.ACTIVE,
        created_at=datetime.now(UTC),
    )
    importlib.import_module(ROOTS[process])
    access = TradingAccess(account=account, credential=SecretText(told["credential"]))
    asyncio.run({"worker": work, "streaming": stream}[process](access))
    sys.stdout.write(json.dumps(sorted(sys.modules)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
