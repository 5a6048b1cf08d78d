"""A dry run: what an order would be at the market, rounded, without asking or sending anything."""

from __future__ import annotations

from collections.abc import Sequence

from api.bodies import PlaceOrderBody
from api.bracketing import check_exits
from api.placing import market_problems
from api.problems import Problem, ProblemError, of_error
from api.views import DryRunView
from domain.accounts import Account
from domain.errors import InvalidInput
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
    problems = market_problems(body, instrument) + _exit_problems(body, instrument)
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
            **_exits(body),
        },
        notional=None if notional is None else plain(notional),
        initial_margin_at_max_leverage=(
            None if notional is None else plain(notional / instrument.max_leverage)
        ),
    )


def _exits(body: PlaceOrderBody) -> dict[str, str | int | None]:
    """Return where exits were asked for, and whether they would leave in the same request."""
    rules = {"take_profit": body.take_profit, "stop_loss": body.stop_loss}
    asked: dict[str, str | int | None] = {
        name: rule.spelled for name, rule in rules.items() if rule is not None
    }
    return asked | {"native": body.native} if asked else {}


def _exit_problems(body: PlaceOrderBody, instrument: Instrument) -> list[Problem]:
    try:
        check_exits(body, instrument)
    except ProblemError as error:
        return [error.problem]
    except InvalidInput as error:
        return [of_error(error)]
    return []
