"""What Pacifica can do and what proves a command's outcome there, as data.

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

#: How long after its insertion the venue may still admit a command.
ADMISSION_WINDOW_S: Final = 5.0
#: How much before its insertion a command is dated: how far in the future a timestamp may be is
#: not documented, and our clock may be up to half a second before the venue's.
BACKDATED_MS: Final = 1_000
#: What is signed as `expiry_window`, counted by the venue from the signed `timestamp`.
EXPIRY_WINDOW_MS: Final = int(ADMISSION_WINDOW_S * 1000) + BACKDATED_MS

CAPABILITIES: Final = Capabilities(
    order_types=frozenset(OrderType),
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=True,
    # The venue's edit is cancel and place under the same client order id, and the new order is
    # post-only: one that would cross is lost. So a change is a cancel, the final fills, and a new
    # revision.
    native_modify=False,
    cancel_by_client_order_id=True,
    batch_limit=10,
    schedule_cancel=False,
    margin_modes=frozenset(MarginMode),
    nonce_rule=NonceRule.NONE,
    # Books come several times a second and prices about every second, whether or not they change.
    market_silence_max_s=((MarketChannelKind.BOOK, 15.0), (MarketChannelKind.TICKER, 30.0)),
    # Docs api/rest-api/markets/get-candle-data.
    candle_intervals=("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "8h", "12h", "1d"),
)

PROOFS: Final = ProofTable(
    fences=(Fence.ADMISSION_EXPIRY,),
    admission_window_s=ADMISSION_WINDOW_S,
    visibility_delay_s=5.0,
    verdict_delay_s=2.0,
    # Not documented for the same bytes inside the window.
    replay_protected=False,
    echoes_client_order_id=True,
    fill_key=("venue_order_id", "trade_id", "event_time"),
    rows=(
        ProofRow(
            proves="accepted",
            evidence="HTTP 200 with success and this order's id, or the order in any look-up",
            source="docs api/rest-api/orders; recorded on testnet 2026-01 and 2026-06",
        ),
        ProofRow(
            proves="rejected",
            evidence="HTTP 422 with a listed code; HTTP 400 or 403: not verified or not allowed, "
            "checked before the engine",
            source="docs api/error-codes, api/signing/error-handling; refusals.py",
        ),
        ProofRow(
            proves="executed earlier, outcome unknown here",
            evidence="code 36, duplicate client order id: an order with this id exists",
            source="docs api/error-codes",
        ),
        ProofRow(
            proves="nothing",
            evidence="codes 0 (unlisted text), 14, 26, 27; HTTP 429, 5xx, 408; no whole answer",
            source="docs api/error-codes; that 429 comes before the engine is unverified",
        ),
        ProofRow(
            proves="absent",
            evidence="timestamp + expiry_window passed by the newest time of /info/prices and "
            "/book, plus visibility delay, and open orders, history and fills are silent",
            source="docs api/signing (expiry_window); the engine's speed bump is 0.2 s",
        ),
    ),
    unverified=(
        "whether a second copy of the same bytes is refused inside their window (it is executed in "
        "the simulator)",
        "whether a client order id is unique among open orders or for ever (off in the simulator)",
        "how far in the future a timestamp may be, so commands are dated a second back",
        "how old the newest time in prices and books is, which stands for the venue's clock",
        "whether a 429 comes before the engine, so it proves nothing",
        "whether an agent key can withdraw: the venue's own words contradict each other",
        "which event ends an immediate order whose rest was dropped (cancelled in the simulator)",
        "whether a triggered stop keeps its client order id under its new order id",
        "whether an order that closes a whole position may be below the minimum",
        "whether the listing of fills and the feed give a fill the same millisecond",
    ),
)
