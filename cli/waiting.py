"""Placing an order and waiting for it: what is said, what is printed, and the exit code.

An order has its id before anything is sent, so that whatever happens to this process, to the API
or to the connection, the order can be found again and the wait goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final

from cli.connection import RETRY_WITHIN_S, connected
from cli.exit_codes import ExitCode
from cli.order_output import print_order
from cli.output import say
from domain.identifiers import order_id_for
from domain.principals import LOCAL_PRINCIPAL_ID

if TYPE_CHECKING:
    from perp_dex_client import Order, OrderRequest

_REATTACH_WITHIN_S: Final = 30.0
_PLACE_WAIT_S: Final = 5.0
_SETTLE_S: Final = 2.0


def order_id_of(wanted: OrderRequest) -> str:
    """Return the id that the order has, known before it is sent."""
    return order_id_for(LOCAL_PRINCIPAL_ID, wanted.key)


def place_and_report(
    wanted: OrderRequest, *, wait_fill: bool, timeout_s: float, as_json: bool
) -> ExitCode:
    """Place an order, with `wait_fill` wait for its end, print it, and return the exit code."""
    order_id = order_id_of(wanted)
    say(f"order {order_id}")
    work = _place_and_wait(wanted, timeout_s) if wait_fill else _place(wanted)
    order = _unless_interrupted(work, order_id)
    if order is None:
        return ExitCode.INTERRUPTED
    print_order(order, as_json=as_json)
    if wait_fill:
        return code_of_wait(order)
    if order.is_decided:
        return ExitCode.DONE
    say(f"not decided yet; follow it with `perp-dex trade show {order_id}`")
    return ExitCode.UNKNOWN


def wait_and_report(order_id: str, *, timeout_s: float, as_json: bool) -> ExitCode:
    """Wait for an order's end, print it, and return the exit code."""
    order = _unless_interrupted(_wait(order_id, timeout_s), order_id)
    if order is None:
        return ExitCode.INTERRUPTED
    print_order(order, as_json=as_json)
    return code_of_wait(order)


def code_of_wait(order: Order) -> ExitCode:
    """Return what an order's state at the end of a wait for its fill means."""
    if order.status == "FILLED":
        return ExitCode.DONE
    if order.outcome == "unknown":
        return ExitCode.UNKNOWN
    if order.is_terminal:
        return ExitCode.PARTLY_DONE if order.filled_quantity > 0 else ExitCode.REFUSED
    return ExitCode.UNKNOWN if order.outcome == "pending" else ExitCode.STILL_LIVE


async def _place(wanted: OrderRequest) -> Order:
    async with connected(retry_within_s=RETRY_WITHIN_S) as client:
        return await client.place(wanted, wait_s=_PLACE_WAIT_S)


async def _place_and_wait(wanted: OrderRequest, timeout_s: float) -> Order:
    """Place, then wait for the end; an unclear start is looked for by its id."""
    from perp_dex_client import ApiError, UnknownObject

    deadline = time.monotonic() + timeout_s
    order_id = order_id_of(wanted)
    async with connected(retry_within_s=min(timeout_s, _REATTACH_WITHIN_S)) as client:
        try:
            order = await client.place(wanted, wait_s=min(timeout_s, _PLACE_WAIT_S))
        except ApiError as error:
            if error.outcome != "unknown":
                raise
            say("the answer was lost; looking for the order by its id")
            try:
                order = await client.wait(
                    order_id, "decided", timeout_s=max(deadline - time.monotonic(), _SETTLE_S)
                )
            except UnknownObject:
                # The start may still be on its way: not finding it proves nothing.
                raise error from None
        if order.is_terminal:
            return order
        say(f"{order.status}; waiting for the fill (Ctrl-C leaves the order working)")
        return await client.wait(
            order_id, "terminal", timeout_s=max(deadline - time.monotonic(), 0.0)
        )


async def _wait(order_id: str, timeout_s: float) -> Order:
    async with connected() as client:
        return await client.wait(order_id, "terminal", timeout_s=timeout_s)


def _unless_interrupted(work: Coroutine[Any, Any, Order], order_id: str) -> Order | None:
    """Run `work`; on Ctrl-C say what goes on working and return None."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        say(
            f"interrupted; order {order_id} is still working if it was placed. "
            f"`perp-dex trade show {order_id}` tells, `perp-dex trade cancel {order_id}` stops it"
        )
        return None
