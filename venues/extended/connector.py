"""Extended's connector: order entry and queries on one network.

Puts the parts together and does nothing itself. Credentials come with each call, and for questions
from a source; which commands exist and what became of them is the ledger's matter.
"""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

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
from domain.errors import InvalidInput
from domain.feed_credentials import FeedCredentialSource
from domain.fills import Fill
from domain.identifiers import client_order_bytes
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import NotSent, SendResult, Unknown
from domain.session_states import BudgetLeft
from venues.connector import (
    Capabilities,
    MessageComposer,
    OrderLookup,
    ProofTable,
    SignerCheck,
    VenueOrder,
)
from venues.extended import actions
from venues.extended.answers import Asked
from venues.extended.api_keys import ApiKeys
from venues.extended.dispatch import Dispatch, check_vault, decided
from venues.extended.market_queries import MarketQueries
from venues.extended.proofs import CAPABILITIES, PROOFS
from venues.extended.queries import Queries
from venues.extended.rest import KeyRefused, Rest
from venues.extended.settings import MAX_FEE_RATE, REQUESTS_PER_MINUTE
from venues.extended.signing import Assets, OrderTerms, Signer
from venues.extended.translate import VENUE
from venues.markets import Markets
from venues.order_forms import bound_price
from venues.rate_budget import Purpose, RateBudget
from venues.transport import Clock, Transport, utc_now

#: Signed once at start, so that the first order finds everything loaded; never sent.
_WARM_KEY: Final = SecretText(
    json.dumps(
        {
            "vault": 1,
            "private_key": "0x1",
            "public_key": "0x1ef15c18599971b7beced415a40f0c7deacfd9b0d1819e03d723d8bc943cfca",
            "api_key": "nobody-has-this-key",
        }
    )
)
_WARM_TERMS: Final = OrderTerms(
    side=OrderSide.BUY,
    quantity=Decimal(1),
    price=Decimal(1),
    fee_rate=MAX_FEE_RATE,
    expiry_ms=0,
    salt=1,
    assets=Assets(collateral_id=1, collateral_resolution=1, synthetic_id=1, synthetic_resolution=1),
    chain_id="SN_SEPOLIA",
)
_POWER: Final = (
    "Stark key of one sub-account: places orders, and the venue would take its signature on "
    "transfers and withdrawals too, by its own words to wallets and accounts linked to the client "
    "alone; there is no lesser trading key. This system signs orders only. The API key beside it "
    "reads everything, cancels, and sets leverage: use a sub-account with limited funds"
)


class ExtendedConnector:
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
        max_fee_rate: Decimal = MAX_FEE_RATE,
    ) -> None:
        self.network = network
        self._clock = clock
        self._max_fee_rate = max_fee_rate
        self._signer = Signer()
        self._keys = ApiKeys()
        transport = Transport(base_url, clock=clock)
        self._rest = Rest(
            transport, budget or RateBudget(per_minute=REQUESTS_PER_MINUTE), monotonic=monotonic
        )
        self._queries = Queries(self._rest, self._keys, clock)
        self._market_queries = MarketQueries(self._rest, clock)
        self._markets = Markets(VENUE, self._market_queries.instruments, monotonic=monotonic)
        self._dispatch = Dispatch(network, self._rest, self._queries, self._signer, clock)

    async def start(self) -> None:
        """Open the session, load the markets (which warms a connection) and sign once.

        Raises:
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        await self._rest.start()
        self._signer.sign(_WARM_KEY, _WARM_TERMS)
        await self._markets.all(refresh=True)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the requests that a minute allows."""
        return self._rest.budget_left()

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take the API keys that questions need from `source`."""
        self._keys.use(source)

    def signer_of(self, credential: SecretText) -> str:
        """Return the Stark public key of a credential. Raises InvalidInput if it is none."""
        return self._signer.public_key(credential)

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out whether all four parts of a credential are of the account that is meant.

        Raises:
            InvalidInput: it is no credential.
            VenueUnavailable, VenueRefused: the venue did not say.
        """
        signer, account = self._signer.public_key(access.credential), access.account
        try:
            check_vault(self._signer, access, account)
        except InvalidInput as error:
            return _refused(signer, error.message)
        try:
            found = await self._queries.whose_key(self._signer.api_key(access.credential))
        except KeyRefused:
            return _refused(signer, f"{VENUE} ({account.network}) does not know this API key")
        if str(found.l2Vault) != account.address:
            return _refused(
                signer,
                f"the API key is of vault {found.l2Vault}, the account is {account.address}; copy "
                "all four parts from one line of the venue's API page",
            )
        if not _is_same_key(found.l2Key, signer):
            return _refused(
                signer,
                f"{VENUE} has another Stark key for vault {account.address} than this one; the "
                "sub-account's own is on the venue's API page",
            )
        return SignerCheck(
            signer=signer,
            owner_address=account.address,
            power=_POWER,
            expires_at=None,
            refusal=None,
        )

    async def mint_feed_credential(self, access: TradingAccess) -> SecretText:
        """Return the API key alone: it can read and could cancel, and places nothing."""
        return SecretText(self._signer.api_key(access.credential))

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every perpetual market that is traded by orders in a book."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the external id: a whole UUID in lower case."""
        return str(uuid.UUID(bytes=client_order_bytes(order_id, revision, collision)))

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst price within `slippage_bps` of the book's middle.

        Raises:
            InvalidInput, VenueRefused: as `venues.order_forms.bound_price`; no such market.
        """
        instrument = await self.instrument(symbol)
        book = await self._market_queries.order_book(symbol, 1)
        return bound_price(instrument, side, book, slippage_bps)

    async def compose(self, command: Command) -> MessageComposer:
        """Check the command against the market and return what writes its message.

        Raises:
            InvalidInput: naming the field that the venue would refuse.
        """
        match command:
            case PlaceOrder():
                instrument = await self.instrument(command.symbol)
                return actions.place_composer(
                    self.network,
                    instrument,
                    self._market_queries.listing(command.symbol),
                    command,
                    fee_rate=self._max_fee_rate,
                    now=self._clock(),
                )
            case CancelOrder():
                await self.instrument(command.symbol)
                return actions.cancel_composer(command)
            case ModifyOrder():
                raise InvalidInput(
                    "command",
                    f"expected a cancel and a placement: {VENUE}'s replacement is for the whole "
                    "quantity again, whatever the old order fills meanwhile",
                )
            case BurnNonce():
                raise InvalidInput("command", f"expected no noop: {VENUE} has no nonces")

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's message and send it once, before `row.send_by`; at most 2 s.

        The venue's success says that it was queued: within the same 2 s its verdict is looked up.
        """
        return await self._dispatch.send_row(row, access, first=True)

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send a cancel again, which names its order; of a placement nothing.

        That the venue refuses a second copy of an order is documented by its number alone.
        """
        if row.key.command is not CommandKind.CANCEL:
            return SendResult(
                outcome=Unknown(reason=f"not sent again: {VENUE} may take a second copy")
            )
        return await self._dispatch.send_row(row, access, first=False)

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by client id."""
        return await self._queries.find_order(account, client_order_id, venue_order_id)

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, rounded down to the second."""
        return await self._market_queries.venue_time()

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest or wait at the venue."""
        return await self._queries.open_orders(account)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still remembers of ended orders, newest first."""
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
        """Return the book."""
        return await self._market_queries.order_book((await self.instrument(symbol)).symbol, depth)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Return public trades, newest first."""
        market = await self.instrument(symbol)
        return await self._market_queries.recent_trades(market.symbol, limit)

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first."""
        market = await self.instrument(symbol)
        return await self._market_queries.candles(market.symbol, interval, start, end)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return present prices and rates of every market."""
        return await self._market_queries.tickers()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        market = await self.instrument(symbol)
        return await self._market_queries.funding_rates(market.symbol, since)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set the leverage of one market; asking twice does no harm.

        Raises:
            InvalidInput: no such market, more leverage than it allows, or isolated margin, which
                at this venue is a sub-account of its own.
        """
        if mode is not MarginMode.CROSS:
            raise InvalidInput("mode", f"expected CROSS on {VENUE}, found {mode}")
        body = actions.leverage_body(await self.instrument(symbol), leverage)
        result = await self._rest.command(
            "PATCH",
            "/user/leverage",
            msgspec.json.encode(body),
            api_key=self._signer.api_key(access.credential),
            purpose=Purpose.COMMAND,
        )
        return decided(result, Asked(kind=None), first=True)

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage in one market."""
        return await self._queries.leverage_of(account, (await self.instrument(symbol)).symbol)

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Arm (or with None disarm) the countdown after which the venue cancels all orders.

        It is told in whole seconds from now, rounded up; whether it spares conditional orders is
        not documented.
        """
        ahead_s = 0 if at is None else math.ceil((at - self._clock()).total_seconds())
        if at is not None and ahead_s < 1:
            return SendResult(
                outcome=NotSent(
                    reason=f"expected a time ahead of now, found {at}",
                    proof="no byte was written",
                    retryable=False,
                )
            )
        result = await self._rest.command(
            "POST",
            f"/user/deadmanswitch?countdownTime={ahead_s}",
            None,
            api_key=self._signer.api_key(access.credential),
            purpose=Purpose.CANCEL,
        )
        return decided(result, Asked(kind=None), first=True)


def _is_same_key(text: str, signer: str) -> bool:
    try:
        return int(text, 16) == int(signer, 16)
    except ValueError:
        return False


def _refused(signer: str, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=signer, owner_address=None, power="none", expires_at=None, refusal=refusal
    )
