"""What Lighter can do and what proves a command's outcome there, as data.

Sources are named in each row; NOTES.md says what is recorded and what nobody has verified.
"""

from __future__ import annotations

from typing import Final

from domain.accounts import MarginMode
from domain.ledger import NonceRule
from domain.orders import OrderType, TimeInForce
from venues.capabilities import (
    Capabilities,
    Fence,
    MarketChannelKind,
    ProofRow,
    ProofTable,
)

#: How long after its insertion the venue may still sequence a command. The venue's signer signs an
#: expiry of 599 s after its own clock, and no other; a busy machine may sign a while after the
#: time of the row.
ADMISSION_WINDOW_S: Final = 615.0
#: How long a token to read with is good; the venue takes eight hours at most.
TOKEN_LIFETIME_S: Final = 7 * 3600.0
#: Candles' lengths; those of a week are not served by the socket.
INTERVALS: Final = ("1m", "5m", "15m", "30m", "1h", "4h", "12h", "1d")

CAPABILITIES: Final = Capabilities(
    order_types=frozenset(OrderType),
    # There is no good-till-cancel: GTC is signed as good till 28 days ahead, and ends EXPIRED.
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=True,
    # What a modify does to an order that fills meanwhile is not documented.
    native_modify=False,
    cancel_by_client_order_id=True,
    # A batch answers with one code for all, and a group's exits are bound to its whole fill.
    batch_limit=1,
    schedule_cancel=True,
    # The venue takes five minutes ahead and more, by its clock: ten seconds for clocks and the way.
    schedule_cancel_least_s=310,
    margin_modes=frozenset(MarginMode),
    nonce_rule=NonceRule.SEQUENCE,
    closes_below_minimum=True,
    feed_credential=True,
    feed_credential_lifetime_s=TOKEN_LIFETIME_S,
    queries_need_credential=True,
    # Of a quiet market the venue sends nothing; statistics come about every second.
    market_silence_max_s=((MarketChannelKind.TICKER, 30.0),),
    candle_intervals=INTERVALS,
)

PROOFS: Final = ProofTable(
    fences=(Fence.NONCE_BURN, Fence.ADMISSION_EXPIRY),
    admission_window_s=ADMISSION_WINDOW_S,
    visibility_delay_s=10.0,
    verdict_delay_s=2.0,
    replay_protected=True,
    # `GET /` tells whole seconds.
    clock_step_s=1.0,
    echoes_client_order_id=True,
    fill_key=("venue_order_id", "trade_id", "event_time"),
    rows=(
        ProofRow(
            proves="accepted",
            evidence="the order in a look-up, a listing or the feed; HTTP 200 is only acknowledged",
            source="docs trading; lighter-agent-kit; recorded on mainnet 2025-12",
        ),
        ProofRow(
            proves="rejected",
            evidence="HTTP 400 with a listed code, before the sequencer, which leaves the nonce; "
            "or the order's status canceled-margin-not-allowed and its like with nothing filled",
            source="docs trading, data-structures-constants-and-errors; refusals.py, statuses.py",
        ),
        ProofRow(
            proves="never executed",
            evidence="another transaction with the command's nonce is executed, told apart by its "
            "hash (tx?by=hash with status 2 or 3)",
            source="docs trading (nonces); lighter-go types/txtypes (the hash is what is signed)",
        ),
        ProofRow(
            proves="admitted earlier, outcome unknown",
            evidence="nextNonce is above the command's nonce: with its lane's rows nothing else "
            "has that nonce",
            source="docs trading (nonces)",
        ),
        ProofRow(
            proves="canceled",
            evidence="the order's status; a cancel that names no order is answered 200 and does "
            "nothing",
            source="nautilus_trader crates/adapters/lighter (probe of an acknowledged cancel)",
        ),
        ProofRow(
            proves="nothing",
            evidence="codes 21500, 21728, 29404, 29500, 29501; HTTP 404, 405, 5xx; no whole answer",
            source="docs data-structures-constants-and-errors",
        ),
        ProofRow(
            proves="absent",
            evidence="ExpiredAt passed by the venue's clock (GET /), plus visibility delay, and "
            "look-up, open orders, history and fills are silent",
            source="docs trading (ExpiredAt)",
        ),
    ),
    unverified=(
        "what a byte-identical copy is answered while the first is queued (its nonce keeps it from "
        "being executed twice)",
        "whether transactions of one key may arrive out of order, so at most one is under way",
        "whether a client order index may be used again once its order has ended (it never is)",
        "what the sequencer writes into a transaction's record when it drops one",
        "what becomes of an order's place in the queue when it is modified (no modify is sent)",
        "the numbers of errors of authentication (20xxx)",
        "which account tier a name in accountLimits stands for, beyond standard and premium",
        "the tolerance of ExpiredAt against the venue's clock",
        "the default margin mode of a market that an account has never touched (cross)",
        "whether HTTP 405 of the firewall comes before the sequencer, so it proves nothing",
    ),
)
