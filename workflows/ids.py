"""Workflow ids, task queues and search attributes: the names operators see."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from domain.closing import ClosePlan
from domain.guarding import GuardPlan
from domain.halts import HaltScope
from domain.orders import Order

VENUE = SearchAttributeKey.for_keyword("Venue")
ACCOUNT = SearchAttributeKey.for_keyword("Account")
SYMBOL = SearchAttributeKey.for_keyword("Symbol")
SIDE = SearchAttributeKey.for_keyword("Side")
CLIENT_ORDER_ID = SearchAttributeKey.for_keyword("ClientOrderId")
ORDER_STATUS = SearchAttributeKey.for_keyword("OrderStatus")
NEEDS_ATTENTION = SearchAttributeKey.for_bool("NeedsAttention")

_ORDER_PREFIX = "order-"


def order_workflow_id(order_id: str) -> str:
    """Return the id of an order's workflow."""
    return f"{_ORDER_PREFIX}{order_id}"


def close_workflow_id(account_id: str, symbol: str) -> str:
    """Return the id of the workflow that closes a position: one at a time."""
    return f"close-{account_id}-{symbol}"


def bracket_workflow_id(bracket_id: str) -> str:
    """Return the id of a bracket's workflow."""
    return f"bracket-{bracket_id}"


def guard_workflow_id(condition_id: str) -> str:
    """Return the id of the workflow that guards a position by conditions."""
    return f"guard-{condition_id}"


def account_workflow_id(account_id: str) -> str:
    """Return the id of the workflow that checks an account's credential."""
    return f"verify-account-{account_id}"


def rotation_workflow_id(account_id: str) -> str:
    """Return the id of the workflow that changes an account's credential."""
    return f"rotate-{account_id}"


def leverage_workflow_id(account_id: str, symbol: str) -> str:
    """Return the id of the workflow that sets a market's leverage: one at a time."""
    return f"leverage-{account_id}-{symbol}"


def account_read_workflow_id(account_id: str) -> str:
    """Return the id of the workflow that looks at an account at its venue."""
    return f"read-account-{account_id}"


def terms_workflow_id(account_id: str, symbol: str) -> str:
    """Return the id of the workflow that reads on which terms an account can trade a market."""
    return f"terms-{account_id}-{symbol}"


def split_workflow_id(split_id: str) -> str:
    """Return the id of the workflow of an order that is split over accounts."""
    return f"split-{split_id}"


def kill_switch_workflow_id(scope: HaltScope) -> str:
    """Return the id of the workflow that stops a scope: one at a time."""
    return f"halt-{scope.slug}"


def account_halt_workflow_id(account_id: str) -> str:
    """Return the id of the workflow that stops one account, for whatever scope it is stopped."""
    return f"halt-account-{account_id}"


def core_queue() -> str:
    """Return the task queue of whatever spans venues; its workers need no key of any."""
    return "core"


def venue_queue(venue: str) -> str:
    """Return the task queue of the workers that hold a venue's keys."""
    return f"venue-{venue}"


def order_attributes(order: Order) -> TypedSearchAttributes:
    """Return what an order's workflow is found by."""
    pairs: list[SearchAttributePair[str]] = [
        SearchAttributePair(VENUE, order.venue),
        SearchAttributePair(ACCOUNT, order.account_id),
        SearchAttributePair(SYMBOL, order.symbol),
        SearchAttributePair(SIDE, order.side.value),
        SearchAttributePair(CLIENT_ORDER_ID, order.client_order_id or order.order_id),
        SearchAttributePair(ORDER_STATUS, order.status.value),
    ]
    return TypedSearchAttributes(pairs)


def close_attributes(plan: ClosePlan | GuardPlan) -> TypedSearchAttributes:
    """Return what the workflow of a close, or of a guard, is found by."""
    pairs: list[SearchAttributePair[str]] = [
        SearchAttributePair(VENUE, plan.venue),
        SearchAttributePair(ACCOUNT, plan.account_id),
        SearchAttributePair(SYMBOL, plan.symbol),
    ]
    return TypedSearchAttributes(pairs)


def account_halt_attributes(account_id: str, venue: str) -> TypedSearchAttributes:
    """Return what the workflow that stops an account is found by."""
    pairs: list[SearchAttributePair[str]] = [
        SearchAttributePair(VENUE, venue),
        SearchAttributePair(ACCOUNT, account_id),
    ]
    return TypedSearchAttributes(pairs)
