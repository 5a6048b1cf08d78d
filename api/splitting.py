"""Placing a split order: its shares chosen and fixed, kept, and its workflow started.

The children are placed by the workflow; this waits for them and says what became of them. Knows no
HTTP but status codes.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from api.bodies import PlaceOrderBody
from api.context import Context
from api.placing import Answer
from api.problems import NOT_SENT, UNKNOWN, Problem, ProblemError, unavailable
from api.routing import labels_of, route_for, view_of
from api.split_views import SplitView, split_view, workflow_id
from domain.errors import Unavailable
from domain.identifiers import order_id_for
from domain.orders import Order
from domain.principals import Action, Principal
from domain.routing_store import Route
from domain.splits import SplitPlan, SplitState, SplitStatus, requested


async def place_split(
    context: Context, principal: Principal, body: PlaceOrderBody, key: str, wait_s: float
) -> Answer:
    """Place the split order that `key` names, or answer for the one it named before."""
    split_id = order_id_for(principal.principal_id, key)
    replayed = await context.parts.splits.get(split_id)
    if replayed is not None:
        await context.authorize(principal, Action.TRADE, replayed.plan.owner, f"split:{split_id}")
    route = await route_for(context, principal, body, split_id)
    plan = _plan(context, principal, body, route, key)
    with ExitStack() as places:
        for account_id in sorted({share.account_id for share in route.shares}):
            places.enter_context(context.placements.admit(account_id))
        state = await context.parts.splits.keep(requested(plan))
        if state.status is SplitStatus.REQUESTED:
            await _start(context, state.plan)
        state, orders = await _decided(context, state, wait_s)
    answer = await _answer(context, state, orders, route, replayed=replayed is not None)
    if replayed is None:
        await context.audit(
            principal,
            "split.place",
            f"split:{split_id}",
            str(answer.status),
            detail={"symbol": body.symbol, "side": body.side.value, "legs": str(len(plan.shares))},
        )
    return answer


async def _start(context: Context, plan: SplitPlan) -> None:
    """Start the workflow; whether it has begun is not known when nobody answers."""
    try:
        await context.ask(context.parts.split_desk.start(plan))
    except Unavailable as error:
        problem = replace(
            unavailable(str(error), code="start_unclear"),
            outcome=UNKNOWN,
            detail="the split order may have begun, and may place its orders; repeat with the same "
            "Idempotency-Key to learn the outcome, never with another",
            extra={"split_id": plan.split_id},
        )
        raise ProblemError(problem) from None


async def _decided(
    context: Context, state: SplitState, wait_s: float
) -> tuple[SplitState, tuple[Order, ...]]:
    """Wait until the outcome of every child is known, at most so long."""
    split_id = state.plan.split_id
    ids = [leg.order_id for leg in state.legs]
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        orders = await context.parts.splits.orders(ids)
        state = await context.parts.splits.get(split_id) or state
        is_late = asyncio.get_running_loop().time() >= deadline or context.draining.is_set()
        if state.status.is_terminal or is_decided(state, orders) or is_late:
            return state, orders
        await asyncio.sleep(context.parts.limits.poll_interval_s)


def is_decided(state: SplitState, orders: tuple[Order, ...]) -> bool:
    """Tell whether the outcome of every child is known."""
    decided = [order for order in orders if order.outcome in ("accepted", "rejected", NOT_SENT)]
    return len(decided) == len(state.legs)


async def _answer(
    context: Context,
    state: SplitState,
    orders: tuple[Order, ...],
    route: Route,
    *,
    replayed: bool,
) -> Answer:
    """Return 201 where every outcome is known and one at least is an order at its venue."""
    view = (await view_of_split(context, state, orders)).json_ready()
    document: dict[str, Any] = {**view, "routing": (await view_of(context, route)).json_ready()}
    headers = {
        "Location": f"/api/v1/splits/{state.plan.split_id}",
        "Idempotency-Key": f'"{state.plan.idempotency_key}"',
    }
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if not (state.status.is_terminal or is_decided(state, orders)):
        return Answer(status=HTTPStatus.ACCEPTED, order=document, headers=headers)
    if any(order.outcome == "accepted" for order in orders):
        return Answer(status=HTTPStatus.CREATED, order=document, headers=headers)
    reasons = [f"{order.venue}: {order.reason or order.status.value}" for order in orders]
    is_unsent = all(order.outcome == NOT_SENT for order in orders)
    problem = Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="split_refused",
        detail="; ".join(["every part of it was refused", *reasons]),
        outcome=NOT_SENT if is_unsent else "rejected",
        extra={"split": document},
        headers=headers,
    )
    return Answer(status=problem.status, order=document, problem=problem, headers=headers)


async def view_of_split(
    context: Context,
    state: SplitState,
    orders: tuple[Order, ...] | None = None,
    *,
    source: str = "database",
) -> SplitView:
    """Return the view of a split order with its children as they are stored."""
    if orders is None:
        orders = await context.parts.splits.orders([leg.order_id for leg in state.legs])
    return split_view(
        state,
        orders,
        await labels_of(context, state.plan.shares),
        temporal_url=context.parts.endpoints.workflow_url(workflow_id(state.plan.split_id)),
        source=source,
    )


def _plan(
    context: Context, principal: Principal, body: PlaceOrderBody, route: Route, key: str
) -> SplitPlan:
    return SplitPlan(
        split_id=route.order_id,
        owner=principal.principal_id,
        symbol=body.symbol,
        side=body.side,
        quantity=body.quantity,
        order_type=body.kind,
        time_in_force=body.lifetime,
        created_at=context.parts.now(),
        shares=route.shares,
        price=body.price,
        post_only=body.post_only,
        reduce_only=body.reduce_only,
        max_slippage_bps=body.max_slippage_bps,
        place_within_s=body.place_within_s,
        fingerprint=body.fingerprint,
        idempotency_key=key,
    )
