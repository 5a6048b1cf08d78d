"""What Hyperliquid can do and what proves a command's outcome there, as data.

Sources are named in each row; "measured" means one party's observation, dated in NOTES.md.
"""

from __future__ import annotations

from typing import Final

from domain.accounts import MarginMode
from domain.ledger import NonceRule
from domain.orders import OrderType, TimeInForce
from venues.connector import Capabilities, Fence, MarketChannelKind, ProofRow, ProofTable

#: How long after its insertion the venue may still admit a command (signed as `expiresAfter`).
ADMISSION_WINDOW_S: Final = 10.0

CAPABILITIES: Final = Capabilities(
    order_types=frozenset(OrderType),
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=True,
    # The venue's modify is cancel and place: with a fill in between, old and new together can
    # exceed the asked quantity. So a change is a cancel, the final fills, and a new revision.
    native_modify=False,
    cancel_by_client_order_id=True,
    batch_limit=40,
    schedule_cancel=True,
    schedule_cancel_triggers_most=10,
    margin_modes=frozenset(MarginMode),
    nonce_rule=NonceRule.TIME_MS,
    closes_below_minimum=True,
    joint_exits=True,
    # Fast books come about every 0.54 s and contexts every second; best prices, trades and candles
    # only when they change.
    market_silence_max_s=((MarketChannelKind.BOOK, 5.0), (MarketChannelKind.TICKER, 10.0)),
    # Docs api/info-endpoint, candle snapshot.
    candle_intervals=(
        "1m",
        "3m",
        "5m",
        "15m",
        "30m",
        "1h",
        "2h",
        "4h",
        "8h",
        "12h",
        "1d",
        "3d",
        "1w",
        "1M",
    ),
)

PROOFS: Final = ProofTable(
    fences=(Fence.NONCE_BURN, Fence.ADMISSION_EXPIRY),
    admission_window_s=ADMISSION_WINDOW_S,
    visibility_delay_s=5.0,
    verdict_delay_s=2.0,
    replay_protected=True,
    echoes_client_order_id=True,
    fill_key=("venue_order_id", "trade_id", "event_time"),
    rows=(
        ProofRow(
            proves="accepted",
            evidence="status `resting` or `filled` for this order, or orderStatus by cloid or oid",
            source="docs api/exchange-endpoint, api/info-endpoint",
        ),
        ProofRow(
            proves="rejected",
            evidence="`error` for this order in an `ok` answer; a listed whole-action refusal",
            source="docs api/error-responses; refusals.py",
        ),
        ProofRow(
            proves="never executed",
            evidence="noop with the command's nonce answers ok (outcome accepted)",
            source="docs api/exchange-endpoint (noop)",
        ),
        ProofRow(
            proves="never admitted",
            evidence="`nonce too low` for the same nonce: a seen nonce would report duplicate",
            source="measured on testnet, 2026-09",
        ),
        ProofRow(
            proves="admitted earlier, outcome unknown",
            evidence="`duplicate nonce` for the command's nonce (noop: code nonce_used)",
            source="docs api/nonces-and-api-wallets; measured 2026-09",
        ),
        ProofRow(
            proves="absent",
            evidence="expiresAfter passed by clearinghouseState.time, plus visibility delay, and "
            "orderStatus by cloid, open orders, history and fills are silent",
            source="docs api/exchange-endpoint (expiresAfter)",
        ),
    ),
    unverified=(
        "whether a client order id of a live order is refused a second time (off in the simulator)",
        "whether an expired command's nonce is looked at before its expiry, so an expired copy "
        "proves nothing",
        "whether a refusal before validation uses the nonce up, so it decides a first send only",
        "whether an exit that waits for its entry is compared with the mark price, and whether "
        "orderStatus knows it by cloid",
    ),
)
