"""News in any order, any number of times: the stored order is the same."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.fills import Fill
from domain.order_fold import with_revision
from domain.orders import Order, OrderReport, OrderStatus, Revision, Verdict
from domain.timeline import EventKind, TimelineEvent
from storage.orders import SqlOrderStore
from tests.storage.builders import CREATED_AT, a_fill, a_report, an_order

News = OrderReport | Fill

_numbers = itertools.count()

NEWS: tuple[News, ...] = (
    a_report(an_order(), Verdict.ACCEPTED, venue_order_id="v"),
    a_report(an_order(), Verdict.PARTIALLY_FILLED, "0.2"),
    a_report(an_order(), Verdict.PARTIALLY_FILLED, "0.5", venue_order_id="v"),
    a_report(an_order(), Verdict.CANCELED, reason="by owner"),
    a_report(an_order(), Verdict.CANCELED, "0.6", reason="margin"),
    a_report(an_order(), Verdict.REJECTED, "0", reason="tick"),
    a_fill("t1", "0.25", price=Decimal("44999.5")),
    a_fill("t2", "0.25", price=Decimal("45000.7"), client_order_id="c"),
    a_fill("t3", "0.125", price=Decimal("45003")),
    a_fill("t4", "0.125", price=Decimal("45001.3"), client_order_id="c"),
    a_fill("t5", "0.25", price=Decimal("45010")),
)


@st.composite
def news_in_two_orders(draw: st.DrawFn) -> tuple[list[News], list[News]]:
    """Some news, and the same again in another order with some of it repeated."""
    chosen = draw(st.lists(st.sampled_from(NEWS), unique=True, min_size=2))
    repeated = draw(st.lists(st.sampled_from(chosen), max_size=4))
    return chosen, draw(st.permutations(chosen + repeated))


async def told(orders: SqlOrderStore, news: Sequence[News]) -> Order:
    """Return a fresh order after the news, named as if it were always the same one."""
    number = next(_numbers)
    order = an_order(f"any-{number}")
    revision = Revision(number=0, client_order_id=f"c{number}", quantity=Decimal(1))
    created = TimelineEvent(
        order_id=order.order_id, kind=EventKind.CREATED, text="created", at=CREATED_AT
    )
    await orders.add(with_revision(order, revision), created)
    for item in news:
        if isinstance(item, Fill):
            client_id = None if item.client_order_id is None else f"c{number}"
            venue_id = f"v{number}"
            await orders.book([replace(item, client_order_id=client_id, venue_order_id=venue_id)])
        else:
            venue = None if item.venue_order_id is None else f"v{number}"
            await orders.fold(replace(item, order_id=order.order_id, venue_order_id=venue))
    stored = await orders.get(order.order_id)
    assert stored is not None
    booked = await orders.fill_total(order.order_id)
    assert booked.quantity <= stored.filled_quantity
    await orders.mark_delivered([d.delivery_id for d in await orders.undelivered()])
    (kept,) = stored.revisions
    named = None if kept.venue_order_id is None else "v"
    kept = replace(kept, client_order_id="c", venue_order_id=named)
    return replace(stored, order_id="o", revisions=(kept,), updated_at=None)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(both=news_in_two_orders())
async def test_any_order_of_reports_and_fills_gives_the_same_order(
    orders: SqlOrderStore, both: tuple[list[News], list[News]]
) -> None:
    assert await told(orders, both[0]) == await told(orders, both[1])


async def test_all_news_fill_the_order_exactly(orders: SqlOrderStore) -> None:
    order = await told(orders, NEWS)
    assert order.status is OrderStatus.FILLED
    assert order.filled_quantity == Decimal(1)
    assert order.average_price == Decimal("45003.0875")
