"""`perp-dex monitor`: follow orders, positions, money and markets as they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import typer

from cli.exit_codes import ExitCode
from cli.following import Ending, follow
from cli.live_table import View
from cli.market_watch import monitor_market
from cli.monitor_options import Count, For, JsonLines, OneAccount, find_stream

app = typer.Typer(
    no_args_is_help=True,
    help="Follow what changes, live: drawn in a terminal, as lines elsewhere, or as JSON lines.",
)

MakeView = Callable[[Mapping[str, str], Callable[[], float]], View[Any]]


@app.command("orders")
def orders(
    account: OneAccount = None, for_s: For = None, count: Count = None, as_json: JsonLines = False
) -> int:
    """Follow open orders and what happens to them: perp-dex monitor orders --account main

    It goes on through restarts of the server where it was. Ctrl-C ends it with code 130.
    """
    from cli.monitor_orders import OrdersView
    from perp_dex_client import watch_orders

    return _monitor(
        watch_orders, OrdersView, account, Ending(seconds=for_s, messages=count), as_json
    )


@app.command("positions")
def positions(
    account: OneAccount = None, for_s: For = None, count: Count = None, as_json: JsonLines = False
) -> int:
    """Follow open positions with live marks and profit: perp-dex monitor positions

    It goes on through restarts of the server. Ctrl-C ends it with code 130.
    """
    from cli.monitor_positions import PositionsView
    from perp_dex_client import watch_positions

    ending = Ending(seconds=for_s, messages=count)
    return _monitor(watch_positions, PositionsView, account, ending, as_json)


@app.command("account")
def money(
    account: OneAccount = None, for_s: For = None, count: Count = None, as_json: JsonLines = False
) -> int:
    """Follow equity and margin of accounts: perp-dex monitor account

    It goes on through restarts of the server. Ctrl-C ends it with code 130.
    """
    from cli.monitor_positions import MoneyView
    from perp_dex_client import watch_account

    return _monitor(
        watch_account, MoneyView, account, Ending(seconds=for_s, messages=count), as_json
    )


app.command("market")(monitor_market)


def _monitor(
    watch: Callable[..., AsyncGenerator[Any, None]],
    make_view: MakeView,
    account: str | None,
    ending: Ending,
    as_json: bool,
) -> ExitCode:
    """Follow one of the channels of accounts."""

    async def run() -> ExitCode:
        stream = await find_stream(account)
        view = make_view(stream.labels, time.monotonic)

        def events(on_connection: Callable[[bool, str], None]) -> AsyncGenerator[Any, None]:
            return watch(
                stream.url,
                stream.token,
                account_id=stream.account_id,
                on_connection=on_connection,
            )

        return await follow(events, view, ending, as_json=as_json)

    return asyncio.run(run())
