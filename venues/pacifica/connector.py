"""Pacifica's connector: order entry and queries on one network.

Puts the parts together and does nothing itself. Keys come with each call and are never kept as
text; which commands exist and what became of them is the ledger's matter.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

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
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.fills import Fill
from domain.identifiers import client_order_bytes
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import Accepted, SendResult, Unknown
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
from venues.pacifica import actions, base58
from venues.pacifica.answers import SOURCE
from venues.pacifica.credits import CreditBudget
from venues.pacifica.dispatch import Dispatch
from venues.pacifica.keys import Keys
from venues.pacifica.proofs import ADMISSION_WINDOW_S, CAPABILITIES, PROOFS
from venues.pacifica.queries import Queries
from venues.pacifica.rest import COMMAND_TIMEOUT_S, Rest
from venues.pacifica.signing import Signer, check_allowed
from venues.pacifica.translate import VENUE
from venues.transport import Clock, Transport, utc_now

#: Signed once at start, so that the first order finds everything loaded; never sent.
_WARM_KEY: Final = SecretText(base58.encode(bytes([1]) * 32))
_EPOCH_MESSAGE: Final = (
    '{"data":{"symbol":"BTC"},"expiry_window":0,"timestamp":0,"type":"cancel_order"}'
)


class PacificaConnector:
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
        budget: CreditBudget | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.network = network
        self._clock = clock
        self._signer = Signer()
        transport = Transport(base_url, clock=clock, headers=headers)
        self._rest = Rest(transport, budget or CreditBudget(), monotonic=monotonic)
        self._queries = Queries(self._rest, clock)
        self._markets = Markets(VENUE, self._queries.instruments, monotonic=monotonic)
        self._dispatch = Dispatch(network, self._rest, self._signer, clock)
        self._keys = Keys(self._dispatch, self._queries, clock)

    async def start(self) -> None:
        """Open the session, load the markets (which warms a connection) and sign once.

        Raises:
            VenueUnavailable, VenueRefused: the markets could not be read.
        """
        await self._rest.start()
        self._signer.sign(_WARM_KEY, _EPOCH_MESSAGE)
        await self._markets.all(refresh=True)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the credits that a minute allows."""
        return self._rest.budget_left()

    def signer_of(self, credential: SecretText) -> str:
        """Return the address a private key signs as. Raises InvalidInput if it is no key."""
        return self._signer.address(credential)

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Find out whether a key is an agent of the account, by a request that can do nothing."""
        signer = self._signer.address(access.credential)
        return await self._keys.check(access, signer)

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every perpetual market."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the client order id: a whole UUID in lower case."""
        return str(uuid.UUID(bytes=client_order_bytes(order_id, revision, collision)))

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
                return actions.edit_composer(instrument, command)
            case BurnNonce():
                raise InvalidInput("command", f"expected no noop: {VENUE} has no nonces")

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's message and send it once, before `row.send_by`, at most 2 s.

        The venue's answer says nothing of what became of an order that may not rest: within the
        same 2 s it is looked up once, and nothing is lost where that fails.
        """
        deadline = asyncio.get_running_loop().time() + COMMAND_TIMEOUT_S
        result = await self._dispatch.send_row(row, access, first=True)
        if not isinstance(result.outcome, Accepted) or not _may_have_ended(row):
            return result
        try:
            async with asyncio.timeout_at(deadline):
                return await self._with_end(result)
        except (TimeoutError, VenueUnavailable, VenueRefused):
            return result

    async def _with_end(self, result: SendResult) -> SendResult:
        """Put what a look-up says of the order just taken into the answer's report."""
        taken = result.outcome
        if not isinstance(taken, Accepted) or taken.report is None:
            return result
        if taken.report.venue_order_id is None:
            return result
        found = await self._queries.order_by_id(taken.report.venue_order_id)
        if found is None:
            return result
        report = replace(
            taken.report,
            verdict=max(taken.report.verdict, found.verdict, key=lambda verdict: verdict.rank),
            filled_quantity=found.filled_quantity,
            average_price=found.average_price,
            reason=found.reason,
            event_time=found.event_time,
            source=f"{SOURCE}, look-up",
        )
        return replace(result, outcome=Accepted(report=report))

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send nothing: that the venue refuses a second copy is not documented."""
        return SendResult(
            outcome=Unknown(reason=f"not sent again: {VENUE} may execute a second copy")
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
        return await self._queries.find_order(account, client_order_id, venue_order_id)

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, as the newest of its prices and its busiest book tell it."""
        return await self._queries.venue_time()

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
        return await self._queries.account_summary(account, await self._markets.all())

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's fee rates."""
        return await self._queries.fee_rates(account)

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return funding paid and received since a time, oldest first."""
        return await self._queries.funding_payments(account, since)

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book, at most 10 levels a side."""
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
        """Return present prices and rates of every market."""
        return await self._queries.tickers()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Return past funding rates, oldest first."""
        market = await self.instrument(symbol)
        return await self._queries.funding_rates(market.symbol, since)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set margin mode, where it is another, and leverage; asking twice does no harm.

        Two requests: where the second is not accepted its outcome is returned, and the first
        stays done.

        Raises:
            InvalidInput: no such market, or more leverage than it allows.
            VenueUnavailable, VenueRefused: the present mode could not be read; nothing was sent.
        """
        instrument = await self.instrument(symbol)
        wanted = actions.leverage_data(instrument, leverage)
        present = await self.leverage_of(access.account, symbol)
        if present.mode is not mode:
            data = actions.margin_mode_data(instrument, mode)
            changed = await self._send_setting(access, "update_margin_mode", data)
            if not isinstance(changed.outcome, Accepted):
                return changed
        return await self._send_setting(access, "update_leverage", wanted)

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage and margin mode in one market."""
        market = await self.instrument(symbol)
        settings = await self._queries.leverage_settings(account, await self._markets.all())
        return settings[market.symbol]

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Refuse: the venue has no such thing.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput("schedule_cancel", f"expected none: {VENUE} has no scheduled cancel")

    async def _send_setting(
        self, access: TradingAccess, kind: str, data: dict[str, Any]
    ) -> SendResult:
        until = self._clock() + timedelta(seconds=ADMISSION_WINDOW_S)
        return await self._dispatch.send_message(actions.message(kind, data, until), access)


def _may_have_ended(row: CommandRow) -> bool:
    """Tell whether an order that was sent may be over before its answer: it may not rest."""
    if row.key.command is not CommandKind.PLACE:
        return False
    return bool(check_allowed(row.message)["data"].get("tif") == "IOC")
