"""`perp-dex trade`: buy, sell, cancel, modify, and looking at orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli import brackets, splits
from cli.brackets import Native, OnFailure, StopLoss, TakeProfit
from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import (
    Account,
    Group,
    Json,
    Key,
    NetworkName,
    OrderId,
    RoutedAccount,
    RoutedGroup,
    RoutedVenue,
    Symbol,
    Timeout,
    Venue,
)
from cli.order_output import print_dry_run, print_history, print_order, print_orders
from cli.output import say
from cli.routing_output import print_routing
from cli.splits import SplitIt, place_split_and_report
from cli.typed_order import Typed
from cli.usage import one_of, optional_positive
from cli.waiting import place_and_report, wait_and_report

if TYPE_CHECKING:
    from perp_dex_client import Order, PerpDexClient

app = typer.Typer(no_args_is_help=True, help="Place, change and look at orders.")
brackets.register(app)
splits.register(app)

_ORDERS_MAX = 10_000

Quantity = Annotated[str, typer.Argument(metavar="QUANTITY", help="In base units, such as 0.1.")]
Price = Annotated[str | None, typer.Option("--price", help="The limit price.")]
Market = Annotated[bool, typer.Option("--market", help="At the present price, bounded.")]
Slippage = Annotated[
    str | None,
    typer.Option("--max-slippage", help="Bound of a market order: 0.5% or 50bps (default 5%)."),
]
Tif = Annotated[
    str | None, typer.Option("--tif", help="GTC, IOC or FOK (default GTC; --market: IOC).")
]
PostOnly = Annotated[bool, typer.Option("--post-only", help="Only rest, never take.")]
ReduceOnly = Annotated[bool, typer.Option("--reduce-only", help="Only shrink a position.")]
Trigger = Annotated[str | None, typer.Option("--trigger-price", help="With --stop or --target.")]
Stop = Annotated[bool, typer.Option("--stop", help="A stop order at --trigger-price.")]
Target = Annotated[bool, typer.Option("--target", help="A take-profit order at --trigger-price.")]
WaitFill = Annotated[bool, typer.Option("--wait-fill", help="Wait until the order has ended.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Check and show; send nothing.")]


def _command_for(side: str) -> Callable[..., int]:
    """Return the command that places orders of one side."""

    def place(
        symbol: Symbol,
        quantity: Quantity,
        price: Price = None,
        market: Market = False,
        max_slippage: Slippage = None,
        tif: Tif = None,
        post_only: PostOnly = False,
        reduce_only: ReduceOnly = False,
        trigger_price: Trigger = None,
        stop: Stop = False,
        target: Target = False,
        take_profit: TakeProfit = None,
        stop_loss: StopLoss = None,
        on_protection_failure: OnFailure = None,
        native: Native = False,
        account: RoutedAccount = None,
        venue: RoutedVenue = None,
        group: RoutedGroup = None,
        network: NetworkName = None,
        split: SplitIt = False,
        wait_fill: WaitFill = False,
        timeout: Timeout = 60.0,
        key: Key = None,
        dry_run: DryRun = False,
        as_json: Json = False,
    ) -> int:
        typed = Typed(
            symbol=symbol,
            quantity=quantity,
            price=price,
            market=market,
            max_slippage=max_slippage,
            tif=tif,
            post_only=post_only,
            reduce_only=reduce_only,
            trigger_price=trigger_price,
            stop=stop,
            target=target,
            take_profit=take_profit,
            stop_loss=stop_loss,
            on_protection_failure=on_protection_failure,
            native=native,
            account=account,
            venue=venue,
            group=group,
            network=network,
            key=key,
        )
        wanted = typed.request(side)
        if not dry_run:
            report = place_split_and_report if split else place_and_report
            return report(wanted, wait_fill=wait_fill, timeout_s=timeout, as_json=as_json)
        dry = ask(lambda client: client.dry_run(wanted, split=split))
        print_dry_run(dry, as_json=as_json)
        if dry.routing is not None and not as_json:
            print_routing(dry.routing)
        return ExitCode.DONE if dry.would_be_taken_as_given else ExitCode.USAGE

    return place


_EXITS = """

Exit codes with --wait-fill: 0 filled, 5 refused or ended unfilled, 6 unknown, 7 still live when
the time is over, 8 partly filled, 130 interrupted (the order goes on working).
"""
app.command("buy", help="Buy: perp-dex trade buy BTC-PERP 0.1 --price 45000 --wait-fill" + _EXITS)(
    _command_for("BUY")
)
app.command(
    "sell", help="Sell: perp-dex trade sell BTC-PERP 0.1 --market --max-slippage 0.5%" + _EXITS
)(_command_for("SELL"))


@app.command()
def cancel(
    order_id: OrderId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the order has ended.")] = False,
    timeout: Timeout = 60.0,
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Cancel an order. Exit code 5 if it had ended already, 7 while its end is not known."""
    order = ask(lambda client: client.cancel(order_id, key=key))
    if not order.is_terminal and wait:
        order = ask(lambda client: client.wait(order_id, "terminal", timeout_s=timeout))
    print_order(order, as_json=as_json)
    if order.is_terminal:
        return ExitCode.DONE
    say("the cancel is on its way; its end is not known yet")
    return ExitCode.STILL_LIVE


@app.command()
def modify(
    order_id: OrderId,
    price: Price = None,
    quantity: Annotated[
        str | None, typer.Option("--quantity", help="New total, the filled part included.")
    ] = None,
    key: Key = None,
    as_json: Json = False,
) -> int:
    """Change an order's price or quantity: perp-dex trade modify <order_id> --price 45100

    Exit code 6 while it is not known whether that is done; `trade show` tells what becomes of it.
    """
    new_price = optional_positive("--price", price)
    new_quantity = optional_positive("--quantity", quantity)
    if new_price is None and new_quantity is None:
        raise typer.BadParameter("expected --price, --quantity or both, found neither")
    order = ask(
        lambda client: client.modify(order_id, price=new_price, quantity=new_quantity, key=key)
    )
    print_order(order, as_json=as_json)
    if order.change_pending:
        say(
            "the change is not done yet: it is begun in the time the order had to be placed, or "
            f"refused; `perp-dex trade show {order.order_id}` tells"
        )
        return ExitCode.UNKNOWN
    return ExitCode.DONE


@app.command()
def orders(
    status: Annotated[
        str, typer.Option("--status", help="open, closed, all, or statuses by comma.")
    ] = "open",
    account: Account = None,
    group: Group = None,
    venue: Venue = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=_ORDERS_MAX)] = 1000,
    as_json: Json = False,
) -> int:
    """List orders, newest first; open ones unless --status says otherwise."""
    found = ask(
        lambda client: _collect(
            client,
            limit,
            status=status,
            account=account,
            group=group,
            venue=venue,
            symbol=symbol,
        )
    )
    print_orders(found, "json" if as_json else "table")
    return ExitCode.DONE


@app.command()
def show(
    order_id: OrderId,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the running workflow, not the database.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="With --json: timeline and fills too.")
    ] = False,
    wait_fill: WaitFill = False,
    timeout: Timeout = 60.0,
    as_json: Json = False,
) -> int:
    """Show an order with its timeline and fills, or wait for its end again."""
    if wait_fill:
        return wait_and_report(order_id, timeout_s=timeout, as_json=as_json)
    if live:
        order = ask(lambda client: client.order(order_id, live=True))
        print_order(order, as_json=as_json)
        if order.source != "workflow":
            say("no running workflow answered; this is what the database knows")
        return ExitCode.DONE
    if as_json and not history:
        print_order(ask(lambda client: client.order(order_id)), as_json=True)
    else:
        print_history(ask(lambda client: client.history(order_id)), as_json=as_json)
    return ExitCode.DONE


@app.command()
def history(
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How far back.")] = 7,
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    account: Account = None,
    group: Group = None,
    venue: Venue = None,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Such as BTC-PERP.")] = None,
    as_json: Json = False,
) -> int:
    """List all orders of the last days: perp-dex trade history --format csv > report.csv"""
    form = "json" if as_json else one_of("--format", form, ("table", "csv", "json"))
    since = datetime.now(UTC) - timedelta(days=days)
    found = ask(
        lambda client: _collect(
            client,
            _ORDERS_MAX,
            status="all",
            account=account,
            group=group,
            venue=venue,
            symbol=symbol,
            created_from=since,
        )
    )
    print_orders(found, form)
    if len(found) == _ORDERS_MAX:
        say(f"only the newest {_ORDERS_MAX} are shown; ask for fewer days")
    return ExitCode.DONE


async def _collect(client: PerpDexClient, at_most: int, **wanted: object) -> list[Order]:
    return [order async for order in client.all_orders(at_most=at_most, **wanted)]  # type: ignore[arg-type]
