"""An order as a program asks for it, and its spelling on the wire."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from decimal import Decimal

from domain.numbers import plain
from perp_dex_client.brackets import Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What to place. Quantities are in base units; nothing is rounded.

    `venue` or `account` "auto", or a `group`, has the account chosen, among those of `network`; the
    answer says why.

    With `take_profit` or `stop_loss` what fills is protected by reduce-only exits: a bracket, which
    has the order's id; with `native` they leave in the order's own request. `key` names the intent:
    the same key never makes a second order, whatever is repeated. None of the optional fields has
    to be given; the API says what it takes instead.
    """

    symbol: str
    side: str
    quantity: Decimal
    price: Decimal | None = None
    order_type: str | None = None
    time_in_force: str | None = None
    trigger_price: Decimal | None = None
    trigger_type: str | None = None
    post_only: bool = False
    reduce_only: bool = False
    max_slippage_bps: int | None = None
    account: str | None = None
    venue: str | None = None
    group: str | None = None
    network: str | None = None
    place_within_s: int | None = None
    take_profit: Exit | None = None
    stop_loss: Exit | None = None
    on_protection_failure: str = "close"
    native: bool = False
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def body(self) -> dict[str, object]:
        """Return the JSON body; what was not given is left out."""
        members: dict[str, object | None] = {
            "symbol": self.symbol,
            "side": self.side,
            "quantity": plain(self.quantity),
            "price": _plain(self.price),
            "order_type": self.order_type,
            "time_in_force": self.time_in_force,
            "trigger_price": _plain(self.trigger_price),
            "trigger_type": self.trigger_type,
            "post_only": self.post_only or None,
            "reduce_only": self.reduce_only or None,
            "max_slippage_bps": self.max_slippage_bps,
            "account": self.account,
            "venue": self.venue,
            "group": self.group,
            "network": self.network,
            "place_within_s": self.place_within_s,
            "take_profit": None if self.take_profit is None else self.take_profit.body(),
            "stop_loss": None if self.stop_loss is None else self.stop_loss.body(),
            "native": self.native or None,
        }
        if self.take_profit is not None or self.stop_loss is not None:
            members["on_protection_failure"] = self.on_protection_failure
        return {name: value for name, value in members.items() if value is not None}


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
