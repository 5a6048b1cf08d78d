"""Frames of Lighter: whole books of thousands of levels once, then batches of changes.

As recorded on mainnet 2025-12 for BTC: a batch names five levels on average, the median of them
fifteen prices from the best one; two of five take a level away. Half of all frames with trades have
one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.streaming.frames.making import (
    BEGAN_MS,
    MARKETS,
    SEED,
    ChangingBooks,
    Level,
    Made,
    made,
    market,
    size,
)

_KINDS = ("order_book", "ticker", "trade", "market_stats")
_PRICES: Final = 3_000
_RANKS: Final = 36.0
_GONE: Final = 2 / 3
_COUNTS: Final = (1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 15)
_TRADES: Final = (1, 1, 1, 1, 2, 2, 3)


def frames() -> Made:
    """Return them."""
    rng = random.Random(SEED)
    books = ChangingBooks(rng, prices=_PRICES, counts=_COUNTS, ranks=_RANKS, gone=_GONE)
    beginning = [_book(n, *books.whole(n), 0, stage="subscribed") for n in range(MARKETS)]
    versions = [0] * MARKETS

    def write(kind: str, number: int, nth: int) -> tuple[Any, int]:
        match kind:
            case "order_book":
                bids, asks, count = books.change(number)
                versions[number] += 1
                return _book(number, bids, asks, versions[number]), count
            case "ticker":
                return _best(rng, number, nth), 2
            case "trade":
                count = rng.choice(_TRADES)
                return _trades(rng, number, nth, count), count
            case _:
                return _stats(rng, number, nth), 1

    markets = [market("lighter", n) for n in range(MARKETS)]
    return made(rng, markets, _KINDS, write, beginning=beginning)


def _book(
    number: int,
    bids: Sequence[Level],
    asks: Sequence[Level],
    version: int,
    *,
    stage: str = "update",
) -> dict[str, Any]:
    updated_us = (BEGAN_MS + version) * 1000
    return {
        "channel": f"order_book:{number}",
        "last_updated_at": updated_us,
        "offset": version,
        "order_book": {
            "code": 0,
            "asks": _levels(asks),
            "bids": _levels(bids),
            "offset": version,
            "nonce": 9_000_000_000 + 20 * version,
            "last_updated_at": updated_us,
            "begin_nonce": 9_000_000_000 + 20 * (version - 1),
        },
        "timestamp": BEGAN_MS + version,
        "type": f"{stage}/order_book",
    }


def _levels(levels: Sequence[Level]) -> list[dict[str, str]]:
    return [{"price": price, "size": has} for price, has in levels]


def _best(rng: random.Random, number: int, nth: int) -> dict[str, Any]:
    updated_us = (BEGAN_MS + nth) * 1000
    return {
        "channel": f"ticker:{number}",
        "last_updated_at": updated_us,
        "nonce": 9_000_000_000 + nth,
        "ticker": {
            "a": {"price": "10000.1", "size": size(rng)},
            "b": {"price": "9999.9", "size": size(rng)},
            "last_updated_at": updated_us,
            "s": f"COIN{number}",
        },
        "timestamp": BEGAN_MS + nth,
        "type": "update/ticker",
    }


def _trades(rng: random.Random, number: int, nth: int, count: int) -> dict[str, Any]:
    return {
        "channel": f"trade:{number}",
        "liquidation_trades": None,
        "nonce": 9_000_000_000 + nth,
        "trades": [_trade(rng, number, nth * 10 + n, BEGAN_MS + nth) for n in range(count)],
        "type": "update/trade",
    }


def _trade(rng: random.Random, number: int, trade_id: int, time_ms: int) -> dict[str, Any]:
    return {
        "trade_id": trade_id,
        "tx_hash": "00" * 40,
        "type": "trade",
        "market_id": number,
        "size": size(rng),
        "price": "10000.1",
        "usd_amount": "2915.924880",
        "ask_id": 281_476_000_000_000 + trade_id,
        "bid_id": 562_948_000_000_000 + trade_id,
        "ask_client_id": 300_000 + trade_id,
        "bid_client_id": 0,
        "ask_account_id": 50_001,
        "bid_account_id": 300_001,
        "is_maker_ask": trade_id % 2 == 0,
        "block_height": 190_000_000,
        "timestamp": time_ms,
        "taker_position_size_before": "-0.18600",
        "taker_entry_quote_before": "2212.131813",
        "taker_initial_margin_fraction_before": 500,
        "maker_fee": 20,
        "maker_position_size_before": "5.78952",
        "maker_entry_quote_before": "3321440.210837",
        "maker_initial_margin_fraction_before": 3333,
        "transaction_time": time_ms * 1000,
    }


def _stats(rng: random.Random, number: int, nth: int) -> dict[str, Any]:
    return {
        "channel": f"market_stats:{number}",
        "market_stats": {
            "symbol": f"COIN{number}",
            "market_id": number,
            "index_price": "10000.5",
            "mark_price": size(rng),
            "mid_price": "10000.0",
            "open_interest": "250534.357999",
            "open_interest_limit": "72057594037927936.000000",
            "funding_clamp_small": "0.0500",
            "funding_clamp_big": "4.0000",
            "last_trade_price": "10000.1",
            "current_funding_rate": "0.0012",
            "funding_rate": "0.0012",
            "funding_timestamp": BEGAN_MS,
            "daily_base_token_volume": 34414.06957,
            "daily_quote_token_volume": 3180988401.605192,
            "daily_price_low": 9152.1,
            "daily_price_high": 10812.9,
            "daily_price_change": -0.27211278,
        },
        "timestamp": BEGAN_MS + nth,
        "type": "update/market_stats",
    }
