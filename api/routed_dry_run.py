"""A dry run of an order whose account is to be chosen: the choice of now, with all its figures."""

from __future__ import annotations

from decimal import Decimal

from api.bodies import PlaceOrderBody
from api.context import Context
from api.routing import Chosen, dry_route, view_of
from api.routing_views import RouteView, rounded
from api.views import DryRunView
from domain.numbers import plain
from domain.principals import Principal
from domain.routing import Figures


class RoutedDryRunView(DryRunView):
    """What would be asked of which account; nothing was fixed or sent."""

    routing: RouteView


async def dry_routed(
    context: Context, principal: Principal, body: PlaceOrderBody
) -> RoutedDryRunView:
    """Return where the order would go now, what it would cost there, and why not elsewhere."""
    route, chosen = await dry_route(context, principal, body)
    legs = _legs(chosen)
    problems = [] if legs else [{"detail": chosen.trouble}]
    problems += [] if legs else [_problem(each.account, each.reason) for each in chosen.exclusions]
    return RoutedDryRunView(
        would_be_taken_as_given=bool(legs),
        problems=problems,
        action=_action(body, legs),
        notional=None if not legs else rounded(sum(map(_notional, legs), Decimal(0))),
        initial_margin_at_max_leverage=None,
        fee_estimate=None if not legs else rounded(sum(map(_fee, legs), Decimal(0))),
        routing=await view_of(context, route, dry=True),
    )


def _legs(chosen: Chosen) -> tuple[Figures, ...]:
    return chosen.parts if chosen.parts else chosen.candidates[: len(chosen.shares)]


def _problem(account: str, reason: str) -> dict[str, str]:
    return {"pointer": f"/account/{account}", "detail": reason}


def _action(body: PlaceOrderBody, legs: tuple[Figures, ...]) -> dict[str, str | bool | int | None]:
    only = legs[0] if len(legs) == 1 else None
    return {
        "account": None if only is None else only.account,
        "venue": None if only is None else only.venue,
        "symbol": body.symbol,
        "side": body.side.value,
        "order_type": body.kind.value,
        "time_in_force": body.lifetime.value,
        "quantity": plain(body.quantity),
        "price": None if body.price is None else plain(body.price),
        "trigger_price": None if body.trigger_price is None else plain(body.trigger_price),
        "post_only": body.post_only,
        "reduce_only": body.reduce_only,
        "max_slippage_bps": body.max_slippage_bps if body.kind.is_market else None,
        "split": body.split,
        "legs": len(legs),
    }


def _notional(leg: Figures) -> Decimal:
    executed = leg.executable * (leg.average_price or Decimal(0))
    return executed + leg.resting * leg.limit


def _fee(leg: Figures) -> Decimal:
    executed = leg.executable * (leg.average_price or Decimal(0))
    return executed * leg.taker_fee + leg.resting * leg.limit * leg.maker_fee
