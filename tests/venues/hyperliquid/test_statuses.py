"""The venue's order statuses, known and new ones."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.orders import Verdict
from venues.hyperliquid.statuses import filled_of, reason_of, verdict_of

ONE, HALF, NONE = Decimal(1), Decimal("0.5"), Decimal(0)


@pytest.mark.parametrize(
    ("status", "remaining", "verdict", "filled", "reason"),
    [
        ("open", ONE, Verdict.ACCEPTED, NONE, None),
        ("open", HALF, Verdict.PARTIALLY_FILLED, HALF, None),
        ("triggered", ONE, Verdict.TRIGGERED, NONE, None),
        ("filled", NONE, Verdict.FILLED, ONE, None),
        ("filled", HALF, Verdict.CANCELED, HALF, "the rest found no match and was dropped"),
        ("canceled", HALF, Verdict.CANCELED, HALF, None),
        ("marginCanceled", ONE, Verdict.CANCELED, NONE, "marginCanceled"),
        ("selfTradeCanceled", HALF, Verdict.CANCELED, HALF, "selfTradeCanceled"),
        ("scheduledCancel", ONE, Verdict.CANCELED, NONE, "scheduledCancel"),
        ("internalCancel", ONE, Verdict.CANCELED, NONE, "internalCancel"),
        ("iocCancelRejected", ONE, Verdict.CANCELED, NONE, "iocCancelRejected"),
        ("rejected", ONE, Verdict.REJECTED, NONE, "rejected"),
        ("tickRejected", ONE, Verdict.REJECTED, NONE, "tickRejected"),
        ("tooManyOpenOrders", ONE, Verdict.REJECTED, NONE, "tooManyOpenOrders"),
        # Invented ones: the suffix tells, and without one we only know that the venue has it.
        ("moonPhaseCanceled", ONE, Verdict.CANCELED, NONE, "moonPhaseCanceled"),
        ("moonPhaseRejected", ONE, Verdict.REJECTED, NONE, "moonPhaseRejected"),
        ("moonPhase", ONE, Verdict.ACCEPTED, NONE, "moonPhase"),
    ],
)
def test_statuses(
    status: str, remaining: Decimal, verdict: Verdict, filled: Decimal, reason: str | None
) -> None:
    found = verdict_of(status, remaining=remaining, quantity=ONE, reduce_only=False)
    assert found is verdict
    assert filled_of(status, found, remaining=remaining, quantity=ONE, reduce_only=False) == filled
    assert reason_of(status, found) == reason


@pytest.mark.parametrize(
    ("status", "verdict", "filled"),
    [
        ("open", Verdict.ACCEPTED, None),
        ("filled", Verdict.PARTIALLY_FILLED, None),
        ("canceled", Verdict.CANCELED, None),
        ("reduceOnlyCanceled", Verdict.CANCELED, None),
        ("reduceOnlyRejected", Verdict.REJECTED, NONE),
        ("iocCancelRejected", Verdict.CANCELED, NONE),
    ],
)
def test_nothing_is_computed_from_a_reduce_only_orders_quantity(
    status: str, verdict: Verdict, filled: Decimal | None
) -> None:
    found = verdict_of(status, remaining=HALF, quantity=ONE, reduce_only=True)
    assert found is verdict
    assert filled_of(status, found, remaining=HALF, quantity=ONE, reduce_only=True) == filled
