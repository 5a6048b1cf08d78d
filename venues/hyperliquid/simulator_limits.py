"""Rate limits of the simulated venue: request weight per remote address, actions per account.

Always counted, enforced only where a switch says so.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/rate-limits-and-user-limits
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from venues.hyperliquid.simulator_actions import (
    Action,
    BatchModifyAction,
    CancelAction,
    CancelByCloidAction,
    OrderAction,
)
from venues.simulation.exchange import Exchange
from venues.simulation.records import Account

IP_WEIGHT_MAX: Final = 1_200
_MINUTE_MS: Final = 60_000
_FREE_REQUESTS: Final = 10_000
_CANCEL_EXTRA: Final = 100_000
#: One action in this time is still taken from an account above its limit.
_TRICKLE_MS: Final = 10_000
_BATCH: Final = 40

_LIGHT: Final = frozenset(
    {
        "l2Book",
        "allMids",
        "clearinghouseState",
        "orderStatus",
        "spotClearinghouseState",
        "exchangeStatus",
    }
)
_ROWS_PER_WEIGHT: Final = {"candleSnapshot": 60}
_LISTS: Final = frozenset(
    {
        "recentTrades",
        "historicalOrders",
        "userFills",
        "userFillsByTime",
        "fundingHistory",
        "userFunding",
        "userNonFundingLedgerUpdates",
        "candleSnapshot",
    }
)


class Limits:
    """Counts and, where switched on, enforces."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._weights: dict[str, deque[tuple[int, int]]] = {}
        self._spent: dict[str, int] = {}
        self._trickled_ms: dict[str, int] = {}

    def take_ip_weight(self, remote: str, weight: int) -> bool:
        """Count a request's weight; False when the address is over its limit of the minute."""
        if not self._exchange.switches.ip_limit:
            return True
        now_ms = self._exchange.now_ms()
        window = self._weights.setdefault(remote, deque())
        spent = self._spent.get(remote, 0)
        while window and window[0][0] <= now_ms - _MINUTE_MS:
            spent -= window.popleft()[1]
        allowed = spent + weight <= IP_WEIGHT_MAX
        if allowed:
            window.append((now_ms, weight))
            spent += weight
        self._spent[remote] = spent
        return allowed

    def add_ip_weight(self, remote: str, weight: int) -> None:
        """Count weight that is known only after the answer; never refuses."""
        if weight and self._exchange.switches.ip_limit:
            self._weights.setdefault(remote, deque()).append((self._exchange.now_ms(), weight))
            self._spent[remote] = self._spent.get(remote, 0) + weight

    def action_weight(self, action: Action) -> int:
        """Return the weight of an action."""
        return 1 + _length(action) // _BATCH

    def query_weight(self, name: str) -> int:
        """Return the weight of a query before its rows are counted."""
        if name == "userRole":
            return 60
        return 2 if name in _LIGHT else 20

    def rows_weight(self, name: str, answer: Any) -> int:
        """Return the weight that the rows of an answer add."""
        if name not in _LISTS or not isinstance(answer, list):
            return 0
        return len(answer) // _ROWS_PER_WEIGHT.get(name, 20)

    def count_requests(self, account: Account, count: int) -> None:
        """Count actions against an account's limit; inside an action of the exchange."""
        account.requests_used += count
        self._exchange.tables.touch(account)

    def requests_cap(self, account: Account) -> int:
        """Return how many actions an account may send in its life so far."""
        return _FREE_REQUESTS + int(account.volume) + account.requests_bought

    def address_refusal(self, account: Account, action: Action) -> str | None:
        """Count an action against the account's limit, or return why it is refused.

        Refused actions do not count and do not prolong the wait.
        """
        count, cap = max(1, _length(action)), self.requests_cap(account)
        is_cancel = isinstance(action, CancelAction | CancelByCloidAction)
        bound = min(cap + _CANCEL_EXTRA, 2 * cap) if is_cancel else cap
        over = account.requests_used + count > bound
        if self._exchange.switches.address_limit and over:
            now_ms = self._exchange.now_ms()
            if now_ms - self._trickled_ms.get(account.address, 0) < _TRICKLE_MS:
                return (
                    f"Too many cumulative requests sent ({account.requests_used + count} > {bound})"
                    f" for cumulative volume traded ${account.volume:.2f}. Place taker orders to "
                    "free up 1 request per USDC traded."
                )
            self._trickled_ms[account.address] = now_ms
        self.count_requests(account, count)
        return None


def _length(action: Action) -> int:
    match action:
        case OrderAction():
            return len(action.orders)
        case CancelAction() | CancelByCloidAction():
            return len(action.cancels)
        case BatchModifyAction():
            return len(action.modifies)
    return 1
