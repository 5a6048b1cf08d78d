"""What a venue can do and what proves a command there, as it is shown to people and programs.

Plain words and numbers, made from a venue's own data by whoever has the venue; who only shows it
needs no venue. Nothing here is acted upon.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.dead_man import AFTER_S_LEAST


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueProof:
    """One line of a proof table: which evidence proves what, and where that is documented."""

    proves: str
    evidence: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSheet:
    """One venue in words.

    `networks` are those it can be traded on. `fences` make a late arrival of a command impossible;
    `admission_window_s` is signed into every command (None: it has no such expiry), and
    `visibility_delay_s` later silence of every look-up proves absence. `replay_protected`: a copy
    of the same bytes is executed at most once. `dead_man_kept_by` is who cancels when we fall
    silent, the venue or our watchdog, and `dead_man_effect` what that does to stops;
    `dead_man_triggers_most` is how often a day it may go off, None where nobody counts, and
    `dead_man_least_s` how many seconds of silence it takes at least.
    `unverified`: what nobody has proven.
    `lists_fills` False: fills are derived from orders. `experimental`, with `caution` as the
    reason: not for money that matters. `live_verified`: proven with orders at the venue itself.
    `market_queries` of a market's past are answered, candles in `candle_intervals`.
    """

    venue: str
    networks: tuple[str, ...]
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    margin_modes: tuple[str, ...]
    post_only: bool
    reduce_only: bool
    native_modify: bool
    joint_exits: bool
    cancel_by_client_order_id: bool
    closes_below_minimum: bool
    feed_credential: bool
    batch_limit: int
    nonce_rule: str
    dead_man_effect: str
    dead_man_kept_by: str
    dead_man_triggers_most: int | None
    fences: tuple[str, ...]
    admission_window_s: float | None
    visibility_delay_s: float
    verdict_delay_s: float
    replay_protected: bool
    echoes_client_order_id: bool
    fill_key: tuple[str, ...]
    proofs: tuple[VenueProof, ...]
    unverified: tuple[str, ...] = ()
    dead_man_least_s: int = AFTER_S_LEAST
    lists_fills: bool = True
    lists_funding_payments: bool = True
    experimental: bool = False
    live_verified: bool = False
    caution: str | None = None
    market_queries: tuple[str, ...] = ()
    candle_intervals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedVenue:
    """A venue that a worker serves: its sheet, the networks it is connected to, and as of when.

    `opening_refused` are those where it sends nothing that raises exposure, for want of verdicts;
    cancels and reduce-only orders go there as ever. Of several workers the last to speak counts.
    """

    sheet: VenueSheet
    connected: tuple[str, ...]
    seen_at: datetime
    opening_refused: tuple[str, ...] = ()


class ServedVenues(Protocol):
    """Tells which venues workers serve."""

    async def read(self, venue: str) -> ServedVenue | None:
        """Return what a worker said of a venue lately, or None when none did.

        Raises:
            Unavailable: it cannot be asked.
        """
        ...
