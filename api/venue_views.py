"""Responses about venues: what each can do, and what proves a command's outcome there."""

from __future__ import annotations

from api.views import View, moment
from domain.venue_sheets import ServedVenue, VenueSheet


class CapabilitiesView(View):
    """What a venue can do. `dead_man_kept_by` is `venue` or, where it has no switch, `watchdog`.

    `market_queries` of a market's past are answered (`trades`, `funding`, `candles`).
    """

    networks: list[str]
    order_types: list[str]
    times_in_force: list[str]
    margin_modes: list[str]
    post_only: bool
    reduce_only: bool
    native_modify: bool
    joint_exits: bool
    cancel_by_client_order_id: bool
    closes_below_minimum: bool
    batch_limit: int
    nonce_rule: str
    dead_man_kept_by: str
    dead_man_effect: str
    dead_man_triggers_most: int | None
    dead_man_least_s: int
    lists_fills: bool
    lists_funding_payments: bool
    market_queries: list[str]
    candle_intervals: list[str]


class ProofView(View):
    """Which evidence proves what, and where that is documented."""

    proves: str
    evidence: str
    source: str


class ProofsView(View):
    """What proves a command's outcome at a venue; seconds as numbers."""

    fences: list[str]
    admission_window_s: float | None
    visibility_delay_s: float
    verdict_delay_s: float
    replay_protected: bool
    echoes_client_order_id: bool
    fill_key: list[str]
    rows: list[ProofView]
    unverified: list[str]


class VenueView(View):
    """A venue that is offered. While no worker serves it, nothing else is known of it here.

    `opening_refused` are the networks where the worker sends nothing that raises exposure, because
    commands got no verdict; cancels and reduce-only orders go as ever. `experimental`, with
    `caution` as the reason: not for money that matters. `live_verified`: proven with orders at the
    venue itself. These are null while no worker serves it.
    """

    venue: str
    served: bool
    experimental: bool | None
    live_verified: bool | None
    caution: str | None
    connected: list[str]
    opening_refused: list[str]
    seen_at: str | None
    capabilities: CapabilitiesView | None
    proofs: ProofsView | None


class VenuesView(View):
    """The venues that are offered, in the order of the settings."""

    venues: list[VenueView]


def venue_view(venue: str, served: ServedVenue | None) -> VenueView:
    """Return the view of a venue, by what a worker said of it."""
    return VenueView(
        venue=venue,
        served=served is not None,
        experimental=None if served is None else served.sheet.experimental,
        live_verified=None if served is None else served.sheet.live_verified,
        caution=None if served is None else served.sheet.caution,
        connected=[] if served is None else list(served.connected),
        opening_refused=[] if served is None else list(served.opening_refused),
        seen_at=None if served is None else moment(served.seen_at),
        capabilities=None if served is None else _capabilities(served.sheet),
        proofs=None if served is None else _proofs(served.sheet),
    )


def _capabilities(sheet: VenueSheet) -> CapabilitiesView:
    return CapabilitiesView(
        networks=list(sheet.networks),
        order_types=list(sheet.order_types),
        times_in_force=list(sheet.times_in_force),
        margin_modes=list(sheet.margin_modes),
        post_only=sheet.post_only,
        reduce_only=sheet.reduce_only,
        native_modify=sheet.native_modify,
        joint_exits=sheet.joint_exits,
        cancel_by_client_order_id=sheet.cancel_by_client_order_id,
        closes_below_minimum=sheet.closes_below_minimum,
        batch_limit=sheet.batch_limit,
        nonce_rule=sheet.nonce_rule,
        dead_man_kept_by=sheet.dead_man_kept_by,
        dead_man_effect=sheet.dead_man_effect,
        dead_man_triggers_most=sheet.dead_man_triggers_most,
        dead_man_least_s=sheet.dead_man_least_s,
        lists_fills=sheet.lists_fills,
        lists_funding_payments=sheet.lists_funding_payments,
        market_queries=list(sheet.market_queries),
        candle_intervals=list(sheet.candle_intervals),
    )


def _proofs(sheet: VenueSheet) -> ProofsView:
    return ProofsView(
        fences=list(sheet.fences),
        admission_window_s=sheet.admission_window_s,
        visibility_delay_s=sheet.visibility_delay_s,
        verdict_delay_s=sheet.verdict_delay_s,
        replay_protected=sheet.replay_protected,
        echoes_client_order_id=sheet.echoes_client_order_id,
        fill_key=list(sheet.fill_key),
        rows=[
            ProofView(proves=row.proves, evidence=row.evidence, source=row.source)
            for row in sheet.proofs
        ],
        unverified=list(sheet.unverified),
    )
