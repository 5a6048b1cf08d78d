"""What the seventh venue can do and what proves a command's outcome there, as data.

"rules" are the venue's, which are this folder's: NOTES.md has them.
"""

from __future__ import annotations

from typing import Final

from domain.accounts import MarginMode, Network
from domain.ledger import NonceRule
from domain.market_past import MarketQuery
from domain.orders import OrderType, TimeInForce
from venues.capabilities import Capabilities, Fence, MarketChannelKind, ProofRow, ProofTable

ADMISSION_WINDOW_S: Final = 5.0

CAPABILITIES: Final = Capabilities(
    order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=False,
    reduce_only=True,
    native_modify=False,
    cancel_by_client_order_id=True,
    batch_limit=1,
    schedule_cancel=False,
    margin_modes=frozenset({MarginMode.CROSS}),
    nonce_rule=NonceRule.NONE,
    networks=frozenset({Network.PAPER}),
    lists_funding_payments=False,
    experimental=True,
    caution="there is no such exchange: it exists as a simulator alone",
    market_silence_max_s=((MarketChannelKind.TICKER, 15.0),),
    market_queries=frozenset({MarketQuery.CANDLES}),
    candle_intervals=("1m", "1h"),
)

PROOFS: Final = ProofTable(
    fences=(Fence.ADMISSION_EXPIRY,),
    admission_window_s=ADMISSION_WINDOW_S,
    visibility_delay_s=2.0,
    verdict_delay_s=2.0,
    # A tag names one order of an account for ever, so a copy of a placement makes no second one.
    replay_protected=True,
    cancels_repeatable=True,
    echoes_client_order_id=True,
    fill_key=("venue_order_id", "trade_id"),
    rows=(
        ProofRow(
            proves="accepted",
            evidence="HTTP 200, ok, with an order of this tag, or the order in any look-up",
            source="rules, Commands",
        ),
        ProofRow(
            proves="rejected",
            evidence="HTTP 422 with any code but `expired` and `duplicate`, as the first answer",
            source="rules, Commands; refusals.py",
        ),
        ProofRow(
            proves="executed earlier, outcome unknown here",
            evidence="`duplicate`: the account has, or had, an order of this tag",
            source="rules, Commands",
        ),
        ProofRow(
            proves="absent",
            evidence="`expires` passed by the time of an answer, plus visibility delay, and "
            "look-up, open orders and history are silent",
            source="rules, Commands",
        ),
    ),
    unverified=("everything: nobody has seen this exchange outside its simulator",),
)
