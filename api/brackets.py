"""The routes of brackets: list, read, end. They begin as orders with exits, see `api.orders`."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from api.context import Caller, Context, Ctx, Wait, bounded
from api.failures import respond
from api.fields import MarketName
from api.idempotency import key_of, key_of_header
from api.problems import Problem
from api.strict_json import StrictRoute
from api.views import OrderView, View, moment, order_view
from domain.bracket_store import BracketFilter
from domain.brackets import BracketState, ExitRule, news_of, with_news
from domain.errors import Conflict, InvalidInput, NotFound
from domain.identifiers import check_order_id, request_id_for
from domain.numbers import plain
from domain.orders import Order
from domain.principals import Action, Principal

LIMIT_MAX: Final = 500

router = APIRouter(prefix="/api/v1/brackets", tags=["brackets"], route_class=StrictRoute)


class ExitView(View):
    """Where an exit was asked for."""

    price: str | None
    percent: str | None


class LegView(View):
    """One exit order of a bracket."""

    order_id: str
    kind: str
    quantity: str
    trigger_price: str | None
    filled_quantity: str
    status: str
    native: bool


class BracketView(View):
    """A bracket as it is known now; it has its entry order's id."""

    bracket_id: str
    account: str
    account_id: str
    venue: str
    symbol: str
    status: str
    reason: str | None
    is_terminal: bool
    needs_attention: bool
    entry: OrderView
    entered_quantity: str
    exited_quantity: str
    open_quantity: str
    take_profit: ExitView | None
    stop_loss: ExitView | None
    on_protection_failure: str
    native: bool
    protected_by: Literal["venue", "workflow"] | None
    exits: list[LegView]
    last_answer: str | None
    ended_at: str | None
    workflow_id: str
    temporal_url: str | None


class BracketsView(View):
    """Brackets, newest first."""

    brackets: list[BracketView]


@router.get("", operation_id="list_brackets", response_model=BracketsView)
async def list_brackets(
    context: Ctx,
    caller: Caller,
    status: Annotated[Literal["all", "open", "closed"], Query()] = "all",
    account: str | None = None,
    symbol: MarketName | None = None,
    limit: str | None = None,
) -> JSONResponse:
    """List brackets, newest first."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "bracket:list")
    account_id = None
    if account is not None:
        account_id = (await context.account(caller, Action.READ_ACCOUNT, account)).account_id
    wanted = BracketFilter(
        owner=caller.principal_id,
        account_id=account_id,
        symbol=symbol,
        running=None if status == "all" else status == "open",
        limit=bounded("limit", limit, default=100, least=1, greatest=LIMIT_MAX),
    )
    found = await context.parts.brackets.page(wanted)
    return JSONResponse(
        {"brackets": [(await _view(context, state)).json_ready() for state in found]}
    )


@router.get("/{bracket_id}", operation_id="get_bracket", response_model=BracketView)
async def get_bracket(bracket_id: str, context: Ctx, caller: Caller) -> JSONResponse:
    """Read a bracket: its entry, its exits, and what is open and protected."""
    state = await _bracket_of(context, caller, Action.READ_ACCOUNT, bracket_id)
    return JSONResponse((await _view(context, state)).json_ready())


@router.delete(
    "/{bracket_id}",
    operation_id="end_bracket",
    response_model=BracketView,
    responses={202: {"model": BracketView, "description": "The end is not known yet."}},
)
async def end_bracket(
    request: Request, bracket_id: str, context: Ctx, caller: Caller, wait_s: Wait
) -> JSONResponse:
    """Cancel a bracket's entry and exits. What was entered stays open, without protection.

    200: nothing of it is live any more. 202: not known yet. 409: it had ended before.
    """
    state = await _bracket_of(context, caller, Action.CLOSE, bracket_id)
    if state.status.is_terminal:
        return await _ended(request, context, state)
    entry_id = state.plan.bracket_id
    request_id = request_id_for(entry_id, key_of(key_of_header(request), None))
    try:
        answer = await context.ask(
            context.parts.bracket_desk.end(entry_id, request_id, wait_s=wait_s)
        )
    except (Conflict, NotFound):
        response = await _ended(request, context, await _newest(context, state))
    else:
        end = answer.state if answer.decided else None
        view = await _view(context, end or await _newest(context, state))
        status = HTTPStatus.OK if answer.decided else HTTPStatus.ACCEPTED
        response = JSONResponse(view.json_ready(), status_code=status)
    await context.audit(caller, "bracket.end", f"bracket:{entry_id}", str(response.status_code))
    return response


async def _newest(context: Context, state: BracketState) -> BracketState:
    return await context.parts.brackets.get(state.plan.bracket_id) or state


async def _ended(request: Request, context: Context, state: BracketState) -> JSONResponse:
    view = await _view(context, state)
    said = f"{state.status} ({state.reason})" if state.status.is_terminal else "not managed now"
    problem = Problem(
        status=HTTPStatus.CONFLICT,
        code="bracket_ended" if state.status.is_terminal else "unmanaged",
        detail=f"the bracket is {said}",
        retryable=not state.status.is_terminal,
        extra={"bracket": view.json_ready()},
    )
    return respond(request, problem)


async def _bracket_of(
    context: Context, caller: Principal, action: Action, text: str
) -> BracketState:
    """Return a bracket of the caller. Raises NotFound: there is none, or it is another's."""
    try:
        bracket_id = check_order_id(text)
    except InvalidInput:
        raise NotFound("no such bracket") from None
    state = await context.parts.brackets.get(bracket_id)
    if state is None:
        raise NotFound("no such bracket")
    await context.authorize(caller, action, state.plan.entry.owner, f"bracket:{bracket_id}")
    return state


async def _view(context: Context, state: BracketState) -> BracketView:
    plan = state.plan
    ids = (plan.bracket_id, *(leg.order_id for leg in state.legs))
    orders = await context.parts.brackets.orders(ids)
    known = {order.order_id: order for order in orders}
    entry = known.get(plan.bracket_id, plan.entry)
    exited = sum((known[leg].filled_quantity for leg in ids[1:] if leg in known), state.exited * 0)
    label = await context.label_of(entry.account_id)
    protector = with_news(state, map(news_of, orders)).protected_by
    workflow_id = f"bracket-{plan.bracket_id}"
    return BracketView(
        bracket_id=plan.bracket_id,
        account=label,
        account_id=entry.account_id,
        venue=entry.venue,
        symbol=entry.symbol,
        status=state.status.value,
        reason=state.reason or None,
        is_terminal=state.status.is_terminal,
        needs_attention=state.needs_attention,
        entry=order_view(entry, label),
        entered_quantity=plain(entry.filled_quantity),
        exited_quantity=plain(exited),
        open_quantity=plain(max(entry.filled_quantity - exited, exited * 0)),
        take_profit=_exit(plan.take_profit),
        stop_loss=_exit(plan.stop_loss),
        on_protection_failure=plan.on_failure.value,
        native=plan.native,
        protected_by=None if protector is None else protector.value,
        exits=_legs(state, known),
        last_answer=state.last_answer or None,
        ended_at=None if state.ended_at is None else moment(state.ended_at),
        workflow_id=workflow_id,
        temporal_url=context.parts.endpoints.workflow_url(workflow_id),
    )


def _legs(state: BracketState, known: dict[str, Order]) -> list[LegView]:
    views: list[LegView] = []
    for leg in state.legs:
        order = known.get(leg.order_id)
        views.append(
            LegView(
                order_id=leg.order_id,
                kind=leg.kind.value,
                quantity=plain(leg.quantity),
                trigger_price=None if leg.trigger_price is None else plain(leg.trigger_price),
                filled_quantity="0" if order is None else plain(order.filled_quantity),
                status="PENDING" if order is None else order.status.value,
                native=leg.joint,
            )
        )
    return views


def _exit(rule: ExitRule | None) -> ExitView | None:
    if rule is None:
        return None
    return ExitView(
        price=None if rule.price is None else plain(rule.price),
        percent=None if rule.percent is None else plain(rule.percent),
    )
