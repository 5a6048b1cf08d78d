"""Hyperliquid's connector: order entry and queries on one network.

Puts the parts together and does nothing itself. Keys come with each call and are never kept as
text; which commands exist and what became of them is the ledger's matter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

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
from domain.commands import BurnNonce, CancelOrder, Command, ModifyOrder, PlaceOrder
from domain.fills import Fill
from domain.identifiers import client_order_bytes
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import SendResult
from domain.session_states import BudgetLeft
from venues.batches import BatchComposer, BatchMember, BatchResult
from venues.connector import (
    Capabilities,
    MessageComposer,
    OrderLookup,
    ProofTable,
    SignerCheck,
    VenueOrder,
)
from venues.hyperliquid import actions, batch
from venues.hyperliquid.actions import Grouping
from venues.hyperliquid.answers import Asked
from venues.hyperliquid.dispatch import Dispatch, Signable
from venues.hyperliquid.proofs import ADMISSION_WINDOW_S, CAPABILITIES, PROOFS
from venues.hyperliquid.queries import Queries
from venues.hyperliquid.rate_budget import RateBudget
from venues.hyperliquid.rest import Rest
from venues.hyperliquid.roles import Roles
from venues.hyperliquid.signing import Signer
from venues.hyperliquid.translate import VENUE
from venues.markets import Markets
from venues.order_forms import bound_price
from venues.transport import Clock, Transport, utc_now

#: Signed once at start, to load the curve's tables before the first order; never sent.
_WARM_KEY: Final = SecretText("01" * 32)
_NO_ORDER: Final = (Asked(order_id="", revision=0, client_order_id=""),)


class HyperliquidConnector:
    """Implements `venues.connector.Connector`; `clock` tells the time that `send_by` is held to."""

    venue: str = VENUE
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS

    def __init__(
        self,
        network: Network,
        base_url: str,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        budget: RateBudget | None = None,
    ) -> None:
        self.network = network
        self._clock = clock
        self._signer = Signer()
        transport = Transport(base_url, clock=clock)
        self._rest = Rest(transport, budget or RateBudget(), monotonic=monotonic)
        self._roles = Roles(self._rest)
        self._queries = Queries(self._rest, clock)
        self._markets = Markets(VENUE, self._queries.instruments, monotonic=monotonic)
        self._dispatch = Dispatch(network, self._rest, self._roles, self._signer, clock)

    async def start(self) -> None:
        """Open the session, load the markets (which warms a connection) and sign once.

        Raises:
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        await self._rest.start()
        self._signer.sign(
            _WARM_KEY,
            {"type": "noop"},
            nonce=0,
            vault_address=None,
            expires_after_ms=0,
            is_mainnet=False,
        )
        await self._markets.all(refresh=True)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the weight that a minute allows."""
        return self._rest.budget_left()

    def signer_of(self, credential: SecretText) -> str:
        """Return the address a private key signs as. Raises InvalidInput if it is no key."""
        return self._signer.address(credential)

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out whether a key is an agent of the account, and until when."""
        return await self._roles.check(access, self._signer.address(access.credential))

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every market, delisted ones included."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the client order id: the venue's cloid, 0x and 32 lower-case digits."""
        return "0x" + client_order_bytes(order_id, revision, collision).hex()

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst price within `slippage_bps` of the book's middle.

        Raises:
            InvalidInput, VenueRefused: as `venues.order_forms.bound_price`; no such market.
        """
        instrument = await self.instrument(symbol)
        book = await self._queries.order_book(symbol, 1)
        return bound_price(instrument, side, book, slippage_bps)

    async def compose(self, command: Command) -> MessageComposer:
        """Check the command against the market and return what writes its message.

        Raises:
            InvalidInput: naming the field that the venue would refuse.
        """
        match command:
            case PlaceOrder():
                return actions.place_composer(await self.instrument(command.symbol), command)
            case CancelOrder():
                return actions.cancel_composer(await self.instrument(command.symbol), command)
            case ModifyOrder():
                instrument = await self.instrument(command.order.symbol)
                return actions.modify_composer(instrument, command)
            case BurnNonce():
                return actions.noop_composer(command)

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's message and send it once, before `row.send_by`, at most 2 s.

        A noop's outcomes: Accepted, the nonce is burnt and nothing with it was or will be
        executed; Rejected `nonce_used`, something with it was admitted before; Rejected
        `nonce_too_low`, nothing with it was admitted, nor can be.
        """
        return await self._dispatch.send_row(row, access, first=True)

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send the row's bytes again; the venue executes them at most once.

        `duplicate nonce` (Unknown here) means that an earlier copy was admitted. A refusal decides
        only if it proves that no earlier copy was; everything else stays Unknown.
        """
        return await self._dispatch.send_row(row, access, first=False)

    async def compose_place_batch(
        self, commands: Sequence[PlaceOrder], *, grouping: Grouping = Grouping.NONE
    ) -> BatchComposer:
        """Return what writes several placements as one action, see `batch`."""
        members = [(await self.instrument(command.symbol), command) for command in commands]
        return batch.place_batch_composer(members, grouping)

    async def compose_joint(self, entry: PlaceOrder, exits: Sequence[PlaceOrder]) -> BatchComposer:
        """Return what writes an entry with its exits as one action (grouping normalTpsl)."""
        return await self.compose_place_batch((entry, *exits), grouping=Grouping.PARENT_AND_EXITS)

    async def compose_cancel_batch(self, commands: Sequence[CancelOrder]) -> BatchComposer:
        """Return what writes several cancels as one action, see `batch`."""
        members = [(await self.instrument(command.symbol), command) for command in commands]
        return batch.cancel_batch_composer(members)

    async def send_batch(
        self, row: CommandRow, access: TradingAccess, members: Sequence[BatchMember]
    ) -> BatchResult:
        """Send a batch's row once; outcomes come per member, in the order of the message.

        A refusal of the whole action, and a single error in place of one per order, count for
        every member. No answer means that every member is Unknown.
        """
        return await self._dispatch.send_members(row, access, members, first=True)

    async def resend_batch(
        self, row: CommandRow, access: TradingAccess, members: Sequence[BatchMember]
    ) -> BatchResult:
        """Send a batch's bytes again, as `resend` does."""
        return await self._dispatch.send_members(row, access, members, first=False)

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by client id.

        None means: never existed, aged out (about 2000 orders are remembered), or not indexed yet.
        """
        return await self._queries.find_order(account, client_order_id, venue_order_id)

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, from `clearinghouseState`."""
        return await self._queries.venue_time(account)

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest or wait at the venue."""
        return await self._queries.open_orders(account)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still remembers of orders, newest first."""
        return await self._queries.order_history(account)

    async def fills(self, account: Account, *, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first, across pages."""
        return await self._queries.fills(account, since)

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        return await self._queries.account_summary(account)

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's fee rates."""
        return await self._queries.fee_rates(account)

    async def account_room(self, account: Account) -> AccountRoom:
        """Return how many orders may rest, and how many of the account's actions are left.

        Source: docs api/rate-limits-and-user-limits: 1000 orders and one more for each 5 million
        USDC of volume, at most 5000; the actions are counted in `userRateLimit`.
        """
        return await self._queries.account_room(account)

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received since a time, oldest first."""
        return await self._queries.funding_payments(account, since)

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book, at most 20 levels a side."""
        return await self._queries.order_book((await self.instrument(symbol)).symbol, depth)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        return await self._queries.recent_trades((await self.instrument(symbol)).symbol, limit)

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first."""
        market = await self.instrument(symbol)
        return await self._queries.candles(market.symbol, interval, start, end)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return present prices and rates of every open market."""
        return await self._queries.tickers()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        market = await self.instrument(symbol)
        return await self._queries.funding_rates(market.symbol, since)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage and margin mode of one market; asking twice does no harm.

        Raises:
            InvalidInput: no such market, or more leverage than it allows.
        """
        instrument = await self.instrument(symbol)
        return await self._send_plain(
            access, actions.leverage_action(instrument, leverage, mode), nonce
        )

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage and margin mode in one market, from `activeAssetData`."""
        market = await self.instrument(symbol)
        return await self._queries.leverage(account, market.symbol)

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Arm the venue's cancel of all orders at a time (5 s ahead or more), or disarm it."""
        return await self._send_plain(access, actions.schedule_cancel_action(at), nonce)

    async def _send_plain(
        self, access: TradingAccess, action: dict[str, Any], nonce: int
    ) -> SendResult:
        signable = Signable(
            action=action,
            signer=self._signer.address(access.credential),
            nonce=nonce,
            admitted_until=self._clock() + timedelta(seconds=ADMISSION_WINDOW_S),
            kind=None,
        )
        result = await self._dispatch.send(signable, access, _NO_ORDER)
        return SendResult(
            outcome=result.outcomes[0], raw=result.raw, received_at=result.received_at
        )
