"""The simulator's own reading of signed requests: typed, unknown keys dropped, then written anew.

The venue deserialises a body into typed structs and serialises those again before it verifies: a
key that it does not know is no part of the check (recorded: an accepted request had one). Shares
nothing with the connector.

Source: docs.pacifica.fi api/rest-api/orders, api/signing/operation-types.
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, TypeVar

import msgspec

_DECIMAL: Final = re.compile(r"\d{1,20}(\.\d{1,18})?\Z")
_CLIENT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
#: Assumed where a request names none.
_EXPIRY_WINDOW_MS: Final = 30_000

Side = Literal["bid", "ask"]
T = TypeVar("T")


class WrongShape(ValueError):
    """The body is not what the path takes (HTTP 400 with bare text)."""


class _Data(msgspec.Struct, omit_defaults=True):
    """The signed part of a request; what is null or absent is no part of the signature."""


class Leg(_Data):
    """A trigger: of a stop order, or of an exit."""

    stop_price: str
    limit_price: str | None = None
    amount: str | None = None
    client_order_id: str | None = None
    trigger_price_type: Literal["mark_price", "last_trade_price", "mid_price"] | None = None


class CreateOrder(_Data):
    """A limit order."""

    symbol: str
    price: str
    amount: str
    side: Side
    tif: Literal["GTC", "IOC", "ALO", "TOB", "RFQ"]
    reduce_only: bool
    client_order_id: str | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None
    builder_code: str | None = None


class CreateMarketOrder(_Data):
    """A market order; `slippage_percent` counts from the mark price, 0.5 is half a percent."""

    symbol: str
    amount: str
    side: Side
    slippage_percent: str
    reduce_only: bool
    client_order_id: str | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None
    builder_code: str | None = None


class CreateStopOrder(_Data):
    """An order that waits for a price."""

    symbol: str
    side: Side
    reduce_only: bool
    stop_order: Leg


class SetPositionTpsl(_Data):
    """Exits of a position; `side` is the closing one."""

    symbol: str
    side: Side
    take_profit: Leg | None = None
    stop_loss: Leg | None = None


class CancelOrder(_Data):
    """Cancel by either id; a stop order is canceled by another path with the same data."""

    symbol: str
    order_id: int | None = None
    client_order_id: str | None = None


class CancelAllOrders(_Data):
    """Cancel everything, or everything of a market."""

    all_symbols: bool
    exclude_reduce_only: bool
    symbol: str | None = None


class EditOrder(_Data):
    """Replace an order by a post-only one of the same client id."""

    symbol: str
    price: str
    amount: str | None = None
    order_id: int | None = None
    client_order_id: str | None = None


class UpdateLeverage(_Data):
    """Set a market's leverage."""

    symbol: str
    leverage: int


class UpdateMarginMode(_Data):
    """Set a market's margin mode."""

    symbol: str
    is_isolated: bool


class AddIsolatedMargin(_Data):
    """Give an isolated position more margin."""

    symbol: str
    amount: str


class NameAgent(_Data):
    """Bind or revoke an agent; here the agent's address is signed."""

    agent_wallet: str


class Nothing(_Data):
    """A request that says nothing but its type."""


Data = (
    CreateOrder
    | CreateMarketOrder
    | CreateStopOrder
    | SetPositionTpsl
    | CancelOrder
    | CancelAllOrders
    | EditOrder
    | UpdateLeverage
    | UpdateMarginMode
    | AddIsolatedMargin
    | NameAgent
    | Nothing
)

#: Path below the prefix: the type that is signed, and what the data is.
OPERATIONS: Final[dict[str, tuple[str, type[Data]]]] = {
    "/orders/create": ("create_order", CreateOrder),
    "/orders/create_market": ("create_market_order", CreateMarketOrder),
    "/orders/stop/create": ("create_stop_order", CreateStopOrder),
    "/orders/stop/cancel": ("cancel_stop_order", CancelOrder),
    "/orders/cancel": ("cancel_order", CancelOrder),
    "/orders/cancel_all": ("cancel_all_orders", CancelAllOrders),
    "/orders/edit": ("edit_order", EditOrder),
    "/positions/tpsl": ("set_position_tpsl", SetPositionTpsl),
    "/positions/add_isolated_margin": ("add_isolated_margin", AddIsolatedMargin),
    "/account/leverage": ("update_leverage", UpdateLeverage),
    "/account/margin": ("update_margin_mode", UpdateMarginMode),
    "/agent/bind": ("bind_agent_wallet", NameAgent),
    "/agent/revoke": ("revoke_agent_wallet", NameAgent),
    "/agent/list": ("list_agent_wallets", Nothing),
}
PATH_OF: Final = {kind: path for path, (kind, _) in OPERATIONS.items()}
#: Only the main key may sign these.
MAIN_KEY_ONLY: Final = frozenset({"bind_agent_wallet", "revoke_agent_wallet", "list_agent_wallets"})
#: The types of a batch's actions.
BATCH_KINDS: Final = {
    "Create": "create_order",
    "CreateMarket": "create_market_order",
    "Cancel": "cancel_order",
    "CancelStopOrder": "cancel_stop_order",
    "Edit": "edit_order",
    "SetPositionTpsl": "set_position_tpsl",
}


class Envelope(msgspec.Struct):
    """What stands beside the data in a body."""

    account: str
    signature: str
    timestamp: int
    expiry_window: int | None = None
    agent_wallet: str | None = None

    @property
    def window_ms(self) -> int:
        """The window that is signed."""
        return _EXPIRY_WINDOW_MS if self.expiry_window is None else self.expiry_window


class BatchAction(msgspec.Struct):
    """One element of a batch; each is signed for itself."""

    type: str
    data: msgspec.Raw


class Batch(msgspec.Struct):
    """The body of a batch."""

    actions: list[BatchAction]


class Request(msgspec.Struct, frozen=True):
    """One signed request, read."""

    kind: str
    envelope: Envelope
    data: Data

    def signed_text(self) -> bytes:
        """Return what the signature has to cover: keys sorted at every depth, no spaces."""
        message = {
            "type": self.kind,
            "timestamp": self.envelope.timestamp,
            "expiry_window": self.envelope.window_ms,
            "data": self.data,
        }
        return msgspec.json.encode(message, order="sorted")


def read_request(kind: str, body: bytes) -> Request:
    """Read one signed request. Raises `WrongShape`."""
    _, struct = OPERATIONS[PATH_OF[kind]]
    request = Request(kind=kind, envelope=_decode(body, Envelope), data=_decode(body, struct))
    _check(request.data)
    return request


def read_batch(body: bytes) -> Batch:
    """Read a batch without its signed parts. Raises `WrongShape`."""
    batch = _decode(body, Batch)
    if not 1 <= len(batch.actions) <= 10:
        raise WrongShape("Invalid batch operation parameters")
    for action in batch.actions:
        if action.type not in BATCH_KINDS:
            raise WrongShape(f"unknown variant `{action.type}`")
    return batch


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WrongShape(f"Failed to deserialize the JSON body: {error}") from error


def _check(part: Any) -> None:
    """Check decimals and client ids at every depth."""
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if isinstance(value, _Data):
            _check(value)
        elif name in ("price", "amount", "stop_price", "limit_price", "slippage_percent"):
            if value is not None and _DECIMAL.match(value) is None:
                raise WrongShape(f"{name}: invalid decimal")
        elif name == "client_order_id" and value is not None and _CLIENT_ID.match(value) is None:
            raise WrongShape("client_order_id: UUID parsing failed")
