"""What the reading of an account's terms is given: plain data with defaults for new fields."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TermsTask:
    """Read on which terms an account can trade a market now."""

    account_id: str
    symbol: str
