"""What EdgeX (contract API V2) can do and what proves a command's outcome there, as data.

Sources are named in each row; NOTES.md says what is recorded and what nobody has verified.
"""

from __future__ import annotations

from typing import Final

from domain.accounts import MarginMode, Network
from domain.ledger import NonceRule
from domain.market_past import MarketQuery
from domain.orders import OrderType, TimeInForce
from venues.capabilities import (
    Capabilities,
    MarketChannelKind,
    ProofRow,
    ProofTable,
)

CAPABILITIES: Final = Capabilities(
    order_types=frozenset(OrderType),
    # FILL_OR_KILL is on the venue's list; its simulated exchange has no such thing, so nothing of
    # the house has ever tried it.
    times_in_force=frozenset({TimeInForce.GTC, TimeInForce.IOC}),
    post_only=True,
    reduce_only=True,
    # The venue has no edit at all: a change is a cancel, the final fills, and a new revision.
    native_modify=False,
    cancel_by_client_order_id=True,
    # No request places two orders; lists are for cancels and look-ups alone.
    batch_limit=1,
    schedule_cancel=False,
    # The numbers of setMarginMode's modes are documented nowhere.
    margin_modes=frozenset({MarginMode.CROSS}),
    nonce_rule=NonceRule.NONE,
    feed_credential=True,
    queries_need_credential=True,
    # The two test networks that are named lead to a staff login: there is none for the public.
    networks=frozenset({Network.MAINNET, Network.PAPER}),
    market_silence_max_s=((MarketChannelKind.BOOK, 60.0), (MarketChannelKind.TICKER, 120.0)),
    # There is no question for public trades; they come by the socket alone.
    market_queries=frozenset({MarketQuery.FUNDING, MarketQuery.CANDLES}),
    candle_intervals=(
        "1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w", "1M",
    ),
)  # fmt: skip

PROOFS: Final = ProofTable(
    # An order's own lifetime (`expireTime`) says when it stops trading, not when it can no longer
    # arrive. The window of a request's timestamp is held by the gateway, before the engine.
    fences=(),
    admission_window_s=None,
    visibility_delay_s=5.0,
    verdict_delay_s=2.0,
    # What the venue does with a second order of one client id is not documented.
    replay_protected=False,
    # A cancel names its order by an id; it carries no signature of its own and no nonce.
    cancels_repeatable=True,
    echoes_client_order_id=True,
    fill_key=("venue_order_id", "trade_id", "event_time"),
    rows=(
        ProofRow(
            proves="accepted",
            evidence="code SUCCESS with an orderId, or the order in any look-up",
            source="api-v2 order API; recorded on the V2 testnet 2026-03-12",
        ),
        ProofRow(
            proves="rejected",
            evidence="a JSON answer whose code is not SUCCESS, is none of the ambiguous ones, and "
            "for an unlisted code a look-up by client id that finds nothing; or the order as "
            "CANCELED unfilled for want of margin, or for crossing while post-only",
            source="measured by third parties; no list of codes is published",
        ),
        ProofRow(
            proves="executed earlier, outcome unknown here",
            evidence="a code that speaks of a duplicate: an order of this client id may exist",
            source="assumed; the venue's answer to a second client id is not documented",
        ),
        ProofRow(
            proves="canceled",
            evidence="the order CANCELED in a look-up or frame; SUCCESS in cancelResultMap says "
            "only that the cancel was taken",
            source="api-v2 order API (SUCCESS_ORDER_CANCELING); recorded 2026-03-12",
        ),
        ProofRow(
            proves="nothing",
            evidence="SUCCESS without an orderId; HTTP 429 and 5xx; an answer that is no JSON "
            "envelope; no whole answer",
            source="public connectors' notes; that 429 comes before the engine is unverified",
        ),
    ),
    unverified=(
        "what a second order of one client id leads to (both are taken in the simulator, unless "
        "its switch says otherwise)",
        "whether a request past the 60 s of its timestamp can still reach the engine from behind "
        "the gateway, so that window is no fence",
        "the names and HTTP statuses of refusals other than INVALID_API_KEY, "
        "GATEWAY_PARAM_INVALID and GATEWAY_HEADER_REQUIRED",
        "whether a 429 comes before the engine, so it proves nothing",
        "the venue's limit of requests",
        "whether getOrderById and getOrderByClientOrderId know ended orders, so the history is "
        "read besides",
        "whether a signed price other than ten times the oracle's is taken for STOP_MARKET and "
        "TAKE_PROFIT_MARKET; ours is signed with its bound",
        "which cancelReason a post-only order that crosses gets (COULD_NOT_FILL in the simulator)",
        "whether a signer key is registered for an account, before its first order",
        "the contracts' `resolution` in V2; it is always read from the metadata",
        "whether a position-bound exit may close more than its signed size",
        "the frames of production's private socket: the recorded ones are a test user's",
    ),
)
