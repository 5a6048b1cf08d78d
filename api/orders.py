"""The routes of orders: place, batch, list, read, cancel, modify, history, resolve.

Thin: checks who asks, asks `placing` or the workflows, and turns the answer into a response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.account_bodies import GroupName
from api.account_groups import group_named
from api.bodies import BatchBody, ModifyOrderBody, PlaceOrderBody, ResolveOrderBody
from api.context import Caller, Context, Ctx, Wait, bounded
from api.dry_run import dry_run
from api.failures import respond
from api.fields import MarketName
from api.idempotency import key_of, key_of_header
from api.placing import Answer, account_for, market_for, place
from api.ports import RequestAnswer
from api.problems import Problem, ProblemError, invalid_input, invalid_parameter, of_error
from api.risk_limits import check_modified, violations_of
from api.routed_dry_run import RoutedDryRunView, dry_routed
from api.routing_views import PlacedOrderView
from api.split_views import PlacedSplitView
from api.splitting import place_split
from api.strict_json import StrictRoute
from api.views import (
    BatchView,
    DryRunView,
    HistoryView,
    OrderPageView,
    OrderView,
    batch_answer,
    history_view,
    order_view,
    workflow_id,
)
from domain.errors import Conflict, InvalidInput, NotFound, PerpDexError, Unavailable
from domain.identifiers import request_id_for
from domain.orders import Order, OrderStatus, Origin
from domain.ports import OrderFilter
from domain.principals import Action

LIMIT_MAX: Final = 500
LONG_POLL_S: Final = 30
LONG_POLL_S_MAX: Final = 60
_OPEN = tuple(status.value for status in OrderStatus if not status.is_terminal)
_CLOSED = tuple(status.value for status in OrderStatus if status.is_terminal)

router = APIRouter(prefix="/api/v1/orders", tags=["orders"], route_class=StrictRoute)

WaitFor = Literal["decided", "fill", "terminal"]
_REACHED: Final[dict[WaitFor, Callable[[Order], bool]]] = {
    "decided": lambda order: order.is_terminal or order.outcome not in ("pending", "unknown"),
    "fill": lambda order: order.is_terminal or order.filled_quantity > 0,
    "terminal": lambda order: order.is_terminal,
}


@router.post(
    "",
    operation_id="place_order",
    status_code=201,
    response_model=PlacedOrderView | PlacedSplitView,
    responses={
        200: {
            "model": DryRunView | RoutedDryRunView,
            "description": "A dry run; nothing was sent.",
        },
        202: {
            "model": PlacedOrderView | PlacedSplitView,
            "description": "Not decided yet; follow Location.",
        },
    },
)
async def place_order(
    request: Request,
    body: PlaceOrderBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
    dry: Annotated[bool, Query(alias="dry_run")] = False,
) -> JSONResponse:
    """Place an order. The same key gives the same order's answer for ever.

    201: decided (`status` says how it stands). 422: refused, with the reason. 202: not decided
    within `Prefer: wait=N` (default 5 s, at most 30). 503 with outcome `not_sent`: provably not
    started; with outcome `unknown`: repeat with the same key. With `auto`, a group or `split` the
    answer says in `routing` why it goes where it goes, which is fixed before anything is sent; 422
    `no_route`: no account can take it.
    """
    await context.authorize(caller, Action.TRADE, None, "order:new")
    if (dry or body.dry_run) and body.is_routed:
        return JSONResponse((await dry_routed(context, caller, body)).json_ready())
    if dry or body.dry_run:
        account = await account_for(context, caller, body)
        market = await market_for(context, account, body.symbol)
        violations = await violations_of(context, account, body)
        return JSONResponse(dry_run(body, account, market, violations).json_ready())
    key = key_of(key_of_header(request), body.client_key)
    begin = place_split if body.split else place
    answer = await begin(context, caller, body, key, wait_s)
    return _response(request, answer, {"Preference-Applied": f"wait={wait_s:g}"})


@router.post("/batch", operation_id="place_orders", response_model=BatchView)
async def place_batch(
    request: Request, body: BatchBody, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Place up to 50 orders; each gets the answer it would have got alone.

    An order without `client_key` takes `<Idempotency-Key>/<its index>`.
    """
    await context.authorize(caller, Action.TRADE, None, "order:new")
    batch_key = key_of(key_of_header(request), None)
    keys = [each.client_key or f"{batch_key}/{index}" for index, each in enumerate(body.orders)]
    for index, key in enumerate(keys):
        if key in keys[:index]:
            detail = f"expected a key of its own, found that of order {keys.index(key)}"
            raise ProblemError(invalid_input(f"/orders/{index}/client_key", detail))
        for name in ("dry_run", "split"):
            if getattr(body.orders[index], name):
                raise ProblemError(
                    invalid_input(f"/orders/{index}/{name}", "expected in an order of its own")
                )

    async def one(index: int) -> dict[str, Any]:
        try:
            answer = await place(context, caller, body.orders[index], keys[index], wait_s)
        except ProblemError as error:
            problem = error.problem
        except PerpDexError as error:
            problem = of_error(error)
        else:
            if answer.problem is None:
                return batch_answer(answer.status, answer.order or {}).json_ready()
            problem = answer.problem
        content = problem.members(
            instance=f"{request.url.path}#/orders/{index}",
            request_id=request.state.request_id,
            mutating=True,
        )
        return batch_answer(problem.status, content).json_ready()

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(index)) for index in range(len(keys))]
    return JSONResponse(
        {"results": [task.result() for task in running]},
        headers={"Idempotency-Key": f'"{batch_key}"'},
    )


@router.get("", operation_id="list_orders", response_model=OrderPageView)
async def list_orders(
    context: Ctx,
    caller: Caller,
    status: Annotated[str, Query(description="all, open, closed, or statuses by comma")] = "all",
    account: str | None = None,
    group: GroupName | None = None,
    venue: str | None = None,
    symbol: MarketName | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
    limit: str | None = None,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> JSONResponse:
    """List orders, newest first; `cursor` continues a page."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "order:list")
    for name, at in (("created_from", created_from), ("created_until", created_until)):
        if at is not None and at.tzinfo is None:
            raise ProblemError(
                invalid_parameter(name, "expected a time with its zone, such as …T00:00:00Z")
            )
    members = None if group is None else (await group_named(context, caller, group)).account_ids
    account_id = None
    if account is not None:
        account_id = (await context.account(caller, Action.READ_ACCOUNT, account)).account_id
    wanted = OrderFilter(
        owner=caller.principal_id,
        account_id=account_id,
        account_ids=members,
        venue=venue,
        symbol=symbol,
        statuses=_statuses(status),
        created_from=created_from,
        created_until=created_until,
        limit=bounded("limit", limit, default=100, least=1, greatest=LIMIT_MAX),
        cursor=cursor,
    )
    try:
        page = await context.parts.orders.page(wanted)
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(error.field, error.message)) from None
    views = [
        order_view(order, await context.label_of(order.account_id)).json_ready()
        for order in page.orders
    ]
    return JSONResponse(
        {
            "orders": views,
            "next_cursor": page.next_cursor,
            "has_more": page.next_cursor is not None,
        }
    )


@router.get("/{order_id}", operation_id="get_order", response_model=OrderView)
async def get_order(
    order_id: str,
    context: Ctx,
    caller: Caller,
    wait_for: WaitFor | None = None,
    timeout: Annotated[str | None, Query(description="Seconds, 0 to 60; 30 if left out")] = None,
    live: bool = False,
) -> JSONResponse:
    """Read an order; `wait_for` answers as soon as it is reached, at the latest after `timeout`.

    `fill` is any fill or the end. `live` asks the running workflow itself and falls back to the
    database; `source` says which it was.
    """
    timeout_s = bounded("timeout", timeout, default=LONG_POLL_S, least=0, greatest=LONG_POLL_S_MAX)
    order, _ = await context.order(caller, Action.READ_ACCOUNT, order_id)
    if wait_for is not None and not _REACHED[wait_for](order):
        with context.long_polls.admit(caller.principal_id):
            order = await _poll(context, order, _REACHED[wait_for], timeout_s)
    source = "database"
    if live and not order.is_terminal:
        try:
            order, source = await context.ask(context.parts.desk.state(order.order_id)), "workflow"
        except (NotFound, Unavailable, Conflict):
            source = "database"
    label = await context.label_of(order.account_id)
    return JSONResponse(order_view(order, label, source=source).json_ready())


@router.get("/{order_id}/history", operation_id="get_order_history", response_model=HistoryView)
async def get_history(order_id: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read everything that happened to an order, and where an operator sees its workflow."""
    order, _ = await context.order(caller, Action.READ_ACCOUNT, order_id)
    orders = context.parts.orders
    view = history_view(
        order_view(order, await context.label_of(order.account_id)),
        await orders.timeline(order.order_id),
        await orders.fills(order.order_id),
        temporal_url=context.parts.endpoints.workflow_url(workflow_id(order.order_id)),
    )
    return JSONResponse(view.json_ready())


@router.delete(
    "/{order_id}",
    operation_id="cancel_order",
    response_model=OrderView,
    responses={202: {"model": OrderView, "description": "The end is not known yet."}},
)
async def cancel_order(
    request: Request, order_id: str, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Cancel an order: 200 with the ended order, 202 until its end is known, 409 if it had ended.

    With an Idempotency-Key a repeated cancel gets the first one's answer.
    """
    given_key = key_of_header(request)
    order, kept = await context.order(caller, Action.CLOSE, order_id)
    if kept and order.is_terminal and given_key is None:
        raise await _ended(context, order)
    request_id = request_id_for(order.order_id, key_of(given_key, None))
    try:
        if kept and not order.origin.is_ours and not order.is_terminal:
            # Placed elsewhere, it has no workflow until somebody here wants something of it.
            await context.ask(context.parts.desk.adopt(order, completed_too=True))
        answer = await context.ask(
            context.parts.desk.cancel(order.order_id, request_id, wait_s=wait_s)
        )
    except PerpDexError as error:
        response = await _request_failed(request, context, order, error)
    else:
        response = await _request_answer(request, context, order, answer, "cancel_refused")
    await context.audit(
        caller, "order.cancel", f"order:{order.order_id}", str(response.status_code)
    )
    return response


@router.patch(
    "/{order_id}",
    operation_id="modify_order",
    response_model=OrderView,
    responses={202: {"model": OrderView, "description": "Not decided yet."}},
)
async def modify_order(
    request: Request,
    order_id: str,
    body: ModifyOrderBody,
    context: Ctx,
    caller: Caller,
    wait_s: Wait,
) -> JSONResponse:
    """Change an order's price or total quantity: 200 done, 202 not decided, 422 refused."""
    given_key = key_of_header(request)
    order, kept = await context.order(caller, Action.TRADE, order_id)
    if kept and order.is_terminal and given_key is None:
        raise await _ended(context, order)
    if not order.origin.is_ours:
        raise Conflict(
            f"expected an order placed through here, this one is {order.origin.value}; it can be "
            "canceled here, and changed where it was placed",
            code="not_ours",
        )
    if order.origin is Origin.SPLIT:
        raise Conflict(
            "a part of a split order is not changed: cancel the split order and place another",
            code="modify_refused",
        )
    await _check_change(context, order, body)
    request_id = request_id_for(order.order_id, key_of(given_key, None))
    try:
        answer = await context.ask(
            context.parts.desk.modify(
                order.order_id, request_id, price=body.price, quantity=body.quantity, wait_s=wait_s
            )
        )
    except PerpDexError as error:
        response = await _request_failed(request, context, order, error)
    else:
        response = await _request_answer(request, context, order, answer, "modify_refused")
    await context.audit(
        caller, "order.modify", f"order:{order.order_id}", str(response.status_code)
    )
    return response


@router.post("/{order_id}/resolve", operation_id="resolve_order", response_model=OrderView)
async def resolve_order(
    request: Request, order_id: str, body: ResolveOrderBody, context: Ctx, caller: Caller
) -> JSONResponse:
    """Give an operator's word on an order whose outcome cannot be found out.

    It ranks below anything the venue says later.
    """
    order, _ = await context.order(caller, Action.ADMIN, order_id)
    request_id = request_id_for(order.order_id, key_of(key_of_header(request), None))
    try:
        answer = await context.ask(
            context.parts.desk.resolve(
                order.order_id,
                request_id,
                verdict=body.verdict,
                reason=body.reason,
                by=caller.principal_id,
            )
        )
    except PerpDexError as error:
        response = await _request_failed(request, context, order, error)
    else:
        response = await _request_answer(request, context, order, answer, "resolve_refused")
    await context.audit(
        caller,
        "order.resolve",
        f"order:{order.order_id}",
        str(response.status_code),
        detail={"verdict": body.verdict, "reason": body.reason},
    )
    return response


def _response(request: Request, answer: Answer, headers: dict[str, str]) -> JSONResponse:
    if answer.problem is not None:
        response = respond(request, answer.problem)
    else:
        response = JSONResponse(
            answer.order, status_code=answer.status, headers=dict(answer.headers)
        )
    response.headers.update(headers)
    return response


def _statuses(text: str) -> tuple[str, ...] | None:
    groups = {"all": None, "open": _OPEN, "closed": _CLOSED}
    if text.lower() in groups:
        return groups[text.lower()]
    names = tuple(name.strip().upper() for name in text.split(","))
    for name in names:
        if name not in OrderStatus.__members__:
            known = ", ".join(OrderStatus.__members__)
            raise ProblemError(
                invalid_parameter("status", f"expected all, open, closed or some of {known}")
            )
    return names


async def _poll(
    context: Context, order: Order, reached: Callable[[Order], bool], timeout_s: float
) -> Order:
    """Return the order once `reached`, or as it is when the time is over or we are stopping."""
    found = order
    try:
        async with asyncio.timeout(timeout_s):
            while not reached(found) and not context.draining.is_set():
                await asyncio.sleep(context.parts.limits.poll_interval_s)
                found = await context.parts.orders.get(order.order_id) or found
    except TimeoutError:
        pass
    return found


async def _ended(context: Context, order: Order) -> ProblemError:
    return ProblemError(await _ended_problem(context, order))


async def _ended_problem(context: Context, order: Order) -> Problem:
    view = order_view(order, await context.label_of(order.account_id)).json_ready()
    return Problem(
        status=HTTPStatus.CONFLICT,
        code="order_ended",
        detail=f"the order has ended: {order.status}"
        + (f" ({order.reason})" if order.reason else ""),
        extra={"order": view},
    )


async def _check_change(context: Context, order: Order, body: ModifyOrderBody) -> None:
    account = await context.parts.accounts.get(order.account_id)
    if account is None:
        raise NotFound("no such order")
    market = await market_for(context, account, order.symbol)
    if body.price is not None:
        if order.order_type.is_market:
            raise InvalidInput("price", f"a {order.order_type} order has none to change")
        market.check_price("price", body.price)
    if body.quantity is not None:
        market.check_quantity("quantity", body.quantity)
        if body.quantity <= order.filled_quantity:
            raise InvalidInput(
                "quantity",
                f"expected more than the {order.filled_quantity} filled already; "
                "to stop the order, cancel it",
            )
    await check_modified(context, order, quantity=body.quantity, price=body.price)


async def _request_answer(
    request: Request, context: Context, order: Order, answer: RequestAnswer, refusal_code: str
) -> JSONResponse:
    current = answer.order or await context.newest(order)
    label = await context.label_of(current.account_id)
    view = order_view(current, label).json_ready()
    if answer.refusal is not None:
        problem = Problem(
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
            code=refusal_code,
            detail=answer.refusal,
            outcome="rejected",
            extra={"order": view},
        )
        return respond(request, problem)
    status = HTTPStatus.OK if answer.decided else HTTPStatus.ACCEPTED
    return JSONResponse(
        view, status_code=status, headers={"Location": f"/api/v1/orders/{order.order_id}"}
    )


async def _request_failed(
    request: Request, context: Context, order: Order, error: PerpDexError
) -> JSONResponse:
    """Answer for a request the workflow did not take: ended, refused, or Temporal away."""
    current = await context.newest(order)
    if current.is_terminal and isinstance(error, (Conflict, NotFound)):
        return respond(request, await _ended_problem(context, current))
    problem = of_error(error)
    view = order_view(current, await context.label_of(current.account_id)).json_ready()
    extra = {**problem.extra, "order": view}
    # A request that was not answered may have arrived; only a refusal proves that it did not.
    outcome = "unknown" if isinstance(error, Unavailable) else "not_sent"
    status = HTTPStatus.CONFLICT if isinstance(error, NotFound) else problem.status
    if isinstance(error, Conflict) and error.code == "modify_refused":
        status, outcome = HTTPStatus.UNPROCESSABLE_ENTITY, "rejected"
    return respond(
        request,
        Problem(
            status=status,
            code="unmanaged" if isinstance(error, NotFound) else problem.code,
            detail=problem.detail,
            outcome=outcome,
            retryable=problem.retryable or isinstance(error, NotFound),
            extra=extra,
            headers=problem.headers,
        ),
    )
