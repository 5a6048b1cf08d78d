"""Request bodies. Unknown fields are refused; every model says what may be given together.

Knows the shape of requests only; whether a market takes an order is checked in `api.placing`.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from api.fields import (
    AnyCase,
    ClientKey,
    Flag,
    Label,
    PositiveDecimal,
    Symbol,
    refused,
    whole,
)
from domain.accounts import Network
from domain.brackets import ExitRule, OnFailure
from domain.identifiers import AUTO, fingerprint
from domain.instruments import OrderSide
from domain.key_claims import IntentKind
from domain.numbers import plain
from domain.orders import OrderType, TimeInForce, TriggerType

PLACE_WITHIN_S = 15
PLACE_WITHIN_S_MAX = 3600
MAX_SLIPPAGE_BPS = 500
MAX_SLIPPAGE_BPS_MAX = 5000
BATCH_MAX = 50
CREDENTIAL_LENGTH_MAX = 16_384
"""A venue that counts nonces for each key takes as many keys as there are workers, and more."""

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=128)]
PrintableText = Annotated[
    str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
]


class Body(BaseModel):
    """Common rules of all bodies."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ExitBody(Body):
    """Where an exit of a bracket is: at a price, or so many percent from the entry's price."""

    price: PositiveDecimal | None = None
    percent: PositiveDecimal | None = None

    @property
    def meant(self) -> ExitRule:
        """The rule in the domain's words."""
        return ExitRule(price=self.price, percent=self.percent)

    @property
    def spelled(self) -> str:
        """The one spelling that makes the same rule the same request."""
        if self.price is not None:
            return plain(self.price)
        return f"{_plain(self.percent)}%"

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.price is None) == (self.percent is None):
            raise refused("expected price or percent, one of both", field="price")
        return self


class PlaceOrderBody(Body):
    """An order to place. Decimals are strings; nothing is rounded.

    Without `order_type` an order with a price is LIMIT, one without is MARKET. Without
    `time_in_force` a MARKET order is IOC, any other GTC.
    """

    symbol: Symbol
    side: Annotated[OrderSide, AnyCase]
    quantity: PositiveDecimal = Field(description="In base units.")
    price: PositiveDecimal | None = Field(None, description="The limit price.")
    order_type: Annotated[OrderType | None, AnyCase] = None
    time_in_force: Annotated[
        Literal[TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK] | None, AnyCase
    ] = None
    trigger_price: PositiveDecimal | None = None
    trigger_type: Annotated[TriggerType, AnyCase] = TriggerType.MARK
    post_only: Flag = False
    reduce_only: Flag = False
    max_slippage_bps: Annotated[int, whole(1, MAX_SLIPPAGE_BPS_MAX)] = Field(
        MAX_SLIPPAGE_BPS, description="How far a market order may trade from the present price."
    )
    account: ShortText | None = Field(
        None,
        description="Label or id; else the default account. `auto`: of yours, the one where it "
        "costs least after fees, and of those that pay the same the one with most room.",
    )
    venue: ShortText | None = Field(
        None,
        description="Picks the venue's default account. `auto`: wherever one of your accounts "
        "executes it best.",
    )
    group: Label | None = Field(
        None, description="As account `auto`, of the accounts of this group only."
    )
    network: Network | None = Field(
        None,
        description="With `auto`, group or split: only accounts of this network; else the default "
        "account's.",
    )
    split: Flag = Field(
        False,
        description="Split it over several of your accounts, where that costs less than one of "
        "them; answers with a split order.",
    )
    client_key: ClientKey | None = Field(
        None, description="Your own id of this intent; the Idempotency-Key header is the same."
    )
    place_within_s: Annotated[int, whole(1, PLACE_WITHIN_S_MAX)] = Field(
        PLACE_WITHIN_S, description="An order not sent by then is never sent."
    )
    take_profit: ExitBody | None = Field(
        None, description="Protect what fills: a reduce-only order at this profit."
    )
    stop_loss: ExitBody | None = Field(
        None, description="Protect what fills: a reduce-only order at this loss."
    )
    on_protection_failure: OnFailure = Field(
        OnFailure.CLOSE,
        description="When the venue keeps no protective order: close at market, or alert only.",
    )
    native: Flag = Field(
        False,
        description="Have the exits leave in the entry's own request, so that the exchange keeps "
        "them whatever becomes of us.",
    )
    dry_run: Flag = Field(False, description="Check and show only; nothing is sent.")

    @property
    def is_bracket(self) -> bool:
        """Whether what fills is to be protected."""
        return self.take_profit is not None or self.stop_loss is not None

    @property
    def intent_kind(self) -> IntentKind:
        """What the key of the request names."""
        if self.split:
            return IntentKind.SPLIT
        return IntentKind.BRACKET if self.is_bracket else IntentKind.ORDER

    @property
    def is_routed(self) -> bool:
        """Whether the account is to be chosen."""
        return self.split or self.group is not None or AUTO in (self.account, self.venue)

    @property
    def kind(self) -> OrderType:
        """The order type, derived where it was not given."""
        if self.order_type is not None:
            return self.order_type
        return OrderType.MARKET if self.price is None else OrderType.LIMIT

    @property
    def lifetime(self) -> TimeInForce:
        """The time in force, derived where it was not given."""
        if self.time_in_force is not None:
            return self.time_in_force
        return TimeInForce.IOC if self.kind is OrderType.MARKET else TimeInForce.GTC

    @property
    def fingerprint(self) -> str:
        """What two requests with one key must have in common, whatever their spelling."""
        meant: dict[str, object] = {
            "symbol": self.symbol,
            "side": self.side.value,
            "quantity": plain(self.quantity),
            "order_type": self.kind.value,
            "time_in_force": self.lifetime.value,
            "price": _plain(self.price),
            "trigger_price": _plain(self.trigger_price),
            "trigger_type": self.trigger_type.value if self.trigger_price else None,
            "post_only": self.post_only or None,
            "reduce_only": self.reduce_only or None,
            "max_slippage_bps": self.max_slippage_bps if self.kind.is_market else None,
            "account": self.account,
            "venue": self.venue,
            "group": self.group,
            "network": None if self.network is None else self.network.value,
            "split": self.split or None,
            "place_within_s": (
                None if self.place_within_s == PLACE_WITHIN_S else self.place_within_s
            ),
        }
        for name, rule in (("take_profit", self.take_profit), ("stop_loss", self.stop_loss)):
            meant[name] = None if rule is None else rule.spelled
        if self.is_bracket:
            meant["on_protection_failure"] = self.on_protection_failure.value
        meant["native"] = self.native or None
        # What was not asked is left out, so that later fields do not change old fingerprints.
        present = {name: value for name, value in meant.items() if value is not None}
        return fingerprint(json.dumps(present, sort_keys=True, separators=(",", ":")))

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        kind, lifetime = self.kind, self.lifetime
        if kind.is_market and self.price is not None:
            raise refused(
                f"a {kind} order takes none; bound it by max_slippage_bps, or ask for "
                "order_type LIMIT with time_in_force IOC",
                field="price",
            )
        if not kind.is_market and self.price is None:
            raise refused(f"a {kind} order needs one", field="price")
        if kind.is_trigger and self.trigger_price is None:
            raise refused(f"a {kind} order needs one", field="trigger_price")
        if not kind.is_trigger and self.trigger_price is not None:
            raise refused(
                f"a {kind} order takes none; ask for a STOP or TAKE_PROFIT order_type",
                field="trigger_price",
            )
        if kind is OrderType.MARKET and lifetime is TimeInForce.GTC:
            raise refused("a MARKET order is IOC or FOK, it never rests", field="time_in_force")
        if kind.is_trigger and lifetime is not TimeInForce.GTC:
            raise refused(
                f"a {kind} order rests until triggered, so it is GTC", field="time_in_force"
            )
        if self.is_bracket and self.reduce_only:
            raise refused("what only shrinks a position needs no exits", field="reduce_only")
        if self.post_only and (kind is not OrderType.LIMIT or lifetime is not TimeInForce.GTC):
            raise refused("only a LIMIT order with time_in_force GTC can be", field="post_only")
        if self.native:
            self._suits_native()
        self._suits_routing()
        if self.split:
            self._suits_split()
        return self

    def _suits_routing(self) -> None:
        if self.network is not None and not self.is_routed:
            raise refused("an account has one already; expected with auto", field="network")
        named = self.account not in (None, AUTO)
        if named and self.group is not None:
            raise refused("expected account or group, found both", field="group")
        if named and self.venue == AUTO:
            raise refused(
                "an account is at one venue; expected no account, or auto", field="account"
            )
        if named and self.split:
            raise refused(
                "one account takes one order; expected no account, or auto", field="split"
            )

    def _suits_split(self) -> None:
        if self.is_bracket:
            raise refused(
                "exits protect one entry; expected no take_profit, stop_loss", field="split"
            )
        if self.kind.is_trigger:
            raise refused(
                f"a {self.kind} order acts on a later book, it is not split", field="split"
            )
        if self.lifetime is TimeInForce.FOK:
            raise refused("nobody fills all or nothing over several venues", field="split")

    def _suits_native(self) -> None:
        if not self.is_bracket:
            raise refused("expected with take_profit or stop_loss", field="native")
        if self.kind.is_trigger:
            raise refused(
                f"the exchange takes no exits along with a {self.kind} entry: expected LIMIT or "
                "MARKET, or no native",
                field="native",
            )
        rules = (self.take_profit, self.stop_loss)
        if self.price is None and any(rule is not None and rule.percent for rule in rules):
            raise refused(
                "exits that leave with a MARKET entry need prices: a percentage is one of the "
                "entry's price, which is not known yet",
                field="native",
            )


class BatchBody(Body):
    """Orders to place together; each is answered for itself."""

    orders: Annotated[tuple[PlaceOrderBody, ...], Field(min_length=1, max_length=BATCH_MAX)]


class ModifyOrderBody(Body):
    """What to change of a resting order; at least one of both."""

    price: PositiveDecimal | None = None
    quantity: PositiveDecimal | None = Field(
        None, description="The order's new total quantity, filled part included."
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.price is None and self.quantity is None:
            raise refused("expected price, quantity or both, found neither")
        return self


class ResolveOrderBody(Body):
    """An operator's verdict on an order whose outcome cannot be found out."""

    verdict: Literal["absent", "accepted"]
    reason: PrintableText = Field(description="What you saw at the venue; kept for ever.")


class CredentialBody(Body):
    """A signing key. It is sealed at once and never shown again."""

    private_key: Annotated[SecretStr, Field(min_length=1, max_length=CREDENTIAL_LENGTH_MAX)]


class AddAccountBody(Body):
    """An account to register."""

    venue: ShortText
    label: Label
    network: Network
    address: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")] = Field(
        description="The account itself at the venue, which is no secret."
    )
    credential: CredentialBody


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
