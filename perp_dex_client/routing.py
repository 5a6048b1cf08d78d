"""Why an order went where it went, as the API tells it: figures, reasons, shares."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a quantity would be in one account; money in quote units, fees as fractions.

    `cost` compares accounts: what a buy pays after fees, or what a sell brings, below zero.
    """

    account_id: str
    account: str
    venue: str
    quantity: Decimal
    executable: Decimal
    resting: Decimal
    limit: Decimal
    taker_fee: Decimal
    maker_fee: Decimal
    cost: Decimal
    margin_needed: Decimal
    margin_available: Decimal
    load: Decimal
    average_price: Decimal | None = None
    book_age_s: Decimal | None = None


class Exclusion(msgspec.Struct, frozen=True, kw_only=True):
    """An account that was left out: `why` for programs, `reason` for people."""

    account_id: str
    account: str
    venue: str
    why: str
    reason: str


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one account takes, and by which figures."""

    account_id: str
    account: str
    venue: str
    quantity: Decimal
    why: str


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an order goes, fixed before anything was sent; `order_id` None: a dry run.

    `candidates` could take it whole, best first; of a split order `parts` are the figures of its
    shares.
    """

    made_at: datetime
    shares: tuple[Share, ...]
    candidates: tuple[Figures, ...]
    exclusions: tuple[Exclusion, ...]
    order_id: str | None = None
    split: bool = False
    parts: tuple[Figures, ...] = ()
