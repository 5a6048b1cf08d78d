"""`perp-dex venue verify`: try an exchange for real, with an order far from the market."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.connection import api_address, ask
from cli.exit_codes import ExitCode
from cli.options import Account, Json
from cli.output import print_json, print_table, safe, say
from cli.usage import one_of

if TYPE_CHECKING:
    from perp_dex_client import PerpDexClient
    from perp_dex_client.verification import Verification, VerifiedStep

#: Never mainnet: this trades to find out whether trading works.
_NETWORKS: Final = ("testnet", "paper")


def verify(
    venue: Annotated[str, typer.Argument(metavar="VENUE", help="Such as hyperliquid.")],
    network: Annotated[
        str, typer.Option("--network", help="testnet; or paper, the simulated exchange.")
    ] = "testnet",
    account: Account = None,
    symbol: Annotated[str, typer.Option("--symbol", help="The market to try.")] = "BTC-PERP",
    away: Annotated[
        int, typer.Option("--away", min=5, max=60, help="Percent below the market.")
    ] = 20,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> int:
    """Try an exchange with a key of yours: perp-dex venue verify pacifica --network testnet

    Places a small order far from the market, looks it up, modifies it, cancels it, and follows the
    feed meanwhile; each step is told with what shows it. The order is canceled whatever fails.
    Never on mainnet. Exit codes: 0 all passed, 5 not tried, 6 the order was not seen to end, 8 a
    step failed.
    """
    if network == "mainnet":
        raise typer.BadParameter(
            "--network: expected testnet (or paper), found mainnet: this places orders to find out "
            "whether that works, and never with real money"
        )
    one_of("--network", network, _NETWORKS)
    chosen = ask(lambda client: _account(client, venue, network, account))
    if isinstance(chosen, str):
        say(chosen)
        return ExitCode.REFUSED
    label, stream_url = chosen
    if not yes and not _is_meant(venue, network, label, symbol, away):
        say("not confirmed; nothing was sent")
        return ExitCode.REFUSED
    done = ask(
        lambda client: _tried(
            client, venue, network, label, symbol, Decimal(away) / 100, stream_url, as_json=as_json
        )
    )
    if as_json:
        print_json(done)
    else:
        _print(done)
    if done.left_open:
        return ExitCode.UNKNOWN
    return ExitCode.DONE if done.passed else ExitCode.PARTLY_DONE


async def _account(
    client: PerpDexClient, venue: str, network: str, named: str | None
) -> tuple[str, str] | str:
    """Return the account's label and where the sockets are, or why nothing can be tried."""
    found = await client.venues.get(venue)
    if found.capabilities is not None and network not in found.capabilities.networks:
        known = ", ".join(found.capabilities.networks)
        return f"{venue} has no {network}: nothing was tried (it has {known})"
    fitting = [
        each
        for each in await client.accounts()
        if (each.venue, each.network) == (venue, network) and each.state != "REMOVED"
    ]
    named_ones = [each for each in fitting if named in (each.label, each.account_id)]
    candidates = fitting if named is None else named_ones
    if len(candidates) != 1:
        labels = ", ".join(each.label for each in fitting) or "none"
        return (
            f"expected one account at {venue} ({network}), or its name by --account; found "
            f"{labels}. Add one: perp-dex account add --dex {venue} --network {network}"
        )
    streaming = (await client.endpoints()).streaming
    if streaming is None:
        return "expected a streaming process, found none; see `perp-dex status`"
    return candidates[0].label, streaming


async def _tried(
    client: PerpDexClient,
    venue: str,
    network: str,
    label: str,
    symbol: str,
    away: Decimal,
    stream_url: str,
    *,
    as_json: bool,
) -> Verification:
    from perp_dex_client.token_file import read_token
    from perp_dex_client.verification import VenueTrial

    trial = VenueTrial(
        client,
        venue=venue,
        network=network,
        account=label,
        symbol=symbol,
        away=away,
        stream_url=stream_url,
        token=read_token(api_address().token_file),
        told=(lambda step: None) if as_json else _tell,
    )
    return await trial.run()


def _tell(step: VerifiedStep) -> None:
    say(f"{step.name}: {'passed' if step.passed else 'FAILED'} ({step.seconds:.1f} s)")


def _is_meant(venue: str, network: str, label: str, symbol: str, away: int) -> bool:
    if not sys.stdin.isatty():
        say("expected --yes where there is no terminal to ask on")
        return False
    what = f"place and cancel a small order in {symbol}, {away}% below the market, at {venue}"
    return typer.confirm(safe(f"{what} ({network}) with account {label}?"), err=True)


def _print(done: Verification) -> None:
    print_table(
        ("step", "passed", "seconds", "evidence"),
        [
            (
                step.name,
                step.passed,
                step.seconds,
                ", ".join(f"{name} {value}" for name, value in step.evidence.items()),
            )
            for step in done.steps
        ],
        right=("seconds",),
        whole=("step", "passed"),
    )
    if done.left_open:
        say(
            f"the order {done.order_id or ''} was not seen to end: see `perp-dex trade orders "
            f"--status open` and look at {done.venue} itself"
        )
