"""Lighter's payloads as data: a small one of each kind, and the fields that are not read.

Fields that are not read are those of payloads recorded on mainnet 2025-12 and 2026-05, and of the
documents. Source: lighter-sdk 1.1.8 `models/`; apidocs.lighter.xyz websocket-reference.
"""

from __future__ import annotations

from typing import Final

from venues.lighter import wire
from venues.shapes import Shape, below

_MARKET = (
    '{"symbol":"ETH","market_id":0,"market_type":"perp","status":"active","taker_fee":"0.0000",'
    '"maker_fee":"0.0000","min_base_amount":"0.0050","min_quote_amount":"10.000000",'
    '"supported_size_decimals":4,"supported_price_decimals":2,"size_decimals":4,'
    '"price_decimals":2,"min_initial_margin_fraction":200,"maintenance_margin_fraction":120,'
    '"mark_price":"2001.50","index_price":"2000.50","open_interest":9,'
    '"daily_quote_token_volume":1000.5,"is_frozen":false,'
    '"market_config":{"force_reduce_only":false}}'
)
_UNREAD_OF_MARKET = (
    "base_asset_id", "quote_asset_id", "is_taker_fee_enabled", "is_maker_fee_enabled",
    "liquidation_fee", "order_quote_limit", "supported_quote_decimals", "quote_multiplier",
    "default_initial_margin_fraction", "closeout_margin_fraction", "last_trade_price",
    "daily_trades_count", "daily_base_token_volume", "daily_price_low", "daily_price_high",
    "daily_price_change", "daily_chart", "strategy_index", "base_interest_rate", "created_at",
    "default_price", "end_timestamp", "funding_clamp_big", "funding_clamp_small",
    "funding_premium_multiplier", "market_flags", "multiplier", "operator_account_index",
    "outcome", "settlement_cap", "settlement_price", "settlement_type", "start_timestamp",
)  # fmt: skip
_UNREAD_OF_CONFIG = (
    "funding_fee_discounts_enabled", "hidden", "insurance_fund_account_index", "liquidation_mode",
    "market_margin_mode", "rfq_enabled", "trading_hours",
)  # fmt: skip
_RESTING = '{"price":"2001.60","remaining_base_amount":"0.0317"}'
_UNREAD_OF_RESTING = (
    "order_index", "order_id", "owner_account_index", "initial_base_amount", "order_expiry",
    "transaction_time",
)  # fmt: skip
_ORDER = (
    '{"order_index":281474976711112,"client_order_index":42,"market_index":0,'
    '"owner_account_index":100202,"initial_base_amount":"0.0050","price":"1999.50",'
    '"nonce":7000000001,"is_ask":true,"filled_base_amount":"0.0000",'
    '"filled_quote_amount":"0.000000","type":"limit","reduce_only":false,"trigger_price":"0.00",'
    '"status":"open","trigger_status":"na","timestamp":1790000000,"created_at":1790000000,'
    '"updated_at":1790000000,"transaction_time":1790000000000123}'
)
_UNREAD_OF_ORDER = (
    "order_id", "client_order_id", "remaining_base_amount", "base_size", "base_price", "side",
    "time_in_force", "order_expiry", "trigger_time", "parent_order_index", "parent_order_id",
    "to_trigger_order_id_0", "to_trigger_order_id_1", "to_cancel_order_id_0",
    "integrator_fee_collector_index", "integrator_taker_fee", "integrator_maker_fee",
    "block_height", "market_kind", "market_symbol", "order_flags", "order_version",
)  # fmt: skip
_TRADE = (
    '{"trade_id":7000000002,"type":"trade","market_id":0,"size":"0.0005","price":"2001.50",'
    '"ask_id":281474976711111,"bid_id":562949953421401,"ask_client_id":0,"bid_client_id":4,'
    '"ask_account_id":100201,"bid_account_id":2,"is_maker_ask":true,"timestamp":1790000000000,'
    '"taker_fee":100,"maker_fee":20,"transaction_time":1790000000000123}'
)
_UNREAD_OF_TRADE = (
    "trade_id_str", "tx_hash", "usd_amount", "ask_id_str", "bid_id_str", "ask_client_id_str",
    "bid_client_id_str", "block_height", "taker_position_size_before",
    "taker_entry_quote_before", "taker_initial_margin_fraction_before",
    "taker_position_sign_changed", "maker_position_size_before", "maker_entry_quote_before",
    "maker_initial_margin_fraction_before", "maker_position_sign_changed", "ask_order_version",
    "bid_order_version", "market_kind", "market_symbol", "integrator_maker_fee",
    "integrator_maker_fee_collector_index", "integrator_taker_fee",
    "integrator_taker_fee_collector_index", "maker_allocated_margin_usdc_before",
    "maker_allocated_margin_usdc_after", "taker_allocated_margin_usdc_before",
    "taker_allocated_margin_usdc_after",
)  # fmt: skip
_POSITION = (
    '{"market_id":0,"symbol":"ETH","initial_margin_fraction":"5.00","sign":1,'
    '"position":"1.5000","avg_entry_price":"1998.50","position_value":"2010.25",'
    '"unrealized_pnl":"3.45","liquidation_price":"1900.00","margin_mode":0,'
    '"allocated_margin":"0.00","total_funding_paid_out":"0.05"}'
)
_UNREAD_OF_POSITION = (
    "open_order_count", "pending_order_count", "position_tied_order_count", "realized_pnl",
    "total_discount", "margin_set_flag",
)  # fmt: skip
_UNREAD_OF_ACCOUNT = (
    "code", "account_type", "account_index", "name", "description", "can_invite", "can_rfq",
    "can_rfq_market_ids", "referral_points_percentage", "created_at", "transaction_time",
    "account_trading_mode", "total_order_count", "total_isolated_order_count",
    "pending_order_count", "assets", "shares", "pending_unlocks", "approved_integrators",
    "metadata", "agent_enabled", "bo_positions", "pool_info", "message",
)  # fmt: skip
_UNREAD_OF_STATS = (
    "symbol", "open_interest_limit", "funding_clamp_small", "funding_clamp_big",
    "last_trade_price", "funding_rate", "funding_timestamp", "base_interest_rate",
    "daily_base_token_volume", "daily_price_low", "daily_price_high", "daily_price_change",
)  # fmt: skip
#: A refusal's words may stand in any answer.
_SAID: Final = frozenset({"message"})
#: What a frame has on its outside; `Frame` reads some of it, before anything else is read.
_OUTSIDE: Final = frozenset({"type", "channel", "timestamp", "nonce", "offset", "last_updated_at"})
#: What stands inside the frames of one channel or another, by its own shape below.
_INSIDE: Final = frozenset(
    {
        "account", "assets", "candles", "close_in_ms", "height", "last_funding_discount",
        "last_funding_round", "liquidation_trades", "market_stats", "nonce", "offset",
        "order_book", "orders", "positions", "session_id", "shares", "stats", "ticker",
        "timestamp", "last_updated_at", "trades", "tx_hash",
    }
)  # fmt: skip


SHAPES: Final = (
    Shape(
        channel="GET /",
        kind=wire.Root,
        sample='{"status":200,"timestamp":1790000060}',
        ignored=frozenset({"network_id"}),
    ),
    Shape(
        channel="POST /sendTx",
        kind=wire.Sent,
        sample='{"code":200,"message":"{\\"ratelimit\\": \\"didn\'t use volume quota\\"}",'
        '"tx_hash":"00","predicted_execution_time_ms":1790000080000}',
        ignored=frozenset({"volume_quota_remaining"}),
    ),
    Shape(
        channel="GET /nextNonce",
        kind=wire.NextNonce,
        sample='{"code":200,"nonce":13}',
        ignored=_SAID,
    ),
    Shape(
        channel="GET /tx",
        kind=wire.Tx,
        sample='{"code":200,"hash":"00","status":2,"nonce":7,"event_info":"{}"}',
        ignored=frozenset(
            {
                "type", "info", "transaction_index", "l1_address", "account_index", "expire_at",
                "block_height", "queued_at", "executed_at", "sequence_index", "parent_hash",
                "committed_at", "verified_at", "api_key_index", "transaction_time", "message",
            }
        ),
    ),
    Shape(
        channel="GET /orderBookDetails",
        kind=wire.Markets,
        sample=f'{{"code":200,"order_book_details":[{_MARKET}]}}',
        ignored=_SAID
        | {"spot_order_book_details"}
        | below("order_book_details[].", _UNREAD_OF_MARKET)
        | below("order_book_details[].market_config.", _UNREAD_OF_CONFIG),
    ),
    Shape(
        channel="GET /orderBookOrders",
        kind=wire.BookOrders,
        sample=f'{{"code":200,"asks":[{_RESTING}],"bids":[{_RESTING}]}}',
        ignored=_SAID
        | {"total_asks", "total_bids"}
        | below("asks[].", _UNREAD_OF_RESTING)
        | below("bids[].", _UNREAD_OF_RESTING),
    ),
    Shape(
        channel="GET /accountActiveOrders, /accountInactiveOrders, /accountOrders",
        kind=wire.Orders,
        sample=f'{{"code":200,"next_cursor":"x","orders":[{_ORDER}]}}',
        ignored=_SAID | below("orders[].", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="GET /trades, /recentTrades",
        kind=wire.Trades,
        sample=f'{{"code":200,"next_cursor":"x","trades":[{_TRADE}]}}',
        ignored=_SAID | below("trades[].", _UNREAD_OF_TRADE),
    ),
    Shape(
        channel="GET /account",
        kind=wire.Accounts,
        sample='{"code":200,"accounts":[{"index":123456,"available_balance":"40.0",'
        '"collateral":"40.0","total_asset_value":"40.0","cross_asset_value":"40.0",'
        '"cross_initial_margin_requirement":"0","cross_maintenance_margin_requirement":"0",'
        '"l1_address":"0x0000000000000000000000000000000000000000","status":1,'
        f'"cancel_all_time":0,"positions":[{_POSITION}]}}]}}',
        ignored=_SAID
        | {"total"}
        | below("accounts[].", _UNREAD_OF_ACCOUNT)
        | below("accounts[].positions[].", _UNREAD_OF_POSITION),
    ),
    Shape(
        channel="GET /accountLimits",
        kind=wire.Limits,
        sample='{"code":200,"user_tier":"standard","current_maker_fee_tick":0,'
        '"current_taker_fee_tick":0}',
        ignored=frozenset(
            {
                "max_llp_percentage", "max_llp_amount", "user_tier_name", "can_create_public_pool",
                "leased_lit", "effective_lit_stakes", "bo_fee_rate", "bo_user_tier_name",
                "user_tier_last_update", "message",
            }
        ),
    ),
    Shape(
        channel="GET /candles",
        kind=wire.Candles,
        sample='{"code":200,"r":"1m","c":[{"t":1700000000000,"o":2001.0,"h":2002.5,"l":2000.0,'
        '"c":2001.5,"v":1.2345}]}',
        ignored=_SAID | below("c[].", ("V", "i", "O", "H", "L", "C")),
    ),
    Shape(
        channel="GET /fundings",
        kind=wire.Fundings,
        sample='{"code":200,"fundings":[{"timestamp":1700000000,"rate":"0.0012",'
        '"direction":"long"}]}',
        ignored=_SAID | {"resolution", "fundings[].value"},
    ),
    Shape(
        channel="GET /funding-rates",
        kind=wire.PresentRates,
        sample='{"code":200,"funding_rates":[{"market_id":0,"exchange":"lighter",'
        '"rate":0.000096}]}',
        ignored=_SAID | {"funding_rates[].symbol"},
    ),
    Shape(
        channel="GET /positionFunding",
        kind=wire.PositionFundings,
        sample='{"code":200,"next_cursor":"x","position_fundings":[{"timestamp":1700000000,'
        '"market_id":0,"funding_id":7,"change":"0.1","rate":"0.0012","position_size":"1",'
        '"position_side":"long"}]}',
        ignored=_SAID | {"position_fundings[].discount"},
    ),
    Shape(
        channel="socket, any frame",
        kind=wire.Frame,
        sample='{"type":"error","channel":"trade:0","code":20001,"message":"x",'
        '"error":{"code":20100,"message":"x"}}',
        ignored=_INSIDE,
    ),
    Shape(
        channel="socket order_book",
        kind=wire.BookFrame,
        sample='{"order_book":{"asks":[{"price":"1","size":"2"}],"bids":[{"price":"1",'
        '"size":"0"}],"offset":7,"nonce":9,"begin_nonce":8,"last_updated_at":1},'
        '"timestamp":1700000000000}',
        ignored=_OUTSIDE | {"order_book.code"},
    ),
    Shape(
        channel="socket ticker",
        kind=wire.BestFrame,
        sample='{"nonce":9,"timestamp":1700000000000,"ticker":{"a":{"price":"1","size":"2"},'
        '"b":{"price":"1","size":"2"},"last_updated_at":1}}',
        ignored=_OUTSIDE | {"ticker.s"},
    ),
    Shape(
        channel="socket trade",
        kind=wire.TradeFrame,
        sample=f'{{"trades":[{_TRADE}],"liquidation_trades":[{_TRADE}]}}',
        ignored=_OUTSIDE
        | below("trades[].", _UNREAD_OF_TRADE)
        | below("liquidation_trades[].", _UNREAD_OF_TRADE),
    ),
    Shape(
        channel="socket market_stats",
        kind=wire.StatsFrame,
        sample='{"market_stats":{"market_id":1,"index_price":"65010.5","mark_price":"65002.5",'
        '"mid_price":"64990.5","open_interest":"9","current_funding_rate":"-0.0028",'
        '"daily_quote_token_volume":1000000.25}}',
        ignored=_OUTSIDE | below("market_stats.", _UNREAD_OF_STATS),
    ),
    Shape(
        channel="socket candle",
        kind=wire.CandleFrame,
        sample='{"candles":[{"t":1790000040000,"o":1995.5,"h":1995.75,"l":1995.00,"c":1995.25,'
        '"v":13.2}]}',
        ignored=_OUTSIDE | below("candles[].", ("V", "i")),
    ),
    Shape(
        channel="socket account_all_orders",
        kind=wire.OrdersFrame,
        sample=f'{{"orders":{{"0":[{_ORDER}]}}}}',
        ignored=_OUTSIDE | {"account"} | below("orders{}[].", _UNREAD_OF_ORDER),
    ),
    Shape(
        channel="socket account_all_trades",
        kind=wire.AccountTradesFrame,
        sample=f'{{"trades":{{"0":[{_TRADE}]}}}}',
        ignored=_OUTSIDE
        | {"total_volume", "monthly_volume", "weekly_volume", "daily_volume"}
        | below("trades{}[].", _UNREAD_OF_TRADE)
        | below("trades[].", _UNREAD_OF_TRADE),
    ),
    Shape(
        channel="socket account_all_positions",
        kind=wire.PositionsFrame,
        sample=f'{{"positions":{{"0":{_POSITION}}},"last_funding_round":null}}',
        ignored=_OUTSIDE
        | {"shares", "last_funding_discount"}
        | below("positions{}.", _UNREAD_OF_POSITION),
    ),
    Shape(
        channel="socket user_stats",
        kind=wire.UserStatsFrame,
        sample='{"stats":{"collateral":"40.0","available_balance":"40.0",'
        '"portfolio_value":"40.0"},"timestamp":1700000000000}',
        ignored=_OUTSIDE
        | below(
            "stats.",
            (
                "leverage", "margin_usage", "buying_power", "account_trading_mode",
                "cross_stats", "total_stats",
            ),
        ),
    ),
)  # fmt: skip
