"""What a venue is to the rest of the house: two Protocols, and what they speak of.

What a venue can do and what proves a command there is data, in `venues.capabilities`.

Importing this costs nothing; it knows no venue, no Temporal and no SQL.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol, runtime_checkable

from domain.account_terms import AccountRoom
from domain.accounts import (
    Account,
    AccountSummary,
    FeeRates,
    FundingPayment,
    LeverageSetting,
    MarginMode,
    Network,
    SecretText,
    TradingAccess,
)
from domain.commands import Command
from domain.feed_credentials import FeedCredentialSource
from domain.fills import Fill
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow, CommandSlot
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.market_past import MarketQuery as MarketQuery
from domain.orders import Verdict
from domain.outcomes import SendResult
from domain.session_states import BudgetLeft
from domain.verdict_looks import FeedWord
from venues.capabilities import Capabilities as Capabilities
from venues.capabilities import Fence as Fence
from venues.capabilities import MarketChannelKind as MarketChannelKind
from venues.capabilities import ProofRow as ProofRow
from venues.capabilities import ProofTable as ProofTable
from venues.market_events import BookSeen as BookSeen
from venues.market_events import CandleSeen as CandleSeen
from venues.market_events import MarketChannel as MarketChannel
from venues.market_events import TickerSeen as TickerSeen
from venues.market_events import TradesSeen as TradesSeen


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueOrder:
    """One order as the venue describes it in a look-up, a listing or a feed.

    `filled_quantity` is None where the description says nothing reliable of it (a reduce-only
    order that the venue shrank). `average_price` is None where the venue does not say.
    """

    client_order_id: str | None
    venue_order_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    price: Decimal | None
    verdict: Verdict
    filled_quantity: Decimal | None
    average_price: Decimal | None = None
    reason: str | None = None
    reduce_only: bool = False
    trigger_price: Decimal | None = None
    created_at: datetime | None = None
    event_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLookup:
    """The answer to "what do you know of this order?". `order` None: nothing.

    `venue_time` is the venue's own clock in a reply of the venue, where it gives one.
    """

    order: VenueOrder | None
    venue_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerCheck:
    """What a credential turned out to be.

    `power` is shown to the owner; `refusal` says why the credential cannot be taken, or None.
    """

    signer: str
    owner_address: str | None
    power: str
    expires_at: datetime | None
    refusal: str | None


class Connector(Protocol):
    """One venue on one network, for order entry and queries.

    Queries raise `VenueUnavailable` or `VenueRefused`; `send` never raises for what the venue or
    the network does, it returns an outcome.
    """

    venue: str
    network: Network
    capabilities: Capabilities
    proofs: ProofTable

    async def start(self) -> None:
        """Load metadata, warm the connections and make a first signature."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...

    def signer_of(self, credential: SecretText) -> str:
        """Return the public identity of a credential. Raises InvalidInput if it is not one."""
        ...

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out which account a credential signs for, and with which power."""
        ...

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every market."""
        ...

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        ...

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the client order id of a revision in the venue's way."""
        ...

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst valid price a market order may trade at, from the present book."""
        ...

    async def compose(self, command: Command) -> MessageComposer:
        """Check the command against the market and return what writes its message.

        Raises InvalidInput for what the venue would refuse for its form (tick, lot, minimum).
        """
        ...

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's message and send it once; at most the connector's command timeout.

        Checks `row.send_by` immediately before the write for a first send and returns `NotSent`
        past it. The same row gives the same bytes.
        """
        ...

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send the row's bytes again, without the `send_by` check, where replay is protected."""
        ...

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by client id."""
        ...

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, from a reply of the venue."""
        ...

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest or wait at the venue."""
        ...

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still remembers of ended orders, newest first."""
        ...

    async def fills(self, account: Account, *, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first, across pages."""
        ...

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        ...

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's fee rates."""
        ...

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received since a time, oldest first."""
        ...

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book."""
        ...

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Return public trades, newest first.

        Raises InvalidInput (field `venue`) where `capabilities.market_queries` lacks TRADES.
        """
        ...

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles that begin from `start` up to `end`, oldest first.

        Raises InvalidInput for an interval it lacks, and (field `venue`) where
        `capabilities.market_queries` lacks CANDLES.
        """
        ...

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return present prices and rates of every market."""
        ...

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates since a time, oldest first.

        Raises InvalidInput (field `venue`) where `capabilities.market_queries` lacks FUNDING.
        """
        ...

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage and margin mode of one market."""
        ...

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage and margin mode in one market."""
        ...

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Arm (or with None disarm) the venue's cancel of all orders at a time."""
        ...


@runtime_checkable
class FeedCredentialMinter(Protocol):
    """What a connector can besides, where the venue's private feed needs a secret."""

    async def mint_feed_credential(self, access: TradingAccess) -> SecretText:
        """Return what the account's feed needs: it can read, and can order nothing.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not give one.
        """
        ...


@runtime_checkable
class RoomTeller(Protocol):
    """What a connector can besides, where the venue says how much more it takes of an account."""

    async def account_room(self, account: Account) -> AccountRoom:
        """Return how many orders may rest, and how much of the request budget is left.

        Raises:
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        ...


@runtime_checkable
class CredentialedQueries(Protocol):
    """What a connector can besides, where the venue tells of an account only to who has a secret.

    The source gives whatever this process may open of the account: the trading part in a worker,
    the feed part elsewhere. Either answers every question.
    """

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take secrets from `source`, each time that an account is first asked about."""
        ...


@runtime_checkable
class HearsFeed(Protocol):
    """What a connector can besides, where questions are dear and commands only acknowledged."""

    def use_feed(self, feed: FeedWord) -> None:
        """Hear from `feed` what became of commands; the venue is asked where it is silent."""
        ...


@runtime_checkable
class TellsBudget(Protocol):
    """What a connector can do besides: tell what is left of what it allows itself to ask."""

    def budget_left(self) -> BudgetLeft:
        """Return what is left now; quick, and asks nobody."""
        ...


@runtime_checkable
class TellsTokens(Protocol):
    """What a connector or an account feed can do besides, where its venue has access tokens."""

    def token_expiries(self, account_id: str) -> Mapping[str, datetime]:
        """Return by name when each token that it holds of an account ends; never a token."""
        ...


class MessageComposer(Protocol):
    """Writes a command's message once its slot is known; pure, called inside a transaction."""

    def __call__(self, slot: CommandSlot) -> str:
        """Return the message as JSON text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedState:
    """A feed event: the feed went live (after its snapshot), stale, or closed."""

    kind: Literal["state"] = "state"
    account_id: str | None
    live: bool
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSeen:
    """A feed event: orders as the venue describes them now."""

    kind: Literal["orders"] = "orders"
    account_id: str
    orders: tuple[VenueOrder, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillsSeen:
    """A feed event: fills, `is_snapshot` for those sent on subscription."""

    kind: Literal["fills"] = "fills"
    account_id: str
    fills: tuple[Fill, ...]
    is_snapshot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSeen:
    """A feed event: an account's money and positions as the venue describes them now."""

    kind: Literal["account"] = "account"
    account_id: str
    summary: AccountSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingSeen:
    """A feed event: funding payments, `is_snapshot` for those sent on subscription."""

    kind: Literal["funding"] = "funding"
    account_id: str
    payments: tuple[FundingPayment, ...]
    is_snapshot: bool = False


AccountEvent = FeedState | OrdersSeen | FillsSeen | AccountSeen | FundingSeen


class AccountFeed(Protocol):
    """The private feed of accounts of one venue and network."""

    def events(self) -> AsyncIterator[AccountEvent]:
        """Yield events for ever, reconnecting by itself; a gap shows as `FeedState(live=False)`."""
        ...

    async def watch(self, accounts: Sequence[Account]) -> None:
        """Set the accounts to follow."""
        ...

    async def close(self) -> None:
        """Stop following and end the iteration."""
        ...


@runtime_checkable
class CredentialedFeed(Protocol):
    """What an account feed can besides, where it needs a secret of each account."""

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take secrets from `source`, each time that an account is to be followed."""
        ...


MarketEvent = FeedState | BookSeen | TradesSeen | TickerSeen | CandleSeen


class MarketFeed(Protocol):
    """The public feed of one venue and network."""

    def events(self) -> AsyncIterator[MarketEvent]:
        """Yield events for ever, reconnecting by itself; a gap shows as `FeedState(live=False)`."""
        ...

    async def subscribe(self, channels: Iterable[MarketChannel]) -> None:
        """Set the channels to carry; the first call connects.

        Raises:
            InvalidInput: a channel is for no market of the venue's, has no such interval, or
                there are more than the venue carries; nothing is changed.
        """
        ...

    async def close(self) -> None:
        """Close the connection and end the iteration."""
        ...


@runtime_checkable
class SecondFeed(Protocol):
    """What a venue's entry can have besides: another way to its public data."""

    def second_market_feed(
        self, network: Network, instruments: Iterable[Instrument]
    ) -> MarketFeed | None:
        """Return a public feed by another connection point of the venue; None: there is none."""
        ...


@runtime_checkable
class ShapedVenue(Protocol):
    """What a venue's entry can have besides: the name of the module with its payloads' shapes.

    The module has one `SHAPES` of `venues.shapes.Shape`; it is imported when somebody compares.
    """

    shapes: str


class VenueSpec(Protocol):
    """A venue's entry: how to build its parts from the environment's settings."""

    @property
    def venue(self) -> str:
        """Its name, as everywhere."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def proofs(self) -> ProofTable:
        """What proves a command's outcome there."""
        ...

    def connect(self, network: Network) -> Connector:
        """Return a connector, not yet started. Raises InvalidInput for a network it lacks."""
        ...

    def account_feed(self, network: Network) -> AccountFeed:
        """Return the private feed, not yet connected."""
        ...

    def market_feed(self, network: Network, instruments: Iterable[Instrument]) -> MarketFeed:
        """Return the public feed over these markets, not yet connected."""
        ...
