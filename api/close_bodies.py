"""The body that asks for a close. Shape only; whether a market takes its price is checked later."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from api.bodies import MAX_SLIPPAGE_BPS, MAX_SLIPPAGE_BPS_MAX, Body, PrintableText
from api.fields import ClientKey, Flag, PositiveDecimal, refused, whole
from domain.closing import Escalation, Then
from domain.identifiers import fingerprint
from domain.numbers import plain

REPRICE_EVERY_S_MAX = 86_400
REPRICES_MAX = 1_000
WHOLE = Decimal(100)


def _share(value: Decimal) -> Decimal:
    if value > WHOLE:
        raise refused(f"expected more than 0, at most 100, found {plain(value)}")
    return value


Percent = Annotated[PositiveDecimal, AfterValidator(_share)]


class EscalationBody(Body):
    """When to ask for another price, how often, and what then."""

    reprice_every_s: Annotated[int, whole(1, REPRICE_EVERY_S_MAX)] = Field(
        description="How long each order rests before the next price, in seconds."
    )
    reprices: Annotated[int, whole(0, REPRICES_MAX)] = Field(
        1, description="How often to move to the best price of our own side."
    )
    then: Then = Field(Then.MARKET, description="market (bounded), stop, or stay at the last price")

    @property
    def meant(self) -> Escalation:
        """The timetable in the domain's words."""
        return Escalation(
            reprice_every_s=self.reprice_every_s, reprices=self.reprices, then=self.then
        )


class CloseBody(Body):
    """A position, or a share of it, to close. Decimals are strings.

    With `limit_price` the first order rests there, with `escalation` alone at the best price of
    our own side; else it is a market order, bounded by `max_slippage_bps`.
    """

    percent: Percent = Field(WHOLE, description="Of the quantity when the close begins.")
    limit_price: PositiveDecimal | None = None
    market: Flag = False
    max_slippage_bps: Annotated[int | None, whole(1, MAX_SLIPPAGE_BPS_MAX)] = Field(
        None, description="How far a market order may trade from the present price."
    )
    escalation: EscalationBody | None = None
    reason: PrintableText | None = Field(None, description="Why; kept with the close.")
    client_key: ClientKey | None = Field(
        None, description="Your own id of this intent; the Idempotency-Key header is the same."
    )

    @property
    def slippage_bps(self) -> int:
        """The bound of market orders, where it was not given too."""
        return MAX_SLIPPAGE_BPS if self.max_slippage_bps is None else self.max_slippage_bps

    @property
    def comes_to_market(self) -> bool:
        """Whether a market order is part of it."""
        if self.escalation is not None:
            return self.escalation.then is Then.MARKET
        return self.limit_price is None

    def fingerprint(self, position_id: str) -> str:
        """Return what two requests with one key must have in common, whatever their spelling."""
        escalation = self.escalation
        meant: dict[str, object] = {
            "close": position_id,
            "percent": plain(self.percent),
            "limit_price": None if self.limit_price is None else plain(self.limit_price),
            "max_slippage_bps": self.slippage_bps if self.comes_to_market else None,
            "escalation": None if escalation is None else escalation.model_dump(mode="json"),
        }
        present = {name: value for name, value in meant.items() if value is not None}
        return fingerprint(json.dumps(present, sort_keys=True, separators=(",", ":")))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.market and self.limit_price is not None:
            raise refused(
                "expected limit_price or market, found both; a limit that becomes a market order "
                "is asked for by escalation",
                field="market",
            )
        if self.market and self.escalation is not None:
            raise refused("a market close has no prices to change", field="escalation")
        if self.max_slippage_bps is not None and not self.comes_to_market:
            raise refused(
                "only a market order has a bound, this has none", field="max_slippage_bps"
            )
        return self
