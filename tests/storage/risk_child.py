"""A process that places orders: `python -m tests.storage.risk_child URL NAME COUNT ACCOUNT`.

Waits for a line, then places COUNT orders of one unit, three at once, and prints what became of
each. Every third only reduces. The last six it holds back until it reads another line.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from decimal import Decimal

from domain.errors import RiskRefused
from storage.engine import open_database
from storage.ledger import SqlIntentLedger
from tests.storage.builders import a_placement, an_order, compose, spelling

HELD_BACK = 6


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(url: str, name: str, count: int, account: str) -> None:
    database = open_database(url)
    ledger = SqlIntentLedger(database)

    lanes = asyncio.Semaphore(3)

    async def one(number: int) -> None:
        async with lanes:
            await place(number)

    async def place(number: int) -> None:
        reduces = number % 3 == 2
        order = an_order(f"{name}-{number}", account_id=account, reduce_only=reduces)
        draft = replace(
            a_placement(order),
            raises_exposure=not reduces,
            signer=f"signer-{account}",
            mark_price=Decimal(45_000),
        )
        try:
            await ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
        except RiskRefused as error:
            limits = ",".join(v.limit.value for v in error.violations) or "halted"
            say(f"refused {limits}")
        else:
            say("reducing" if reduces else "raising")

    say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(one(number) for number in range(count - HELD_BACK)))
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(one(number) for number in range(count - HELD_BACK, count)))
    say("done")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
