"""Choosing the account of an order that names none, and fixing that before anything is sent.

The choice is a row in SQL, written before the order's workflow is started: the same key gets the
same choice for ever, whatever prices do and whoever dies. Knows no venue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from api.bodies import PlaceOrderBody
from api.context import Context
from api.idempotency import claim_key, refuse_if_claimed
from api.problems import NOT_SENT, Problem, ProblemError
from api.risk_limits import violations_of
from api.route_places import accounts_for, ask_of, places_of
from api.routing_views import RouteView, exclusion_members, route_view
from domain.accounts import Account
from domain.key_claims import key_mismatch
from domain.numbers import plain
from domain.orders import Order
from domain.principals import Principal
from domain.route_places import Exclusion, Place
from domain.routing import Figures, choose, figures_in_words, in_words
from domain.routing_store import Route
from domain.splits import SplitShare
from domain.splitting import Split, split
from domain.violations import in_words as violations_in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A choice that is not kept yet; without shares nobody can take the order."""

    shares: tuple[SplitShare, ...]
    candidates: tuple[Figures, ...]
    exclusions: tuple[Exclusion, ...]
    parts: tuple[Figures, ...] = ()
    trouble: str = ""


async def route_for(
    context: Context, principal: Principal, body: PlaceOrderBody, order_id: str
) -> Route:
    """Return the choice of an order: the one that is kept, or one made and kept now.

    Raises:
        Conflict: the key named another order before.
        ProblemError: 422, nobody can take it; nothing is kept, the same key may be used again.
    """
    route = await context.parts.routes.get(order_id)
    if route is None:
        await refuse_if_claimed(context, order_id, body.fingerprint)
        chosen = await chosen_now(context, principal, body)
        if not chosen.shares:
            raise ProblemError(_nobody(chosen))
        await claim_key(context, order_id, body.intent_kind, body.fingerprint)
        route = await context.parts.routes.keep(_route(context, principal, body, order_id, chosen))
    if route.owner != principal.principal_id or route.fingerprint != body.fingerprint:
        raise key_mismatch(body.intent_kind)
    return route


async def account_of(context: Context, route: Route) -> Account:
    """Return the account that a choice of one fell on."""
    account = await context.parts.accounts.get(route.shares[0].account_id)
    assert account is not None  # noqa: S101 - accounts are kept for ever
    return account


def routed(order: Order, route: Route) -> Order:
    """Return the order with the reason why it goes where it goes."""
    return replace(order, routed=route.shares[0].why)


async def dry_route(
    context: Context, principal: Principal, body: PlaceOrderBody
) -> tuple[Route, Chosen]:
    """Return the choice that would be made now; nothing is kept."""
    chosen = await chosen_now(context, principal, body)
    return _route(context, principal, body, "", chosen), chosen


async def view_of(context: Context, route: Route, *, dry: bool = False) -> RouteView:
    """Return the view of a choice."""
    return route_view(route, await labels_of(context, route.shares), dry=dry)


async def labels_of(context: Context, shares: Sequence[SplitShare]) -> Mapping[str, str]:
    """Return the labels of the accounts of shares, by id."""
    return {share.account_id: await context.label_of(share.account_id) for share in shares}


async def chosen_now(context: Context, principal: Principal, body: PlaceOrderBody) -> Chosen:
    """Find out about every account of the caller, and choose."""
    accounts = await accounts_for(context, principal, body)
    places = await places_of(context, body, accounts, judge=not body.split)
    if body.split:
        return await _split_now(context, body, accounts, places)
    choice = choose(ask_of(body), places, context.parts.now())
    best = choice.best
    return Chosen(
        shares=() if best is None else (_share(best, in_words(choice)),),
        candidates=choice.candidates,
        exclusions=choice.exclusions,
        trouble="none of your accounts can take it",
    )


async def _split_now(
    context: Context, body: PlaceOrderBody, accounts: Sequence[Account], places: Sequence[Place]
) -> Chosen:
    """Split, leaving out whose share would exceed a limit, until no share does."""
    ask, by_id = ask_of(body), {account.account_id: account for account in accounts}
    places = list(places)
    while True:
        found = split(ask, places, context.parts.now())
        refused = await _refused_shares(context, body, by_id, found)
        if not refused:
            return _chosen(body, found)
        places = [
            replace(place, violation=refused.get(place.account_id, place.violation))
            for place in places
        ]


async def _refused_shares(
    context: Context, body: PlaceOrderBody, accounts: Mapping[str, Account], found: Split
) -> dict[str, str]:
    refused: dict[str, str] = {}
    for share in found.shares:
        part = body.model_copy(update={"quantity": share.quantity})
        violations = await violations_of(context, accounts[share.account_id], part)
        if violations:
            refused[share.account_id] = violations_in_words(violations)
    return refused


def _chosen(body: PlaceOrderBody, found: Split) -> Chosen:
    unplaced, whole = plain(found.unplaced), plain(body.quantity)
    return Chosen(
        shares=tuple(_share(part, figures_in_words(part)) for part in found.shares),
        candidates=found.alternatives,
        exclusions=found.exclusions,
        parts=found.shares,
        trouble=f"{unplaced} of {whole} find no account that can take them; nothing was placed",
    )


def _share(figures: Figures, why: str) -> SplitShare:
    return SplitShare(
        account_id=figures.account_id,
        venue=figures.venue,
        quantity=figures.quantity,
        why=why,
    )


def _route(
    context: Context, principal: Principal, body: PlaceOrderBody, order_id: str, chosen: Chosen
) -> Route:
    return Route(
        order_id=order_id,
        owner=principal.principal_id,
        fingerprint=body.fingerprint,
        made_at=context.parts.now(),
        shares=chosen.shares,
        candidates=chosen.candidates,
        exclusions=chosen.exclusions,
        is_split=body.split,
        parts=chosen.parts,
    )


def _nobody(chosen: Chosen) -> Problem:
    reasons = [f"{each.account}: {each.reason}" for each in chosen.exclusions]
    extra: dict[str, Any] = {"exclusions": exclusion_members(chosen.exclusions)}
    return Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="no_route",
        detail="; ".join([chosen.trouble, *reasons]),
        outcome=NOT_SENT,
        # Nothing was fixed: another moment may bring another answer.
        retryable=True,
        extra=extra,
    )
