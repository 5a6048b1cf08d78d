"""What the API needs of other rooms, by structure, so that each of them can be replaced whole.

`workflows.client.OrderWorkflows`, `bus.market_requests` and the codec service of
`workflows.payloads` fit these; only `api.main` knows them by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, Protocol

from domain.accounts import Account, Network
from domain.latest_prices import LatestPrice
from domain.market_data import OrderBook
from domain.market_past import MarketPast, PastQuestion
from domain.orders import Order

#: Raises (anything) when the part it probes does not work; its message is shown to the operator.
Probe = Callable[[], Awaitable[None]]


class Placement(Protocol):
    """What became of a placement within the time waited."""

    @property
    def order(self) -> Order | None:
        """The order as far as it is known."""
        ...

    @property
    def decided(self) -> bool:
        """Whether the outcome is definite."""
        ...


class RequestAnswer(Protocol):
    """What became of a cancel, modify or resolve within the time waited."""

    @property
    def order(self) -> Order | None:
        """The order as far as it is known."""
        ...

    @property
    def decided(self) -> bool:
        """Whether the request has been carried out or refused."""
        ...

    @property
    def refusal(self) -> str | None:
        """Why it was refused, or None."""
        ...


class OrderDesk(Protocol):
    """The workflows of orders, as one façade; every method is safe to repeat."""

    async def place(
        self, order: Order, *, wait_s: float, account_label: str | None = None
    ) -> Placement:
        """Start the order's workflow, once per order id, and wait for the outcome."""
        ...

    async def cancel(self, order_id: str, request_id: str, *, wait_s: float) -> RequestAnswer:
        """Ask for the order's cancellation."""
        ...

    async def modify(
        self,
        order_id: str,
        request_id: str,
        *,
        price: Decimal | None,
        quantity: Decimal | None,
        wait_s: float,
    ) -> RequestAnswer:
        """Ask for another price or quantity."""
        ...

    async def resolve(
        self,
        order_id: str,
        request_id: str,
        *,
        verdict: Literal["absent", "accepted"],
        reason: str,
        by: str,
    ) -> RequestAnswer:
        """Take an operator's word for an outcome that cannot be found out."""
        ...

    async def adopt(self, order: Order, *, completed_too: bool = False) -> bool:
        """Have a workflow take over an order that has none; False if one runs already."""
        ...

    async def state(self, order_id: str) -> Order:
        """Ask the running workflow itself."""
        ...

    async def pending(self, order_id: str) -> Order | None:
        """Return an order whose workflow runs but which is not in SQL yet."""
        ...

    async def verify_account(self, account_id: str, venue: str, *, wait_s: float) -> Account | None:
        """Have the worker check an account's credential; None when not done in time."""
        ...


class BookSource(Protocol):
    """Present order books, from whoever follows the venue."""

    async def request_book(
        self, venue: str, network: Network, symbol: str, depth: int
    ) -> OrderBook:
        """Return the book, or raise `Unavailable`."""
        ...


class PriceSource(Protocol):
    """Present prices, from whoever follows the venue."""

    async def request_price(self, venue: str, network: Network, symbol: str) -> LatestPrice:
        """Return the prices, or raise `Unavailable`."""
        ...


class PastSource(Protocol):
    """What markets' past holds, from whoever reaches the venue."""

    async def request_past(self, question: PastQuestion) -> MarketPast:
        """Return the answer, or raise `InvalidInput`, `Unavailable` or `VenueRefused`."""
        ...


class LatestPriceSource(Protocol):
    """Prices that somebody wrote lately."""

    async def read(self, venue: str, network: Network, symbol: str) -> LatestPrice | None:
        """Return the newest price of a market, however old, or None."""
        ...

    async def read_many(
        self, markets: Sequence[tuple[str, Network, str]]
    ) -> list[LatestPrice | None]:
        """Return the newest price of each market, as `read` does."""
        ...


class PayloadCodec(Protocol):
    """Temporal's codec-server protocol over our payload codec."""

    async def decode(self, body: bytes) -> dict[str, Any]:
        """Return a JSON `Payloads` message opened. Raises ValueError for what is none."""
        ...

    async def encode(self, body: bytes, *, namespace: str, workflow_id: str) -> dict[str, Any]:
        """Return a JSON `Payloads` message sealed for one workflow. Raises as `decode`."""
        ...


class Sealer(Protocol):
    """Seals a credential for those who may open it; it cannot open anything itself."""

    def seal(self, account_id: str, venue: str, private_key: str) -> bytes:
        """Return the credential so that only workers can open it.

        Raises:
            Unavailable: no worker has made its key pair yet.
        """
        ...
