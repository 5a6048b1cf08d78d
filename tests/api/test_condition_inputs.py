"""Conditions that cannot be taken, whatever the price is: refused by field, nothing begun."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.serving import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

AT = "/api/v1/positions/paper:BTC-PERP/conditions"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "conditions"),
        ({"profit_percent": "0"}, "profit_percent"),
        ({"loss_percent": "NaN"}, "loss_percent"),
        ({"loss_percent": "-5"}, "loss_percent"),
        ({"price": 45000}, "price"),
        ({"trail_percent": "100"}, "trail_percent"),
        ({"trail_percent": "1", "trail_amount": "5"}, "trail_amount"),
        ({"at": "2020-01-01T00:00:00Z"}, "at"),
        ({"at": "2030-01-01T00:00:00"}, "at"),
        ({"at": "tomorrow"}, "at"),
        ({"profit_percent": "1", "percent": "0"}, "percent"),
        ({"profit_percent": "1", "percent": "101"}, "percent"),
        ({"profit_percent": "1", "percent": "NaN"}, "percent"),
        ({"direction": "above", "profit_percent": "1"}, "direction"),
        ({"of": "margin", "price": "50000"}, "of_margin"),
        ({"trail_percent": "1", "native": True}, "native"),
        ({"profit_percent": "1", "native": True, "percent": "50"}, "native"),
        ({"profit_percent": "1", "close_at": "x"}, "close_at"),
    ],
)
async def test_what_cannot_be_taken(shared_api: Api, body: dict[str, Any], field: str) -> None:
    answer = await shared_api.post(AT, body)

    assert answer.status_code == 422, answer.text
    assert field in answer.text
    assert not shared_api.conditions.begun
