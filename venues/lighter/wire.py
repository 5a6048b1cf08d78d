"""Lighter's payloads as they come over the wire, spelled as the venue spells them.

Decimals come as strings, some as numbers; both stay exact. Times come in seconds, milliseconds or
microseconds, depending on field and age: `translate` tells them apart by their size. Unknown
fields are ignored, missing ones that we need are an error. Nothing is interpreted here.

Source: lighter-sdk 1.1.8 `models/`; docs websocket-reference; recorded on mainnet 2025-12, 2026-05.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from venues.payloads import Ms, Wire
from venues.payloads import WireError as WireError
from venues.payloads import decode as decode

# --- REST ---------------------------------------------------------------------------------------


class Answer(Wire, frozen=True):
    """What every answer has; a refusal has nothing else."""

    code: int
    message: str | None = None


class Sent(Wire, frozen=True):
    """The answer to a transaction: acknowledged under its hash, and not executed yet."""

    code: int
    tx_hash: str | None = None
    message: str | None = None
    predicted_execution_time_ms: int | None = None


class Root(Wire, frozen=True):
    """`GET /`: the venue's clock, in seconds."""

    timestamp: Ms
    status: int = 200


class NextNonce(Wire, frozen=True):
    """`/nextNonce`."""

    code: int
    nonce: int


class Tx(Wire, frozen=True):
    """`/tx`: 0 failed, 1 pending, 2 executed, 3 executed and not final yet."""

    code: int
    hash: str
    status: int
    nonce: int | None = None
    event_info: str | None = None


class MarketConfig(Wire, frozen=True):
    """What a market allows beside its numbers."""

    force_reduce_only: bool = False


class MarketRow(Wire, frozen=True):
    """One perpetual market; margin fractions are percent as text, or count 1/10,000."""

    symbol: str
    market_id: int
    status: str
    min_base_amount: Decimal
    min_quote_amount: Decimal
    min_initial_margin_fraction: int | str
    maintenance_margin_fraction: int | str = 0
    size_decimals: int | None = None
    price_decimals: int | None = None
    supported_size_decimals: int | None = None
    supported_price_decimals: int | None = None
    market_type: str = "perp"
    taker_fee: Decimal | None = None
    maker_fee: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    open_interest: Decimal | None = None
    daily_quote_token_volume: Decimal | None = None
    market_config: MarketConfig = MarketConfig()
    is_frozen: bool = False


class Markets(Wire, frozen=True):
    """`/orderBookDetails`."""

    code: int
    order_book_details: list[MarketRow]


class RestingOrder(Wire, frozen=True):
    """An order of the book."""

    price: Decimal
    remaining_base_amount: Decimal


class BookOrders(Wire, frozen=True):
    """`/orderBookOrders`: single orders, best first."""

    code: int
    asks: list[RestingOrder]
    bids: list[RestingOrder]


class OrderRow(Wire, frozen=True):
    """An order, in listings and in the feed; `side` is empty, so it is left out."""

    order_index: int
    client_order_index: int
    market_index: int
    owner_account_index: int
    initial_base_amount: Decimal
    price: Decimal
    is_ask: bool
    filled_base_amount: Decimal
    filled_quote_amount: Decimal
    type: str
    reduce_only: bool
    trigger_price: Decimal
    status: str
    timestamp: Ms
    trigger_status: str = "na"
    created_at: int | None = None
    updated_at: int | None = None
    transaction_time: int | None = None
    nonce: int | None = None


class Orders(Wire, frozen=True):
    """`/accountActiveOrders`, `/accountInactiveOrders`, `/accountOrders`."""

    code: int
    orders: list[OrderRow]
    next_cursor: str | None = None


class TradeRow(Wire, frozen=True):
    """An execution with both its sides; fees count 1/1,000,000 of its value, none is left out."""

    trade_id: int
    market_id: int
    size: Decimal
    price: Decimal
    ask_id: int
    bid_id: int
    ask_account_id: int
    bid_account_id: int
    is_maker_ask: bool
    timestamp: Ms
    type: str = "trade"
    ask_client_id: int = 0
    bid_client_id: int = 0
    taker_fee: int = 0
    maker_fee: int = 0
    transaction_time: int | None = None
    ask_account_pnl: Decimal | None = None
    bid_account_pnl: Decimal | None = None


class Trades(Wire, frozen=True):
    """`/trades` and `/recentTrades`."""

    code: int
    trades: list[TradeRow]
    next_cursor: str | None = None


class PositionRow(Wire, frozen=True):
    """One position, or the settings of a market without one.

    `initial_margin_fraction` is percent by REST, and a fraction in documented frames of the
    socket. `sign` is 1 or -1, `position` has none.
    """

    market_id: int
    symbol: str
    initial_margin_fraction: Decimal
    sign: int
    position: Decimal
    avg_entry_price: Decimal
    position_value: Decimal
    unrealized_pnl: Decimal
    liquidation_price: Decimal
    margin_mode: int
    allocated_margin: Decimal
    total_funding_paid_out: Decimal = Decimal(0)


class AccountRow(Wire, frozen=True):
    """One account."""

    index: int
    available_balance: Decimal
    collateral: Decimal
    total_asset_value: Decimal
    positions: list[PositionRow]
    cross_asset_value: Decimal | None = None
    cross_initial_margin_requirement: Decimal | None = None
    cross_maintenance_margin_requirement: Decimal | None = None
    l1_address: str | None = None
    status: int = 1
    cancel_all_time: int = 0


class Accounts(Wire, frozen=True):
    """`/account`."""

    code: int
    accounts: list[AccountRow]


class Limits(Wire, frozen=True):
    """`/accountLimits`: tier, and fees in 1/1,000,000."""

    code: int
    user_tier: str
    current_maker_fee_tick: int
    current_taker_fee_tick: int


class CandleRow(Wire, frozen=True):
    """A candle, by its first millisecond; a quiet one may leave its prices at 0."""

    t: Ms
    o: Decimal
    h: Decimal
    l: Decimal  # noqa: E741 - the venue's spelling
    c: Decimal
    v: Decimal


class Candles(Wire, frozen=True):
    """`/candles`."""

    code: int
    c: list[CandleRow]
    r: str | None = None


class FundingRow(Wire, frozen=True):
    """One past rate, in percent; `direction` says who paid."""

    timestamp: Ms
    rate: Decimal
    direction: str


class Fundings(Wire, frozen=True):
    """`/fundings`."""

    code: int
    fundings: list[FundingRow]


class PresentRateRow(Wire, frozen=True):
    """What funding is now, as a fraction for eight hours; other exchanges' are told as well."""

    market_id: int
    exchange: str
    rate: Decimal


class PresentRates(Wire, frozen=True):
    """`/funding-rates`."""

    code: int
    funding_rates: list[PresentRateRow]


class PositionFundingRow(Wire, frozen=True):
    """One payment of ours; `change` is what it did to the balance."""

    timestamp: Ms
    market_id: int
    funding_id: int
    change: Decimal
    rate: Decimal
    position_size: Decimal
    position_side: str


class PositionFundings(Wire, frozen=True):
    """`/positionFunding`."""

    code: int
    position_fundings: list[PositionFundingRow]
    next_cursor: str | None = None


# --- WebSocket ----------------------------------------------------------------------------------


class FrameError(Wire, frozen=True):
    """An error that stands for itself."""

    code: int = 0
    message: str = ""


class Frame(Wire, frozen=True):
    """What any message of the socket may have on its outside."""

    type: str | None = None
    channel: str | None = None
    code: int | None = None
    message: str | None = None
    error: FrameError | None = None


class Level(Wire, frozen=True):
    """A price level; size 0 takes it away."""

    price: Decimal
    size: Decimal


class BookChanges(Wire, frozen=True):
    """A whole book, or what changed since `begin_nonce`."""

    asks: list[Level]
    bids: list[Level]
    nonce: int | None = None
    begin_nonce: int | None = None
    offset: int | None = None
    last_updated_at: int | None = None


class BookFrame(Wire, frozen=True):
    """`order_book`."""

    order_book: BookChanges
    timestamp: Ms | None = None


class Best(Wire, frozen=True):
    """Best prices; an empty side has size 0 or is left out."""

    a: Level | None = None
    b: Level | None = None
    last_updated_at: int | None = None


class BestFrame(Wire, frozen=True):
    """`ticker`."""

    ticker: Best
    nonce: int | None = None
    timestamp: Ms | None = None


class TradeFrame(Wire, frozen=True):
    """`trade`."""

    trades: list[TradeRow] | None = None
    liquidation_trades: list[TradeRow] | None = None


class Stats(Wire, frozen=True):
    """A market's prices and rates; funding is in percent."""

    market_id: int
    index_price: Decimal
    mark_price: Decimal
    open_interest: Decimal
    current_funding_rate: Decimal
    mid_price: Decimal | None = None
    daily_quote_token_volume: Decimal | None = None


class StatsFrame(Wire, frozen=True):
    """`market_stats` of one market."""

    market_stats: Stats


class CandleFrame(Wire, frozen=True):
    """`candle`."""

    candles: list[CandleRow]


class OrdersFrame(Wire, frozen=True):
    """`account_all_orders`: orders by market."""

    orders: dict[str, list[OrderRow]]


class AccountTradesFrame(Wire, frozen=True):
    """`account_all_trades`: nothing in a list, or trades by market."""

    trades: dict[str, list[TradeRow]] | list[TradeRow]

    @property
    def rows(self) -> list[TradeRow]:
        """All trades of the frame."""
        if isinstance(self.trades, list):
            return self.trades
        return [row for rows in self.trades.values() for row in rows]


class PositionsFrame(Wire, frozen=True):
    """`account_all_positions`: every position there is."""

    positions: dict[str, PositionRow]
    last_funding_round: msgspec.Raw = msgspec.Raw(b"null")


class UserStats(Wire, frozen=True):
    """An account's money."""

    collateral: Decimal
    available_balance: Decimal
    portfolio_value: Decimal


class UserStatsFrame(Wire, frozen=True):
    """`user_stats`."""

    stats: UserStats
    timestamp: Ms | None = None
