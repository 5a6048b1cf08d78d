"""What an operator reads in the web UI of a kill switch: summaries and current details."""

from __future__ import annotations

from datetime import datetime

from domain.halts import AccountProgress, HaltStage, KillSwitch
from workflows import policies
from workflows.describing import escaped

_DOING = {
    HaltStage.BLOCKING: "new exposure is refused; nothing else is done yet",
    HaltStage.CANCELING: "canceling what is open, until the venue lists nothing",
    HaltStage.FLATTENING: "waiting for the closes of all positions",
    HaltStage.VERIFYING: "the venue showed nothing open; asking it once more",
    HaltStage.HALTED: "the venue showed nothing open, twice; halted until an explicit resume",
    HaltStage.STOPPED: "stopped by a forced resume; what is open stays open",
}


def switch_summary(state: KillSwitch) -> str:
    """Return one line such as "HALT everything, cancel all, close all · loss"."""
    what = "cancel all, close all" if state.flatten else "cancel all"
    return f"HALT {state.scope}, {what} · {state.reason[:80]}"


def account_summary(progress: AccountProgress, reason: str) -> str:
    """Return one line such as "HALT account 1f…, cancel all · loss"."""
    what = "cancel all, close all" if progress.flatten else "cancel all"
    return f"HALT account {progress.account_id} at {progress.venue}, {what} · {reason[:80]}"


def switch_details(state: KillSwitch) -> str:
    """Return the current details of a kill switch in Markdown."""
    lines = [
        f"**{state.shown_stage}** {escaped(state.reason)}",
        "",
        f"- asked by {escaped(state.requested_by)} at {state.requested_at.isoformat()}",
        f"- now: {_DOING[state.stage]}",
    ]
    lines += [
        f"- {account.account_id} ({escaped(account.venue)}): {_stage(account)}, "
        f"{account.orders} orders, {account.positions} positions open"
        for account in state.accounts
    ]
    return "\n".join(lines)


def account_details(progress: AccountProgress, *, until: datetime | None) -> str:
    """Return the current details of one account's stopping; `until` is the next look."""
    waits = f", next look {until.isoformat()}" if until is not None else ""
    lines = [
        f"**{_stage(progress)}**",
        "",
        f"- now: {_DOING[progress.stage]}{waits}",
        f"- look {progress.round}: {progress.orders} orders, {progress.positions} positions open",
    ]
    lines += [f"- still open: {escaped(each)}" for each in progress.still_open]
    if progress.last_answer:
        lines.append(f"- last answer: {escaped(progress.last_answer)}")
    attention_s = policies.HALT_ATTENTION_AFTER.total_seconds()
    pause_s = policies.HALT_LONGEST_PAUSE.total_seconds()
    lines.append(
        f"- asks for an operator after {attention_s:g} s, and goes on; looks again at the latest "
        f"every {pause_s:g} s"
    )
    return "\n".join(lines)


def _stage(progress: AccountProgress) -> str:
    needs = progress.needs_attention and not progress.stage.is_terminal
    return f"ATTENTION ({progress.stage.value})" if needs else progress.stage.value
