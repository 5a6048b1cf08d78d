"""What an operator reads in the web UI: an order's summary and its current details."""

from __future__ import annotations

from domain.lifecycle import Lifecycle, Replacement, RequestRecord, Step, Wait
from domain.numbers import plain
from domain.orders import Order, OrderStatus, OrderType
from workflows import policies

_RESTING = frozenset({"ACCEPTED", "TRIGGERED", "PARTIALLY_FILLED"})


def searched(status: OrderStatus, shown: str | None) -> str:
    """Return the status to search an order by, where `shown` is the one it has been.

    A resting order stays what it was at first: an event for each partial fill costs more than it
    tells, and the exact status is in the details and in SQL.
    """
    return shown if shown in _RESTING and status.value in _RESTING else status.value


def summary(order: Order, account_label: str) -> str:
    """Return one line such as "BUY 0.1 BTC-PERP @ 45000 GTC · hyperliquid/main"."""
    price = "market" if order.price is None else f"@ {plain(order.price)}"
    kind = "" if order.order_type is OrderType.LIMIT else f"{order.order_type.value} "
    flags = " post-only" if order.post_only else ""
    flags += " reduce-only" if order.reduce_only else ""
    return (
        f"{order.side.value} {plain(order.quantity)} {order.symbol} {kind}{price} "
        f"{order.time_in_force.value}{flags} · {order.venue}/{account_label}"
    )


def end(order: Order) -> str:
    """Return how an order ended, in one line."""
    average = order.average_price
    at = f" at {plain(average)}" if average is not None else ""
    why = f" ({order.reason})" if order.reason else ""
    return (
        f"{order.status.value}{why}: filled {plain(order.filled_quantity)} "
        f"of {plain(order.quantity)}{at}"
    )


def replacement(order: Order, wanted: Replacement) -> str:
    """Return a modify request in one line."""
    price = "market" if wanted.price is None else plain(wanted.price)
    was = "market" if order.price is None else plain(order.price)
    return (
        f"modify {wanted.request_id}: {plain(order.quantity)} @ {was} becomes "
        f"{plain(wanted.quantity)} @ {price}"
    )


def answer(record: RequestRecord) -> str:
    """Return what became of a request, in one line."""
    ended = "done" if record.refusal is None else f"refused: {record.refusal}"
    return f"{record.kind} {record.request_id}: {ended}"


def details(life: Lifecycle, step: Step) -> str:
    """Return current details in Markdown: state, fills, last answer, what is waited for."""
    order = life.order
    average = order.average_price
    lines = [
        f"**{order.status.value}** {escaped(order.reason or '')}".rstrip(),
        "",
        f"- filled {plain(order.filled_quantity)} of {plain(order.quantity)}"
        + (f" at {plain(average)}" if average is not None else ""),
    ]
    lines += [
        f"- revision {r.number}: `{r.client_order_id}` → "
        f"{'`' + r.venue_order_id + '`' if r.venue_order_id else 'no venue id'}, "
        f"{r.effective.value}"
        for r in order.revisions
    ]
    if order.routed:
        lines.append(f"- routed to {escaped(order.routed)}")
    if life.last_answer:
        lines.append(f"- last answer: {escaped(life.last_answer)}")
    lines.append(f"- now: {_doing(life, step)}")
    lines.append(f"- {policies.describe()} ({order.place_by.isoformat()})")
    return "\n".join(lines)


def _doing(life: Lifecycle, step: Step) -> str:
    match step.kind:
        case "place":
            return f"placing revision {step.revision}"
        case "cancel":
            return f"canceling revision {step.revision}"
        case "resolve":
            return f"finding out what became of `{step.key.command}` {step.key.revision}"
        case "announce":
            return "keeping a modify request"
        case "close":
            return f"closing as {step.closure.verdict.value}"
        case "give_up":
            return "dropping a modify that could not be begun in its time"
        case "settle":
            return "collecting late reports, then ending"
        case "wait":
            return _waiting(life, step)


def _waiting(life: Lifecycle, step: Wait) -> str:
    what = "fills, a cancel or a modify" if not life.unresolved else "the next look-up"
    newest = life.order.current
    if life.order.joint and (newest is None or newest.is_settled):
        what = "its bracket to place it, together with the others"
    until = f" until {step.until.isoformat()}" if step.until else ""
    return f"waiting for {what}{until}"


def escaped(text: str) -> str:
    """Return venue text that Markdown and HTML show as it is."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in text[:300])
    for mark in "\\`*_[]<>#|!":
        shown = shown.replace(mark, f"\\{mark}")
    return shown
