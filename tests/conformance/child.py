"""A second worker's hands: `python -m tests.conformance.child VENUE URL HOME COUNT PRICE QUANTITY`.

Opens the same database and the same account as its parent, and places COUNT orders that rest, all
at once. The key that opens the credential comes by standard input, where nobody else reads it. Each
outcome is a line: its kind and the nonce that it was signed with.
"""

from __future__ import annotations

import asyncio
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from domain.accounts import Network
from domain.feed_credentials import TradingSecrets
from sealing.keys import PrivateKey
from storage.opening import open_storage
from tests.conformance.rig import rig_of
from tests.conformance.stage import Stage
from venues.simulation.server import RunningSimulator
from venues.started import Connectors


async def work(venue: str, url: str, home: Path, count: int, price: str, quantity: str) -> None:
    key = PrivateKey(bytes.fromhex(sys.stdin.readline().strip()))
    rig = rig_of(venue)
    os.environ[rig.paper_variable] = url
    storage = await open_storage("", home)
    access = storage.access(key)
    connectors = Connectors(frozenset({venue}), TradingSecrets(access))
    stage = Stage(
        rig=rig,
        running=cast(RunningSimulator, None),
        storage=storage,
        access=access,
        connectors=connectors,
        connector=await connectors.connector(venue, Network.PAPER),
        key=key,
    )
    stage.accounts.extend((account, {}) for account in await storage.accounts.all_active())
    command = stage.order(Decimal(quantity), Decimal(price))
    say("ready")
    sys.stdin.readline()

    async def one() -> str:
        row, outcome = await stage.send(command)
        shown: Any = outcome
        why = getattr(shown, "reason", "") or ""
        return f"{outcome.kind} {row.lane}:{row.nonce} {row.client_order_id} {why}"

    for line in await asyncio.gather(*(one() for _ in range(count))):
        say(line)
    await connectors.close()
    await storage.close()


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    name, address, folder, number, at, of = sys.argv[1:]
    asyncio.run(work(name, address, Path(folder), int(number), at, of))
