"""`python -m storage.keys list | rotate NAME | rewrap | accept NAME`: the key files of a home.

Started by people through `perp-dex keys`. Works on the files and the database while everything
runs: processes take changes up by themselves. Exit codes: 0 done, 1 refused (the message says
why), 2 wrong settings, 4 the database does not answer. Prints ids, ages and counts; never a key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr

from domain.errors import InvalidInput, Unavailable
from domain.ports import AuditRecord
from process.key_settings import KeySettings
from sealing.choosing import OpenKeepers, open_keepers
from sealing.errors import SealingError, SecretFileMissing
from sealing.keepers import KeyUse
from sealing.kept_file import rewrap_kept
from sealing.key_ring import KEY_RING_NAME, rotate_key_ring
from sealing.keys import Recipient, private_keys_path, rotate_key_pair
from sealing.ring import Ring, load_ring
from sealing.secret_files import exclusive
from storage.audit import SqlAuditLog
from storage.engine import Database, open_database
from storage.revision import WrongRevision
from storage.sealing_keys import SqlSealingKeys
from storage.url import default_url

EXIT_REFUSED = 1
EXIT_WRONG_SETTINGS = 2
EXIT_UNAVAILABLE = 4

_OPERATOR = "local"


class KeysSettings(KeySettings):
    """Where the key files and the database are."""

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
        return default_url(self.perp_dex_home.expanduser())


class KeyFiles:
    """The key files of one home, with what the database knows of them."""

    def __init__(self, database: Database, secrets: Path, keepers: OpenKeepers) -> None:
        self._known = SqlSealingKeys(database)
        self._audit = SqlAuditLog(database)
        self._secrets = secrets
        self._keepers = keepers

    async def describe(self) -> list[dict[str, Any]]:
        """Describe every key: whose, since when, whether current, and how much needs it."""
        needed = await self._known.needed()
        rows: list[dict[str, Any]] = []
        for use in KeyUse:
            try:
                ring = load_ring(self.path(use), self._keepers, use)
            except SecretFileMissing:
                # Its process has not run yet; it makes the file.
                continue
            rows += self._rows(use, ring, needed)
        return rows

    def _rows(
        self, use: KeyUse, ring: Ring, needed: Mapping[Recipient, Mapping[str, int]]
    ) -> list[dict[str, Any]]:
        counts = {} if use is KeyUse.PAYLOAD else needed[Recipient(use.value)]
        return [
            {
                "name": use.value,
                "key_id": key_id,
                "current": key_id == ring.current,
                "since": key.since.isoformat(timespec="seconds"),
                "superseded_at": key.superseded_at
                and key.superseded_at.isoformat(timespec="seconds"),
                "sealed_parts": None if use is KeyUse.PAYLOAD else counts.get(key_id, 0),
                "version": ring.version,
                "kept_in": "" if ring.keeper is None else ring.keeper.where(),
            }
            for key_id, key in ring.keys.items()
        ]

    async def rotate(self, use: KeyUse) -> str:
        """Make a fresh key current; return its id. See `rotate_key_pair`, `rotate_key_ring`."""
        # An older file put back is not built upon.
        await self._see(use)
        await self._note("keys.rotate", use, "asked")
        if use is KeyUse.PAYLOAD:
            current = rotate_key_ring(self.path(use), self._keepers).current
        else:
            current = rotate_key_pair(self._secrets, Recipient(use.value), self._keepers).current
        await self._see(use)
        await self._note("keys.rotate", use, "current", key_id=current)
        return current

    async def rewrap(self) -> list[str]:
        """Put every key file under the chosen keeper's newest key; say for each what was done."""
        done = []
        for use in KeyUse:
            path = self.path(use)
            if not path.exists():
                continue
            with exclusive(path):
                before = rewrap_kept(path, self._keepers, use)
            await self._note("keys.rewrap", use, "rewrapped")
            done.append(f"{path.name}: {before} -> {self._keepers.chosen.where()}")
        return done

    async def accept(self, use: KeyUse) -> int:
        """Take the key file that is there for the newest; return its version."""
        version = load_ring(self.path(use), self._keepers, use).version
        await self._known.accept(use.value, version)
        await self._note("keys.accept", use, "accepted", version=str(version))
        return version

    async def _see(self, use: KeyUse) -> None:
        async def read() -> int:
            return load_ring(self.path(use), self._keepers, use).version

        await self._known.see_file(use.value, read)

    def path(self, use: KeyUse) -> Path:
        """Return where the key file of a use is."""
        if use is KeyUse.PAYLOAD:
            return self._secrets / KEY_RING_NAME
        return private_keys_path(self._secrets, Recipient(use.value))

    async def _note(self, action: str, use: KeyUse, outcome: str, **detail: str) -> None:
        record = AuditRecord(
            principal_id=_OPERATOR,
            action=action,
            subject=f"key:{use.value}",
            outcome=outcome,
            at=datetime.now(UTC),
            detail=detail or None,
        )
        await self._audit.append(record)


async def _do(arguments: argparse.Namespace, settings: KeysSettings) -> list[str]:
    secrets = settings.perp_dex_home.expanduser() / "secrets"
    keepers = open_keepers(settings, secrets, moving=arguments.action == "rewrap")
    database = open_database(settings.url())
    try:
        await database.check_revision()
        files = KeyFiles(database, secrets, keepers)
        if arguments.action == "list":
            rows = await files.describe()
            return [json.dumps(rows)] if arguments.json else _table(rows)
        if arguments.action == "rewrap":
            return await files.rewrap()
        use = KeyUse(arguments.name)
        if arguments.action == "accept":
            return [f"version {await files.accept(use)} of {use.value} is taken for the newest"]
        current = await files.rotate(use)
        if arguments.json:
            return [json.dumps({"name": use.value, "key_id": current})]
        return [f"{current} is the current key of {use.value}; running processes take it up"]
    finally:
        await database.close()


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = [f"{'name':<10} {'key':<17} {'state':<11} {'since':<26} {'seals':<6} kept in"]
    for row in rows:
        state = "current" if row["current"] else "former"
        parts = "-" if row["sealed_parts"] is None else str(row["sealed_parts"])
        lines.append(
            f"{row['name']:<10} {row['key_id']:<17} {state:<11} {row['since']:<26} {parts:<6} "
            f"{row['kept_in']}"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m storage.keys", description="Look after keys.")
    actions = parser.add_subparsers(dest="action", required=True)
    names = [use.value for use in KeyUse]
    for action in ("list", "rotate", "rewrap", "accept"):
        each = actions.add_parser(action)
        each.add_argument("--json", action="store_true")
        if action in ("rotate", "accept"):
            each.add_argument("name", choices=names)
    parsed = parser.parse_args(arguments)
    settings = KeysSettings.load_or_exit()
    try:
        lines = asyncio.run(_do(parsed, settings))
    except (SealingError, WrongRevision) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    except InvalidInput as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_WRONG_SETTINGS
    except Unavailable as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNAVAILABLE
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
