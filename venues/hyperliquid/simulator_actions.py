"""The simulator's own reading of `/exchange` bodies: typed, strict, then normalised.

The venue deserialises a body into typed structs and serialises those again before it hashes them;
so does this: field order here is the order that is hashed. Shares nothing with the connector.
https://hyperliquid.gitbook.io/hyperliquid-docs/for-developers/api/exchange-endpoint
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Final, Literal

import msgspec

_DECIMAL: Final = re.compile(r"-?\d+(\.\d+)?\Z")
_DECIMALS_MAX: Final = 8
_ADDRESS: Final = re.compile(r"(0x)?[0-9a-fA-F]{40}\Z")
_CLIENT_ID: Final = re.compile(r"(0x)?[0-9a-fA-F]{32}\Z")

_U64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class NotJson(ValueError):
    """The body is not JSON (HTTP 400)."""


class WrongShape(ValueError):
    """The body is JSON of another shape than any action (HTTP 422)."""


class _Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A part of an action: unknown keys are refused, unset ones are absent from the hash."""


class _Action(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    """An action; its tag is the first key of the hash."""


class LimitWire(_Part):
    """A limit order's time in force."""

    tif: Literal["Gtc", "Ioc", "Alo", "FrontendMarket", "LiquidationMarket"]


class TriggerWire(_Part):
    """What fires a trigger order."""

    isMarket: bool  # noqa: N815 - the venue's spelling
    triggerPx: str  # noqa: N815
    tpsl: Literal["tp", "sl"]


class KindWire(_Part):
    """Either a limit or a trigger order."""

    limit: LimitWire | None = None
    trigger: TriggerWire | None = None


class OrderWire(_Part):
    """One order of an action."""

    a: _U64
    b: bool
    p: str
    s: str
    r: bool
    t: KindWire
    c: str | None = None


class BuilderWire(_Part):
    """A builder's address and fee in tenths of a basis point."""

    b: str
    f: _U64


class PriorityWire(_Part):
    """A priority fee in place of a grouping."""

    p: _U64


class OrderAction(_Action, tag="order"):
    """Place orders."""

    orders: list[OrderWire]
    grouping: Literal["na", "normalTpsl", "positionTpsl"] | PriorityWire
    builder: BuilderWire | None = None


class CancelWire(_Part):
    """One order to cancel by its oid."""

    a: _U64
    o: _U64


class CancelAction(_Action, tag="cancel"):
    """Cancel orders by oid."""

    cancels: list[CancelWire]
    f: bool = False


class CancelByCloidWire(_Part):
    """One order to cancel by its cloid."""

    asset: _U64
    cloid: str


class CancelByCloidAction(_Action, tag="cancelByCloid"):
    """Cancel orders by cloid."""

    cancels: list[CancelByCloidWire]


class ModifyAction(_Action, tag="modify"):
    """Replace one order."""

    oid: _U64 | str
    order: OrderWire
    a: bool = False


class ModifyWire(_Part):
    """One order to replace."""

    oid: _U64 | str
    order: OrderWire


class BatchModifyAction(_Action, tag="batchModify"):
    """Replace orders."""

    modifies: list[ModifyWire]
    a: bool = False


class ScheduleCancelAction(_Action, tag="scheduleCancel"):
    """Arm or clear the cancel of everything."""

    time: _U64 | None = None


class UpdateLeverageAction(_Action, tag="updateLeverage"):
    """Set leverage and margin mode."""

    asset: _U64
    isCross: bool  # noqa: N815
    leverage: _U64


class UpdateIsolatedMarginAction(_Action, tag="updateIsolatedMargin"):
    """Move margin of an isolated position; `ntli` in millionths of a dollar."""

    asset: _U64
    isBuy: bool  # noqa: N815
    ntli: int


class NoopAction(_Action, tag="noop"):
    """Use up a nonce."""


class ReserveRequestWeightAction(_Action, tag="reserveRequestWeight"):
    """Buy requests above the address limit."""

    weight: _U64
    destination: str | None = None


class CreateSubAccountAction(_Action, tag="createSubAccount"):
    """Make a sub-account."""

    name: str


class SubAccountTransferAction(_Action, tag="subAccountTransfer"):
    """Move money between master and sub-account; `usd` in millionths of a dollar."""

    subAccountUser: str  # noqa: N815
    isDeposit: bool  # noqa: N815
    usd: _U64


class AgentSetAbstractionAction(_Action, tag="agentSetAbstraction"):
    """Set the account mode, by an agent."""

    abstraction: Literal["i", "u", "p"]


class ApproveAgentAction(_Action, tag="approveAgent"):
    """Let a key trade for the signer."""

    hyperliquidChain: str  # noqa: N815
    signatureChainId: str  # noqa: N815
    agentAddress: str  # noqa: N815
    nonce: _U64
    agentName: str | None = None  # noqa: N815


class UsdSendAction(_Action, tag="usdSend"):
    """Send collateral to another account."""

    hyperliquidChain: str  # noqa: N815
    signatureChainId: str  # noqa: N815
    destination: str
    amount: str
    time: _U64


class WithdrawAction(_Action, tag="withdraw3"):
    """Take collateral out of the exchange."""

    hyperliquidChain: str  # noqa: N815
    signatureChainId: str  # noqa: N815
    destination: str
    amount: str
    time: _U64


class UsdClassTransferAction(_Action, tag="usdClassTransfer"):
    """Move collateral between the perpetual and the spot side."""

    hyperliquidChain: str  # noqa: N815
    signatureChainId: str  # noqa: N815
    amount: str
    toPerp: bool  # noqa: N815
    nonce: _U64


class ApproveBuilderFeeAction(_Action, tag="approveBuilderFee"):
    """Allow a builder to take a fee."""

    hyperliquidChain: str  # noqa: N815
    signatureChainId: str  # noqa: N815
    maxFeeRate: str  # noqa: N815
    builder: str
    nonce: _U64


class UserSetAbstractionAction(_Action, tag="userSetAbstraction"):
    """Set the account mode, by the master."""

    hyperliquidChain: str  # noqa: N815
    signatureChainId: str  # noqa: N815
    user: str
    abstraction: Literal["unifiedAccount", "portfolioMargin", "disabled"]
    nonce: _U64


L1Action = (
    OrderAction
    | CancelAction
    | CancelByCloidAction
    | ModifyAction
    | BatchModifyAction
    | ScheduleCancelAction
    | UpdateLeverageAction
    | UpdateIsolatedMarginAction
    | NoopAction
    | ReserveRequestWeightAction
    | CreateSubAccountAction
    | SubAccountTransferAction
    | AgentSetAbstractionAction
)
UserAction = (
    ApproveAgentAction
    | UsdSendAction
    | WithdrawAction
    | UsdClassTransferAction
    | ApproveBuilderFeeAction
    | UserSetAbstractionAction
)
Action = L1Action | UserAction


class SignatureWire(_Part):
    """The signature; `r` and `s` are not padded."""

    r: str
    s: str
    v: int


class Envelope(_Part):
    """A whole `/exchange` body."""

    action: Action
    nonce: _U64
    signature: SignatureWire
    vaultAddress: str | None = None  # noqa: N815
    expiresAfter: _U64 | None = None  # noqa: N815


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def read_envelope(body: bytes) -> Envelope:
    """Decode and normalise a body. Raises `NotJson` and `WrongShape`."""
    try:
        envelope = _ENVELOPE.decode(body)
    except msgspec.ValidationError as error:
        raise WrongShape(str(error)) from error
    except msgspec.DecodeError:
        envelope = _convert(first_json_value(body))
    _normalise(envelope)
    return envelope


def first_json_value(body: bytes) -> Any:
    """Decode the first JSON value of a body; the venue ignores what follows it."""
    try:
        value, _ = json.JSONDecoder().raw_decode(body.decode("utf-8").lstrip())
    except (UnicodeDecodeError, ValueError) as error:
        raise NotJson(str(error)) from error
    return value


def action_name(action: Action) -> str:
    """Return the action's `type`."""
    return str(action.__struct_config__.tag)


def _convert(value: Any) -> Envelope:
    try:
        return msgspec.convert(value, Envelope)
    except msgspec.ValidationError as error:
        raise WrongShape(str(error)) from error


def normal_decimal(text: str) -> str:
    """Return a decimal without superfluous zeros. Raises `WrongShape` above 8 decimals."""
    if _DECIMAL.match(text) is None:
        raise WrongShape(f"expected a decimal number, found {text!r}")
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > _DECIMALS_MAX:
        raise WrongShape(f"expected at most {_DECIMALS_MAX} decimals, found {text!r}")
    sign = "-" if whole.startswith("-") else ""
    whole = whole.lstrip("-").lstrip("0") or "0"
    number = f"{whole}.{fraction}" if fraction else whole
    return number if number == "0" else sign + number


def normal_address(text: str) -> str:
    """Return an address in lower case with 0x. Raises `WrongShape` for anything else."""
    return _normal_hex(text, _ADDRESS, "an address of 20 bytes")


def normal_client_id(text: str) -> str:
    """Return a cloid in lower case with 0x. Raises `WrongShape` for anything else."""
    return _normal_hex(text, _CLIENT_ID, "a cloid of 16 bytes")


def _normal_hex(text: str, pattern: re.Pattern[str], what: str) -> str:
    if pattern.match(text) is None:
        raise WrongShape(f"expected {what} in hex, found {text!r}")
    return "0x" + text.lower().removeprefix("0x")


def _normalise(envelope: Envelope) -> None:
    if envelope.vaultAddress is not None:
        envelope.vaultAddress = normal_address(envelope.vaultAddress)
    match envelope.action:
        case OrderAction() as action:
            for order in action.orders:
                _normalise_order(order)
            if action.builder is not None:
                action.builder.b = normal_address(action.builder.b)
        case CancelByCloidAction() as action:
            for one in action.cancels:
                one.cloid = normal_client_id(one.cloid)
        case ModifyAction() as action:
            _normalise_modify(action)
        case BatchModifyAction() as action:
            for modify in action.modifies:
                _normalise_modify(modify)
        case SubAccountTransferAction() as action:
            action.subAccountUser = normal_address(action.subAccountUser)
        case _:
            pass


def _normalise_modify(modify: ModifyAction | ModifyWire) -> None:
    if isinstance(modify.oid, str):
        modify.oid = normal_client_id(modify.oid)
    _normalise_order(modify.order)


def _normalise_order(order: OrderWire) -> None:
    order.p = normal_decimal(order.p)
    order.s = normal_decimal(order.s)
    if order.c is not None:
        order.c = normal_client_id(order.c)
    if (order.t.limit is None) == (order.t.trigger is None):
        raise WrongShape("expected either limit or trigger in t")
    if order.t.trigger is not None:
        order.t.trigger.triggerPx = normal_decimal(order.t.trigger.triggerPx)
