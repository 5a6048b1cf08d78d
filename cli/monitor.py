"""`perp-dex monitor`: follow orders, positions, money and markets as they change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from cli.connection import api_address, connected
from cli.exit_codes import ExitCode
from cli.following import Ending, follow
from cli.live_table import View

app = typer.Typer(
    no_args_is_help=True,
    help="Follow what changes, live: drawn in a terminal, as lines elsewhere, or as JSON lines.",
)

OneAccount = Annotated[
    str | None, typer.Option("--account", help="Label or id; else all accounts.")
]
For = Annotated[
    float | None,
    typer.Option("--for", min=0.0, metavar="SECONDS", help="End after so long, with code 0."),
]
Count = Annotated[
    int | None, typer.Option("--count", min=1, help="End after so many messages, with code 0.")
]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Print one JSON document a message, a line each.")
]
MakeView = Callable[[Mapping[str, str], Callable[[], float]], View[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """Where the sockets are, who asks, and whose accounts are whose."""

    url: str
    token: str
    account_id: str | None
    labels: Mapping[str, str]


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


async def find_stream(account: str | None) -> Stream:
    """Ask the API where the sockets are, and for the accounts' labels.

    Raises:
        UnknownObject: there is no such account.
        Unreachable: the API does not answer, or it knows of no sockets.
    """
    from perp_dex_client import Unreachable
    from perp_dex_client.token_file import read_token

    async with connected() as client:
        endpoints = await client.endpoints()
        labels = {each.account_id: each.label for each in await client.accounts()}
        account_id = None if account is None else (await client.account(account)).account_id
    if endpoints.streaming is None:
        raise Unreachable(
            "expected the API to know where the sockets are, found that it does not", outcome=None
        )
    return Stream(
        url=endpoints.streaming,
        token=read_token(api_address().token_file),
        account_id=account_id,
        labels=labels,
    )
