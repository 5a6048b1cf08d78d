"""What an operator reads in the web UI of a close: its summary and its current details."""

from __future__ import annotations

from domain.close_steps import Await, CloseStep
from domain.closing import ClosePlan, CloseState, ClosingOrder, rungs
from domain.numbers import plain
from workflows import policies
from workflows.describing import escaped


def summary(plan: ClosePlan) -> str:
    """Return one line such as "close 50 % of BTC-PERP: limit 60000, market · hyperliquid/…"."""
    return (
        f"close {plain(plan.percent)} % of {plan.symbol}: {timetable(plan)} "
        f"· {plan.venue}/{plan.account_id}"
    )


def timetable(plan: ClosePlan) -> str:
    """Return the timetable of a plan in one line."""
    parts: list[str] = []
    steps = rungs(plan)
    passive = sum(1 for rung in steps if rung.kind == "passive")
    if plan.limit_price is not None:
        parts.append(f"limit {plain(plan.limit_price)}")
    if passive and plan.escalation is not None:
        parts.append(f"best price {passive} × {plan.escalation.reprice_every_s} s")
    if steps[-1].kind == "market":
        parts.append(f"market within {plan.max_slippage_bps} bps")
    if steps[-1].kind == "stop":
        parts.append("stop")
    return ", then ".join(parts)


def details(state: CloseState, step: CloseStep) -> str:
    """Return current details in Markdown: state, fills, last answer, what is waited for."""
    plan = state.plan
    lines = [f"**{state.status.value}** {escaped(state.reason)}".rstrip(), ""]
    if state.target is not None and state.start_quantity is not None:
        lines.append(
            f"- closed {plain(state.filled)} of {plain(state.target)}, which is "
            f"{plain(plan.percent)} % of {plain(state.start_quantity)} {state.side} {plan.symbol}"
        )
    lines.append(f"- timetable: {timetable(plan)}; now step {state.rung + 1}")
    if state.child is not None:
        lines.append(
            f"- order `{state.child.order_id}`: {_asking(state.child)}"
            + (", being canceled" if state.child.cancel_asked else "")
        )
    if state.last_answer:
        lines.append(f"- last answer: {escaped(state.last_answer)}")
    if not state.status.is_terminal:
        lines.append(f"- now: {_doing(step)}")
        lines.append(
            f"- for: {escaped(plan.requested_by or plan.owner)}"
            + (f", because {escaped(plan.reason)}" if plan.reason else "")
        )
        lines.append(f"- {_retries()}")
    return "\n".join(lines)


def _asking(child: ClosingOrder) -> str:
    if not child.quantity:
        return "an earlier run of this close may have placed it"
    price = "market" if child.price is None else plain(child.price)
    return f"{plain(child.quantity)} @ {price}"


def _doing(step: CloseStep) -> str:
    match step.kind:
        case "look":
            return "reading the position"
        case "place":
            price = "at market" if step.price is None else f"@ {plain(step.price)}"
            return f"placing {step.side.value} {plain(step.quantity)} {price}, reduce-only"
        case "cancel":
            return "canceling what is live"
        case "await":
            return _waiting(step)
        case "escalate":
            return "going to the next step of the timetable"
        case "finish":
            return "ending"


def _waiting(step: Await) -> str:
    until = f" until {step.until.isoformat()}" if step.until else ""
    return f"waiting for the order's end or a request{until}"


def _retries() -> str:
    return (
        f"what brought nothing is tried again after {policies.FIRST_PAUSE.total_seconds():g} s, "
        f"doubling to {policies.LONGEST_PAUSE.total_seconds():g} s, until the close is stopped"
    )
