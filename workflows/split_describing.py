"""What an operator reads in the web UI of a split order: its summary and its current details."""

from __future__ import annotations

from domain.numbers import plain
from domain.split_steps import SplitStep
from domain.splits import SplitPlan, SplitState
from workflows.describing import escaped


def summary(plan: SplitPlan) -> str:
    """Return one line: what was asked, and over how many accounts it is split."""
    price = "market" if plan.price is None else f"@ {plain(plan.price)}"
    return (
        f"split: {plan.side.value} {plain(plan.quantity)} {plan.symbol} {price} "
        f"{plan.time_in_force.value} over {len(plan.shares)}"
    )


def details(state: SplitState, step: SplitStep) -> str:
    """Return current details in Markdown: each child with its share, and what is waited for."""
    plan = state.plan
    lines = [
        f"**{state.status.value}** {escaped(state.reason)}".rstrip(),
        "",
        f"- filled {plain(state.filled)} of {plain(plan.quantity)} {plan.symbol}",
    ]
    for leg in state.legs:
        share = plan.shares[leg.number]
        status = "not begun" if not leg.begun else "beginning"
        if leg.news is not None:
            status = f"{leg.news.status.value} {escaped(leg.news.reason or '')}".rstrip()
        lines.append(
            f"- {plain(share.quantity)} at {share.venue}/{share.account_id}: {status}, filled "
            f"{plain(leg.filled)} (`{leg.order_id}`)"
        )
    if not state.status.is_terminal:
        lines.append(f"- now: {_doing(step)}")
    return "\n".join(lines)


def _doing(step: SplitStep) -> str:
    match step.kind:
        case "begin":
            return "beginning its orders"
        case "look":
            return "reading how the orders stand"
        case "cancel":
            return "canceling its orders"
        case "await":
            return "waiting for news of the orders"
        case "finish":
            return "ending"
