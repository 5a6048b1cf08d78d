"""A process of its own over a database: `python -m tests.storage.child URL ACTION COUNT`.

Actions: `reserve` reserves the same COUNT placements as every other such process and prints what
it got; `hang` stops inside a transaction, after writing; `churn` places and decides until killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime

from domain.ledger import CommandSlot, Inserted
from domain.orders import Verdict
from domain.outcomes import Accepted, SendResult
from storage.engine import Database, open_database
from storage.ledger import SqlIntentLedger
from storage.orders import SqlOrderStore
from tests.storage.builders import a_fill, a_placement, a_report, an_order, compose, spelling


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def reserve(database: Database, count: int) -> None:
    ledger = SqlIntentLedger(database)

    async def one(number: int) -> str:
        draft = a_placement(an_order(f"k{number}"))
        answer = await ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
        return f"{number} {answer.kind} {answer.row.nonce}"

    say("ready")
    sys.stdin.readline()
    for line in await asyncio.gather(*(one(number) for number in range(count))):
        say(line)


async def hang(database: Database, _: int) -> None:
    def stop(slot: CommandSlot) -> str:
        say("inside")
        time.sleep(600)
        return compose(slot)

    draft = a_placement(an_order("hung"))
    await SqlIntentLedger(database).reserve(
        draft, spell_client_order_id=spelling(draft), compose=stop
    )


async def churn(database: Database, seed: int) -> None:
    ledger, orders = SqlIntentLedger(database), SqlOrderStore(database)
    for number in range(1_000_000):
        order = an_order(f"churn-{seed}-{number}", created_at=datetime.now(UTC))
        draft = a_placement(order)
        answer = await ledger.reserve(draft, spell_client_order_id=spelling(draft), compose=compose)
        assert isinstance(answer, Inserted)
        venue = f"v-{seed}-{number}"
        report = a_report(order, Verdict.ACCEPTED, venue_order_id=venue)
        decided = await ledger.decide(draft.key, SendResult(outcome=Accepted(report=report)))
        await orders.book([a_fill(f"t-{seed}-{number}", "1", venue_order_id=venue)])
        say(f"{number} {decided.status}")


async def main(url: str, action: str, count: int) -> None:
    database = open_database(url)
    actions = {"reserve": reserve, "hang": hang, "churn": churn}
    await actions[action](database, count)
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
