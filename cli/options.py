"""Options that many commands share, so that they are called the same everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Account = Annotated[
    str | None, typer.Option("--account", help="Label or id; else the default account.")
]
Group = Annotated[str | None, typer.Option("--group", help="Name of a group of accounts.")]
Venue = Annotated[str | None, typer.Option("--venue", "--dex", help="Name of the exchange.")]
RoutedAccount = Annotated[
    str | None,
    typer.Option("--account", help="Label or id; auto: the best one; else the default account."),
]
RoutedGroup = Annotated[
    str | None, typer.Option("--group", help="The best account of this group of yours.")
]
RoutedVenue = Annotated[
    str | None,
    typer.Option("--venue", "--dex", help="Name of the exchange; auto: where it costs least."),
]
NetworkName = Annotated[str | None, typer.Option("--network", help="mainnet, testnet or paper.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.0, max=604_800.0, help="Seconds to wait at most.")
]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Your name of this intent; the same key never acts twice."),
]
OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID", help="As printed when placed.")]
Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="Such as BTC-PERP.")]
