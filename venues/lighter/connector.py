"""Lighter for order entry and queries: puts the parts together and decides nothing itself.

Which commands exist and what became of them is the ledger's matter; which worker has which key's
lane, `activities.lanes`' one.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Final

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
from domain.commands import BurnNonce, CancelOrder, Command, CommandKind, ModifyOrder, PlaceOrder
from domain.errors import CorruptState, InvalidInput, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from domain.fills import Fill
from domain.identifiers import client_order_bytes
from domain.instruments import Instrument, OrderSide
from domain.lanes import LaneSet
from domain.ledger import CommandRow, CommandSlot
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import Acknowledged, SendResult
from domain.session_states import BudgetLeft
from domain.verdict_looks import FeedWord, NoFeed
from venues.connector import (
    Capabilities,
    MessageComposer,
    OrderLookup,
    ProofTable,
    SignerCheck,
    VenueOrder,
)
from venues.lanes import MessageSigner
from venues.lighter import actions
from venues.lighter.credential import (
    INDEX_MIN,
    LighterCredential,
    account_index_of,
    read_credential,
)
from venues.lighter.dispatch import Dispatch
from venues.lighter.keys import Keys
from venues.lighter.limits import Purpose, RequestBudget
from venues.lighter.native import generate_key
from venues.lighter.proofs import CAPABILITIES, PROOFS
from venues.lighter.queries import Queries
from venues.lighter.rest import COMMAND_TIMEOUT_S, Rest
from venues.lighter.signing import CANCEL_ORDER, Signer, hash_of, message
from venues.lighter.tokens import Tokens
from venues.lighter.translate import VENUE, MarketNames, to_ms
from venues.lighter.turns import Turns
from venues.lighter.verdicts import verdict_on
from venues.markets import Markets
from venues.order_forms import bound_price
from venues.transport import Clock, Transport, utc_now

#: An acknowledged command's verdict is waited for so long, its sending included.
_VERDICT_TIMEOUT_S: Final = COMMAND_TIMEOUT_S + 1.0


class LighterConnector:
    """Implements `venues.connector.Connector`; `clock` tells the time that `send_by` is held to."""

    venue: str = VENUE
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS

    def __init__(
        self,
        network: Network,
        base_url: str,
        chain_id: int,
        *,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        budget: RequestBudget | None = None,
    ) -> None:
        self.network = network
        self._clock = clock
        self._signer = Signer(chain_id)
        self._turns = Turns()
        self._tokens = Tokens(self._signer, clock)
        self._names = MarketNames(())
        self._feed: FeedWord = NoFeed()
        transport = Transport(base_url, clock=clock)
        self._rest = Rest(transport, budget or RequestBudget(), monotonic=monotonic)
        self._queries = Queries(self._rest, self._tokens, clock, lambda: self._names)
        self._markets = Markets(VENUE, self._read_markets, monotonic=monotonic)
        self._dispatch = Dispatch(
            network, self._rest, self._queries, self._signer, self._turns, clock
        )
        self._keys = Keys(self._queries, self._signer, clock)

    async def start(self) -> None:
        """Open the session, load the markets (which warms a connection) and sign once.

        Raises:
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        await self._rest.start()
        await asyncio.to_thread(self._warm_signer)
        await self._markets.all(refresh=True)

    def _warm_signer(self) -> None:
        """Load the library and sign with a key of nobody's."""
        keys = {INDEX_MIN: generate_key()[0].removeprefix("0x")}
        credential = LighterCredential(account_index=1, keys=keys)
        text = message(CANCEL_ORDER, {"MarketIndex": 0, "Index": 1})
        self._signer.sign(credential, text, key_index=credential.own_index, nonce=0)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    async def _read_markets(self) -> tuple[Instrument, ...]:
        found = await self._queries.instruments()
        self._names = MarketNames(found)
        return found

    def budget_left(self) -> BudgetLeft:
        """Return what is left of what a minute allows."""
        return self._rest.budget_left()

    # Keys and lanes.

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take what reads of an account from `source`; see `CredentialedQueries`."""
        self._tokens.use(source)

    def use_feed(self, feed: FeedWord) -> None:
        """Hear from `feed` what became of commands, and ask the venue only where it is silent."""
        self._feed = feed

    def token_expiries(self, account_id: str) -> Mapping[str, datetime]:
        """Return when the token that questions about an account are asked with ends."""
        return self._tokens.expiries(account_id)

    def signer_of(self, credential: SecretText) -> str:
        """Return what a credential is called. Raises InvalidInput if it is none."""
        return read_credential(credential).signer

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out whether the keys belong to the account, by reading with each of them."""
        return await self._keys.check(access)

    async def mint_feed_credential(self, access: TradingAccess) -> SecretText:
        """Return a token to read the account with, good for seven hours."""
        credential = read_credential(access.credential)
        token = self._signer.token(credential, self._clock(), key_index=credential.own_index)
        return SecretText(token)

    def lanes_of(self, access: TradingAccess) -> LaneSet:
        """Return the lanes of an account's keys; see `venues.lanes.Laned`."""
        credential = read_credential(access.credential)
        return LaneSet(
            orders=credential.order_lanes,
            cancels=credential.cancel_lanes,
            spare=str(credential.own_index),
        )

    async def next_nonce(self, access: TradingAccess, lane: str) -> int:
        """Return the nonce that the venue expects next on a lane."""
        name = self._lane_name(access, lane)
        async with self._turns.turn(name, None, wait_s=COMMAND_TIMEOUT_S) as turn:
            expected = await self._queries.next_nonce(*name, purpose=Purpose.CANCEL)
            if turn is not None:
                turn.learn(expected)
            return expected

    def lane_is_clear(self, access: TradingAccess, lane: str) -> bool:
        """Tell whether every transaction of a lane that was sent has been answered."""
        return self._turns.expected(self._lane_name(access, lane)) is not None

    def forget_lane(self, access: TradingAccess, lane: str) -> None:
        """Know nothing of a lane any more: it was somebody else's."""
        self._turns.forget(self._lane_name(access, lane))

    def _lane_name(self, access: TradingAccess, lane: str) -> tuple[int, int]:
        return account_index_of(access.account.address), int(lane)

    def message_signer(self, access: TradingAccess, lane: str) -> MessageSigner:
        """Return what signs a command's message once its slot is known; see `Laned`.

        Raises:
            InvalidInput: the credential is none.
        """
        credential, key_index = read_credential(access.credential), int(lane)

        def sign(slot: CommandSlot, text: str) -> str:
            if slot.nonce is None or slot.admitted_until is None:
                raise CorruptState(f"expected a nonce and an end of admission for {VENUE}")
            made = self._signer.sign(credential, text, key_index=key_index, nonce=slot.nonce)
            if made.expires_ms > to_ms(slot.admitted_until):
                # Signed too long after the row's time; nothing was sent, and the row goes back.
                raise VenueUnavailable(
                    f"expected a signature that ends by {slot.admitted_until}, found one until "
                    f"{made.expires_ms}; try again"
                )
            return made.to_text()

        return sign

    # Markets.

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the client order id: a number below 2^48, by a hash of the order's bytes."""
        digest = hashlib.sha256(client_order_bytes(order_id, revision, collision)).digest()
        return str(1 + int.from_bytes(digest[:8], "big") % (actions.NOBODYS_INDEX - 1))

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst price within `slippage_bps` of the book's middle.

        Raises:
            InvalidInput, VenueRefused: as `venues.order_forms.bound_price`; no such market.
        """
        instrument = await self.instrument(symbol)
        book = await self._queries.order_book(instrument, 1)
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
            case BurnNonce():
                return actions.burn_composer(command)
            case ModifyOrder():
                raise InvalidInput("command", f"expected no modify on {VENUE}: it is not used")

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send the row's transaction once, before `row.send_by`, and look what became of it."""
        if row.key.command is CommandKind.NOOP:
            return await self._dispatch.burn(row, access, first=True)
        return await self._with_verdict(
            row, access, await self._dispatch.send_row(row, access, first=True)
        )

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send the same bytes again: with their nonce they are executed once at most."""
        if row.key.command is CommandKind.NOOP:
            return await self._dispatch.burn(row, access, first=False)
        return await self._with_verdict(
            row, access, await self._dispatch.send_row(row, access, first=False)
        )

    async def _with_verdict(
        self, row: CommandRow, access: TradingAccess, result: SendResult
    ) -> SendResult:
        if not isinstance(result.outcome, Acknowledged):
            return result
        looks = _Looks(self._queries, access.account, row)
        try:
            with self._feed.follow(row) as news:
                async with asyncio.timeout(_VERDICT_TIMEOUT_S):
                    outcome = await verdict_on(row, looks, news)
        except TimeoutError:
            return result
        return replace(result, outcome=outcome)

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by client id."""
        if client_order_id is not None:
            # The only question about one order that the venue has.
            venue_order_id = None
        return await self._queries.find_order(account, client_order_id, venue_order_id)

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, in whole seconds, rounded down."""
        return await self._rest.venue_time()

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest or wait at the venue."""
        return await self._queries.open_orders(account)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still lists of ended orders, newest first."""
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

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received since a time, oldest first."""
        return await self._queries.funding_payments(account, since)

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book, summed up from at most 250 orders a side."""
        return await self._queries.order_book(await self.instrument(symbol), depth)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        return await self._queries.recent_trades(await self.instrument(symbol), limit)

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first."""
        return await self._queries.candles(await self.instrument(symbol), interval, start, end)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return present prices of every market that is open."""
        return await self._queries.tickers()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        return await self._queries.funding_rates(await self.instrument(symbol), since)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage and margin mode; asking twice does no harm.

        The nonce is the one that the venue names for the key of settings, not `nonce`.

        Raises:
            InvalidInput: no such market, or more leverage than it allows.
        """
        text = actions.leverage_message(await self.instrument(symbol), leverage, mode)
        return await self._dispatch.send_message(text, access)

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage and margin mode in one market."""
        return await self._queries.leverage_of(account, await self.instrument(symbol))

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Arm or disarm the venue's cancel of everything; the nonce is as in `set_leverage`.

        Raises:
            InvalidInput: it is nearer than 5 minutes, or further than 15 days.
        """
        text = actions.schedule_message(at, self._clock())
        return await self._dispatch.send_message(text, access, purpose=Purpose.CANCEL)


class _Looks:
    """Implements `verdicts.Looks` for one row."""

    def __init__(self, queries: Queries, account: Account, row: CommandRow) -> None:
        self._queries = queries
        self._account = account
        self._row = row
        # A cancel has not cut risk before it is known to have: its questions go with it.
        is_cancel = row.key.command is CommandKind.CANCEL
        self._purpose = Purpose.CANCEL if is_cancel else Purpose.VERDICT

    async def order(self) -> VenueOrder | None:
        found = await self._queries.find_order(
            self._account, self._row.client_order_id, None, purpose=self._purpose
        )
        return found.order

    async def is_executed(self) -> bool:
        return await self._queries.is_executed(hash_of(self._row.signed), purpose=self._purpose)

    def left(self) -> int:
        return self._queries.looks_left(self._purpose)

    def next_in_s(self) -> float:
        return self._queries.look_in_s(self._purpose)
