"""Signed transactions as the simulated venue reads them: their shapes, and the hash that is signed.

The hash takes in chain, type, nonce, expiry, account and key index, then the type's own numbers in
their order; it is also what a transaction is called for ever. Reads and hashes by itself, sharing
nothing with the connector.

Source: github.com/elliottech/lighter-go, types/txtypes; NOTES.md "Signing".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from venues.lighter.simulator_curve import Element, element_of, to_bytes
from venues.lighter.simulator_poseidon import hash_elements

CHANGE_KEY: Final = 8
CREATE_SUB_ACCOUNT: Final = 9
CREATE_ORDER: Final = 14
CANCEL_ORDER: Final = 15
CANCEL_ALL: Final = 16
MODIFY_ORDER: Final = 17
UPDATE_LEVERAGE: Final = 20
CREATE_GROUP: Final = 28
UPDATE_MARGIN: Final = 29

_ORDER: Final = (
    "MarketIndex", "ClientOrderIndex", "BaseAmount", "Price", "IsAsk", "Type", "TimeInForce",
    "ReduceOnly", "TriggerPrice", "OrderExpiry",
)  # fmt: skip
#: The numbers of each type between the key index and the expiry, in the order that is hashed.
_FIELDS: Final[Mapping[int, tuple[str, ...]]] = {
    CREATE_SUB_ACCOUNT: (),
    CREATE_ORDER: _ORDER,
    CANCEL_ORDER: ("MarketIndex", "Index"),
    CANCEL_ALL: ("TimeInForce", "Time"),
    MODIFY_ORDER: ("MarketIndex", "Index", "BaseAmount", "Price", "TriggerPrice"),
    UPDATE_LEVERAGE: ("MarketIndex", "InitialMarginFraction", "MarginMode"),
    CREATE_GROUP: ("GroupingType",),
    UPDATE_MARGIN: ("MarketIndex", "USDCAmount", "Direction"),
}
_COMMON: Final = ("AccountIndex", "ApiKeyIndex", "ExpiredAt", "Nonce")
#: What an attribute is where it says nothing: then it is not hashed.
_NIL: Final = {5: 255}
_ATTRIBUTES_MAX: Final = 4
_BIGGEST: Final = 1 << 63


class BadTransaction(Exception):
    """It cannot be read: code and text are the venue's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction as it was sent; `message` is its hash as the five elements that are signed."""

    tx_type: int
    account_index: int
    key_index: int
    nonce: int
    expires_ms: int
    fields: Mapping[str, Any]
    attributes: Mapping[int, int]
    signature: bytes
    message: Element

    @property
    def tx_hash(self) -> str:
        """What the transaction is called."""
        return to_bytes(self.message).hex()


def read_transaction(tx_type: int, tx_info: str | Mapping[str, Any], chain: int) -> Transaction:
    """Read a transaction and hash it. Raises `BadTransaction`."""
    if tx_type not in _FIELDS:
        raise BadTransaction(21505, "invalid tx type")
    try:
        info = json.loads(tx_info) if isinstance(tx_info, str) else dict(tx_info)
        common = [_number(info, name) for name in _COMMON]
        fields: dict[str, Any] = {name: _number(info, name) for name in _FIELDS[tx_type]}
        if tx_type == CREATE_GROUP:
            fields["Orders"] = [
                {name: _number(order, name) for name in _ORDER} for order in info["Orders"]
            ]
        attributes = _attributes(info.get("L2TxAttributes"))
        signature = base64.b64decode(info["Sig"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise BadTransaction(21501, f"invalid tx info: {error}") from None
    account_index, key_index, expires_ms, nonce = common
    elements = [chain, tx_type, nonce, expires_ms, account_index, key_index]
    elements += _own_elements(tx_type, fields)
    return Transaction(
        tx_type=tx_type,
        account_index=account_index,
        key_index=key_index,
        nonce=nonce,
        expires_ms=expires_ms,
        fields=fields,
        attributes=attributes,
        signature=signature,
        message=_message(elements, attributes),
    )


def _number(info: Mapping[str, Any], name: str) -> int:
    value = info[name]
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < _BIGGEST:
        raise ValueError(f"{name}: expected a number, found {value!r}")
    return value


def _attributes(given: Any) -> dict[int, int]:
    if given is None:
        return {}
    found = {int(name): value for name, value in given.items()}
    if any(isinstance(value, bool) or not isinstance(value, int) for value in found.values()):
        raise ValueError("L2TxAttributes: expected numbers")
    return {kind: value for kind, value in sorted(found.items()) if value != _NIL.get(kind, 0)}


def _own_elements(tx_type: int, fields: Mapping[str, Any]) -> list[int]:
    if tx_type == UPDATE_MARGIN:
        amount = fields["USDCAmount"]
        low, high = amount & 0xFFFFFFFF, amount >> 32
        return [fields["MarketIndex"], low, high, fields["Direction"]]
    if tx_type != CREATE_GROUP:
        return list(fields.values())
    folded: tuple[int, ...] = ()
    for order in fields["Orders"]:
        one = hash_elements(list(order.values()), 4)
        folded = hash_elements([*folded, *one], 4) if folded else one
    return [fields["GroupingType"], *folded]


def _message(elements: list[int], attributes: Mapping[int, int]) -> Element:
    message = hash_elements(elements, 5)
    if attributes:
        if len(attributes) > _ATTRIBUTES_MAX:
            raise BadTransaction(21501, "invalid tx info: too many attributes")
        pairs = [number for pair in attributes.items() for number in pair]
        padded = pairs + [0] * (2 * _ATTRIBUTES_MAX - len(pairs))
        message = hash_elements([*message, *hash_elements(padded, 5)], 5)
    return message[0], message[1], message[2], message[3], message[4]


def text_message(text: str) -> Element:
    """Return what is signed of a text: its bytes, filled up with zeros, as elements, hashed."""
    data = text.encode()
    data += b"\0" * (-len(data) % 8)
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]
    message = hash_elements(words, 5)
    return message[0], message[1], message[2], message[3], message[4]


def message_of(tx_hash: str) -> Element | None:
    """Return the elements that a hash spells; None where it spells none."""
    try:
        data = bytes.fromhex(tx_hash)
    except ValueError:
        return None
    return element_of(data) if len(data) == 40 else None
