"""How a choice between accounts is printed: candidates with figures, the others with reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cli.output import json_ready, print_fields, print_json, print_table, safe

if TYPE_CHECKING:
    from perp_dex_client import Routing, Split

_COLUMNS: Final = (
    "account",
    "quantity",
    "executes",
    "at",
    "waits",
    "taker",
    "maker",
    "cost",
    "margin",
    "free",
    "book age",
)
_LEGS: Final = ("account", "quantity", "filled", "status", "order id", "reason")


def print_routing(routing: Routing, *, as_json: bool = False) -> None:
    """Print why an order goes where it goes."""
    if as_json:
        print_json(json_ready(routing))
        return
    print_fields(("goes to", f"{one.venue}/{one.account}: {one.why}") for one in routing.shares)
    figures = routing.parts or routing.candidates
    if figures:
        rows = [
            (
                f"{one.venue}/{one.account}",
                one.quantity,
                one.executable,
                one.average_price,
                one.resting,
                one.taker_fee,
                one.maker_fee,
                one.cost,
                one.margin_needed,
                one.margin_available,
                None if one.book_age_s is None else f"{safe(one.book_age_s)} s",
            )
            for one in figures
        ]
        print_table(_COLUMNS, rows, right=_COLUMNS[1:], whole=("account",))
    if routing.exclusions:
        print_table(
            ("left out", "why", "reason"),
            [(f"{one.venue}/{one.account}", one.why, one.reason) for one in routing.exclusions],
            whole=("left out", "why"),
        )


def split_json(found: Split) -> dict[str, object]:
    """Return a split order as it is printed with `--json`."""
    return {**json_ready(found), "is_terminal": found.is_terminal}


def print_split(found: Split, *, as_json: bool) -> None:
    """Print one split order with its children."""
    if as_json:
        print_json(split_json(found))
        return
    price = "market" if found.price is None else safe(found.price)
    average = "" if found.average_price is None else f" at {safe(found.average_price)}"
    lost = (("refused, sent nowhere else", found.lost_quantity),) if found.lost_quantity else ()
    print_fields(
        (
            ("split order", found.split_id),
            ("what", f"{found.side} {safe(found.quantity)} {found.symbol} @ {price}"),
            ("status", found.status),
            ("reason", found.reason),
            ("filled", f"{safe(found.filled_quantity)} of {safe(found.quantity)}{average}"),
            *lost,
            ("workflow", found.workflow_id),
        )
    )
    rows = [
        (
            f"{leg.venue}/{leg.account}",
            leg.quantity,
            leg.filled_quantity,
            leg.status,
            leg.order_id,
            leg.reason,
        )
        for leg in found.legs
    ]
    print_table(_LEGS, rows, right=("quantity", "filled"), whole=("account", "order id", "status"))
