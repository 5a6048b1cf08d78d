"""Workflow ids, task queues and search attributes: the names operators see."""

from __future__ import annotations

from temporalio.common import SearchAttributeKey

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


def account_workflow_id(account_id: str) -> str:
    """Return the id of the workflow that checks an account's credential."""
    return f"verify-account-{account_id}"


def venue_queue(venue: str) -> str:
    """Return the task queue of the workers that hold a venue's keys."""
    return f"venue-{venue}"
