"""`perp-dex venue`: what each exchange can do, and what proves a command's outcome there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.connection import ask
from cli.exit_codes import ExitCode
from cli.options import Json
from cli.output import print_fields, print_json, print_table, say
from cli.venue_check import check
from cli.venue_verify import verify

if TYPE_CHECKING:
    from perp_dex_client.venues import Venue, VenueCapabilities, VenueProofs

app = typer.Typer(no_args_is_help=True, help="Look at exchanges.")

app.command("check")(check)
app.command("verify")(verify)


@app.command("list")
def list_venues(as_json: Json = False) -> int:
    """List the exchanges that are offered, and whether a worker serves them."""
    from perp_dex_client.venues import standing

    found = ask(lambda client: client.venues.list())
    if as_json:
        print_json({"venues": found})
        return ExitCode.DONE
    print_table(
        (
            "venue",
            "standing",
            "served",
            "connected",
            "new risk refused",
            "networks",
            "fences",
            "dead man's switch",
        ),
        [
            (
                venue.venue,
                standing(venue),
                venue.served,
                ", ".join(venue.connected),
                ", ".join(venue.opening_refused) or "no",
                ", ".join(venue.capabilities.networks) if venue.capabilities else None,
                (", ".join(venue.proofs.fences) or "none") if venue.proofs else None,
                _dead_man(venue.capabilities),
            )
            for venue in found
        ],
    )
    return ExitCode.DONE


@app.command("info")
def info(
    venue: Annotated[str, typer.Argument(metavar="VENUE", help="Such as hyperliquid.")],
    as_json: Json = False,
) -> int:
    """Show one exchange: capabilities, proofs, its dead man's switch, what is not verified.

    A proof says which evidence decides what became of a command: without it an order is UNKNOWN.
    """
    found = ask(lambda client: client.venues.get(venue))
    if as_json:
        print_json(found)
    else:
        _print(found)
    return ExitCode.DONE


def _print(found: Venue) -> None:
    from perp_dex_client.venues import standing

    print_fields(
        (
            ("venue", found.venue),
            ("standing", standing(found)),
            ("caution", found.caution),
            ("served by a worker", found.served),
            ("connected", ", ".join(found.connected) or None),
            ("new risk refused", ", ".join(found.opening_refused) or "no"),
            ("as of", found.seen_at),
        )
    )
    if found.capabilities is None or found.proofs is None:
        say(f"no worker has told of {found.venue} within the last minute; see `perp-dex status`")
        return
    print_fields(_capabilities(found.capabilities))
    print_fields(_proofs(found.proofs))
    print_table(
        ("proves", "evidence", "source"),
        [(row.proves, row.evidence, row.source) for row in found.proofs.rows],
    )
    print_fields(("not verified", text) for text in found.proofs.unverified)


def _capabilities(found: VenueCapabilities) -> tuple[tuple[str, object], ...]:
    return (
        ("networks", _networks(found)),
        ("order types", ", ".join(found.order_types)),
        ("times in force", ", ".join(found.times_in_force)),
        ("margin modes", ", ".join(found.margin_modes)),
        ("post-only", found.post_only),
        ("reduce-only", found.reduce_only),
        ("modify", "native" if found.native_modify else "cancel and place"),
        ("exits in the entry's request", found.joint_exits),
        ("cancel by our id", found.cancel_by_client_order_id),
        ("closes below the minimum", found.closes_below_minimum),
        ("orders in a batch", found.batch_limit),
        ("nonces", found.nonce_rule),
        ("dead man's switch", _dead_man(found)),
        ("goes off after", _least(found)),
        ("its effect", found.dead_man_effect),
        ("fills", "listed" if found.lists_fills else "derived from orders: the venue lists none"),
        ("funding payments", "listed" if found.lists_funding_payments else "not told one by one"),
        ("past of a market", ", ".join(found.market_queries) or "not told"),
        ("candles of", ", ".join(found.candle_intervals) or None),
    )


def _least(found: VenueCapabilities) -> str | None:
    least_s = found.dead_man_least_s
    return None if least_s is None else f"{least_s} s of silence at least"


def _networks(found: VenueCapabilities) -> str:
    listed = ", ".join(found.networks)
    return listed if "testnet" in found.networks else f"{listed}; it has no testnet"


def _dead_man(found: VenueCapabilities | None) -> str | None:
    if found is None:
        return None
    return "our watchdog" if found.dead_man_kept_by == "watchdog" else "the venue's own"


def _proofs(found: VenueProofs) -> tuple[tuple[str, object], ...]:
    admission = found.admission_window_s
    return (
        ("fences", ", ".join(found.fences) or "none: what is unknown stays so until it is seen"),
        ("admitted for", "ever" if admission is None else f"{admission:g} s"),
        ("visible within", f"{found.visibility_delay_s:g} s"),
        ("a verdict within", f"{found.verdict_delay_s:g} s"),
        ("copies of the same bytes", "executed once" if found.replay_protected else "never sent"),
        ("a fill is unique by", ", ".join(found.fill_key)),
    )
