"""What an operator reads in the web UI of a bracket: its summary and its current details."""

from __future__ import annotations

from domain.bracket_steps import AwaitNews, BracketStep
from domain.brackets import BracketPlan, BracketState, ExitRule, LegKind
from domain.numbers import plain
from workflows.describing import escaped
from workflows.describing import summary as order_summary


def summary(plan: BracketPlan) -> str:
    """Return one line: the entry, and where its exits are."""
    return f"bracket: {order_summary(plan.entry, plan.entry.account_id)}; {exits(plan)}"


def exits(plan: BracketPlan) -> str:
    """Return where the exits of a plan are, in one line."""
    rules = ((kind, plan.rule(kind)) for kind in LegKind)
    return ", ".join(f"{kind.value} {_where(rule)}" for kind, rule in rules if rule is not None)


def _where(rule: ExitRule) -> str:
    if rule.price is not None:
        return plain(rule.price)
    return "" if rule.percent is None else f"{plain(rule.percent)} %"


def details(state: BracketState, step: BracketStep) -> str:
    """Return current details in Markdown: what is entered, protected, and waited for."""
    plan = state.plan
    lines = [
        f"**{state.status.value}** {escaped(state.reason)}".rstrip(),
        "",
        f"- entered {plain(state.entered)} of {plain(plan.entry.quantity)} {plan.entry.symbol}, "
        f"closed {plain(state.exited)}, open {plain(state.open_quantity)}",
        f"- exits asked: {exits(plan)}; when one cannot be kept: {plan.on_failure.value}",
    ]
    if state.protected_by is not None:
        lines.append(f"- its exits are kept by the {state.protected_by.value}")
    for leg in state.legs:
        status = "placing" if leg.news is None else leg.news.status.value
        trigger = "market" if leg.trigger_price is None else plain(leg.trigger_price)
        ending = ", being canceled" if leg.cancel_asked and not leg.is_terminal else ""
        origin = " in the entry's request" if leg.joint else ""
        lines.append(
            f"- {leg.kind.value} {plain(leg.quantity)} @ {trigger}{origin}: {status}{ending} "
            f"(`{leg.order_id}`)"
        )
    if state.failures:
        lines.append(f"- {state.failures} protective orders were refused or went away")
    if state.last_answer:
        lines.append(f"- last answer: {escaped(state.last_answer)}")
    if not state.status.is_terminal:
        lines.append(f"- now: {_doing(step)}")
    return "\n".join(lines)


def _doing(step: BracketStep) -> str:
    match step.kind:
        case "enter":
            return "starting the entry"
        case "enter_jointly":
            return "placing entry and exits in one request"
        case "look":
            return "reading how the orders stand"
        case "place":
            return f"placing {step.leg.value} of {plain(step.quantity)}"
        case "cancel":
            return "canceling what is not needed any more"
        case "await":
            return _waiting(step)
        case "finish":
            return "ending"


def _waiting(step: AwaitNews) -> str:
    until = f" until {step.until.isoformat()}" if step.until else ""
    return f"waiting for news of the orders{until}"
