"""What a venue can do and what proves a command's outcome there, as data.

Each venue's folder fills these in; workers act by them, documents and the API show them. Importing
this costs nothing; it knows no venue.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from domain.accounts import MarginMode, Network
from domain.dead_man import AFTER_S_LEAST
from domain.ledger import NonceRule
from domain.market_past import MarketQuery
from domain.orders import OrderType, TimeInForce


class Fence(StrEnum):
    """What makes a late arrival of a command impossible."""

    ADMISSION_EXPIRY = "admission expiry"
    NONCE_BURN = "nonce burn"
    COMPLETION = "completion"


class MarketChannelKind(StrEnum):
    """What a public channel carries."""

    BOOK = "book"
    TOP = "top"
    TRADES = "trades"
    TICKER = "ticker"
    CANDLES = "candles"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRow:
    """One line of a proof table: which evidence proves what, and where that is documented."""

    proves: str
    evidence: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofTable:
    """What proves a command's outcome at this venue, as data.

    `admission_window_s` is signed into every command; after it, plus `visibility_delay_s`, by the
    venue's clock, silence of every look-up proves absence. `replay_protected` allows resending the
    same bytes. `fill_key` names the fields that make a fill unique. `unverified` lists what nobody
    has proven of the venue, in words: nothing of the house relies on it.

    `cancels_repeatable`: a cancel names its one order by an id that no other order ever has, so it
    may be sent again whatever becomes of copies of placements. `clock_step_s`: the venue's clock is
    told in steps of so much, rounded down.

    `live_verified`: an order of this system has been sent to the venue itself, with real money, and
    all of this was found to hold.
    """

    fences: tuple[Fence, ...]
    admission_window_s: float | None
    visibility_delay_s: float
    verdict_delay_s: float
    replay_protected: bool
    echoes_client_order_id: bool
    fill_key: tuple[str, ...]
    rows: tuple[ProofRow, ...]
    unverified: tuple[str, ...] = ()
    cancels_repeatable: bool = False
    live_verified: bool = False
    clock_step_s: float = 0.0

    @property
    def proves_absence(self) -> bool:
        """Whether silence can ever prove that a placement never came: it needs a closed fence."""
        expires = Fence.ADMISSION_EXPIRY in self.fences and self.admission_window_s is not None
        return expires or Fence.NONCE_BURN in self.fences


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a venue can do.

    `closes_below_minimum`: a reduce-only order that closes a whole position is taken although its
    value is below the market's minimum.

    `feed_credential`: the private feed needs a secret, which the worker makes from the trading
    key (`FeedCredentialMinter`) and the feed takes (`CredentialedFeed`).
    `feed_credential_lifetime_s`: so long it is good, and is made anew long before; None: for ever.

    `queries_need_credential`: questions about an account are answered only to who signs them with
    its credential, so the connector has to be given access (`CredentialedQueries`).

    `market_silence_max_s`: for public channels that the venue sends regularly, the silence on a
    live connection, in seconds, that means something is wrong.

    `joint_exits`: an entry takes its exits along in one signed request (see `venues.batches`).

    `schedule_cancel` is the venue's dead man's switch; `schedule_cancel_takes_stops`: when it goes
    off it cancels the stops and targets of open positions as well. Where there is none our own
    watchdog cancels, and leaves them. `schedule_cancel_triggers_most`: so often a day it may go
    off, None where the venue does not count; `schedule_cancel_least_s`: so many seconds ahead it
    can be set at least.

    `market_queries`: what of a market's past the connector answers; for any other it raises
    `InvalidInput` of the field `venue`. `candle_intervals`: those of its candles, shortest first,
    spelled as in `domain.candle_intervals`; empty where they are not listed here, and the connector
    tells.

    `networks`: where the venue can be traded, the simulated exchange (paper) included.

    `lists_fills`: the venue lists single fills. Where it does not, they are derived from its orders
    (`domain.fills.Fill.is_total`). `lists_funding_payments`: it lists what was paid; where it does
    not, payments are in an account's money and named nowhere.

    `experimental`: not for money that matters; `caution` says why, to whoever meets the venue.
    """

    order_types: frozenset[OrderType]
    times_in_force: frozenset[TimeInForce]
    post_only: bool
    reduce_only: bool
    native_modify: bool
    cancel_by_client_order_id: bool
    batch_limit: int
    schedule_cancel: bool
    margin_modes: frozenset[MarginMode]
    nonce_rule: NonceRule
    closes_below_minimum: bool = False
    feed_credential: bool = False
    feed_credential_lifetime_s: float | None = None
    queries_need_credential: bool = False
    market_silence_max_s: tuple[tuple[MarketChannelKind, float], ...] = ()
    joint_exits: bool = False
    schedule_cancel_takes_stops: bool = True
    schedule_cancel_triggers_most: int | None = None
    schedule_cancel_least_s: int = AFTER_S_LEAST
    networks: frozenset[Network] = frozenset(Network)
    lists_fills: bool = True
    lists_funding_payments: bool = True
    experimental: bool = False
    caution: str | None = None
    market_queries: frozenset[MarketQuery] = frozenset(MarketQuery)
    candle_intervals: tuple[str, ...] = ()
