"""Vest's connector: order entry and queries on one network.

Puts the parts together, and looks up what became of what the venue has taken. Keys come with each
call and are never kept as text; which commands exist and what became of them is the ledger's
matter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
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
from domain.errors import CorruptState, InvalidInput, VenueRefused, VenueUnavailable
from domain.feed_credentials import FeedCredentialSource
from domain.fills import Fill
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import Acknowledged, Outcome, SendResult, Unknown
from domain.session_states import BudgetLeft
from venues.connector import (
    Capabilities,
    MessageComposer,
    OrderLookup,
    ProofTable,
    SignerCheck,
    VenueOrder,
)
from venues.markets import Markets
from venues.order_forms import bound_price
from venues.transport import Clock, Transport, utc_now
from venues.vest import actions, credential, translate
from venues.vest.answers import Asked, canceled, placed
from venues.vest.dispatch import Dispatch
from venues.vest.keys import Keys
from venues.vest.proofs import CAPABILITIES, PROOFS
from venues.vest.queries import Queries, Readers
from venues.vest.rate_budget import RateBudget
from venues.vest.rest import Rest
from venues.vest.settings import REQUESTS_PER_MINUTE
from venues.vest.signing import CANCEL, ORDER, Signer, check_allowed
from venues.vest.translate import VENUE, to_ms

#: Signed once at start, so that the first order finds everything loaded; never sent.
_WARM_KEY: Final = SecretText(f'{{"signingKey":"0x{"01" * 32}","apiKey":"warm","accGroup":0}}')
_WARM_CANCEL: Final = {"time": 0, "nonce": 0, "id": "0x0"}
#: From the first byte: so long a command may take with the look-ups that tell what became of it.
_DECIDED_WITHIN_S: Final = 3.0
_LOOK_FIRST_S: Final = 0.02
_LOOK_EVERY_MAX_S: Final = 0.4


class VestConnector:
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
        self._rest = Rest(
            Transport(base_url, clock=clock),
            budget or RateBudget(per_minute=REQUESTS_PER_MINUTE),
            monotonic=monotonic,
        )
        self._readers = Readers(monotonic)
        self._queries = Queries(self._rest, self._readers, clock)
        self._markets = Markets(VENUE, self._queries.instruments, monotonic=monotonic)
        self._dispatch = Dispatch(network, self._rest, self._queries, self._signer, clock)
        self._keys = Keys(self._dispatch, self._queries, clock)

    async def start(self) -> None:
        """Open the session, load the markets (which warms a connection) and sign once.

        Raises:
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        await self._rest.start()
        self._signer.sign(_WARM_KEY, CANCEL, _WARM_CANCEL)
        await self._markets.all(refresh=True)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the requests that we allow ourselves."""
        return self._rest.budget_left()

    # Credentials.

    def use_credentials(self, source: FeedCredentialSource) -> None:
        """Take from `source` who asks about an account."""
        self._readers.use(source)

    def signer_of(self, credential: SecretText) -> str:
        """Return the signing address. Raises InvalidInput if it is no credential."""
        return self._signer.address(credential)

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out whether a credential signs for the account, by a request that can do nothing."""
        return await self._keys.check(access, self._signer.address(access.credential))

    async def mint_feed_credential(self, access: TradingAccess) -> SecretText:
        """Return the API key without the signing key: it reads, and can order nothing.

        It can set leverage, which the venue lets an API key do without a signature.
        """
        return credential.feed_part(access.credential)

    # Markets.

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Refuse: the ledger names an order by its nonce here (`NonceRule.NAMES_ORDER`).

        Raises:
            CorruptState: always.
        """
        raise CorruptState(f"expected the ledger to name an order of {VENUE} by its nonce")

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst price within `slippage_bps` of the book's middle.

        Raises:
            InvalidInput, VenueRefused: as `venues.order_forms.bound_price`; no such market.
        """
        instrument = await self.instrument(symbol)
        book = await self._queries.order_book(instrument.venue_symbol, 1)
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
                return actions.cancel_composer(command)
            case ModifyOrder():
                raise InvalidInput("command", f"expected no modify: {VENUE} has none")
            case BurnNonce():
                raise InvalidInput("command", f"expected no noop: {VENUE} has none")

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's message, send it once before `row.send_by`, and see what became of it.

        The venue's answer only says that it took the request. It is looked up for the rest of 3 s;
        what is not decided by then stays Acknowledged, and is resolved.
        """
        return await self._sent(row, access, first=True)

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send a cancel again, which names its one order; of a placement send nothing.

        That the venue refuses a second copy of a placement is not verified.
        """
        if row.key.command is not CommandKind.CANCEL:
            return SendResult(
                outcome=Unknown(reason=f"not sent again: {VENUE} may execute a second copy")
            )
        return await self._sent(row, access, first=False)

    async def _sent(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        deadline = asyncio.get_running_loop().time() + _DECIDED_WITHIN_S
        result, asked = await self._dispatch.send_row(row, access, first=first)
        if not isinstance(result.outcome, Acknowledged):
            return result
        try:
            async with asyncio.timeout_at(deadline):
                found = await self._verdict(row, access, asked, result.outcome)
        except (TimeoutError, VenueUnavailable, VenueRefused):
            return result
        return replace(result, outcome=found)

    async def _verdict(
        self, row: CommandRow, access: TradingAccess, asked: Asked, taken: Acknowledged
    ) -> Outcome:
        """Look the order up until the venue has decided about the command."""
        reader = credential.reader(access.credential)
        pause_s = _LOOK_FIRST_S
        may_rest = _may_rest(row)
        while True:
            found = await self._queries.order_row(
                reader, venue_order_id=taken.venue_order_id, wait_max_s=0.0
            )
            if found is not None:
                seen = translate.order_row(found)
                decided: Outcome | None
                if asked.kind is CommandKind.CANCEL:
                    decided = canceled(asked, seen)
                elif may_rest or seen.verdict.is_terminal:
                    decided = placed(asked, seen, found.code)
                else:
                    decided = None
                if decided is not None:
                    return decided
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LOOK_EVERY_MAX_S)

    # Queries.

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by its nonce."""
        order = await self._queries.find_order(
            account, nonce=client_order_id, venue_order_id=venue_order_id
        )
        return OrderLookup(order=order)

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, as its answer about the account tells it."""
        return await self._queries.venue_time(account)

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest at the venue."""
        return await self._queries.open_orders(account)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return what the venue still remembers of ended orders, newest first."""
        return await self._queries.order_history(account)

    async def fills(self, account: Account, *, since: datetime) -> tuple[Fill, ...]:
        """Return fills derived from orders, oldest first: the venue lists none."""
        return await self._queries.fills(account, since)

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        return await self._queries.account_summary(account)

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the highest rates of the venue: an account's own are not told."""
        return await self._queries.fee_rates()

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return none: the venue lists no payments, they are in the account's money."""
        return ()

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book, at most 100 levels a side."""
        return await self._queries.order_book((await self.instrument(symbol)).venue_symbol, depth)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Return public trades, newest first; the venue does not say who took."""
        market = await self.instrument(symbol)
        return await self._queries.recent_trades(market.venue_symbol, limit)

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first."""
        market = await self.instrument(symbol)
        return await self._queries.candles(market.venue_symbol, interval, start, end)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return present prices and rates of every market."""
        known = {market.symbol for market in await self._markets.all()}
        return tuple(one for one in await self._queries.tickers() if one.symbol in known)

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        market = await self.instrument(symbol)
        return await self._queries.funding_rates(market.venue_symbol, since)

    # Settings.

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage; asking twice does no harm.

        Raises:
            InvalidInput: no such market, more leverage than it allows, or another margin mode than
                the market's, which nobody can choose.
        """
        instrument = await self.instrument(symbol)
        own = MarginMode.ISOLATED if self._queries.is_isolated(instrument) else MarginMode.CROSS
        if mode is not own:
            raise InvalidInput(
                "margin_mode", f"expected {own} for {symbol}: {VENUE} sets it by market"
            )
        body = actions.leverage_body(instrument, leverage, to_ms(self._clock()))
        return await self._dispatch.send_setting(body, access)

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage in one market."""
        return await self._queries.leverage_of(account, await self.instrument(symbol))

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Refuse: the venue has no such thing.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput("schedule_cancel", f"expected none: {VENUE} has no scheduled cancel")


def _may_rest(row: CommandRow) -> bool:
    """Tell whether an order may be open for good: a market or FOK order in NEW is under way."""
    if row.key.command is not CommandKind.PLACE:
        return False
    message = check_allowed(row.message)
    return bool(message["type"] == ORDER and message["order"].get("timeInForce") == "GTC")
