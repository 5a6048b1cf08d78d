"""The bodies that set and change conditions. Shape only; whether they suit the present price is
found out by the guard, which reads it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from api.bodies import MAX_SLIPPAGE_BPS, MAX_SLIPPAGE_BPS_MAX, Body
from api.close_bodies import WHOLE, EscalationBody, Percent
from api.fields import ClientKey, Flag, PositiveDecimal, refused, shown, whole
from domain.conditions import Conditions, Direction, Trail
from domain.guarding import Native
from domain.identifiers import fingerprint
from domain.numbers import plain


def _time(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise refused(
            "expected a time with its zone in a string such as '2026-01-31T12:00:00Z', found "
            f"{shown(value)}"
        )
    return found.astimezone(UTC)


Time = Annotated[
    datetime,
    BeforeValidator(_time),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ConditionBody(Body):
    """What closes a position; the first condition that is met wins. Decimals are strings.

    Percentages are of the entry price, with `of` = `margin` of the initial margin. Without
    `direction`, `price` is waited for from where the mark is when it is set. The close is a market
    order bounded by `max_slippage_bps`, or follows `escalation`.
    """

    profit_percent: PositiveDecimal | None = None
    loss_percent: PositiveDecimal | None = None
    price: PositiveDecimal | None = None
    direction: Direction | None = Field(None, description="above or below, for `price`")
    trail_percent: PositiveDecimal | None = Field(None, description="Of the best mark.")
    trail_amount: PositiveDecimal | None = Field(None, description="From the best mark.")
    at: Time | None = None
    of: Literal["entry", "margin"] = "entry"
    percent: Percent = Field(WHOLE, description="Of the quantity when it is triggered.")
    max_slippage_bps: Annotated[int | None, whole(1, MAX_SLIPPAGE_BPS_MAX)] = None
    escalation: EscalationBody | None = None
    native: Flag = Field(
        False, description="Have orders at the venue, tied to the position, protect it too."
    )
    client_key: ClientKey | None = Field(
        None, description="Your own id of this intent; the Idempotency-Key header is the same."
    )

    @property
    def conditions(self) -> Conditions:
        """The conditions in the domain's words."""
        trail = None
        if self.trail_percent is not None or self.trail_amount is not None:
            trail = Trail(percent=self.trail_percent, amount=self.trail_amount)
        return Conditions(
            profit_percent=self.profit_percent,
            loss_percent=self.loss_percent,
            price=self.price,
            direction=self.direction,
            trail=trail,
            at=self.at,
            of_margin=self.of == "margin",
        )

    @property
    def slippage_bps(self) -> int:
        """The bound of the market order, where it was not given too."""
        return MAX_SLIPPAGE_BPS if self.max_slippage_bps is None else self.max_slippage_bps

    @property
    def protection(self) -> Native:
        """Whether the venue is to protect the position too."""
        return Native.BESIDE if self.native else Native.NO

    def fingerprint(self, position_id: str) -> str:
        """Return what two requests with one key must have in common, whatever their spelling."""
        numbers: dict[str, Decimal | None] = {
            "profit_percent": self.profit_percent,
            "loss_percent": self.loss_percent,
            "price": self.price,
            "trail_percent": self.trail_percent,
            "trail_amount": self.trail_amount,
            "percent": self.percent,
        }
        meant: dict[str, object] = {
            name: None if value is None else plain(value) for name, value in numbers.items()
        }
        meant |= {
            "conditions": position_id,
            "direction": self.direction,
            "at": None if self.at is None else self.at.isoformat(),
            "of": self.of,
            "max_slippage_bps": self.slippage_bps,
            "escalation": None
            if self.escalation is None
            else self.escalation.model_dump(mode="json"),
            "native": self.native,
        }
        return fingerprint(json.dumps(meant, sort_keys=True, separators=(",", ":")))

    @model_validator(mode="after")
    def _trails_one_way(self) -> Self:
        if self.trail_percent is not None and self.trail_amount is not None:
            raise refused(
                "expected trail_percent or trail_amount, found both", field="trail_amount"
            )
        return self
