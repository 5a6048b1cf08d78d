"""Placing an entry with its exits: checked against the market, kept, and its workflow started.

The entry itself is placed as any order is; the bracket's workflow runs before it.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus

from api.bodies import ExitBody, PlaceOrderBody
from api.context import Context
from api.problems import UNKNOWN, Problem, ProblemError, invalid_input, unavailable
from domain.brackets import BracketPlan, BracketState
from domain.errors import Unavailable
from domain.instruments import Instrument, OrderSide
from domain.orders import Order

WHOLE = Decimal(100)


def check_exits(body: PlaceOrderBody, instrument: Instrument) -> None:
    """Check that the exits are on their sides of the entry, at prices that the market takes.

    Raises:
        ProblemError: 422, naming the field.
    """
    gain = 1 if body.side is OrderSide.BUY else -1
    for name, rule, direction in (
        ("take_profit", body.take_profit, gain),
        ("stop_loss", body.stop_loss, -gain),
    ):
        if rule is None:
            continue
        if rule.price is not None:
            instrument.check_price(f"{name}/price", rule.price)
        _check_side(body, name, rule, direction)
    target, stop = body.take_profit, body.stop_loss
    if target is None or stop is None or target.price is None or stop.price is None:
        return
    if (target.price - stop.price) * gain <= 0:
        raise ProblemError(
            invalid_input(
                "/stop_loss/price",
                f"expected it {'below' if gain > 0 else 'above'} the take_profit",
            )
        )


def _check_side(body: PlaceOrderBody, name: str, rule: ExitBody, direction: int) -> None:
    """Check one exit against the entry's price, or that a percentage leaves a price."""
    entry = body.price or body.trigger_price
    if rule.percent is not None and direction < 0 and rule.percent >= WHOLE:
        raise ProblemError(
            invalid_input(f"/{name}/percent", "expected less than 100: no price is left")
        )
    if rule.price is not None and entry is not None and (rule.price - entry) * direction <= 0:
        where = "above" if direction > 0 else "below"
        raise ProblemError(
            invalid_input(f"/{name}/price", f"expected it {where} the entry's price")
        )


def plan_of(body: PlaceOrderBody, order: Order) -> BracketPlan:
    """Return the bracket that an order with exits asks for."""
    return BracketPlan(
        entry=replace(order, parent_id=order.order_id, joint=body.native),
        take_profit=None if body.take_profit is None else body.take_profit.meant,
        stop_loss=None if body.stop_loss is None else body.stop_loss.meant,
        on_failure=body.on_protection_failure,
        max_slippage_bps=body.max_slippage_bps,
        native=body.native,
    )


def unclear(error: ProblemError) -> ProblemError:
    """Return what a refused start of the entry means once its bracket runs: it may be placed."""
    if error.problem.status != HTTPStatus.SERVICE_UNAVAILABLE:
        return error
    return ProblemError(_unclear(error.problem))


def _unclear(problem: Problem) -> Problem:
    return replace(
        problem,
        code="start_unclear",
        outcome=UNKNOWN,
        detail="the bracket may have begun, and may place its entry; repeat with the same "
        "Idempotency-Key to learn the outcome, never with another",
    )


async def start_bracket(context: Context, plan: BracketPlan) -> Order:
    """Keep a bracket and start its workflow; return its entry, which is placed as any order.

    Its key is claimed.

    Raises:
        ProblemError: 503, outcome unknown: whether the start happened is not known.
    """
    kept = await context.parts.brackets.keep(BracketState(plan=plan))
    try:
        await context.ask(context.parts.bracket_desk.start(kept.plan))
    except Unavailable as error:
        # Whether the start arrived is not known, and it places the entry.
        raise ProblemError(_unclear(unavailable(str(error)))) from None
    return kept.plan.entry
