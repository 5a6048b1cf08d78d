"""What Extended can do and what proves a command's outcome there, as data.

Sources are named in each row; NOTES.md says what is recorded and what nobody has verified.
"""

from __future__ import annotations

from typing import Final

from domain.accounts import MarginMode
from domain.ledger import NonceRule
from domain.orders import OrderType, TimeInForce
from venues.capabilities import Capabilities, MarketChannelKind, ProofRow, ProofTable

CAPABILITIES: Final = Capabilities(
    order_types=frozenset(OrderType),
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=True,
    # The venue's replacement (`cancelId`) is for a whole new quantity: what fills of the old order
    # before it is gone comes on top of it. So a change is a cancel, the final fills, and a new
    # revision.
    native_modify=False,
    cancel_by_client_order_id=True,
    batch_limit=1,
    schedule_cancel=True,
    # Whether its countdown spares conditional orders is not documented, so it is taken not to.
    schedule_cancel_takes_stops=True,
    margin_modes=frozenset({MarginMode.CROSS}),
    nonce_rule=NonceRule.NONE,
    feed_credential=True,
    queries_need_credential=True,
    # Of a quiet book the whole comes about every minute all the same.
    market_silence_max_s=((MarketChannelKind.BOOK, 150.0),),
    candle_intervals=("1m", "5m", "15m", "30m", "1h", "2h", "4h", "1d"),
)

PROOFS: Final = ProofTable(
    # A signed order can be admitted as long as it lives (weeks), so its end is no fence; that a
    # second copy of its bytes is refused is documented only as far as there is a number for it.
    fences=(),
    admission_window_s=None,
    visibility_delay_s=5.0,
    verdict_delay_s=5.0,
    replay_protected=False,
    cancels_repeatable=True,
    clock_step_s=1.0,
    echoes_client_order_id=True,
    fill_key=("venue_order_id", "trade_id"),
    rows=(
        ProofRow(
            proves="acknowledged",
            evidence="HTTP 200 with status OK and the order's id: checked and queued; the verdict "
            "is the order in a look-up or the feed",
            source="docs api, create or edit order",
        ),
        ProofRow(
            proves="accepted",
            evidence="the order in any look-up or in the feed, with a status but REJECTED",
            source="docs api, get orders, account updates stream",
        ),
        ProofRow(
            proves="rejected",
            evidence="status ERROR with a listed code but 1006 and 1134; HTTP 401, 403, 422; or "
            "the order in a look-up with status REJECTED",
            source="docs api, error responses; refusals.py",
        ),
        ProofRow(
            proves="executed earlier, outcome unknown here",
            evidence="code 1134, duplicate order: its id or its bytes were taken before",
            source="docs api, error responses",
        ),
        ProofRow(
            proves="nothing",
            evidence="code 1006, a code that is not a number, HTTP 429, 404, 408, 5xx, no whole "
            "answer; silence of every look-up, for nothing ends the time in which a copy may come",
            source="docs api, error responses; that 429 comes before the engine is unverified",
        ),
        ProofRow(
            proves="never filled twice",
            evidence="the contract keeps what was filled of each signed message and refuses more "
            "than its quantity, whatever number of copies the book has",
            source="x10xchange/starknet-perpetual, fulfillment of order hashes",
        ),
    ),
    unverified=(
        "whether 1134 is said of the external id, of the signed message or of both, and whether "
        "after the first order has ended, so no copy is ever sent (both off in the simulator)",
        "the HTTP status of refusals: the answer's own status and code decide",
        "whether a 429 comes before the engine, so it proves nothing",
        "how long a new order cannot be looked up: public bots wait up to seconds",
        "whether an order that ended can be looked up by its external id, so the history is asked "
        "too",
        "what is answered to the cancel of an order that is not there (404 in the simulator)",
        "whether the countdown that cancels all takes conditional orders, and its least length",
        "whether an immediate order without a match ends CANCELLED or REJECTED: both are canceled",
        "the least time an order may live, and how long an external id may be",
        "the order of TRADE and ORDER frames, and how a closed position is told",
        "whether the time in an answer's header, which stands for the venue's clock, is its own",
        "the sign of a funding fee: negative is taken to be paid",
        "whether an order that closes a whole position may be below the least quantity",
        "whether keys can be limited to orders: the Stark key signs withdrawals too",
    ),
)
