"""`python -m worker emergency`: what an operator types when nothing else answers, and what it says.

`worker.py` opens storage and keys and gives what is found to `run`. Knows no venue and no SQL.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from activities.emergency_halt import EmergencyHalt
from domain.accounts import Account, TradingAccess
from domain.errors import InvalidInput, PerpDexError, Unavailable
from domain.halts import AccountSight
from domain.identifiers import check_symbol

EXIT_DONE, EXIT_STILL_OPEN, EXIT_USAGE = 0, 1, 2
SET_BY = "emergency"


class AwayDatabase:
    """Stands for ledger and store while the database cannot be used: every call says so."""

    def __getattr__(self, name: str) -> Any:
        async def unavailable(*_: object, **__: object) -> None:
            raise Unavailable(f"the database does not answer ({name})")

        return unavailable


class Halting(Protocol):
    """Sets a halt, so that a running worker adds nothing."""

    async def halt(self, account_id: str | None, *, reason: str, by: str) -> None:
        """Halt an account, or with None everything. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EmergencyWish:
    """What was typed: `what` is status, cancel-all or flatten; no `account` means all.

    With a `symbol` one market of the accounts is meant, and nothing is halted.
    """

    what: str
    account: str | None
    symbol: str | None = None
    is_sure: bool
    timeout_s: float


def parse(arguments: Sequence[str]) -> EmergencyWish:
    """Return what was typed; says what is wrong and ends the process with 2 otherwise."""
    parser = argparse.ArgumentParser(
        prog="python -m worker emergency",
        description="Stop without Temporal, and without the database if need be. Safe beside a "
        "running worker.",
        epilog="Exit codes: 0 nothing is open that had to go; 1 something is; 2 wrong arguments "
        "or configuration.",
    )
    parser.add_argument("what", choices=("status", "cancel-all", "flatten"))
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--account", help="label or id; only this one")
    scope.add_argument("--all", action="store_true", help="every account (default for status)")
    parser.add_argument("--symbol", help="only this market, such as BTC-PERP; halts nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to go on at most")
    found = parser.parse_args(arguments)
    if found.what != "status" and not (found.account or found.all):
        parser.error("expected --account NAME or --all")
    try:
        symbol = None if found.symbol is None else check_symbol(found.symbol)
    except InvalidInput as error:
        parser.error(error.message)
    return EmergencyWish(
        what=found.what,
        account=found.account,
        symbol=symbol,
        is_sure=found.yes,
        timeout_s=found.timeout,
    )


async def run(
    wish: EmergencyWish,
    halt: EmergencyHalt,
    opened: Sequence[TradingAccess],
    halting: Halting | None,
) -> int:
    """Do what was typed with the accounts that could be opened; return the exit code.

    `halting` None: the database is away, and nothing that raises exposure can be sent anyway.
    """
    chosen = [access for access in opened if wish.account in (None, *_names(access.account))]
    if not chosen:
        known = ", ".join(access.account.label for access in opened) or "none"
        say(f"expected an account of this installation, found {wish.account}; known: {known}")
        return EXIT_USAGE
    if wish.what == "status":
        return await _status(halt, chosen, wish.symbol)
    flatten = wish.what == "flatten"
    if not wish.is_sure and not _is_meant(chosen, wish):
        return EXIT_STILL_OPEN
    await _block(halting, chosen, wish)
    code = EXIT_DONE
    for access in chosen:
        sight = await halt.stop(
            access, flatten=flatten, within_s=wish.timeout_s, symbol=wish.symbol
        )
        code = max(code, _tell(access.account, sight, flatten=flatten, symbol=wish.symbol))
    if halting is None:
        say(_JOURNAL)
    elif wish.symbol is None:
        say("the halt stays until `perp-dex resume`")
    return code


async def _status(halt: EmergencyHalt, chosen: Sequence[TradingAccess], symbol: str | None) -> int:
    code = EXIT_DONE
    for access in chosen:
        try:
            sight = await halt.look(access, symbol=symbol)
        except PerpDexError as error:
            say(f"{access.account.label}: not known what is open: {error}")
            code = EXIT_STILL_OPEN
            continue
        code = max(code, _tell(access.account, sight, flatten=True, symbol=symbol))
    return code


async def _block(
    halting: Halting | None, chosen: Sequence[TradingAccess], wish: EmergencyWish
) -> None:
    if halting is None:
        say("the database is away: nothing that raises exposure is signed meanwhile")
        return
    if wish.symbol is not None:
        say(f"nothing is halted: what runs may trade {wish.symbol} again")
        return
    scopes = [None] if wish.account is None else [each.account.account_id for each in chosen]
    for scope in scopes:
        try:
            await halting.halt(scope, reason="emergency by an operator", by=SET_BY)
        except Unavailable as error:
            say(f"not halted: {error}; going on")


def _tell(account: Account, sight: AccountSight, *, flatten: bool, symbol: str | None) -> int:
    """Say what is open on an account; return what that means for the exit code."""
    where = "" if symbol is None else f" {symbol}:"
    say(
        f"{account.label} ({account.venue} {account.network}, {account.address}):{where} "
        f"{len(sight.orders)} orders and {len(sight.positions)} positions open"
    )
    for words in sight.still_open(positions_too=True):
        say(f"  {words}")
    if sight.note:
        say(f"  {sight.note}")
    unknown = sight.note.startswith("not known")
    return EXIT_STILL_OPEN if unknown or sight.still_open(positions_too=flatten) else EXIT_DONE


def _is_meant(chosen: Sequence[TradingAccess], wish: EmergencyWish) -> bool:
    flatten = wish.what == "flatten"
    what = "cancel every order and close every position" if flatten else "cancel every order"
    if wish.symbol is not None:
        what += f" in {wish.symbol}"
    names = ", ".join(access.account.label for access in chosen)
    if not sys.stdin.isatty():
        say("expected --yes where there is no terminal to ask on; nothing was done")
        return False
    say(f"{what} of {names}? [y/N]")
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    say("not confirmed; nothing was done")
    return False


def _names(account: Account) -> tuple[str, str]:
    return account.account_id, account.label


def say(text: str) -> None:
    """Print a line, with nothing in it that could steer a terminal."""
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
    sys.stdout.write(f"{shown}\n")
    sys.stdout.flush()


_JOURNAL = "what was sent is in the journal; a worker takes it into the database when that is back"
