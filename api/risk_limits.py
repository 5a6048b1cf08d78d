"""Asking the risk limits before anything is started. The ledger asks them again, and decides."""

from __future__ import annotations

from decimal import Decimal

from api.bodies import PlaceOrderBody
from api.context import Context
from api.problems import ProblemError
from api.risk_views import risk_limit_problem
from domain.accounts import Account
from domain.exposure import Asked, open_quantity
from domain.orders import Order
from domain.violations import Violation


async def check_new(context: Context, order: Order) -> None:
    """Check an order that is to be placed.

    Raises:
        ProblemError: 422 `risk_limit`; nothing was started.
    """
    await _check(context, _asked(order, quantity=order.quantity, price=order.price))


async def violations_of(
    context: Context, account: Account, body: PlaceOrderBody
) -> tuple[Violation, ...]:
    """Return the limits that an order would exceed if it were placed now."""
    if body.reduce_only:
        return ()
    asked = Asked(
        account_id=account.account_id,
        symbol=body.symbol,
        side=body.side,
        quantity=body.quantity,
        price=body.price,
        order_type=body.kind,
        trigger_price=body.trigger_price,
    )
    return await context.parts.risk.judge(asked)


async def check_modified(
    context: Context, order: Order, *, quantity: Decimal | None, price: Decimal | None
) -> None:
    """Check what an order is to become; only the difference counts.

    Raises:
        ProblemError: 422 `risk_limit`; the order stays as it is.
    """
    total = order.quantity if quantity is None else quantity
    asked = _asked(
        order,
        quantity=total - order.filled_quantity,
        price=order.price if price is None else price,
        replaces=open_quantity(order),
        is_new=False,
    )
    await _check(context, asked)


async def _check(context: Context, asked: Asked) -> None:
    if asked.reduce_only:
        return
    violations = await context.parts.risk.judge(asked)
    if violations:
        raise ProblemError(risk_limit_problem(violations))


def _asked(
    order: Order,
    *,
    quantity: Decimal,
    price: Decimal | None,
    replaces: Decimal = Decimal(0),
    is_new: bool = True,
) -> Asked:
    return Asked(
        account_id=order.account_id,
        symbol=order.symbol,
        side=order.side,
        quantity=quantity,
        price=price,
        order_type=order.order_type,
        trigger_price=order.trigger_price,
        reduce_only=order.reduce_only,
        is_new=is_new,
        replaces=replaces,
    )
