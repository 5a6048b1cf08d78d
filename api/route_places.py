"""Finding out everything that a choice between accounts is made by: who may take an order, and how.

Asks storage, the bus and, through the workflows, the venues, all at once; what does not answer
leaves its account out with that as the reason. Chooses nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from api.account_groups import group_named
from api.bodies import PlaceOrderBody
from api.bracketing import check_exits
from api.context import Context
from api.problems import ProblemError, invalid_input
from api.risk_limits import violations_of
from domain.account_terms import AccountTerms
from domain.accounts import Account, AccountState, Network
from domain.errors import InvalidInput, NotFound, PerpDexError
from domain.halt_store import Halt
from domain.halts import HaltLevel
from domain.identifiers import AUTO
from domain.instruments import Instrument
from domain.market_data import OrderBook
from domain.principals import Action, Principal
from domain.route_places import OrderAsk, Place
from domain.routing_store import AccountSituation
from domain.venue_sheets import ServedVenue
from domain.violations import in_words

BOOK_DEPTH: Final = 20
TERMS_WAIT_S: Final = 3.0
ACCOUNTS_MAX: Final = 50


def ask_of(body: PlaceOrderBody) -> OrderAsk:
    """Return the order as routing sees it."""
    return OrderAsk(
        symbol=body.symbol,
        side=body.side,
        quantity=body.quantity,
        order_type=body.kind,
        time_in_force=body.lifetime,
        price=body.price,
        trigger_price=body.trigger_price,
        post_only=body.post_only,
        reduce_only=body.reduce_only,
        max_slippage_bps=body.max_slippage_bps,
        native_exits=body.native,
    )


async def accounts_for(
    context: Context, principal: Principal, body: PlaceOrderBody
) -> tuple[Account, ...]:
    """Return the caller's accounts that the order may go to, all of one network.

    Raises:
        ProblemError: 422, there are none, they are of several networks, or too many.
    """
    mine = await context.parts.accounts.of_owner(principal.principal_id)
    pool = [account for account in mine if account.state is AccountState.ACTIVE]
    if body.group is not None:
        try:
            members = (await group_named(context, principal, body.group)).account_ids
        except NotFound:
            raise ProblemError(invalid_input("/group", "expected a group of yours")) from None
        pool = [account for account in pool if account.account_id in members]
    if body.venue not in (None, AUTO):
        if body.venue not in context.parts.venues:
            known = ", ".join(context.parts.venues)
            raise ProblemError(invalid_input("/venue", f"expected {AUTO} or one of {known}"))
        pool = [account for account in pool if account.venue == body.venue]
    pool = _of_one_network(pool, body.network)
    if len(pool) > ACCOUNTS_MAX:
        raise ProblemError(
            invalid_input(
                "/group",
                f"expected at most {ACCOUNTS_MAX} accounts, found {len(pool)}; name a group",
            )
        )
    for account in pool:
        subject = f"account:{account.account_id}"
        await context.authorize(principal, Action.TRADE, account.owner, subject)
    return tuple(pool)


def _of_one_network(pool: Sequence[Account], network: Network | None) -> list[Account]:
    """Return the accounts of a network: as asked, else the default account's, else the only one."""
    networks = {account.network for account in pool}
    if network is None and len(networks) > 1:
        network = next((account.network for account in pool if account.is_default), None)
        if network is None:
            known = ", ".join(sorted(networks))
            raise ProblemError(
                invalid_input("/network", f"expected one of {known}; there is no default account")
            )
    found = [account for account in pool if network in (None, account.network)]
    if not found:
        where = "" if network is None else f" on {network.value}"
        raise ProblemError(
            invalid_input("/account", f"there is no active account{where} that it could go to")
        )
    return found


@dataclass(slots=True)
class _Venue:
    """What was found out about one venue; shared by the accounts there."""

    instrument: Instrument | None = None
    served: ServedVenue | None = None
    book: OrderBook | None = None
    book_trouble: str = ""
    terms: dict[str, AccountTerms | str] = field(default_factory=dict)


async def places_of(
    context: Context, body: PlaceOrderBody, accounts: Sequence[Account], *, judge: bool = True
) -> list[Place]:
    """Return everything known of each account now; with `judge` risk limits are asked too."""
    network = accounts[0].network
    venues = {account.venue: _Venue() for account in accounts}
    ids = [account.account_id for account in accounts]
    situations = await context.parts.routes.situations(ids, body.symbol)
    halts = await context.parts.halts.halted()
    await asyncio.gather(
        *(_find_out(context, body, name, network, found) for name, found in venues.items())
    )
    await asyncio.gather(
        *(_find_terms(context, body, account, venues[account.venue]) for account in accounts)
    )
    # Last, so that they are no older than it takes to choose.
    await asyncio.gather(
        *(_find_book(context, body, name, network, found) for name, found in venues.items())
    )
    places = []
    for account in accounts:
        place = _place(context, account, venues[account.venue], situations, halts)
        place = replace(
            place,
            misfit=_misfit(body, place.instrument),
            named=body.group is not None or body.venue == account.venue,
        )
        if judge and not body.reduce_only:
            violations = await violations_of(context, account, body)
            place = replace(place, violation=in_words(violations) if violations else None)
        places.append(place)
    return places


async def _find_out(
    context: Context, body: PlaceOrderBody, venue: str, network: Network, found: _Venue
) -> None:
    """Find the market, and who serves the venue."""
    found.instrument = await context.parts.markets.instrument(venue, network, body.symbol)
    try:
        found.served = await context.parts.served_venues.read(venue)
    except PerpDexError:
        found.served = None


async def _find_book(
    context: Context, body: PlaceOrderBody, venue: str, network: Network, found: _Venue
) -> None:
    """Ask for a venue's book, where an account could take the order by it."""
    is_open = any(isinstance(terms, AccountTerms) for terms in found.terms.values())
    if body.kind.is_trigger or not is_open:
        return
    try:
        found.book = await context.parts.books.request_book(venue, network, body.symbol, BOOK_DEPTH)
    except PerpDexError as error:
        found.book_trouble = f"no book of {venue}: {error}"


async def _find_terms(
    context: Context, body: PlaceOrderBody, account: Account, venue: _Venue
) -> None:
    """Ask for an account's terms, where a worker can."""
    if venue.instrument is None or not _is_connected(account, venue):
        return
    read = context.parts.terms.read(account, body.symbol, wait_s=TERMS_WAIT_S)
    try:
        terms = await context.ask(read)
    except PerpDexError as error:
        venue.terms[account.account_id] = str(error)
    else:
        late = f"{account.venue} did not tell the account's terms within {TERMS_WAIT_S:g} s"
        venue.terms[account.account_id] = late if terms is None else terms


def _is_connected(account: Account, venue: _Venue) -> bool:
    return venue.served is not None and account.network.value in venue.served.connected


def _place(
    context: Context,
    account: Account,
    venue: _Venue,
    situations: dict[str, AccountSituation],
    halts: Sequence[Halt],
) -> Place:
    served, terms = venue.served, venue.terms.get(account.account_id)
    situation = situations.get(account.account_id, AccountSituation())
    return Place(
        account_id=account.account_id,
        account=account.label,
        venue=account.venue,
        instrument=venue.instrument,
        sheet=None if served is None else served.sheet,
        connected=_is_connected(account, venue),
        book=venue.book,
        book_trouble=venue.book_trouble,
        terms=terms if isinstance(terms, AccountTerms) else None,
        terms_trouble=terms if isinstance(terms, str) else "",
        circuit_open=served is not None and account.network.value in served.opening_refused,
        halt=_halted(account, halts),
        blocked=_blocked(context, situation),
        open_orders=situation.open_orders,
    )


def _halted(account: Account, halts: Sequence[Halt]) -> str | None:
    """Return the widest halt that holds an account, in words."""
    named = {
        HaltLevel.ALL: "",
        HaltLevel.VENUE: account.venue,
        HaltLevel.ACCOUNT: account.account_id,
    }
    for halt in halts:
        if halt.scope.name == named[halt.scope.level]:
            return f"{halt.scope} is halted: {halt.reason}"
    return None


def _blocked(context: Context, situation: AccountSituation) -> str | None:
    """Return why our own books forbid new exposure there, in words."""
    if situation.blocked is not None:
        return f"new exposure is blocked there: {situation.blocked}"
    if situation.reconcile_due is not None:
        return "the account is being compared with its venue"
    expires_at = situation.credential_expires_at
    if expires_at is not None and expires_at <= context.parts.now():
        return f"the account's credential expired at {expires_at.isoformat()}"
    return None


def _misfit(body: PlaceOrderBody, instrument: Instrument | None) -> str | None:
    """Return why a market does not take the exits that were asked for."""
    if instrument is None or not body.is_bracket:
        return None
    try:
        check_exits(body, instrument)
    except ProblemError as error:
        return error.problem.detail
    except InvalidInput as error:
        return f"{error.field}: {error.message}"
    return None
