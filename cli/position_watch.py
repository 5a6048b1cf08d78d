"""`perp-dex position watch`: conditions that close a position, set, listed, followed, canceled.

They are kept and watched by the stack, not by this program: interrupting it only stops looking.
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.connection import ask, connected
from cli.exit_codes import ExitCode
from cli.options import Account, Json, Key
from cli.output import json_ready, print_fields, print_json, print_table, safe, say
from cli.usage import one_of, positive, slippage_bps
from domain.identifiers import order_id_for
from domain.principals import LOCAL_PRINCIPAL_ID

if TYPE_CHECKING:
    from perp_dex_client import Condition, ConditionRequest

_WAIT_S: Final = 10.0
_RETRY_WITHIN_S: Final = 30.0
_COLUMNS: Final = (
    "created",
    "condition id",
    "position",
    "conditions",
    "closes",
    "status",
    "protected by",
    "mark",
)

ConditionId = Annotated[str, typer.Argument(metavar="CONDITION_ID", help="As printed when set.")]
# Lists, so that an option given twice is seen and refused instead of half forgotten.
Texts = list[str] | None
Native = Annotated[
    bool, typer.Option("--native", help="Have orders at the exchange protect it too.")
]
MaxSlippage = Annotated[
    str | None, typer.Option("--max-slippage", help="Bound of the market order (default 5%).")
]
Profit = Annotated[
    Texts, typer.Option("--close-at-profit", help="Such as 10%, of the entry price.")
]
Price = Annotated[
    Texts, typer.Option("--close-at-price", help="Reached from where the mark is now.")
]
Direction = Annotated[
    str | None, typer.Option("--direction", help="above or below, with --close-at-price.")
]
Trail = Annotated[
    Texts, typer.Option("--trail", help="Back from the best mark: 1%, or a price difference.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedConditions:
    """The arguments and options of `position watch`, unread."""

    position: str
    close_at_profit: Texts
    close_at_loss: Texts
    close_at_price: Texts
    direction: str | None
    trail: Texts
    close_at: Texts
    percent: str
    of: str
    max_slippage: str | None
    native: bool
    key: str | None

    def request(self) -> ConditionRequest:
        """Return the conditions that were meant. Contradictions are usage errors."""
        from perp_dex_client import ConditionRequest

        price = _once("--close-at-price", self.close_at_price)
        trail = _once("--trail", self.trail)
        is_share = trail is not None and trail.endswith("%")
        width = None if trail is None else positive("--trail", trail.removesuffix("%"))
        slippage = self.max_slippage
        if slippage is not None and slippage.isascii() and slippage.isdigit():
            slippage += "bps"
        wanted = ConditionRequest(
            position_id=self.position,
            profit_percent=_percent("--close-at-profit", self.close_at_profit),
            loss_percent=_percent("--close-at-loss", self.close_at_loss),
            price=None if price is None else positive("--close-at-price", price),
            direction=None
            if self.direction is None
            else one_of("--direction", self.direction, ("above", "below")),
            trail_percent=width if is_share else None,
            trail_amount=None if is_share else width,
            at=_time(_once("--close-at", self.close_at)),
            of_margin=one_of("--of", self.of, ("entry", "margin")) == "margin",
            percent=_share(self.percent),
            max_slippage_bps=slippage_bps(slippage),
            native=self.native,
            key=self.key if self.key is not None else str(uuid.uuid4()),
        )
        _check(wanted)
        return wanted


def _check(wanted: ConditionRequest) -> None:
    prices = (
        wanted.profit_percent,
        wanted.loss_percent,
        wanted.price,
        wanted.trail_percent,
        wanted.trail_amount,
    )
    if wanted.at is None and not any(price is not None for price in prices):
        raise typer.BadParameter(
            "expected at least one condition: --close-at-profit, --close-at-loss, "
            "--close-at-price, --trail or --close-at"
        )
    if wanted.trail_percent is not None and wanted.trail_percent >= 100:
        raise typer.BadParameter(
            f"--trail: expected less than 100%, found {safe(wanted.trail_percent)}%; a trail wider "
            "than the price never closes"
        )
    if wanted.direction is not None and wanted.price is None:
        raise typer.BadParameter("--direction: expected with --close-at-price")


def _once(name: str, given: Texts) -> str | None:
    if not given:
        return None
    if len(given) > 1:
        raise typer.BadParameter(f"{name}: expected once, found {len(given)} of them")
    return given[0]


def _percent(name: str, given: Texts) -> Decimal | None:
    text = _once(name, given)
    return None if text is None else positive(name, text.removesuffix("%"))


def _share(text: str) -> Decimal:
    percent = positive("--percent", text.removesuffix("%"))
    if percent > 100:
        raise typer.BadParameter(f"--percent: expected more than 0, at most 100, found {text!r}")
    return percent


def _time(text: str | None) -> datetime | None:
    """Return the time that `text` spells; without a zone it is this machine's."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "--close-at: expected a time such as 2026-01-31T12:00 or 2026-01-31T12:00:00Z, found "
            f"{text[:40]!r}"
        ) from None
    if at <= datetime.now(UTC):
        raise typer.BadParameter(f"--close-at: expected a time to come, found {text[:40]!r}")
    return at


def watch(
    position: Annotated[
        str | None,
        typer.Argument(metavar="[POSITION]", help="account:symbol, or a symbol that is clear."),
    ] = None,
    close_at_profit: Profit = None,
    close_at_loss: Annotated[Texts, typer.Option("--close-at-loss", help="Such as 5%.")] = None,
    close_at_price: Price = None,
    direction: Direction = None,
    trail: Trail = None,
    close_at: Annotated[Texts, typer.Option("--close-at", help="A time: 2026-01-31T12:00Z")] = None,
    percent: Annotated[
        str, typer.Option("--percent", help="How much of it, more than 0 to 100.")
    ] = "100",
    of: Annotated[
        str, typer.Option("--of", help="Percentages are of the entry price or of margin.")
    ] = "entry",
    max_slippage: MaxSlippage = None,
    native: Native = False,
    change: Annotated[
        str | None,
        typer.Option("--change", metavar="CONDITION_ID", help="Replace the conditions of this."),
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Follow it here; POSITION may be a condition id.")
    ] = False,
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Close a position when a condition is met: position watch BTC-PERP --close-at-profit 10%

    The first condition wins. It is watched by the stack whatever is restarted; with --attach it is
    followed here until it has ended, and Ctrl-C only stops looking. Attach again with
    `position watch --attach CONDITION_ID`. Exit codes: 0 watched (with --attach: closed), 5
    refused, 6 not known yet, 8 ended otherwise, 130 interrupted (it goes on).
    """
    given = (close_at_profit, close_at_loss, close_at_price, trail, close_at)
    if attach and not any(given) and _is_condition_id(position):
        return _follow(str(position), as_json=as_json)
    if change is not None and position is None:
        position = "-"
    if position is None:
        raise typer.BadParameter("expected a POSITION such as BTC-PERP")
    wanted = TypedConditions(
        position=position,
        close_at_profit=close_at_profit,
        close_at_loss=close_at_loss,
        close_at_price=close_at_price,
        direction=direction,
        trail=trail,
        close_at=close_at,
        percent=percent,
        of=of,
        max_slippage=max_slippage,
        native=native,
        key=key,
    ).request()
    if change is not None:
        found = ask(lambda client: client.conditions.change(change, wanted))
    else:
        condition_id = order_id_for(LOCAL_PRINCIPAL_ID, wanted.key)
        say(f"condition {condition_id}")
        found = _set(wanted)
    if attach and not found.is_terminal:
        return _follow(found.condition_id, as_json=as_json)
    print_condition(found, as_json=as_json)
    return _code_of(found)


def _is_condition_id(text: str | None) -> bool:
    try:
        uuid.UUID(text or "")
    except ValueError:
        return False
    return True


def _set(wanted: ConditionRequest) -> Condition:
    async def once() -> Condition:
        async with connected(retry_within_s=_RETRY_WITHIN_S) as client:
            return await client.conditions.set(wanted, wait_s=_WAIT_S)

    return asyncio.run(once())


def _code_of(found: Condition) -> ExitCode:
    if found.change_pending:
        say(
            "the change is kept and not taken yet; `perp-dex position watch --attach "
            f"{found.condition_id}` tells what is watched"
        )
        return ExitCode.UNKNOWN
    if found.status == "REQUESTED":
        say("no worker has taken it up yet; it is kept and will be watched when one runs")
        return ExitCode.UNKNOWN
    if not found.is_terminal or found.status == "CLOSED":
        return ExitCode.DONE
    return ExitCode.REFUSED if found.status == "REFUSED" else ExitCode.PARTLY_DONE


def _follow(condition_id: str, *, as_json: bool) -> int:
    """Show a conditional close until it has ended; Ctrl-C only stops looking."""
    show = _Follower(sys.stderr.isatty())
    found = _unless_interrupted(_followed(condition_id, show.seen), condition_id)
    show.end()
    if found is None:
        return ExitCode.INTERRUPTED
    print_condition(found, as_json=as_json)
    return _code_of(found)


async def _followed(condition_id: str, seen: Callable[[Condition], None]) -> Condition:
    async with connected(retry_within_s=_RETRY_WITHIN_S) as client:
        return await client.conditions.follow(condition_id, seen=seen)


class _Follower:
    """Writes one line that changes in a terminal, and a line for each change elsewhere."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._last = ""

    def seen(self, condition: Condition) -> None:
        """Show how it stands."""
        line = safe(_line(condition))
        if line == self._last:
            return
        self._last = line
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[2K{line}")
            sys.stderr.flush()
        else:
            say(line)

    def end(self) -> None:
        """Leave the line."""
        if self._is_terminal and self._last:
            sys.stderr.write("\n")


def _line(condition: Condition) -> str:
    parts = [condition.status, f"{condition.account}:{condition.symbol}"]
    parts.append(f"mark {safe(condition.mark_price)}")
    for threshold in condition.thresholds:
        distance = threshold.distance_percent
        away = "" if distance is None else f" ({distance:+} %)"
        parts.append(f"{threshold.kind} {safe(threshold.price)}{away}")
    if condition.at is not None:
        parts.append(f"at {safe(condition.at)}")
    watched = condition.watched
    if watched is not None and watched.is_fresh:
        parts.append("watched live")
    elif not condition.is_terminal:
        parts.append("polled")
    if condition.excursions:
        parts.append(f"{condition.excursions} not confirmed")
    return " · ".join(parts)


def conditions(
    position: Annotated[
        str | None, typer.Argument(metavar="[POSITION]", help="Of one position only.")
    ] = None,
    status: Annotated[str, typer.Option("--status", help="open, closed or all.")] = "all",
    account: Account = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 100,
    as_json: Json = False,
) -> int:
    """List conditional closes, newest first."""
    if position is not None:
        found = ask(lambda client: client.conditions.of_position(position))
        print_conditions(found, as_json=as_json)
        return ExitCode.DONE
    status = one_of("--status", status, ("open", "closed", "all"))
    found = ask(
        lambda client: client.conditions.page(
            status=status, account=account, symbol=symbol, limit=limit
        )
    )
    print_conditions(found, as_json=as_json)
    return ExitCode.DONE


def condition_show(condition_id: ConditionId, as_json: Json = False) -> int:
    """Show a conditional close."""
    print_condition(ask(lambda client: client.conditions.get(condition_id)), as_json=as_json)
    return ExitCode.DONE


def unwatch(condition_id: ConditionId, key: Key = None, as_json: Json = False) -> int:
    """Watch no more. Exit code 5 if it has triggered or ended, 7 while unknown."""
    found = ask(lambda client: client.conditions.cancel(condition_id, key=key))
    print_condition(found, as_json=as_json)
    if found.is_terminal:
        return ExitCode.DONE
    say("the request is on its way; the end is not known yet")
    return ExitCode.STILL_LIVE


def print_condition(found: Condition, *, as_json: bool) -> None:
    """Print one conditional close."""
    if as_json:
        print_json({**json_ready(found), "is_terminal": found.is_terminal})
        return
    watched = found.watched
    watcher = "nobody; it is polled"
    if watched is not None and watched.is_fresh:
        watcher = f"{safe(watched.by)} since {safe(watched.since)}"
    print_fields(
        (
            ("condition", found.condition_id),
            ("position", f"{found.account}:{found.symbol}"),
            ("conditions", found.conditions),
            ("closes", f"{safe(found.percent)} %"),
            ("status", found.status),
            ("reason", found.reason),
            ("mark", found.mark_price),
            ("watched by", watcher if not found.is_terminal else None),
            ("protected by", found.protected_by),
            ("best mark", found.extreme),
            ("not confirmed", found.last_excursion),
            ("close", found.close_id),
            ("created", found.created_at),
            ("ended", found.ended_at),
        )
    )
    for threshold in found.thresholds:
        distance = threshold.distance_percent
        away = "" if distance is None else f", {distance:+} % away"
        say(f"{threshold.kind}: {threshold.direction} {safe(threshold.price)}{away}")
    for order in found.native_orders:
        state = "rests" if order.is_live else "is gone"
        say(f"at the exchange: {order.kind} at {safe(order.trigger_price)} {state}")


def print_conditions(found: Sequence[Condition], *, as_json: bool) -> None:
    """Print conditional closes as a table or as JSON."""
    if as_json:
        print_json([{**json_ready(each), "is_terminal": each.is_terminal} for each in found])
        return
    rows = [
        (
            each.created_at,
            each.condition_id,
            f"{each.account}:{each.symbol}",
            each.conditions,
            f"{safe(each.percent)} %",
            each.status,
            each.protected_by,
            each.mark_price,
        )
        for each in found
    ]
    print_table(_COLUMNS, rows, right=("mark",), whole=("condition id",))


def _unless_interrupted(
    work: Coroutine[Any, Any, Condition], condition_id: str
) -> Condition | None:
    """Run `work`; on Ctrl-C say what goes on and return None."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        say(
            f"\ninterrupted; condition {condition_id} goes on. `perp-dex position watch --attach "
            f"{condition_id}` follows it again, `perp-dex position unwatch {condition_id}` ends it"
        )
        return None


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex position`."""
    app.command("watch")(watch)
    app.command("conditions")(conditions)
    app.command("condition-show")(condition_show)
    app.command("unwatch")(unwatch)
