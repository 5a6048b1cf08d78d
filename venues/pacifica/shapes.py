"""Pacifica's payloads as data: a small one of each kind, and the fields that are not read.

Fields that are not read are those of payloads recorded on testnet 2026-06 and of the documents.
Source: docs.pacifica.fi api/rest-api, api/websocket.
"""

from __future__ import annotations

from typing import Final

from venues.pacifica import wire
from venues.shapes import Shape, below

_ACCOUNT = (
    '{"balance":"2000","fee_level":0,"maker_fee":"0.00015","taker_fee":"0.0004",'
    '"account_equity":"2150","available_to_spend":"1800","available_to_withdraw":"1500",'
    '"total_margin_used":"350","cross_mmr":"420","updated_at":1700000000000}'
)
_PRICE = (
    '[{"symbol":"BTC","timestamp":1700000000000,"funding":"0.00001","next_funding":"0.00001",'
    '"mark":"40000","mid":"40000","oracle":"40000","open_interest":"9","volume_24h":"9",'
    '"yesterday_price":"39000"}]'
)
_BOOK = (
    '{"s":"BTC","l":[[{"p":"39999","a":"1","n":2}],[{"p":"40001","a":"1","n":2}]],'
    '"t":1700000000000,"li":7}'
)
_KLINE = '{"t":1,"T":2,"s":"BTC","i":"1m","o":"1","c":"2","h":"3","l":"1","v":"9","n":4}'
_SETTINGS = '[{"symbol":"BTC","isolated":false,"leverage":5,"created_at":1,"updated_at":1}]'
_UNREAD_OF_ACCOUNT = (
    "available_to_withdraw",
    "cross_account_equity",
    "balance",
    "fee_level",
    "orders_count",
    "pending_balance",
    "pending_interest",
    "positions_count",
    "spot_balances",
    "stop_orders_count",
    "use_ltp_for_stop_orders",
)


SHAPES: Final = (
    Shape(
        channel="any answer",
        kind=wire.Envelope,
        sample='{"success":true,"data":[],"error":null,"code":null,"error_id":null,'
        '"last_order_id":9,"next_cursor":"x","has_more":false,"order_id":7}',
        ignored=frozenset({"cancelled_count"}),
    ),
    Shape(
        channel="POST /orders/create, an answer's data",
        kind=wire.OrderNamed,
        sample='{"order_id":7}',
    ),
    Shape(
        channel="GET /info",
        kind=list[wire.MarketRow],
        sample='[{"symbol":"BTC","tick_size":"1","min_tick":"0","max_tick":"1000000",'
        '"lot_size":"0.00001","max_leverage":50,"isolated_only":false,"min_order_size":"10",'
        '"max_order_size":"5000000","funding_rate":"0.00001","next_funding_rate":"0.00001",'
        '"created_at":1,"instrument_type":"perpetual","base_asset":"BTC"}]',
        ignored=below(
            "[].",
            (
                "base_asset",
                "created_at",
                "funding_rate",
                "max_tick",
                "min_tick",
                "next_funding_rate",
            ),
        ),
    ),
    Shape(
        channel="GET /info/prices, socket prices",
        kind=list[wire.PriceRow],
        sample=_PRICE,
        ignored=below(
            "[].",
            (
                "next_funding",
                "yesterday_price",
            ),
        ),
    ),
    Shape(channel="GET /book, socket book", kind=wire.Book, sample=_BOOK),
    Shape(
        channel="GET /trades",
        kind=list[wire.PublicTradeRow],
        sample='[{"event_type":"fulfill_taker","price":"40000","amount":"1","side":"open_long",'
        '"cause":"normal","created_at":1700000000000,"history_id":3}]',
        ignored=below("[].", ("event_type",)),
    ),
    Shape(channel="GET /kline", kind=list[wire.Kline], sample=f"[{_KLINE}]"),
    Shape(
        channel="GET /funding_rate/history",
        kind=list[wire.FundingRateRow],
        sample='[{"oracle_price":"40000","bid_impact_price":"1","ask_impact_price":"1",'
        '"funding_rate":"0.00001","next_funding_rate":"0.00001","created_at":1700000000000}]',
        ignored=below(
            "[].",
            (
                "ask_impact_price",
                "bid_impact_price",
                "next_funding_rate",
                "oracle_price",
            ),
        ),
    ),
    Shape(
        channel="GET /orders, /orders/history, /orders/history_by_id",
        kind=list[wire.OrderRow],
        sample='[{"order_id":7,"client_order_id":"c","symbol":"BTC","side":"bid","price":"40000",'
        '"initial_price":"40000","average_filled_price":"0","amount":"1","initial_amount":"1",'
        '"filled_amount":"0","cancelled_amount":"0","stop_price":null,"order_type":"limit",'
        '"stop_parent_order_id":null,"trigger_price_type":null,"reduce_only":false,'
        '"order_status":"open","event_type":"make","reason":null,"history_id":1,'
        '"created_at":1700000000000,"updated_at":1700000000000}]',
        ignored=below(
            "[].",
            (
                "stop_parent_order_id",
                "trigger_price_type",
            ),
        ),
    ),
    Shape(
        channel="GET /trades/history",
        kind=list[wire.FillRow],
        sample='[{"history_id":3,"order_id":7,"client_order_id":"c","symbol":"BTC","amount":"1",'
        '"price":"40000","entry_price":"40000","fee":"0.1","pnl":"0","event_type":"fulfill_taker",'
        '"side":"open_long","created_at":1700000000000,"cause":"normal"}]',
        ignored=below("[].", ("entry_price",)),
    ),
    Shape(
        channel="GET /account",
        kind=wire.AccountRow | list[wire.AccountRow],
        sample=_ACCOUNT,
        ignored=below("", _UNREAD_OF_ACCOUNT) | below("[].", _UNREAD_OF_ACCOUNT),
    ),
    Shape(
        channel="GET /positions",
        kind=list[wire.PositionRow],
        sample='[{"symbol":"BTC","side":"bid","amount":"1","entry_price":"40000","margin":"0",'
        '"funding":"0","isolated":false,"liquidation_price":"1","created_at":1,"updated_at":1}]',
        ignored=below(
            "[].",
            (
                "created_at",
                "funding",
            ),
        ),
    ),
    Shape(
        channel="GET /account/settings",
        kind=wire.Settings | list[wire.SettingRow],
        sample=f'{{"margin_settings":{_SETTINGS}}}',
        ignored=below(
            "[].",
            (
                "created_at",
                "updated_at",
            ),
        )
        | below(
            "margin_settings[].",
            (
                "created_at",
                "updated_at",
            ),
        )
        | {"auto_lend_disabled", "spot_settings"},
    ),
    Shape(
        channel="GET /funding/history",
        kind=list[wire.FundingRow],
        sample='[{"history_id":3,"symbol":"BTC","side":"ask","amount":"1","payout":"0.1",'
        '"rate":"0.00001","created_at":1700000000000}]',
    ),
    Shape(
        channel="socket, any",
        kind=wire.Frame,
        sample='{"channel":"book","data":{},"li":7}',
        ignored=frozenset({"id", "rl", "t", "type"}),
    ),
    Shape(
        channel="socket subscribe",
        kind=wire.Subscription,
        sample='{"source":"candle","symbol":"BTC","interval":"1m","account":"x","agg_level":1}',
        ignored=frozenset({"agg_level"}),
    ),
    Shape(
        channel="socket bbo",
        kind=wire.TopOfBook,
        sample='{"s":"BTC","i":1,"li":7,"t":1,"b":"1","B":"1","a":"2","A":"1"}',
        ignored=frozenset({"i"}),
    ),
    Shape(
        channel="socket trades",
        kind=list[wire.PublicTrade],
        sample='[{"h":3,"s":"BTC","a":"1","p":"40000","d":"open_long","tc":"normal","t":1,"li":7,'
        '"it":"perpetual"}]',
        ignored=frozenset({"[].it"}),
    ),
    Shape(channel="socket candle", kind=wire.Kline, sample=_KLINE),
    Shape(
        channel="socket account_order_updates",
        kind=list[wire.OrderUpdate],
        sample='[{"i":7,"I":"c","u":"x","s":"BTC","d":"bid","ip":"1","lp":"1","p":"0","a":"1",'
        '"f":"0","oe":"make","os":"open","ot":"limit","sp":null,"si":null,"tp":null,"r":false,'
        '"ct":1,"ut":1,"li":7}]',
        ignored=below(
            "[].",
            (
                "lp",
                "si",
                "tp",
            ),
        ),
    ),
    Shape(
        channel="socket account_trades",
        kind=list[wire.FillFrame],
        sample='[{"h":3,"i":7,"I":"c","u":"x","s":"BTC","p":"1","o":"1","a":"1",'
        '"te":"fulfill_taker","ts":"open_long","tc":"normal","f":"0.1","n":"0","t":1,"li":7,'
        '"it":"perpetual"}]',
        ignored=below(
            "[].",
            (
                "it",
                "o",
            ),
        ),
    ),
    Shape(
        channel="socket account_positions",
        kind=list[wire.PositionFrame],
        sample='[{"s":"BTC","d":"bid","a":"1","p":"40000","m":"0","f":"0","i":false,"l":null,'
        '"t":1}]',
    ),
    Shape(
        channel="socket account_info",
        kind=wire.AccountFrame,
        sample='{"ae":"2000","as":"1500","aw":"1400","b":"2000","f":1,"mu":"500","cm":"400",'
        '"oc":10,"pb":"0","pc":2,"sc":2,"t":1}',
        ignored=frozenset({"aw", "b", "f", "oc", "pb", "pc", "pi", "sc"}),
    ),
    Shape(
        channel="socket account_leverage",
        kind=wire.LeverageFrame,
        sample='{"u":"x","s":"BTC","l":12,"t":1}',
        ignored=frozenset({"t"}),
    ),
)
