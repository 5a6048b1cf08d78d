"""`perp-dex position close`: what was typed, the question before it, the progress, the exit code.

A close has its id before anything is sent and goes on alone: interrupting this only stops looking.
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cli.connection import RETRY_WITHIN_S, ask, connected
from cli.exit_codes import ExitCode
from cli.options import Account, Json, Key, Timeout
from cli.output import json_ready, print_fields, print_json, print_table, safe, say
from cli.usage import one_of, optional_positive, positive, slippage_bps
from domain.identifiers import order_id_for
from domain.principals import LOCAL_PRINCIPAL_ID

if TYPE_CHECKING:
    from perp_dex_client import Close, CloseRequest

_WAIT_S: Final = 5.0
_REATTACH_WITHIN_S: Final = 30.0
_COLUMNS: Final = ("created", "close id", "position", "target", "filled", "status", "reason")

PositionId = Annotated[
    str,
    typer.Argument(
        metavar="POSITION", help="account:symbol such as main:BTC-PERP, or a symbol that is clear."
    ),
]
CloseId = Annotated[str, typer.Argument(metavar="CLOSE_ID", help="As printed when begun.")]
Percent = Annotated[str, typer.Option("--percent", help="How much of it, more than 0 to 100.")]
Limit = Annotated[str | None, typer.Option("--limit", help="Rest at this price.")]
Market = Annotated[bool, typer.Option("--market", help="At the present price, bounded (default).")]
Slippage = Annotated[
    str | None,
    typer.Option("--max-slippage", help="Bound of market orders: 50, 50bps or 0.5% (default 5%)."),
]
RepriceEvery = Annotated[
    int | None,
    typer.Option("--reprice-every", min=1, max=86_400, help="Seconds until the next price."),
]
Reprices = Annotated[
    int | None,
    typer.Option("--reprices", min=0, max=1000, help="How often to move to the best price."),
]
Then = Annotated[
    str | None, typer.Option("--then", help="After the last price: market, stop or stay.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended, with its progress.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedClose:
    """The arguments and options of `position close`, unread."""

    position: str
    percent: str
    limit: str | None
    market: bool
    max_slippage: str | None
    reprice_every: int | None
    reprices: int | None
    then: str | None
    key: str | None

    def request(self) -> CloseRequest:
        """Return the close that was meant. Contradictions are usage errors."""
        from perp_dex_client import CloseRequest

        self._check()
        slippage = self.max_slippage
        if slippage is not None and slippage.isascii() and slippage.isdigit():
            slippage += "bps"
        then = self.then or "market"
        return CloseRequest(
            position_id=self.position,
            percent=_percent(self.percent),
            limit_price=optional_positive("--limit", self.limit),
            max_slippage_bps=slippage_bps(slippage),
            reprice_every_s=self.reprice_every,
            reprices=1 if self.reprices is None else self.reprices,
            then=one_of("--then", then, ("market", "stop", "stay")),
            key=self.key if self.key is not None else str(uuid.uuid4()),
        )

    def _check(self) -> None:
        if self.market and self.limit is not None:
            raise typer.BadParameter(
                "expected --limit or --market, found both; a limit that becomes a market order is "
                "--limit PRICE --reprice-every S --then market"
            )
        if self.market and self.reprice_every is not None:
            raise typer.BadParameter("--reprice-every: a market close has no prices to change")
        if self.reprice_every is None and (self.reprices is not None or self.then is not None):
            raise typer.BadParameter("--reprices and --then: expected with --reprice-every")
        rests = self.limit is not None or self.reprice_every is not None
        comes_to_market = self.then in (None, "market") and self.reprice_every is not None
        if self.max_slippage is not None and rests and not comes_to_market:
            raise typer.BadParameter("--max-slippage: no market order is part of this close")


def _percent(text: str) -> Decimal:
    percent = positive("--percent", text.removesuffix("%"))
    if percent > 100:
        raise typer.BadParameter(f"--percent: expected more than 0, at most 100, found {text!r}")
    return percent


def close(
    position: PositionId,
    percent: Percent = "100",
    limit: Limit = None,
    market: Market = False,
    max_slippage: Slippage = None,
    reprice_every: RepriceEvery = None,
    reprices: Reprices = None,
    then: Then = None,
    wait: Wait = False,
    timeout: Timeout = 60.0,
    key: Key = None,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Close a position, or a part: perp-dex position close BTC-PERP --percent 50 --wait

    It never grows nor turns the position and goes on whatever is restarted. Exit codes: 0 closed
    (or flat, or only dust left; without --wait: begun), 5 nothing closed, 6 unknown, 7 still under
    way when the time is over, 8 partly closed, 130 interrupted (the close goes on).
    """
    typed = TypedClose(
        position=position,
        percent=percent,
        limit=limit,
        market=market,
        max_slippage=max_slippage,
        reprice_every=reprice_every,
        reprices=reprices,
        then=then,
        key=key,
    )
    wanted = typed.request()
    if not yes and sys.stdin.isatty() and not _is_meant(wanted):
        say("not confirmed; nothing was sent")
        return ExitCode.REFUSED
    close_id = order_id_for(LOCAL_PRINCIPAL_ID, wanted.key)
    say(f"close {close_id}")
    found = _unless_interrupted(_begin(wanted, close_id, timeout if wait else None), close_id)
    if found is None:
        return ExitCode.INTERRUPTED
    print_close(found, as_json=as_json)
    return code_of(found, waited=wait)


def _is_meant(wanted: CloseRequest) -> bool:
    return typer.confirm(
        safe(f"close {wanted.percent} % of {wanted.position_id}, {_how(wanted)}?"),
        err=True,
    )


def _how(wanted: CloseRequest) -> str:
    parts: list[str] = []
    if wanted.limit_price is not None:
        parts.append(f"limit {safe(wanted.limit_price)}")
    if wanted.reprice_every_s is not None:
        parts.append(
            f"repriced {wanted.reprices} × every {wanted.reprice_every_s} s, then {wanted.then}"
        )
    return ", ".join(parts) or "at market"


async def _begin(wanted: CloseRequest, close_id: str, timeout_s: float | None) -> Close:
    """Begin the close, and with a time wait for its end; a lost answer is looked for by its id."""
    from perp_dex_client import ApiError, UnknownObject

    began = time.monotonic()
    async with connected(
        retry_within_s=RETRY_WITHIN_S if timeout_s is None else _REATTACH_WITHIN_S
    ) as client:
        try:
            found = await client.closes.begin(
                wanted, wait_s=_WAIT_S if timeout_s is None else min(timeout_s, 1.0)
            )
        except ApiError as error:
            if error.outcome != "unknown" or timeout_s is None:
                raise
            say("the answer was lost; looking for the close by its id")
            try:
                found = await client.closes.get(close_id)
            except UnknownObject:
                raise error from None
        if timeout_s is None or found.is_terminal:
            return found
        remaining_s = max(timeout_s - (time.monotonic() - began), 0.0)
        return await client.closes.wait(found.close_id, timeout_s=remaining_s, changed=_tell)


def _tell(close: Close) -> None:
    """Say how far a close is."""
    target = "?" if close.target_quantity is None else safe(close.target_quantity)
    ends = f" until {safe(close.step_ends_at)}" if close.step_ends_at is not None else ""
    how = "" if close.is_terminal else f", {close.step_kind}{ends}"
    say(f"{close.status} {safe(close.filled_quantity)} of {target} closed{how}")


def code_of(close: Close, *, waited: bool) -> ExitCode:
    """Return what a close's state means to a script."""
    if close.reached_its_aim:
        return ExitCode.DONE
    if close.is_terminal:
        return ExitCode.PARTLY_DONE if close.filled_quantity > 0 else ExitCode.REFUSED
    if close.status == "REQUESTED":
        say("no worker has taken it up yet; it is kept and will begin when one runs")
        return ExitCode.UNKNOWN
    if waited:
        return ExitCode.STILL_LIVE
    say(f"under way; `perp-dex position close-show {close.close_id}` tells how far")
    return ExitCode.DONE


def close_show(
    close_id: CloseId, wait: Wait = False, timeout: Timeout = 60.0, as_json: Json = False
) -> int:
    """Show a close, or wait for its end again."""
    if not wait:
        print_close(ask(lambda client: client.closes.get(close_id)), as_json=as_json)
        return ExitCode.DONE
    found = _unless_interrupted(_wait(close_id, timeout), close_id)
    if found is None:
        return ExitCode.INTERRUPTED
    print_close(found, as_json=as_json)
    return code_of(found, waited=True)


async def _wait(close_id: str, timeout_s: float) -> Close:
    async with connected(retry_within_s=_REATTACH_WITHIN_S) as client:
        return await client.closes.wait(close_id, timeout_s=timeout_s, changed=_tell)


def close_stop(close_id: CloseId, key: Key = None, as_json: Json = False) -> int:
    """Stop a close; its live order is canceled. Exit code 5 if it had ended, 7 while unknown."""
    found = ask(lambda client: client.closes.stop(close_id, key=key))
    print_close(found, as_json=as_json)
    if found.is_terminal:
        return ExitCode.DONE
    say("the stop is on its way; the end is not known yet")
    return ExitCode.STILL_LIVE


def closes(
    status: Annotated[str, typer.Option("--status", help="open, closed or all.")] = "all",
    account: Account = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500)] = 100,
    as_json: Json = False,
) -> int:
    """List closes, newest first."""
    status = one_of("--status", status, ("open", "closed", "all"))
    found = ask(
        lambda client: client.closes.page(
            status=status, account=account, symbol=symbol, limit=limit
        )
    )
    print_closes(found, as_json=as_json)
    return ExitCode.DONE


def print_close(close: Close, *, as_json: bool) -> None:
    """Print one close."""
    if as_json:
        print_json({**json_ready(close), "is_terminal": close.is_terminal})
        return
    target = "?" if close.target_quantity is None else safe(close.target_quantity)
    print_fields(
        (
            ("close", close.close_id),
            ("position", f"{close.account}:{close.symbol}"),
            ("what", f"{safe(close.percent)} % of {safe(close.start_quantity)} {safe(close.side)}"),
            ("status", close.status),
            ("closed", f"{safe(close.filled_quantity)} of {target}"),
            ("step", f"{close.step} ({close.step_kind})"),
            ("reason", close.reason),
            ("created", close.created_at),
            ("ended", close.ended_at),
        )
    )
    for order in close.orders:
        price = "market" if order.price is None else safe(order.price)
        say(
            f"order {order.order_id}: {safe(order.quantity)} @ {price}, {order.status}, "
            f"filled {safe(order.filled_quantity)}"
        )


def print_closes(found: Sequence[Close], *, as_json: bool) -> None:
    """Print closes as a table or as JSON."""
    if as_json:
        print_json([{**json_ready(each), "is_terminal": each.is_terminal} for each in found])
        return
    rows = [
        (
            each.created_at,
            each.close_id,
            f"{each.account}:{each.symbol}",
            each.target_quantity,
            each.filled_quantity,
            each.status,
            each.reason,
        )
        for each in found
    ]
    print_table(_COLUMNS, rows, right=("target", "filled"), whole=("close id",))


def _unless_interrupted(work: Coroutine[Any, Any, Close], close_id: str) -> Close | None:
    """Run `work`; on Ctrl-C say what goes on and return None."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        say(
            f"interrupted; close {close_id} goes on if it was begun. `perp-dex position close-show "
            f"{close_id}` tells, `perp-dex position close-stop {close_id}` stops it"
        )
        return None


def register(app: typer.Typer) -> None:
    """Add the commands to `perp-dex position`."""
    app.command("close")(close)
    app.command("close-show")(close_show)
    app.command("close-stop")(close_stop)
    app.command("closes")(closes)
