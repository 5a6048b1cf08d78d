"""Placing an order: check it against account and market, start its workflow, say what became of it.

SQL is asked first, so that a key answers for ever. Refuses what a market cannot take, and never
rounds. Knows no HTTP but status codes.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import structlog

from api.bodies import PlaceOrderBody
from api.bracketing import check_exits, plan_of, start_bracket, unclear
from api.context import Context
from api.idempotency import claim_key
from api.problems import (
    NOT_SENT,
    UNKNOWN,
    Problem,
    ProblemError,
    invalid_input,
    of_error,
    unavailable,
    violation_members,
)
from api.risk_limits import check_new
from api.risk_views import RISK_LIMIT
from api.routing import account_of, route_for, routed, view_of
from api.views import order_view
from domain.accounts import Account, AccountState
from domain.errors import Conflict, InvalidInput, NotFound, PerpDexError, Unavailable
from domain.identifiers import order_id_for
from domain.instruments import Instrument
from domain.key_claims import IntentKind, key_mismatch
from domain.orders import Order
from domain.principals import Action, Principal

#: Shorter waits could end before the start itself is acknowledged.
_WAIT_LEAST_S: Final = 0.5
_EXISTS_WITHIN_S: Final = 2.0
_EXISTS_INTERVAL_S: Final = 0.1

_log = structlog.get_logger("api.placing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for one order: a status with an order, or with a problem."""

    status: int
    order_id: str | None = None
    order: Mapping[str, Any] | None = None
    problem: Problem | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


async def place(
    context: Context, principal: Principal, body: PlaceOrderBody, key: str, wait_s: float
) -> Answer:
    """Place the order that `key` names, or answer for the one it named before."""
    order_id = order_id_for(principal.principal_id, key)
    kept = await context.parts.orders.get(order_id)
    if kept is not None:
        answer = await _replay(context, principal, kept, body, wait_s)
        return await _with_routing(context, answer, body, order_id)
    route = None
    if body.is_routed:
        route = await route_for(context, principal, body, order_id)
        account = usable(await account_of(context, route))
    else:
        account = await account_for(context, principal, body)
    market = await market_for(context, account, body.symbol)
    check_market(body, market)
    check_exits(body, market)
    order = _order(context, principal, account, body, key)
    order = order if route is None else routed(order, route)
    await check_new(context, order)
    with context.placements.admit(account.account_id):
        if route is None:
            await claim_key(context, order_id, body.intent_kind, body.fingerprint)
        answer = await _begin(context, body, order, account.label, wait_s)
    await context.audit(
        principal,
        "order.place",
        f"order:{order_id}",
        _outcome(answer),
        detail={"account_id": account.account_id, "symbol": body.symbol, "side": body.side.value},
    )
    return await _with_routing(context, answer, body, order_id)


async def _with_routing(
    context: Context, answer: Answer, body: PlaceOrderBody, order_id: str
) -> Answer:
    """Add to the answer why the order went where it went, where that was chosen."""
    if not body.is_routed or answer.order is None or answer.problem is not None:
        return answer
    route = await context.parts.routes.get(order_id)
    if route is None:
        return answer
    document = (await view_of(context, route)).json_ready()
    return replace(answer, order={**answer.order, "routing": document})


async def _begin(
    context: Context, body: PlaceOrderBody, order: Order, label: str, wait_s: float
) -> Answer:
    """Start the order's workflow; before it its bracket's, where it has exits."""
    if not body.is_bracket:
        return await _start(context, order, label, wait_s)
    entry = await start_bracket(context, plan_of(body, order))
    try:
        return await _start(context, entry, label, wait_s)
    except ProblemError as error:
        raise unclear(error) from None


def answer_for(order: Order, label: str, *, replayed: bool = False) -> Answer:
    """Return the answer that an order's present state makes: only a verdict makes a 201."""
    view = order_view(order, label).json_ready()
    headers = {
        "Location": f"/api/v1/orders/{order.order_id}",
        "Idempotency-Key": f'"{order.idempotency_key}"',
    }
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    status, problem = HTTPStatus.ACCEPTED, None
    if order.outcome == "accepted":
        status = HTTPStatus.CREATED
    elif order.outcome in ("rejected", NOT_SENT):
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        problem = Problem(
            status=status,
            code=_refusal_code(order),
            detail=order.reason or "no reason was given",
            outcome=order.outcome,
            # The same key answers the same for ever; not sent means another key may succeed.
            retryable=False,
            extra={"order": view, "venue": order.venue, **violation_members(order.violations)},
            headers=headers,
        )
    return Answer(
        status=status, order_id=order.order_id, order=view, problem=problem, headers=headers
    )


def _refusal_code(order: Order) -> str:
    if order.denied is not None:
        return RISK_LIMIT if order.violations else "denied"
    return "venue_rejected" if order.outcome == "rejected" else "not_sent"


def _outcome(answer: Answer) -> str:
    if answer.problem is not None:
        return f"{answer.problem.outcome}: {answer.problem.code}"
    return str(answer.order["outcome"]) if answer.order is not None else str(answer.status)


async def _replay(
    context: Context, principal: Principal, kept: Order, body: PlaceOrderBody, wait_s: float
) -> Answer:
    await context.authorize(principal, Action.TRADE, kept.owner, f"order:{kept.order_id}")
    if kept.fingerprint != body.fingerprint:
        raise key_mismatch(IntentKind.ORDER)
    label = await context.label_of(kept.account_id)
    if not _is_decided(kept) and not kept.is_terminal:
        answer = await _start(context, kept, label, wait_s)
        return _as_replay(answer)
    return answer_for(kept, label, replayed=True)


def _as_replay(answer: Answer) -> Answer:
    headers = {**answer.headers, "Idempotent-Replayed": "true"}
    return Answer(
        status=answer.status,
        order_id=answer.order_id,
        order=answer.order,
        problem=answer.problem,
        headers=headers,
    )


async def _start(context: Context, order: Order, label: str, wait_s: float) -> Answer:
    """Start or join the workflow. Whatever goes wrong is undecided, unless provably refused."""
    try:
        placement = await context.parts.desk.place(
            order, wait_s=max(wait_s, _WAIT_LEAST_S), account_label=label
        )
    except Conflict as error:
        if error.code != "workflow_closed":
            raise
        placed = None
    except Unavailable as error:
        raise ProblemError(
            unavailable(f"{error}; nothing was sent, the same key may be used again")
        ) from None
    except PerpDexError:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it proves nothing
        # Not a refusal of the start: it may have begun. SQL and the workflow are asked instead.
        _log.exception("start_unclear", order_id=order.order_id)
        placed = None
    else:
        placed = placement.order
    if placed is None:
        placed = await _what_exists(context, order.order_id)
    if placed.fingerprint != order.fingerprint:
        raise key_mismatch(IntentKind.ORDER)
    return answer_for(placed, label, replayed=placed.created_at != order.created_at)


async def _what_exists(context: Context, order_id: str) -> Order:
    """Return the order as SQL or its workflow has it: only what is committed is acknowledged.

    Raises:
        ProblemError: 503, outcome unknown: neither has it yet.
    """
    try:
        async with asyncio.timeout(_EXISTS_WITHIN_S):
            while True:
                order = await context.parts.orders.get(order_id)
                if order is None:
                    order = await context.ask(context.parts.desk.pending(order_id))
                if order is not None:
                    return order
                await asyncio.sleep(_EXISTS_INTERVAL_S)
    except (TimeoutError, Unavailable):
        raise ProblemError(
            Problem(
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                code="start_unclear",
                detail="the start was not acknowledged in time and may still happen; repeat with "
                "the same Idempotency-Key to learn the outcome, never with another",
                outcome=UNKNOWN,
                retryable=True,
                extra={"order_id": order_id},
                headers={"Retry-After": "1", "Location": f"/api/v1/orders/{order_id}"},
            )
        ) from None


def _is_decided(order: Order) -> bool:
    return order.outcome in ("accepted", "rejected", NOT_SENT)


async def account_for(context: Context, principal: Principal, body: PlaceOrderBody) -> Account:
    """Return the account the order is for.

    Raises:
        ProblemError: 422, it cannot be told or does not fit; 409, it may not trade.
    """
    if body.account is None:
        account = await context.default_account(principal, body.venue)
        if account is None:
            raise ProblemError(await _which_account(context, principal, body.venue))
    else:
        try:
            account = await context.account(principal, Action.TRADE, body.account)
        except NotFound:
            raise ProblemError(
                invalid_input("/account", "expected the label or id of an account of yours")
            ) from None
    if body.venue is not None and body.venue != account.venue:
        raise ProblemError(
            invalid_input(
                "/venue", f"expected {account.venue!r}, where account {account.label!r} is"
            )
        )
    return usable(account)


def usable(account: Account) -> Account:
    """Return the account if it may trade.

    Raises:
        ProblemError: 409, it may not.
    """
    if account.state is not AccountState.ACTIVE:
        raise ProblemError(
            Problem(
                status=HTTPStatus.CONFLICT,
                code="account_not_active",
                detail=f"account {account.label!r} is {account.state}"
                + (f": {account.state_reason}" if account.state_reason else ""),
                outcome=NOT_SENT,
                retryable=account.state is AccountState.PENDING,
            )
        )
    return account


async def _which_account(context: Context, principal: Principal, venue: str | None) -> Problem:
    mine = await context.parts.accounts.of_owner(principal.principal_id)
    labels = [account.label for account in mine if account.state is AccountState.ACTIVE]
    where = f" at {venue!r}" if venue is not None else ""
    if not labels:
        return invalid_input("/account", f"there is no active account{where}; add one first")
    return invalid_input(
        "/account", f"expected one of {', '.join(sorted(labels))}; there is no default{where}"
    )


async def market_for(context: Context, account: Account, symbol: str) -> Instrument:
    """Return the market of a symbol on the account's venue and network.

    Raises:
        ProblemError: 422, there is none; 503, the venue's markets are not known yet.
    """
    markets = context.parts.markets
    instrument = await markets.instrument(account.venue, account.network, symbol)
    if instrument is not None:
        return instrument
    known = [each.symbol for each in await markets.instruments(account.venue, account.network)]
    if not known:
        raise ProblemError(
            unavailable(
                f"the markets of {account.venue} ({account.network}) are not known yet; a worker "
                "has to have seen them once",
                code="markets_unknown",
            )
        )
    near = difflib.get_close_matches(symbol, known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ProblemError(invalid_input("/symbol", f"{account.venue} has no market {symbol!r}{hint}"))


def check_market(body: PlaceOrderBody, instrument: Instrument) -> None:
    """Check everything the market's rules say of the order; name all that is wrong at once.

    Raises:
        ProblemError: 422 with one error per field and the nearest valid values.
    """
    problems = market_problems(body, instrument)
    if problems:
        raise ProblemError(
            Problem(
                status=HTTPStatus.UNPROCESSABLE_ENTITY,
                code=InvalidInput.code,
                detail="; ".join(f"{each.errors[0]['detail']}" for each in problems),
                errors=tuple(each.errors[0] for each in problems),
            )
        )


def market_problems(body: PlaceOrderBody, instrument: Instrument) -> list[Problem]:
    """Return what the market would refuse of an order, one problem per rule."""
    checks: list[Callable[[], None]] = [
        lambda: instrument.check_open(reduce_only=body.reduce_only),
        lambda: instrument.check_quantity("quantity", body.quantity),
    ]
    price, trigger = body.price, body.trigger_price
    if price is not None:
        checks.append(lambda: instrument.check_price("price", price))
    if trigger is not None:
        checks.append(lambda: instrument.check_price("trigger_price", trigger))
    worth = price or trigger
    if worth is not None and not body.reduce_only:
        checks.append(lambda: instrument.check_notional(body.quantity, worth))
    problems: list[Problem] = []
    for check in checks:
        try:
            check()
        except InvalidInput as error:
            problems.append(of_error(error))
        except ArithmeticError:
            # The number has more digits than the steps of any market can be counted in.
            problems.append(invalid_input("/quantity", "expected a number this market can count"))
    return problems


def _order(
    context: Context, principal: Principal, account: Account, body: PlaceOrderBody, key: str
) -> Order:
    now = context.parts.now()
    return Order(
        order_id=order_id_for(principal.principal_id, key),
        owner=principal.principal_id,
        account_id=account.account_id,
        venue=account.venue,
        symbol=body.symbol,
        side=body.side,
        order_type=body.kind,
        quantity=body.quantity,
        time_in_force=body.lifetime,
        created_at=now,
        place_by=now + timedelta(seconds=body.place_within_s),
        price=body.price,
        trigger_price=body.trigger_price,
        trigger_type=body.trigger_type,
        post_only=body.post_only,
        reduce_only=body.reduce_only,
        max_slippage_bps=body.max_slippage_bps,
        fingerprint=body.fingerprint,
        idempotency_key=key,
    )
