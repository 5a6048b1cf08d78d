"""Outcomes: only a proof is definite, silence is not."""

from __future__ import annotations

import pytest

from domain.commands import CommandKind
from domain.ledger import CommandKey
from domain.outcomes import (
    Accepted,
    Acknowledged,
    NotSent,
    Outcome,
    Rejected,
    Unknown,
    is_definite,
)
from tests.domain.building import ORDER_ID, a_row


@pytest.mark.parametrize(
    ("outcome", "definite"),
    [
        (None, False),
        (Unknown(reason="timeout"), False),
        (Acknowledged(venue_order_id="v"), False),
        (NotSent(reason="r", proof="p"), True),
        (Accepted(), True),
        (Rejected(code="c", reason="r", proof="p"), True),
    ],
)
def test_what_is_definite(outcome: Outcome | None, definite: bool) -> None:
    assert is_definite(outcome) is definite
    assert a_row(outcome=outcome).is_decided is definite


def test_a_command_key_reads_as_one_line() -> None:
    key = CommandKey(order_id=ORDER_ID, command=CommandKind.CANCEL, revision=2)
    assert str(key) == f"{ORDER_ID}/cancel/2"
