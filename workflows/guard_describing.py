"""What an operator reads in the web UI of a guard: its summary and its current details."""

from __future__ import annotations

from datetime import datetime

from domain.conditions import described, thresholds
from domain.guard_steps import ATTENTION_AFTER, GuardStep, is_watched
from domain.guarding import GuardPlan, GuardState
from domain.numbers import plain
from workflows.describing import escaped


def summary(plan: GuardPlan) -> str:
    """Return one line such as "close 50 % of BTC-PERP on profit 10 % · hyperliquid/…"."""
    return (
        f"close {plain(plan.percent)} % of {plan.symbol} on {described(plan.conditions)} "
        f"· {plan.venue}/{plan.account_id}"
    )


def details(state: GuardState, step: GuardStep, now: datetime) -> str:
    """Return current details in Markdown: what it waits for, the present mark, who watches."""
    plan = state.plan
    lines = [f"**{state.status.value}** {escaped(state.reason)}".rstrip(), ""]
    lines.append(f"- {escaped(described(plan.conditions))} closes {plain(plan.percent)} %")
    if state.position is not None:
        held = state.position
        lines.append(f"- {plain(held.quantity)} {held.side} entered at {plain(held.entry_price)}")
    if not state.status.is_terminal:
        lines += _waits(state, now)
        lines.append(f"- now: {_doing(step)}")
    if state.last_excursion is not None:
        last = state.last_excursion
        lines.append(
            f"- {state.excursions} times met and not confirmed, last: {escaped(last.what)}"
        )
    if state.last_answer:
        lines.append(f"- last answer: {escaped(state.last_answer)}")
    if state.native_note:
        lines.append(f"- at the venue: {escaped(state.native_note)}")
    return "\n".join(lines)


def waits_for(state: GuardState) -> str:
    """Return which marks close, in one line."""
    if state.position is None:
        return described(state.plan.conditions)
    extreme = None if state.extreme is None else state.extreme.price
    parts = [str(each) for each in thresholds(state.plan.conditions, state.position, extreme)]
    if state.plan.conditions.at is not None:
        parts.append(f"time {state.plan.conditions.at.isoformat()}")
    return " or ".join(parts)


def _waits(state: GuardState, now: datetime) -> list[str]:
    mark = "unknown" if state.mark is None else plain(state.mark)
    seen = "" if state.looked_at is None else f" (looked at {state.looked_at.isoformat()})"
    lines = [f"- waits for {escaped(waits_for(state))}; now {mark}{seen}"]
    watch = state.watch
    if watch is not None and is_watched(watch, now):
        lines.append(f"- watched by {escaped(watch.by)} since {watch.since.isoformat()}")
    else:
        lines.append("- watched by nobody; looks by itself")
    if state.failing_since is not None:
        lines.append(
            f"- no believable price since {state.failing_since.isoformat()}; an operator is asked "
            f"for after {ATTENTION_AFTER.total_seconds():g} s of that without a watcher"
        )
    return lines


def _doing(step: GuardStep) -> str:
    match step.kind:
        case "look":
            return "reading position and price from the venue"
        case "close":
            return f"closing, because {escaped(str(step.crossing))}"
        case "wait":
            return f"waiting for a crossing; looks again at {step.until.isoformat()}"
        case "finish":
            return "ending"
