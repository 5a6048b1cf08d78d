"""What the kill switch gives to its activities and gets back: one dataclass in, one out.

Plain data with defaults for new fields, so that old histories replay.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.halt_store import HaltedAccount
from domain.halts import KillSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLookTask:
    """Read what is open on an account; with the database away also cancel, and if asked close."""

    account_id: str
    venue: str
    flatten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectCancelTask:
    """Cancel an order at the venue whatever our own record says of it."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitchTask:
    """Write how far a kill switch is, and read which accounts it has to stop."""

    state: KillSwitch


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitchKept:
    """What is kept of a kill switch, and the accounts of its scope as they are now."""

    state: KillSwitch
    accounts: tuple[HaltedAccount, ...]
