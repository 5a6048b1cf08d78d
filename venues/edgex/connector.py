"""EdgeX's connector: order entry and queries on one network.

Puts the parts together and does nothing itself. Credentials come with each command, and for
questions from a source; neither is kept as text. Which commands exist and what became of them is
the ledger's matter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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
from domain.errors import InvalidInput, NotFound, VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from domain.fills import Fill
from domain.identifiers import client_order_bytes
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import SendResult, Unknown
from domain.session_states import BudgetLeft
from venues.connector import (
    Capabilities,
    MessageComposer,
    OrderLookup,
    ProofTable,
    SignerCheck,
    VenueOrder,
)
from venues.edgex import actions
from venues.edgex.account_queries import AccountQueries
from venues.edgex.budget import RequestBudget
from venues.edgex.catalog import VENUE, Catalog
from venues.edgex.confirming import Confirming
from venues.edgex.credential import ApiKey, feed_part, read_api_key
from venues.edgex.dispatch import Dispatch
from venues.edgex.keys import Keys
from venues.edgex.market_queries import MarketQueries
from venues.edgex.proofs import CAPABILITIES, PROOFS
from venues.edgex.rest import COMMAND_TIMEOUT_S, Rest
from venues.edgex.settings import REQUESTS_PER_SECOND
from venues.edgex.signing import Signer
from venues.markets import Markets
from venues.order_forms import bound_price
from venues.transport import Clock, Transport, utc_now

#: Signed once at start, so that the first order finds everything loaded; never sent.
_WARM_KEY: Final = SecretText(
    '{"api_key":"k","api_passphrase":"p","api_secret":"s","trading_private_key":"'
    + "01" * 32
    + '"}'
)
_WARM_TERMS: Final = {
    "chain_id": "1",
    "verifying_contract": "0x" + "00" * 20,
    "resolution": "1",
    "quote_coin_id": "1",
    "quote_resolution": "1",
}
_WARM_BODY: Final = {
    "contractId": "1",
    "side": "BUY",
    "expireTime": "0",
    "l2Nonce": "0",
    "l2Size": "1",
    "l2Value": "1",
    "l2LimitFee": "1",
}


class EdgexConnector:
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
        budget: RequestBudget | None = None,
    ) -> None:
        self.network = network
        self._clock = clock
        self._signer = Signer()
        self._credentials: FeedCredentialSource | None = None
        self._catalog: Catalog | None = None
        allowed = budget or RequestBudget(per_second=REQUESTS_PER_SECOND)
        self._rest = Rest(Transport(base_url, clock=clock), allowed, clock, monotonic=monotonic)
        self._markets = Markets(VENUE, self._read_markets, monotonic=monotonic)
        self._questions = MarketQueries(self._rest, self._present, clock)
        self._accounts = AccountQueries(
            self._rest,
            self._present,
            clock,
            on_account=lambda account, row: allowed.allow_orders(
                account.account_id, row.create_order_per_minute_limit
            ),
        )
        self._dispatch = Dispatch(network, self._rest, self._signer, clock)
        self._confirming = Confirming(self._accounts)
        self._keys = Keys(self._accounts)

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take the credentials that questions about accounts are signed with from `source`."""
        self._credentials = source

    def budget_left(self) -> BudgetLeft:
        """Return what is left of our own budget of requests."""
        return self._rest.budget_left()

    async def start(self) -> None:
        """Open the session, load the markets (which warms a connection) and sign once.

        Raises:
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        await self._rest.start()
        self._signer.sign_order(_WARM_KEY, _WARM_BODY, _WARM_TERMS, "1")
        await self._markets.all(refresh=True)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    def signer_of(self, credential: SecretText) -> str:
        """Return the address that the signer key signs as. Raises InvalidInput if it is none."""
        return self._signer.address(credential)

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out whether the API key reads the account, and whether the signer is the wallet."""
        signer = self._signer.address(access.credential)
        return await self._keys.check(access, self._signer.credential(access.credential), signer)

    async def mint_feed_credential(self, access: TradingAccess) -> SecretText:
        """Return the API key without the signer key: the least that opens a private socket."""
        return feed_part(self._signer.credential(access.credential))

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every market."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the client order id: 32 hexadecimal digits. The order's nonce is made of it."""
        return client_order_bytes(order_id, revision, collision).hex()

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst price within `slippage_bps` of the book's middle.

        Raises:
            InvalidInput, VenueRefused: as `venues.order_forms.bound_price`; no such market.
        """
        instrument = await self.instrument(symbol)
        book = await self._questions.order_book(symbol, 1)
        return bound_price(instrument, side, book, slippage_bps)

    async def compose(self, command: Command) -> MessageComposer:
        """Check the command against the market and return what writes its message.

        Raises:
            InvalidInput: naming the field that the venue would refuse.
        """
        match command:
            case PlaceOrder():
                await self.instrument(command.symbol)
                catalog = await self._present()
                contract = catalog.find(command.symbol)
                terms = catalog.terms(contract)
                return actions.place_composer(contract, terms, command, now=self._clock())
            case CancelOrder():
                return actions.cancel_composer(command)
            case ModifyOrder():
                raise InvalidInput("command", f"expected no change in place: {VENUE} has none")
            case BurnNonce():
                raise InvalidInput("command", f"expected no noop: {VENUE} has none")

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's message and send it once, before `row.send_by`, at most 2 s.

        The venue's answer says of an order only its id, and of a cancel only that it was taken:
        within the same 2 s both are looked up where that tells more.
        """
        deadline = asyncio.get_running_loop().time() + COMMAND_TIMEOUT_S
        sent = await self._dispatch.send_row(row, access, first=True)
        return await self._confirming.confirmed(
            sent, row, access.account, self._signer, access.credential, deadline=deadline
        )

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send a cancel again; of a placement nothing, because a copy of it may be executed."""
        if row.key.command is not CommandKind.CANCEL:
            return SendResult(
                outcome=Unknown(reason=f"not sent again: {VENUE} may execute a second copy")
            )
        deadline = asyncio.get_running_loop().time() + COMMAND_TIMEOUT_S
        sent = await self._dispatch.send_row(row, access, first=False)
        return await self._confirming.confirmed(
            sent, row, access.account, self._signer, access.credential, deadline=deadline
        )

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by client id."""
        return await self._accounts.find_order(
            account,
            await self._api(account),
            client_order_id=client_order_id,
            venue_order_id=venue_order_id,
        )

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock."""
        return await self._questions.venue_time()

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest or wait at the venue."""
        return await self._accounts.open_orders(account, await self._api(account))

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still remembers of orders, newest first."""
        return await self._accounts.order_history(account, await self._api(account))

    async def fills(self, account: Account, *, since: datetime) -> tuple[Fill, ...]:
        """Return every single fill since a time, oldest first."""
        return await self._accounts.fills(account, await self._api(account), since)

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        return await self._accounts.summary(account, await self._api(account))

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's present rates."""
        return await self._accounts.fee_rates(account, await self._api(account))

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received, oldest first."""
        return await self._accounts.funding_payments(account, await self._api(account), since)

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book, at most 200 levels a side."""
        return await self._questions.order_book((await self.instrument(symbol)).symbol, depth)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Refuse: the venue tells public trades by its socket alone.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput("venue", f"expected no question for trades: {VENUE} answers none")

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first."""
        market = await self.instrument(symbol)
        return await self._questions.candles(market.symbol, interval, start, end)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return present prices and rates of every market, without volumes."""
        return await self._questions.tickers()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        market = await self.instrument(symbol)
        return await self._questions.funding_rates(market.symbol, since)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage; asking twice does no harm.

        Raises:
            InvalidInput: no such market, more leverage than it allows, or another mode than cross.
        """
        if mode is not MarginMode.CROSS:
            raise InvalidInput(
                "mode", f"expected CROSS on {VENUE}, found {mode}: its other modes are unknown"
            )
        await self.instrument(symbol)
        contract = (await self._present()).find(symbol)
        message = actions.leverage_message(contract, leverage)
        return await self._dispatch.send_message(message, access)

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage and margin mode in one market."""
        market = await self.instrument(symbol)
        return await self._accounts.leverage(account, await self._api(account), market.symbol)

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Refuse: the venue has no such thing.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput("schedule_cancel", f"expected none: {VENUE} has no scheduled cancel")

    async def _read_markets(self) -> tuple[Instrument, ...]:
        self._catalog = await self._questions.read_catalog()
        return self._catalog.instruments

    async def _present(self) -> Catalog:
        await self._markets.all()
        if self._catalog is None:
            raise VenueUnavailable(f"expected {VENUE}'s markets, found none")
        return self._catalog

    async def _api(self, account: Account) -> ApiKey:
        """Return what a question about an account is signed with."""
        try:
            secret = None if self._credentials is None else await self._credentials.open(account)
            if secret is not None:
                return read_api_key(secret)
        except (InvalidInput, NotFound) as error:
            raise VenueRefused(f"{VENUE} tells of {account.label!r} to nobody: {error}") from None
        raise VenueRefused(
            f"{VENUE} tells of {account.label!r} only to who has its credential; none is at hand"
        )
