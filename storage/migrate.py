"""`python -m storage.migrate upgrade | current | check | paper-only | resume`, by command.

Started by people and by the supervisor as a process of its own. Exit codes: 0 done or fine, 1 not
so (the message says what to run), 2 wrong settings, 3 an account that is not paper exists, 4 the
database does not answer.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import Field, SecretStr

from domain.errors import InvalidInput, Unavailable
from process.settings import ProcessSettings
from storage.accounts import SqlAccountStore
from storage.engine import Database, open_database
from storage.halts import HaltStore
from storage.ledger import SqlIntentLedger
from storage.ledger_mark import LedgerGuard, LedgerMark
from storage.reconciliations import SqlReconciliations
from storage.revision import HEAD, WrongRevision
from storage.url import default_url

EXIT_NOT_SO = 1
EXIT_WRONG_SETTINGS = 2
EXIT_NOT_PAPER = 3
EXIT_UNAVAILABLE = 4


class MigrateSettings(ProcessSettings):
    """Where the database is."""

    perp_dex_home: Path = Field(
        default_factory=lambda: Path.home() / ".perp-dex",
        description="directory that holds all state of the embedded stack",
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="address of the database, where it is not the SQLite file in PERP_DEX_HOME",
    )

    def url(self) -> str:
        """Return the address of the database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return default_url(self.perp_dex_home)


async def _current(database: Database) -> int:
    found = await database.revision()
    sys.stdout.write(f"{found or 'none'}\n")
    return 0


async def _check(database: Database) -> int:
    try:
        await database.check_revision()
    except WrongRevision as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NOT_SO
    sys.stdout.write(f"the schema is at revision {HEAD}\n")
    return 0


async def _paper_only(database: Database) -> int:
    if await database.revision() is None or await SqlAccountStore(database).only_paper():
        sys.stdout.write("every account is a paper account\n")
        return 0
    sys.stderr.write("there are accounts that are not paper\n")
    return EXIT_NOT_PAPER


_QUESTIONS: dict[str, Callable[[Database], Awaitable[int]]] = {
    "current": _current,
    "check": _check,
    "paper-only": _paper_only,
}


async def _resume(database: Database, home: Path) -> int:
    """Let trading go on with the ledger as it is; see `storage.ledger_mark`."""
    reconciliations = SqlReconciliations(database)
    guard = LedgerGuard(
        LedgerMark(home), SqlIntentLedger(database), HaltStore(database), reconciliations
    )
    before, now = await guard.resume()
    sys.stdout.write(
        f"the ledger's mark was {before} and is {now}; a halt for its sake is lifted\n"
    )
    for account_id, since in sorted((await reconciliations.due_accounts()).items()):
        sys.stdout.write(
            f"account {account_id} is to be reconciled since {since:%Y-%m-%d %H:%M:%S} UTC and "
            f"takes no new exposure before; see: perp-dex account findings {account_id}\n"
        )
    return 0


async def _answer(action: str, url: str, home: Path) -> int:
    database = open_database(url)
    try:
        if action == "resume":
            await database.check_revision()
            return await _resume(database, home)
        return await _QUESTIONS[action](database)
    finally:
        await database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m storage.migrate", description="Bring or check the database's schema."
    )
    parser.add_argument("action", choices=("upgrade", *_QUESTIONS, "resume"))
    action = parser.parse_args(arguments).action
    settings = MigrateSettings.load_or_exit()
    try:
        if action == "upgrade":
            # Alembic is imported only to upgrade: the questions are asked at every start.
            from storage.schema import upgrade

            reached = upgrade(settings.url())
            sys.stdout.write(f"the schema is at revision {reached}\n")
            return 0
        return asyncio.run(_answer(action, settings.url(), settings.perp_dex_home.expanduser()))
    except WrongRevision as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_NOT_SO
    except InvalidInput as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_WRONG_SETTINGS
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
