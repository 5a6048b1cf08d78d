"""`perp-dex risk`: which limits hold, how much of each is used, and setting them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_json, print_table, say
from cli.usage import optional_positive

if TYPE_CHECKING:
    from perp_dex_client import PerpDexClient, RiskScope

app = typer.Typer(no_args_is_help=True, help="Limits that every order is held to.")

_COUNT_MAX = 1_000_000
_NAMES = (
    "max_order_notional",
    "max_position_notional",
    "max_total_notional",
    "max_leverage",
    "max_open_orders",
    "max_orders_per_minute",
    "max_price_distance_bps",
    "max_daily_loss",
)

Account = Annotated[
    str | None, typer.Option("--account", help="Label or id; without it: of all accounts.")
]


@app.command()
def show(account: Account = None, as_json: Json = False) -> int:
    """Show limits, how much of each is used now, and the halts in force."""
    found = ask(lambda client: client.risk.read(account=account))
    if as_json:
        print_json(found)
        return ExitCode.DONE
    scopes = [*found.accounts]
    if found.everything is not None and account is None:
        scopes.insert(0, found.everything)
    _print_scopes(scopes)
    for halt in found.halts:
        name = "everything" if halt.name is None else f"{halt.level} {halt.name}"
        say(f"{name} is halted: {halt.reason} (by {halt.set_by})")
    return ExitCode.DONE


@app.command("set")
def set_limits(
    account: Account = None,
    max_order_notional: Annotated[
        str | None, typer.Option(help="Of one order, in quote units.")
    ] = None,
    max_position_notional: Annotated[
        str | None, typer.Option(help="Of one market, its live orders filled on the worse side.")
    ] = None,
    max_total_notional: Annotated[
        str | None, typer.Option(help="Of all markets together, each at its worst.")
    ] = None,
    max_leverage: Annotated[
        str | None, typer.Option(help="Of the setting, and of the total over equity.")
    ] = None,
    max_open_orders: Annotated[
        int | None, typer.Option(min=1, max=_COUNT_MAX, help="Of live orders.")
    ] = None,
    max_orders_per_minute: Annotated[
        int | None, typer.Option(min=1, max=_COUNT_MAX, help="Of new orders in 60 seconds.")
    ] = None,
    max_price_distance_bps: Annotated[
        str | None, typer.Option(help="Of a price from the mark, in basis points.")
    ] = None,
    max_daily_loss: Annotated[
        str | None, typer.Option(help="Since 00:00 UTC; reached, only reducing passes.")
    ] = None,
    none: Annotated[
        list[str] | None, typer.Option("--none", metavar="NAME", help="Lift this limit, or all.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Set limits: perp-dex risk set --account main --max-order-notional 5000 --none max-leverage

    What is not named stays as it is. What only reduces a position passes every limit.
    """
    wanted: dict[str, Decimal | int | None] = {
        "max_order_notional": optional_positive("--max-order-notional", max_order_notional),
        "max_position_notional": optional_positive(
            "--max-position-notional", max_position_notional
        ),
        "max_total_notional": optional_positive("--max-total-notional", max_total_notional),
        "max_leverage": optional_positive("--max-leverage", max_leverage),
        "max_open_orders": max_open_orders,
        "max_orders_per_minute": max_orders_per_minute,
        "max_price_distance_bps": optional_positive(
            "--max-price-distance-bps", max_price_distance_bps
        ),
        "max_daily_loss": optional_positive("--max-daily-loss", max_daily_loss),
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    lifted = _lifted(none or [], changes)
    if not changes and not lifted:
        raise typer.BadParameter("expected a limit to set, or --none NAME, found neither")
    scope = ask(lambda client: _change(client, account, changes, lifted))
    if as_json:
        print_json(scope)
    else:
        _print_scopes([scope])
    for warning in scope.warnings:
        say(warning)
    return ExitCode.DONE


def _lifted(named: list[str], changes: Mapping[str, Decimal | int | None]) -> set[str]:
    """Return the names of the limits to lift."""
    lifted: set[str] = set()
    for text in named:
        name = text.strip().lower().replace("-", "_").lstrip("_")
        if name == "all":
            lifted |= set(_NAMES) - changes.keys()
            continue
        if name not in _NAMES:
            known = ", ".join(each.replace("_", "-") for each in _NAMES)
            raise typer.BadParameter(f"--none: expected all or one of {known}, found {text[:32]!r}")
        if name in changes:
            raise typer.BadParameter(f"--none {text}: expected to set it or to lift it, found both")
        lifted.add(name)
    return lifted


async def _change(
    client: PerpDexClient,
    account: str | None,
    changes: Mapping[str, Decimal | int | None],
    lifted: set[str],
) -> RiskScope:
    """Change the limits as they are now; another change in between is not overwritten."""
    from perp_dex_client import UnreadableAnswer

    risk = await client.risk.read(account=account)
    scope = risk.accounts[0] if account is not None else risk.everything
    if scope is None:
        raise UnreadableAnswer("expected the limits of everything, found none; may this key?")
    limits = {**scope.limits, **changes, **dict.fromkeys(lifted)}
    return await client.risk.put(limits, account=account, version=scope.version)


def _print_scopes(scopes: list[RiskScope]) -> None:
    print_table(
        ("of", "limit", "at most", "used", "market", ""),
        [
            (
                "all accounts" if scope.account is None else scope.account,
                use.limit.replace("_", "-"),
                use.limit_value,
                use.value,
                use.symbol,
                "only reducing passes" if use.exceeded else "",
            )
            for scope in scopes
            for use in scope.use
        ],
        right=("at most", "used"),
        whole=("limit",),
    )
