"""The fault plan: kinds, counts, filters."""

import pytest

from venues.simulation.faults import FaultKind, FaultPlan, UnknownFault, fault_kind


def test_a_fault_is_used_up_and_gone() -> None:
    plan = FaultPlan()
    plan.add(FaultKind.RATE_LIMIT, count=2)
    assert plan.take(FaultKind.RATE_LIMIT, ("order",)) is not None
    assert plan.listed()[0].remaining == 1
    assert plan.take(FaultKind.RATE_LIMIT, ("cancel",)) is not None
    assert plan.take(FaultKind.RATE_LIMIT, ("order",)) is None
    assert plan.listed() == []


def test_a_fault_without_count_lasts_until_cleared() -> None:
    plan = FaultPlan()
    fault = plan.add(FaultKind.STALL, count=None)
    for _ in range(5):
        assert plan.take(FaultKind.STALL) is fault
    assert fault.applied == 5
    assert plan.is_armed(FaultKind.STALL)
    assert plan.clear(fault.fault_id) == 1
    assert plan.clear(fault.fault_id) == 0
    assert not plan.is_armed(FaultKind.STALL)


@pytest.mark.parametrize(
    ("wanted", "name", "is_query", "fits"),
    [
        (None, "order", False, True),
        (None, "orderStatus", True, False),
        ("order", "order", False, True),
        ("order", "cancel", False, False),
        ("cancel", "cancelByCloid", False, True),
        ("modify", "batchModify", False, True),
        ("noop", "noop", False, True),
        ("orderStatus", "orderStatus", True, True),
    ],
)
def test_a_filter_chooses_actions_and_queries_only_by_name(
    wanted: str | None, name: str, is_query: bool, fits: bool
) -> None:
    plan = FaultPlan()
    plan.add(FaultKind.GARBLE, action=wanted)
    assert (plan.take(FaultKind.GARBLE, (name,), is_query=is_query) is not None) is fits


def test_kinds_have_several_spellings() -> None:
    assert fault_kind("drop-after") is fault_kind("DROP_AFTER_APPLY") is FaultKind.DROP_AFTER_APPLY
    assert fault_kind("429") is fault_kind("rate-limit") is FaultKind.RATE_LIMIT
    with pytest.raises(UnknownFault, match="expected one of delay"):
        fault_kind("earthquake")


def test_clearing_all_says_how_many() -> None:
    plan = FaultPlan()
    plan.add(FaultKind.DELAY, delay_ms=5)
    plan.add(FaultKind.DELAY, delay_ms=6)
    first = plan.take(FaultKind.DELAY, ("order",))
    assert first is not None
    assert first.delay_ms == 5
    assert plan.clear() == 1
