"""A dry run: what an order would be at the market, rounded, without asking or sending anything."""

from __future__ import annotations

from collections.abc import Sequence

from api.bodies import PlaceOrderBody
from api.placing import market_problems
from api.views import DryRunView
from domain.accounts import Account
from domain.instruments import Instrument
from domain.numbers import plain
from domain.violations import Violation


def dry_run(
    body: PlaceOrderBody,
    account: Account,
    instrument: Instrument,
    violations: Sequence[Violation] = (),
) -> DryRunView:
    """Return the order as the market would take it, and what would be refused as given.

    `violations` are the risk limits that it would exceed now.

    Quantities are rounded down, a buy's price down, a sell's up; real orders are never rounded.
    """
    quantity = instrument.floor_quantity(body.quantity)
    price = None if body.price is None else instrument.safe_price(body.side, body.price)
    trigger = (
        None
        if body.trigger_price is None
        else instrument.safe_price(body.side.opposite, body.trigger_price)
    )
    worth = price if price is not None else trigger
    notional = None if worth is None else quantity * worth
    problems = market_problems(body, instrument)
    return DryRunView(
        would_be_taken_as_given=not problems and not violations,
        problems=[
            *(dict(problem.errors[0]) for problem in problems),
            *({"limit": each.limit.value, "detail": str(each)} for each in violations),
        ],
        action={
            "account": account.label,
            "venue": account.venue,
            "network": account.network.value,
            "symbol": instrument.symbol,
            "venue_symbol": instrument.venue_symbol,
            "asset_index": instrument.asset_index,
            "side": body.side.value,
            "order_type": body.kind.value,
            "time_in_force": body.lifetime.value,
            "quantity": plain(quantity),
            "price": None if price is None else plain(price),
            "trigger_price": None if trigger is None else plain(trigger),
            "trigger_type": None if trigger is None else body.trigger_type.value,
            "post_only": body.post_only,
            "reduce_only": body.reduce_only,
            "max_slippage_bps": body.max_slippage_bps if body.kind.is_market else None,
        },
        notional=None if notional is None else plain(notional),
        initial_margin_at_max_leverage=(
            None if notional is None else plain(notional / instrument.max_leverage)
        ),
    )
