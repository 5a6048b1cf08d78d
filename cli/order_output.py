"""How orders are printed: one by its fields, many as a table, CSV or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cli.output import json_ready, print_csv, print_fields, print_json, print_table

if TYPE_CHECKING:
    from perp_dex_client import DryRun, History, Order

_COLUMNS: Final = (
    "created",
    "order id",
    "account",
    "symbol",
    "side",
    "type",
    "quantity",
    "filled",
    "price",
    "average",
    "status",
    "origin",
    "reason",
)
_CSV_FIELDS: Final = (
    "created_at",
    "updated_at",
    "order_id",
    "client_order_id",
    "venue_order_id",
    "account",
    "venue",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "quantity",
    "filled_quantity",
    "remaining_quantity",
    "price",
    "average_price",
    "status",
    "outcome",
    "reason",
    "origin",
    "parent_id",
)


def order_json(order: Order) -> dict[str, object]:
    """Return an order as it is printed with `--json`."""
    return {**json_ready(order), "is_terminal": order.is_terminal}


def print_order(order: Order, *, as_json: bool) -> None:
    """Print one order."""
    if as_json:
        print_json(order_json(order))
        return
    price = order.price if order.price is not None else "market"
    print_fields(
        (
            ("order", order.order_id),
            ("what", f"{order.side} {_text(order.quantity)} {order.symbol} @ {_text(price)}"),
            ("kind", f"{order.order_type} {order.time_in_force}{_flags(order)}"),
            ("account", f"{order.venue}/{order.account}"),
            ("status", order.status),
            ("outcome", order.outcome),
            ("origin", order.origin),
            *((("routed", order.routed),) if order.routed else ()),
            ("filled", _filled(order)),
            ("reason", order.reason),
            ("venue order id", order.venue_order_id),
            ("client order id", order.client_order_id),
            ("created", order.created_at),
            ("updated", order.updated_at),
            ("workflow", order.workflow_id),
        )
    )


def print_orders(orders: Sequence[Order], form: str) -> None:
    """Print orders as `table`, `csv` or `json`."""
    if form == "json":
        print_json({"orders": [order_json(order) for order in orders]})
    elif form == "csv":
        rows = [[getattr(order, name) for name in _CSV_FIELDS] for order in orders]
        print_csv(_CSV_FIELDS, rows)
    else:
        print_table(
            _COLUMNS,
            [_row(order) for order in orders],
            right=("quantity", "filled", "price", "average"),
            whole=("created", "order id", "status", "quantity", "filled", "price"),
        )


def print_history(history: History, *, as_json: bool) -> None:
    """Print an order with everything that happened to it."""
    if as_json:
        print_json({**json_ready(history), "order": order_json(history.order)})
        return
    print_order(history.order, as_json=False)
    if history.temporal_url is not None:
        print_fields((("in Temporal", history.temporal_url),))
    if history.events:
        print_table(
            ("time", "kind", "what happened"),
            [(event.at, event.kind, event.text) for event in history.events],
            whole=("time", "kind"),
        )
    if history.fills:
        print_table(
            ("time", "trade id", "price", "quantity", "fee", "liquidity"),
            [
                (
                    fill.event_time,
                    fill.trade_id,
                    fill.price,
                    fill.quantity,
                    fill.fee,
                    fill.liquidity_side,
                )
                for fill in history.fills
            ],
            right=("price", "quantity", "fee"),
        )


def print_dry_run(dry: DryRun, *, as_json: bool) -> None:
    """Print what an order would be; nothing was sent."""
    if as_json:
        print_json({"dry_run": True, **json_ready(dry)})
        return
    print_fields((name.replace("_", " "), value) for name, value in dry.action.items())
    print_fields(
        (
            ("notional", dry.notional),
            ("margin at highest leverage", dry.initial_margin_at_max_leverage),
            ("fee", dry.fee_estimate if dry.fee_estimate is not None else "the venue's to say"),
            ("taken as given", dry.would_be_taken_as_given),
        )
    )
    for problem in dry.problems:
        where = problem.get("pointer") or problem.get("limit") or "input"
        print_fields(((where.lstrip("/"), problem.get("detail")),))


def _row(order: Order) -> tuple[object, ...]:
    return (
        order.created_at,
        order.order_id,
        order.account,
        order.symbol,
        order.side,
        order.order_type,
        order.quantity,
        order.filled_quantity,
        order.price,
        order.average_price,
        order.status,
        order.origin,
        order.reason,
    )


def _filled(order: Order) -> str:
    of = f"{_text(order.filled_quantity)} of {_text(order.quantity)}"
    return of if order.average_price is None else f"{of} at {_text(order.average_price)}"


def _flags(order: Order) -> str:
    flags = [("post-only", order.post_only), ("reduce-only", order.reduce_only)]
    text = "".join(f" {name}" for name, is_set in flags if is_set)
    if order.trigger_price is not None:
        text += f" trigger {_text(order.trigger_price)} {order.trigger_type}"
    return text


def _text(value: object) -> str:
    return str(json_ready(value))
