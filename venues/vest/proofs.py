"""What Vest can do and what proves a command's outcome there, as data.

Sources are named in each row; NOTES.md says what is documented and what nobody has verified.
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

#: How long after its insertion the venue may still admit a command.
ADMISSION_WINDOW_S: Final = 5.0
#: How much before its insertion a command is dated: how far in the future a `time` may be is not
#: documented, and our clock may be up to half a second before the venue's.
BACKDATED_MS: Final = 1_000
#: What is sent as `recvWindow`, counted by the venue from the signed `time`.
RECV_WINDOW_MS: Final = int(ADMISSION_WINDOW_S * 1000) + BACKDATED_MS

CAPABILITIES: Final = Capabilities(
    # Exits exist only as legs of a limit order, with signatures whose times are not documented.
    order_types=frozenset({OrderType.LIMIT, OrderType.MARKET}),
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.FOK}),
    post_only=False,
    reduce_only=True,
    native_modify=False,
    # By looking its id up first: the venue cancels by its own id alone.
    cancel_by_client_order_id=True,
    batch_limit=1,
    schedule_cancel=False,
    # Whether a market is isolated is a property of the market, not a choice.
    margin_modes=frozenset({MarginMode.CROSS}),
    nonce_rule=NonceRule.NAMES_ORDER,
    feed_credential=True,
    queries_need_credential=True,
    market_silence_max_s=((MarketChannelKind.TICKER, 30.0),),
    # The page lists intervals from 1m to 1M; these are the ones that every such list has.
    candle_intervals=("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d"),
    lists_fills=False,
    lists_funding_payments=False,
    experimental=True,
    caution=(
        "the documented API (v2) may no longer take orders: since late 2026 the venue's own page "
        "announces another one; its accounts' terms may restrict automation. Vest lists no fills: "
        "they are derived from its orders, and an order that filled in parts and was then canceled "
        "can be told too low"
    ),
)

PROOFS: Final = ProofTable(
    fences=(Fence.ADMISSION_EXPIRY,),
    admission_window_s=ADMISSION_WINDOW_S,
    visibility_delay_s=5.0,
    verdict_delay_s=5.0,
    # An id may well be a hash of the order, and DUPLICATE exists; nobody has seen it work.
    replay_protected=False,
    cancels_repeatable=True,
    echoes_client_order_id=True,
    # The fills are derived: a trade id is how much of the order had filled by then.
    fill_key=("venue_order_id", "trade_id", "event_time"),
    live_verified=False,
    rows=(
        ProofRow(
            proves="acknowledged",
            evidence="HTTP 200 with the order's id alone: taken for processing, not decided",
            source="official v2 API page, POST /orders",
        ),
        ProofRow(
            proves="accepted",
            evidence="the order in GET /orders by its nonce or id, or in an ORDER event, with a "
            "status that is not REJECTED",
            source="official v2 API page, GET /orders and account_private",
        ),
        ProofRow(
            proves="rejected",
            evidence="a code that the page lists (whatever the HTTP status, also 200), or status "
            "REJECTED with its code",
            source="official v2 API page, error codes; refusals.py",
        ),
        ProofRow(
            proves="executed earlier, outcome unknown here",
            evidence="code 3015, DUPLICATE: this order exists already, so it is looked up",
            source="official v2 API page, error codes; meaning taken from the name",
        ),
        ProofRow(
            proves="nothing",
            evidence="a code that is not listed, 3008, any HTTP status without a code, no whole "
            "answer",
            source="the status of each error is not documented",
        ),
        ProofRow(
            proves="absent",
            evidence="time + recvWindow passed by the `time` of GET /account, held to the same "
            "answer's Date, plus visibility delay, and GET /orders is silent by nonce and in whole",
            source="official v2 API page, recvWindow",
        ),
        ProofRow(
            proves="a fill",
            evidence="derived, there is no list of fills: FILLED is the whole size at "
            "avgFilledPrice; before that the sum of the executions that events told, or the last "
            "one that the order's row tells, which is too low after a gap",
            source="official v2 API page, GET /orders and account_private",
        ),
    ),
    unverified=(
        "whether the v2 API still takes orders at all",
        "whether the venue takes our signatures: no accepted one is public, ours follow its page",
        "whether a second copy of the same bytes is refused as DUPLICATE (it is executed in the "
        "simulator)",
        "whether a nonce has to rise, or may be used twice (nothing is checked in the simulator); "
        "ours are the time in milliseconds and rise for each signer",
        "how far in the future a time may be, so commands are dated a second back",
        "whether recvWindow is held to although no signature covers it",
        "whether the `time` of GET /account is the venue's clock or ours sent back, so it is held "
        "to the answer's Date header",
        "which HTTP status and which of three envelopes an error comes in",
        "whether codes 1003 and 429 come before the engine; they are taken so",
        "what becomes of a FOK order that cannot fill, and of the rest of a market order",
        "how cancelling an order that is not there is answered",
        "whether fill fields are set on orders that filled in parts",
        "whether a signing key can withdraw: the page signs withdrawals with it",
        "which code an order gets after its signing key expired (1002 or 1022)",
        "what the venue's rate limits are, and over which time the headers count",
        "after how much silence the venue closes a socket",
        "whether the leverage request travels in the body",
    ),
)
