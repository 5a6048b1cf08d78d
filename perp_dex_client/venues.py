"""Venues over the API, typed: what each can do, and what proves a command's outcome there."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.transport import Transport

T = TypeVar("T")


class VenueCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue can do. `dead_man_kept_by` is `venue` or, where it has no switch, `watchdog`.

    `market_queries` of a market's past are answered (`trades`, `funding`, `candles`).
    """

    networks: tuple[str, ...]
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    margin_modes: tuple[str, ...]
    post_only: bool
    reduce_only: bool
    native_modify: bool
    cancel_by_client_order_id: bool
    batch_limit: int
    nonce_rule: str
    joint_exits: bool = False
    closes_below_minimum: bool = False
    dead_man_kept_by: str | None = None
    dead_man_effect: str | None = None
    dead_man_triggers_most: int | None = None
    dead_man_least_s: int | None = None
    lists_fills: bool = True
    lists_funding_payments: bool = True
    market_queries: tuple[str, ...] = ()
    candle_intervals: tuple[str, ...] = ()


class VenueProof(msgspec.Struct, frozen=True, kw_only=True):
    """Which evidence proves what, and where that is documented."""

    proves: str
    evidence: str
    source: str


class VenueProofs(msgspec.Struct, frozen=True, kw_only=True):
    """What proves a command's outcome at a venue; `unverified` is what nobody has proven."""

    fences: tuple[str, ...]
    visibility_delay_s: float
    verdict_delay_s: float
    replay_protected: bool
    echoes_client_order_id: bool
    fill_key: tuple[str, ...]
    rows: tuple[VenueProof, ...]
    unverified: tuple[str, ...] = ()
    admission_window_s: float | None = None


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue that is offered; while no worker serves it, capabilities and proofs are None.

    `opening_refused` are the networks where the worker sends nothing that raises exposure now.
    `experimental`, with `caution` as the reason: not for money that matters. `live_verified`:
    proven with orders at the venue itself.
    """

    venue: str
    served: bool
    experimental: bool | None = None
    live_verified: bool | None = None
    caution: str | None = None
    connected: tuple[str, ...] = ()
    opening_refused: tuple[str, ...] = ()
    seen_at: datetime | None = None
    capabilities: VenueCapabilities | None = None
    proofs: VenueProofs | None = None


def standing(venue: Venue) -> str | None:
    """Return how far a venue is to be trusted, in words; None while no worker tells."""
    if venue.experimental is None:
        return None
    kind = "experimental" if venue.experimental else "supported"
    return f"{kind}, {'verified live' if venue.live_verified else 'not verified live'}"


class _Venues(msgspec.Struct, frozen=True):
    venues: tuple[Venue, ...]


class VenuesApi:
    """Venues of the API; `PerpDexClient.venues`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def list(self) -> tuple[Venue, ...]:
        """Return the venues that are offered. Raises ServiceBusy when nobody can be asked."""
        answer = await self._transport.call("GET", "/api/v1/venues", repeatable=True)
        return _as(answer.document, _Venues).venues

    async def get(self, venue: str) -> Venue:
        """Return one venue. Raises UnknownObject, ServiceBusy."""
        path = f"/api/v1/venues/{quote(venue, safe='')}"
        answer = await self._transport.call("GET", path, repeatable=True)
        return _as(answer.document, Venue)


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected venues from the API: {error}") from error
