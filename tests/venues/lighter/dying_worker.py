"""A worker that dies: `python -m tests.venues.lighter.dying_worker URL HOME PRICE QUANTITY`.

Places three orders on the account of its parent, writes a fourth one into the ledger, and is gone
before it sends it. The key that opens the credential comes by standard input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import cast

from domain.accounts import Network
from domain.feed_credentials import TradingSecrets
from domain.outcomes import Accepted
from sealing.keys import PrivateKey
from storage.opening import open_storage
from tests.conformance.rig import rig_of
from tests.conformance.stage import Stage
from venues.simulation.server import RunningSimulator
from venues.started import Connectors

CRASHED = 3


async def work(url: str, home: Path, price: str, quantity: str) -> None:
    key = PrivateKey(bytes.fromhex(sys.stdin.readline().strip()))
    rig = rig_of("lighter")
    os.environ[rig.paper_variable] = url
    storage = await open_storage("", home)
    access = storage.access(key)
    connectors = Connectors(frozenset({"lighter"}), TradingSecrets(access))
    stage = Stage(
        rig=rig,
        running=cast(RunningSimulator, None),
        storage=storage,
        access=access,
        connectors=connectors,
        connector=await connectors.connector("lighter", Network.PAPER),
        key=key,
    )
    stage.accounts.extend((account, {}) for account in await storage.accounts.all_active())
    command = stage.order(Decimal(quantity), Decimal(price))
    said = []
    for _ in range(3):
        row, outcome = await stage.send(command)
        assert isinstance(outcome, Accepted), outcome
        said.append(f"{row.lane}:{row.nonce}")
    row = await stage.reserve(command)
    said += [f"{row.lane}:{row.nonce}", row.key.order_id]
    sys.stdout.write(" ".join(said) + "\n")
    sys.stdout.flush()
    os._exit(CRASHED)


if __name__ == "__main__":
    address, folder, at, of = sys.argv[1:]
    asyncio.run(work(address, Path(folder), at, of))
