"""A process that sends one order as soon as it can: `python -m benchmarks.venues.cold VENUE`.

The row, the account and its credential come by standard input, pickled by the benchmark itself.
`bare` in place of a venue posts the same bytes without a connector: what the interpreter and an
HTTP client cost.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from dataclasses import dataclass

from domain.accounts import Account
from domain.ledger import CommandRow


@dataclass(frozen=True, slots=True)
class Errand:
    """What to send, as whom, and where."""

    row: CommandRow
    account: Account
    credential: str
    url: str


async def ordered(venue: str, errand: Errand) -> None:
    """Send the order by a connector that starts for it; say its outcome's kind."""
    from domain.accounts import Network, SecretText, TradingAccess
    from venues import registry

    connector = registry.load(venue).connect(Network.PAPER)
    await connector.start()
    access = TradingAccess(account=errand.account, credential=SecretText(errand.credential))
    result = await connector.send(errand.row, access)
    # Printed before the session is closed, whose end nobody waits for.
    say(result.outcome.kind)
    await connector.close()


async def bare(errand: Errand) -> None:
    """Post as many bytes with nothing but an HTTP client; say that something came back."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.post(errand.url, data=errand.row.message) as response,
    ):
        await response.read()
        say("accepted" if response.status else "nothing")


def say(kind: str) -> None:
    """Tell the parent what came of it."""
    sys.stdout.write(f"{kind}\n")
    sys.stdout.flush()


def main(venue: str) -> None:
    """Read the errand, run it, print what came of it."""
    errand: Errand = pickle.loads(sys.stdin.buffer.read())
    asyncio.run(bare(errand) if venue == "bare" else ordered(venue, errand))


if __name__ == "__main__":
    main(sys.argv[1])
