"""A venue's data in words: for the API, the command line, and the venue's own NOTES.

Knows no venue: whatever it says is in `venues.capabilities`, filled in by the venue's folder.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from domain.accounts import Network
from domain.dead_man import EFFECT, EFFECT_OF_WATCHDOG, EFFECT_STOPS_STAY, Keeper
from domain.venue_sheets import VenueProof, VenueSheet
from venues.capabilities import Capabilities, ProofTable
from venues.error_table import ErrorRow

#: Where the printed part of a NOTES.md begins and ends.
BEGIN: Final = "<!-- printed by python -m venues.notes: begin -->"
END: Final = "<!-- printed by python -m venues.notes: end -->"


def sheet_of(venue: str, capabilities: Capabilities, proofs: ProofTable) -> VenueSheet:
    """Return a venue's sheet."""
    return VenueSheet(
        venue=venue,
        networks=_ordered(capabilities.networks),
        order_types=_ordered(capabilities.order_types),
        times_in_force=_ordered(capabilities.times_in_force),
        margin_modes=_ordered(capabilities.margin_modes),
        post_only=capabilities.post_only,
        reduce_only=capabilities.reduce_only,
        native_modify=capabilities.native_modify,
        joint_exits=capabilities.joint_exits,
        cancel_by_client_order_id=capabilities.cancel_by_client_order_id,
        closes_below_minimum=capabilities.closes_below_minimum,
        feed_credential=capabilities.feed_credential,
        batch_limit=capabilities.batch_limit,
        nonce_rule=capabilities.nonce_rule.value,
        dead_man_effect=_dead_man_effect(capabilities),
        dead_man_kept_by=(Keeper.VENUE if capabilities.schedule_cancel else Keeper.WATCHDOG).value,
        dead_man_triggers_most=capabilities.schedule_cancel_triggers_most,
        dead_man_least_s=capabilities.schedule_cancel_least_s,
        fences=tuple(fence.value for fence in proofs.fences),
        admission_window_s=proofs.admission_window_s,
        visibility_delay_s=proofs.visibility_delay_s,
        verdict_delay_s=proofs.verdict_delay_s,
        replay_protected=proofs.replay_protected,
        echoes_client_order_id=proofs.echoes_client_order_id,
        fill_key=proofs.fill_key,
        proofs=tuple(
            VenueProof(proves=row.proves, evidence=row.evidence, source=row.source)
            for row in proofs.rows
        ),
        unverified=proofs.unverified,
        lists_fills=capabilities.lists_fills,
        lists_funding_payments=capabilities.lists_funding_payments,
        experimental=capabilities.experimental,
        live_verified=proofs.live_verified,
        caution=capabilities.caution,
        market_queries=_ordered(capabilities.market_queries),
        candle_intervals=capabilities.candle_intervals,
    )


def notes_part(sheet: VenueSheet, errors: Iterable[ErrorRow]) -> str:
    """Return what a venue's NOTES print of its data, between their marks."""
    lines = [
        BEGIN,
        "",
        f"- Standing: {standing(sheet)}.",
        *([f"- Caution: {sheet.caution}."] if sheet.caution else []),
        f"- Networks: {_networks(sheet)}.",
        f"- Fences: {', '.join(sheet.fences) or 'none: an order of unknown outcome stays unknown'}",
        f"- A command is admitted {_seconds(sheet.admission_window_s, 'for ever')} after its "
        f"ledger row; look-ups show it {sheet.visibility_delay_s:g} s later at the latest; a "
        f"verdict takes {sheet.verdict_delay_s:g} s at most.",
        f"- Copies of the same bytes: {_copies(sheet)}.",
        f"- A fill is unique by {', '.join(f'`{name}`' for name in sheet.fill_key)}.",
        *([] if sheet.lists_fills else ["- Fills are derived from orders: the venue lists none."]),
        *(
            []
            if sheet.lists_funding_payments
            else ["- Payments of funding are not told one by one: the venue lists none."]
        ),
        f"- Dead man's switch: {sheet.dead_man_effect}.",
        *(f"- Unverified: {text}." for text in sheet.unverified),
        "",
        "| proves | evidence | source |",
        "|---|---|---|",
        *(f"| {row.proves} | {row.evidence} | {row.source} |" for row in sheet.proofs),
        "",
        "| said about | the venue says | our code | first send | copy |",
        "|---|---|---|---|---|",
        *(
            f"| {row.scope.value} | `{row.spelled.strip()}` | {row.code} | {row.first.value}"
            f"{' (again)' if row.retryable else ''} | {row.again.value} |"
            for row in errors
        ),
        "",
        END,
    ]
    return "\n".join(lines)


def standing(sheet: VenueSheet) -> str:
    """Return how far a venue is to be trusted here, in words."""
    kind = "experimental" if sheet.experimental else "supported"
    proven = "verified live" if sheet.live_verified else "not verified live"
    return f"{kind}, {proven}"


def _ordered(values: Iterable[StrEnum]) -> tuple[str, ...]:
    """Return the members' names in the order in which their kind declares them."""
    members = set(values)
    kinds = {type(member) for member in members}
    return tuple(str(each.value) for kind in kinds for each in kind if each in members)


def _networks(sheet: VenueSheet) -> str:
    listed = ", ".join(sheet.networks)
    if Network.TESTNET.value in sheet.networks:
        return listed
    return f"{listed}; it has no testnet, so nothing can be tried there but with money"


def _dead_man_effect(capabilities: Capabilities) -> str:
    if not capabilities.schedule_cancel:
        return EFFECT_OF_WATCHDOG
    return EFFECT if capabilities.schedule_cancel_takes_stops else EFFECT_STOPS_STAY


def _seconds(seconds: float | None, none: str) -> str:
    return none if seconds is None else f"{seconds:g} s"


def _copies(sheet: VenueSheet) -> str:
    if sheet.replay_protected:
        return "executed at most once, so the same bytes may be sent again"
    return "not protected from, so nothing is ever sent twice: look-ups alone decide"
