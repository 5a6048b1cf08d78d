"""The seventh venue's connector: order entry and queries. Keys come with each call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

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
from domain.commands import Command, ModifyOrder
from domain.errors import InvalidInput, NotAllowed, VenueRefused, VenueUnavailable
from domain.fills import Fill
from domain.identifiers import client_order_bytes
from domain.instruments import Instrument, OrderSide
from domain.ledger import CommandRow
from domain.market_data import Candle, FundingRate, OrderBook, Ticker, Trade
from domain.outcomes import SendResult
from domain.session_states import BudgetLeft
from tests.seventh.venue import actions, signing, translate, wire
from tests.seventh.venue.proofs import ADMISSION_WINDOW_S, CAPABILITIES, PROOFS
from tests.seventh.venue.rest import WHOAMI_PATH, Rest, read
from tests.seventh.venue.translate import VENUE
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
from venues.rate_budget import Purpose, RateBudget
from venues.sending import NotSendableError, check_row, decided, send_gate, unsent
from venues.times import at_ms, to_ms
from venues.transport import Clock, Reply, Transport, utc_now

_PAGE: Final = 500
_PAGES_MAX: Final = 100
_TRADE: Final = "trade"

P = TypeVar("P")
V = TypeVar("V")


class SeventhConnector:
    """Implements `venues.connector.Connector`; `clock` tells the time that `send_by` is held to."""

    venue: str = VENUE
    capabilities: Capabilities = CAPABILITIES
    proofs: ProofTable = PROOFS

    def __init__(
        self, network: Network, base_url: str, budget: RateBudget, *, clock: Clock = utc_now
    ) -> None:
        self.network = network
        self._clock = clock
        self._rest = Rest(Transport(base_url, clock=clock), budget)
        self._markets = Markets(VENUE, self._read_markets)

    async def start(self) -> None:
        """Open the session and load the markets. Raises VenueUnavailable, VenueRefused."""
        await self._rest.start()
        await self._markets.all(refresh=True)

    async def close(self) -> None:
        """Close the session."""
        await self._rest.close()

    def budget_left(self) -> BudgetLeft:
        """Return what is left of the requests that a minute allows."""
        return self._rest.budget_left()

    # Keys.

    def signer_of(self, credential: SecretText) -> str:
        """Return the public key. Raises InvalidInput if it is no key."""
        return signing.public_key(credential)

    async def check_signer(self, access: TradingAccess) -> SignerCheck:
        """Ask the venue, by a signed text that does nothing, whose key it is and what it may do."""
        key = signing.public_key(access.credential)
        text = signing.message("whoami", self._expires_ms())
        signature = signing.sign(access.credential, text)
        result = await self._rest.post(
            text, key, signature, path=WHOAMI_PATH, purpose=Purpose.COMMAND
        )
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"{VENUE} did not say whose key {key} is: {result.reason}")
        try:
            told = read("whoami", result, wire.Key).data
        except VenueRefused as refused:
            return _refused(key, None, f"the venue does not take it: {refused}")
        if told.account != access.account.address:
            return _refused(key, None, f"it is the key of another account, {told.account[:64]}")
        if told.rights != [_TRADE]:
            rights = ", ".join(told.rights)[:64]
            return _refused(key, told.account, f"expected the right to trade alone, found {rights}")
        return SignerCheck(
            signer=key,
            owner_address=told.account,
            power="places and cancels orders and sets leverage; it cannot withdraw",
            expires_at=at_ms(told.until),
            refusal=None,
        )

    # Commands.

    def client_order_id(self, order_id: str, revision: int, collision: int) -> str:
        """Spell the tag: 32 hexadecimal digits."""
        return client_order_bytes(order_id, revision, collision).hex()

    async def compose(self, command: Command) -> MessageComposer:
        """Return what writes a command's text. Raises InvalidInput naming the field."""
        placed = command.order if isinstance(command, ModifyOrder) else command
        symbol = getattr(placed, "symbol", "")
        return actions.composer(await self.instrument(symbol), command)

    async def send(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Sign the row's text and send it once, before `row.send_by`, at most 2 s."""
        return await self._send(row, access, first=True)

    async def resend(self, row: CommandRow, access: TradingAccess) -> SendResult:
        """Send the same bytes again: a tag names one order for ever."""
        return await self._send(row, access, first=False)

    async def _send(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        try:
            check_row(row, VENUE, self.network, access.account)
            actions.check_message(row)
            key = signing.public_key(access.credential)
            if key != row.signer:
                raise NotSendableError(f"expected the key {row.signer}, found {key}")
            signature = signing.sign(access.credential, row.message)
        except (NotSendableError, InvalidInput, NotAllowed) as error:
            return SendResult(outcome=unsent(str(error), first=first, retryable=False))
        gate = send_gate(row, self._clock, first=first)
        result = await self._rest.post(
            row.message, key, signature, purpose=actions.purpose(row), gate=gate
        )
        return decided(result, lambda r: actions.outcome(r, row, first=first), first=first)

    async def set_leverage(
        self, access: TradingAccess, symbol: str, leverage: int, mode: MarginMode, nonce: int
    ) -> SendResult:
        """Set leverage. Raises InvalidInput: another mode than CROSS, or too much."""
        market = await self.instrument(symbol)
        if mode is not MarginMode.CROSS:
            raise InvalidInput("mode", f"expected CROSS on {VENUE}, found {mode}")
        if not 1 <= leverage <= market.max_leverage:
            raise InvalidInput("leverage", f"expected 1 to {market.max_leverage}, found {leverage}")
        fields = {"market": market.venue_symbol, "leverage": leverage}
        text = signing.message("leverage", self._expires_ms(), **fields)
        key = signing.public_key(access.credential)
        signature = signing.sign(access.credential, text)
        result = await self._rest.post(text, key, signature, purpose=Purpose.COMMAND)
        return decided(result, lambda r: actions.outcome(r, None, first=True), first=True)

    async def schedule_cancel(
        self, access: TradingAccess, at: datetime | None, nonce: int
    ) -> SendResult:
        """Refuse: the venue has no such thing. Raises InvalidInput always."""
        raise InvalidInput("schedule_cancel", f"expected none: {VENUE} has no scheduled cancel")

    def _expires_ms(self) -> int:
        return to_ms(self._clock() + timedelta(seconds=ADMISSION_WINDOW_S))

    # Orders and accounts.

    async def find_order(
        self,
        account: Account,
        *,
        symbol: str,
        client_order_id: str | None = None,
        venue_order_id: str | None = None,
    ) -> OrderLookup:
        """Look one order up, by the venue's id where given, else by tag."""
        number = translate.order_number(venue_order_id) if venue_order_id is not None else None
        told = await self._rest.get(
            "order",
            list[wire.Order],
            account=account.address,
            order=number,
            tag=client_order_id if number is None else None,
        )
        found = _read(lambda rows: _orders(account, rows), told.data)
        return OrderLookup(order=found[0] if found else None, venue_time=told.venue_time)

    async def venue_time(self, account: Account) -> datetime:
        """Return the venue's clock, which every answer tells."""
        return (await self._rest.get("markets", list[wire.Market])).venue_time

    async def open_orders(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the orders that rest."""
        return await self._listed("open", account)

    async def order_history(self, account: Account) -> tuple[VenueOrder, ...]:
        """Return the newest ended orders, newest first."""
        return await self._listed("ended", account)

    async def _listed(self, path: str, account: Account) -> tuple[VenueOrder, ...]:
        told = await self._rest.get(path, list[wire.Order], account=account.address)
        return _read(lambda rows: _orders(account, rows), told.data)

    async def fills(self, account: Account, *, since: datetime) -> tuple[Fill, ...]:
        """Return every fill since a time, oldest first; so many a page."""
        found: list[wire.Fill] = []
        for _ in range(_PAGES_MAX):
            page = await self._rest.get(
                "fills",
                list[wire.Fill],
                account=account.address,
                since=to_ms(since),
                skip=len(found),
            )
            found += page.data
            if len(page.data) < _PAGE:
                return _read(lambda rows: _fills(account, rows), found)
        raise VenueUnavailable(f"expected at most {_PAGES_MAX * _PAGE} fills; ask for a later time")

    async def account_summary(self, account: Account) -> AccountSummary:
        """Return balances, margin and positions."""
        return _read(lambda row: translate.summary(account, row), await self._account(account))

    async def fee_rates(self, account: Account) -> FeeRates:
        """Return the account's fee rates."""
        return translate.fees(await self._account(account))

    async def _account(self, account: Account) -> wire.Account:
        return (await self._rest.get("account", wire.Account, account=account.address)).data

    async def leverage_of(self, account: Account, symbol: str) -> LeverageSetting:
        """Return an account's leverage in one market."""
        market = await self.instrument(symbol)
        asked = {"account": account.address, "market": market.venue_symbol}
        row = (await self._rest.get("leverage", wire.Leverage, **asked)).data
        return LeverageSetting(symbol=symbol, leverage=row.leverage, mode=MarginMode.CROSS)

    async def funding_payments(
        self, account: Account, *, since: datetime
    ) -> tuple[FundingPayment, ...]:
        """Return none: the venue does not list them, and its data says so."""
        return ()

    # Markets.

    async def instruments(self, *, refresh: bool = False) -> tuple[Instrument, ...]:
        """Return every market."""
        return await self._markets.all(refresh=refresh)

    async def instrument(self, symbol: str) -> Instrument:
        """Return one market. Raises InvalidInput when there is none of that symbol."""
        return await self._markets.one(symbol)

    async def _read_markets(self) -> tuple[Instrument, ...]:
        told = await self._rest.get("markets", list[wire.Market])
        return _read(translate.instruments, told.data)

    async def price_bound(self, symbol: str, side: OrderSide, slippage_bps: int) -> Decimal:
        """Return the worst price that slippage allows. Raises as `bound_price`."""
        book = await self.order_book(symbol, depth=1)
        return bound_price(await self.instrument(symbol), side, book, slippage_bps)

    async def order_book(self, symbol: str, *, depth: int = 20) -> OrderBook:
        """Return the book. Raises InvalidInput: no such market, or no level is wanted."""
        if depth < 1:
            raise InvalidInput("depth", f"expected 1 or more, found {depth}")
        market = (await self.instrument(symbol)).venue_symbol
        row = (await self._rest.get("book", wire.Book, market=market)).data
        return _read(lambda r: translate.book(r, self._clock(), depth=depth), row)

    async def candles(
        self, symbol: str, interval: str, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return candles, oldest first. Raises InvalidInput for an interval it lacks."""
        if interval not in CAPABILITIES.candle_intervals:
            raise InvalidInput(
                "interval",
                f"expected {' or '.join(CAPABILITIES.candle_intervals)}, found {interval[:16]!r}",
            )
        market = (await self.instrument(symbol)).venue_symbol
        told = await self._rest.get(
            "candles",
            list[wire.Candle],
            market=market,
            span=interval,
            start=to_ms(start),
            end=to_ms(end),
        )
        rows = told.data
        return _read(lambda r: tuple(map(translate.candle, r)), rows)

    async def tickers(self) -> tuple[Ticker, ...]:
        """Return prices and rates of every market that is open."""
        rows = (await self._rest.get("prices", list[wire.Price])).data
        now = self._clock()
        return _read(lambda r: tuple(translate.ticker(row, now) for row in r), rows)

    async def recent_trades(self, symbol: str, *, limit: int = 100) -> tuple[Trade, ...]:
        """Refuse: the venue does not tell. Raises InvalidInput always."""
        raise _no_past()

    async def funding_rates(self, symbol: str, *, since: datetime) -> tuple[FundingRate, ...]:
        """Refuse: the venue does not tell. Raises InvalidInput always."""
        raise _no_past()


def _no_past() -> InvalidInput:
    return InvalidInput("venue", f"expected candles: {VENUE} tells nothing else of the past")


def _orders(account: Account, rows: list[wire.Order]) -> tuple[VenueOrder, ...]:
    for row in rows:
        translate.check_account(account, row.account)
    return tuple(map(translate.order, rows))


def _fills(account: Account, rows: list[wire.Fill]) -> tuple[Fill, ...]:
    for row in rows:
        translate.check_account(account, row.account)
    return tuple(translate.fill(account.account_id, row) for row in rows)


def _read(reader: Callable[[P], V], payload: P) -> V:
    """Translate, turning a payload that makes no sense into a query's error."""
    try:
        return reader(payload)
    except wire.WireError as error:
        raise VenueUnavailable(f"{VENUE}'s answer cannot be read: {error}") from None


def _refused(key: str, owner: str | None, refusal: str) -> SignerCheck:
    return SignerCheck(
        signer=key, owner_address=owner, power="none", expires_at=None, refusal=refusal
    )
