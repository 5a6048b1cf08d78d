"""Stored documents come back exactly: every digit, every field, every outcome."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from domain.errors import CorruptState
from domain.instruments import Instrument
from domain.orders import Order, OrderReport
from domain.outcomes import Outcome
from storage import codec
from storage.clock import milliseconds
from storage.columns import UtcTime
from tests.storage.builders import CREATED_AT, an_order

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
# A second reading of an hour (`fold`) has no meaning in UTC.
TIMES = st.datetimes(timezones=st.just(UTC)).map(lambda time: time.replace(fold=0))


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return any value of a type: every field of a dataclass, every digit of a decimal."""
    if kind is Decimal:
        return DECIMALS
    if kind is datetime:
        return TIMES
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: any_of(hints[field.name]) for field in fields(kind)})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*(any_of(argument) for argument in arguments))
    if origin is tuple:
        return st.lists(any_of(arguments[0]), max_size=3).map(tuple)
    return st.from_type(kind)


exhaustively = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def exactly(left: object, right: object) -> bool:
    """Tell whether two values are equal to the last digit: 1.0 is not 1.00 here."""
    return left == right and repr(left) == repr(right)


@exhaustively
@given(any_of(Order))
def test_orders_come_back_exactly(order: Order) -> None:
    assert exactly(codec.orders.decode(codec.orders.encode(order)), order)


@exhaustively
@given(any_of(OrderReport))
def test_reports_come_back_exactly(report: OrderReport) -> None:
    assert exactly(codec.reports.decode(codec.reports.encode(report)), report)


@exhaustively
@given(any_of(Instrument))
def test_instruments_come_back_exactly(instrument: Instrument) -> None:
    assert exactly(codec.instruments.decode(codec.instruments.encode(instrument)), instrument)


@exhaustively
@given(any_of(Outcome))
def test_outcomes_come_back_exactly(outcome: Outcome) -> None:
    assert exactly(codec.decode_outcome(outcome.kind, codec.encode_outcome(outcome)), outcome)


def test_what_was_not_written_by_this_code_is_corrupt() -> None:
    with pytest.raises(CorruptState, match="expected a stored Order"):
        codec.orders.decode("{}")
    with pytest.raises(CorruptState, match="expected one of"):
        codec.decode_outcome("perhaps", "{}")
    with pytest.raises(CorruptState, match="expected a stored Unknown"):
        codec.decode_outcome("unknown", '{"kind": "accepted"}')


def test_text_that_no_database_keeps_is_replaced_wherever_it_stands() -> None:
    order = an_order(idempotency_key="a\ud800b", denied="x\0y")
    kept = codec.orders.decode(codec.orders.encode(order))
    assert (kept.idempotency_key, kept.denied) == ("a\ufffdb", "x\ufffdy")
    assert codec.details.decode(codec.details.encode({"k\udfff": "v"})) == {"k\ufffd": "v"}
    fine = codec.orders.decode(codec.orders.encode(an_order(denied="x\0y")))
    assert fine.denied == "x\0y"


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_times_are_stored_in_utc_and_naive_ones_are_refused(dialect: str) -> None:
    spoken = sqlite.dialect() if dialect == "sqlite" else postgresql.dialect()
    column = UtcTime()
    east = CREATED_AT.astimezone(timezone(timedelta(hours=5)))
    stored = column.process_bind_param(east, spoken)
    assert stored.replace(tzinfo=UTC) == CREATED_AT
    assert column.process_result_value(stored, spoken) == CREATED_AT
    assert column.process_bind_param(None, spoken) is None
    assert column.process_result_value(None, spoken) is None
    with pytest.raises(ValueError, match="aware"):
        column.process_bind_param(datetime(2026, 1, 1), spoken)
    with pytest.raises(TypeError, match="expected a time"):
        column.process_result_value("2026", spoken)


def test_milliseconds_are_exact() -> None:
    assert milliseconds(datetime(2026, 1, 1, 0, 0, 0, 999_999, tzinfo=UTC)) == 1_767_225_600_999
