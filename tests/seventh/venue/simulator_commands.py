"""What the simulated seventh venue does with a signed text: verify it, then apply it.

In this order: key, signature, shape, time; then the command's own rules. Runs inside one action of
the exchange.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.seventh.venue import simulator_views as views
from tests.seventh.venue import wire
from venues.simulation import ownership, trading
from venues.simulation.exchange import Exchange
from venues.simulation.records import Agent, Reason, Side, TimeInForce

_REASONS: Final[Mapping[Reason, str]] = {
    Reason.UNKNOWN_MARKET: "no_market",
    Reason.TICK: "price",
    Reason.INVALID_PRICE: "price",
    Reason.INVALID_QUANTITY: "size",
    Reason.ZERO_QUANTITY: "size",
    Reason.MIN_NOTIONAL: "minimum",
    Reason.MARGIN: "margin",
    Reason.REDUCE_ONLY: "nothing_to_reduce",
    Reason.NO_MATCH: "no_match",
    Reason.NO_LIQUIDITY: "no_match",
}


class Refused(Exception):
    """The venue refuses with a code of its own (HTTP 422)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Timed(msgspec.Struct, forbid_unknown_fields=True):
    expires: int


class Place(_Timed, tag="place", tag_field="do"):
    """Place an order; one that does not rest takes what there is."""

    market: str
    side: Literal["buy", "sell"]
    price: Decimal
    size: Decimal
    rests: bool
    reduces: bool
    tag: str


class Cancel(_Timed, tag="cancel", tag_field="do"):
    """Cancel by the venue's id, or where that is null by the tag."""

    market: str
    order: int | None
    tag: str


class Leverage(_Timed, tag="leverage", tag_field="do"):
    """Set a market's leverage."""

    market: str
    leverage: int


class WhoAmI(_Timed, tag="whoami", tag_field="do"):
    """Do nothing, and say whose key it is."""


class Business:
    """Applies signed texts."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._tables = exchange.tables
        self._decoder = msgspec.json.Decoder(Place | Cancel | Leverage | WhoAmI)

    def do(self, body: bytes, headers: Mapping[str, str]) -> object:
        """Do what a text says and return what is answered. Raises `Refused`."""
        agent = self._verified(body, headers)
        try:
            asked = self._decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise Refused("bad_shape", str(error)) from None
        if self._tables.now_ms > asked.expires:
            raise Refused("expired", f"it is {self._tables.now_ms}, expected {asked.expires}")
        match asked:
            case Place():
                return self._place(agent.account, asked)
            case Cancel():
                return self._cancel(agent.account, asked)
            case Leverage():
                self._market(asked.market)
                account, symbol, most = agent.account, asked.market, asked.leverage
                if ownership.set_leverage(self._tables, account, symbol, most, is_isolated=False):
                    raise Refused("leverage", f"{most} is not possible now")
                return wire.Leverage(market=symbol, leverage=most)
            case _:
                rights = agent.name.split(",")
                return wire.Key(account=agent.account, rights=rights, until=agent.valid_until_ms)

    def _verified(self, body: bytes, headers: Mapping[str, str]) -> Agent:
        agent = self._tables.agents.get(headers.get("X-Seventh-Key", ""))
        if agent is None or not ownership.is_valid(self._tables, agent):
            raise Refused("unknown_key", "this key is none, or is over")
        try:
            signature = bytes.fromhex(headers.get("X-Seventh-Signature", ""))
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(agent.address)).verify(signature, body)
        except (ValueError, InvalidSignature):
            raise Refused("bad_signature", "the signature is not of this text") from None
        return agent

    def _place(self, account: str, asked: Place) -> wire.Order:
        self._market(asked.market)
        if self._tables.by_client_id.get((account, asked.tag)):
            raise Refused("duplicate", f"tag {asked.tag} is taken")
        request = trading.OrderRequest(
            symbol=asked.market,
            side=Side(asked.side),
            price=asked.price,
            quantity=asked.size,
            time_in_force=TimeInForce.GTC if asked.rests else TimeInForce.IOC,
            reduce_only=asked.reduces,
            client_order_id=asked.tag,
        )
        placed = trading.place(self._tables, self._exchange.switches, account, request)
        if placed.refusal is not None:
            code = _REASONS.get(placed.refusal.reason, "bad_shape")
            raise Refused(code, placed.refusal.reason.value)
        return views.order(placed.order)

    def _cancel(self, account: str, asked: Cancel) -> wire.Order:
        reference = asked.tag if asked.order is None else asked.order
        order = trading.live_order(self._tables, account, reference)
        if order is None:
            raise Refused("no_order", f"no order {reference} is open")
        trading.cancel(self._tables, order)
        return views.order(order)

    def _market(self, name: str) -> None:
        if name not in self._tables.instruments:
            raise Refused("no_market", f"there is no market {name[:64]}")
