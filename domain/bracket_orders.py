"""The exit orders of a bracket: where they trigger, and what they are as orders. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from domain.brackets import BracketPlan, ExitRule, Leg, LegKind, leg_order_id
from domain.errors import InvalidInput
from domain.instruments import Instrument, OrderSide
from domain.orders import Order, Origin, TimeInForce

PROTECTIVE = (LegKind.STOP_LOSS, LegKind.TAKE_PROFIT)
"""The kinds that protect, the more urgent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceLeg:
    """Place one exit.

    `begun_at`: it was begun then and nothing was heard of it; its order's time is over.
    """

    kind: Literal["place"] = "place"
    leg: LegKind
    number: int
    quantity: Decimal
    trigger_price: Decimal | None
    begun_at: datetime | None = None


def trigger_price(
    plan: BracketPlan,
    kind: LegKind,
    rule: ExitRule,
    entry_price: Decimal | None,
    instrument: Instrument,
) -> Decimal:
    """Return the valid price at which an exit triggers.

    Raises:
        InvalidInput: the rule is a percentage and the entry's price is not known.
    """
    side = plan.exit_side
    if rule.price is not None:
        return instrument.safe_price(side, rule.price)
    if rule.percent is None or entry_price is None:
        raise InvalidInput("percent", "expected an entry price to take the percentage of")
    gains = kind is LegKind.TAKE_PROFIT
    above = gains is (side is OrderSide.SELL)
    share = rule.percent / 100
    return instrument.safe_price(side, entry_price * (1 + share if above else 1 - share))


def leg_order(
    plan: BracketPlan,
    step: PlaceLeg,
    instrument: Instrument,
    *,
    created_at: datetime,
    within: timedelta,
) -> Order:
    """Return the order of an exit. A trigger order's bound is taken from where it triggers."""
    entry, side = plan.entry, plan.exit_side
    price = None
    if step.trigger_price is not None:
        price = instrument.worst_price(side, step.trigger_price, plan.max_slippage_bps)
    number = step.number
    return Order(
        order_id=leg_order_id(plan.bracket_id, number),
        owner=entry.owner,
        account_id=entry.account_id,
        venue=entry.venue,
        symbol=entry.symbol,
        side=side,
        order_type=step.leg.order_type,
        quantity=step.quantity,
        time_in_force=TimeInForce.IOC if step.leg is LegKind.CLOSE else TimeInForce.GTC,
        created_at=created_at,
        place_by=created_at + within,
        price=price,
        trigger_price=step.trigger_price,
        reduce_only=True,
        max_slippage_bps=plan.max_slippage_bps,
        fingerprint=f"bracket {plan.bracket_id}",
        idempotency_key=f"{plan.bracket_id}/exit {number}",
        origin=Origin.BRACKET,
        parent_id=plan.bracket_id,
    )


def joint_exits(
    plan: BracketPlan, instrument: Instrument, *, created_at: datetime
) -> tuple[Order, ...]:
    """Return the exits that leave in the entry's own request: each of the entry's whole quantity.

    A percentage is one of the entry's limit price: what it will fill at is not known yet.

    Raises:
        InvalidInput: a rule is a percentage and the entry has no limit price.
    """
    rules = [(kind, rule) for kind in PROTECTIVE if (rule := plan.rule(kind)) is not None]
    return tuple(
        replace(
            leg_order(
                plan,
                PlaceLeg(
                    leg=kind,
                    number=number,
                    quantity=plan.entry.quantity,
                    trigger_price=trigger_price(plan, kind, rule, plan.entry.price, instrument),
                ),
                instrument,
                created_at=created_at,
                within=plan.entry.place_by - created_at,
            ),
            joint=True,
        )
        for number, (kind, rule) in enumerate(rules)
    )


def joint_legs(plan: BracketPlan, exits: tuple[Order, ...]) -> tuple[Leg, ...]:
    """Return the legs that `joint_exits` are, as the bracket keeps them."""
    kinds = [kind for kind in PROTECTIVE if plan.rule(kind) is not None]
    return tuple(
        Leg(
            kind=kind,
            order_id=order.order_id,
            quantity=order.quantity,
            trigger_price=order.trigger_price,
            joint=True,
        )
        for kind, order in zip(kinds, exits, strict=True)
    )


def joint_order_ids(plan: BracketPlan) -> tuple[str, ...]:
    """Return the ids of the exits that leave in the entry's own request, in their order."""
    count = sum(plan.rule(kind) is not None for kind in PROTECTIVE)
    return tuple(leg_order_id(plan.bracket_id, number) for number in range(count))
