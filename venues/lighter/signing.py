"""What this system signs at Lighter, and with which key: trading alone.

A message is the transaction's own numbers, in the venue's spelling; with account, key index and
nonce the venue's signer makes the signed transaction of it, and its hash. An order, a cancel, a
leverage and the dead man's switch are signed; a withdrawal, a transfer, a new key or an immediate
cancel of everything is refused here, whoever asks for it. What comes back is compared with what
was asked: a number that the library had cut would be another order.

Source: github.com/elliottech/lighter-go types/txtypes; lighter-sdk 1.1.8 `signer_client.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from domain.accounts import SecretText
from domain.errors import InvalidInput, NotAllowed
from venues.lighter.credential import LighterCredential, read_credential
from venues.lighter.native import NativeSigner, NativeTransaction, NotSigned, SignerMissing
from venues.lighter.proofs import TOKEN_LIFETIME_S

CREATE_ORDER: Final = 14
CANCEL_ORDER: Final = 15
CANCEL_ALL: Final = 16
UPDATE_LEVERAGE: Final = 20
#: Scheduling a cancel of everything, and calling that off; doing it at once is not signed.
SCHEDULED: Final = 1
ABORT: Final = 2
#: Perhaps a cancel of everything could be bound to a market; a scheduled one cannot.
_ANY_MARKET: Final = 255
TOKEN_LIFETIME: Final = timedelta(seconds=TOKEN_LIFETIME_S)

#: What may be signed: the numbers of each type, in the order in which the signer takes them.
_FIELDS: Final[Mapping[int, tuple[str, ...]]] = {
    CREATE_ORDER: (
        "MarketIndex", "ClientOrderIndex", "BaseAmount", "Price", "IsAsk", "Type", "TimeInForce",
        "ReduceOnly", "TriggerPrice", "OrderExpiry",
    ),
    CANCEL_ORDER: ("MarketIndex", "Index"),
    CANCEL_ALL: ("TimeInForce", "Time"),
    UPDATE_LEVERAGE: ("MarketIndex", "InitialMarginFraction", "MarginMode"),
}  # fmt: skip
_FUNCTIONS: Final = {
    CREATE_ORDER: "SignCreateOrder",
    CANCEL_ORDER: "SignCancelOrder",
    CANCEL_ALL: "SignCancelAllOrders",
    UPDATE_LEVERAGE: "SignUpdateLeverage",
}
#: What the signer wants behind them: no integrator, fees of none, self-trades expire the maker.
_MORE: Final = {CREATE_ORDER: (0, 0, 0, 0, 0), CANCEL_ALL: (_ANY_MARKET,)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTransaction:
    """What is sent, and what it is called for ever: known before it leaves."""

    tx_type: int
    tx_info: str
    tx_hash: str
    expires_ms: int

    def to_text(self) -> str:
        """Return it as the ledger keeps it."""
        return json.dumps(
            {"tx_type": self.tx_type, "tx_hash": self.tx_hash, "tx_info": self.tx_info},
            separators=(",", ":"),
        )


def message(tx_type: int, fields: Mapping[str, int]) -> str:
    """Return the text of a message, the same for the same numbers."""
    own = {name: fields[name] for name in _FIELDS[tx_type]}
    return json.dumps({"tx_type": tx_type, **own}, separators=(",", ":"))


def check_allowed(text: str) -> dict[str, int]:
    """Check that a message is one that this system signs; return it read.

    Raises:
        NotAllowed: it is not.
    """
    try:
        read = json.loads(text)
    except ValueError as error:
        raise NotAllowed(f"expected a message to sign, found no JSON: {error}") from None
    tx_type = read.get("tx_type") if isinstance(read, dict) else None
    if not isinstance(tx_type, int) or tx_type not in _FIELDS:
        known = ", ".join(map(str, _FIELDS))
        raise NotAllowed(f"expected a transaction of types {known} to sign, found {tx_type!r}")
    own = {name: read.get(name) for name in _FIELDS[tx_type]}
    if any(isinstance(value, bool) or not isinstance(value, int) for value in own.values()):
        raise NotAllowed(f"expected numbers for {', '.join(own)}, found others")
    if message(tx_type, own) != text:
        raise NotAllowed(f"expected the spelling of a transaction of type {tx_type}, found another")
    if tx_type == CANCEL_ALL and read["TimeInForce"] not in (SCHEDULED, ABORT):
        raise NotAllowed("expected a scheduled cancel of all orders, found an immediate one")
    return {"tx_type": tx_type, **own}


def hash_of(text: str | None) -> str:
    """Return what a kept signed transaction is called; empty where there is none."""
    return "" if text is None else str(json.loads(text).get("tx_hash", ""))


class Signer:
    """Signs with opened credentials for one chain; keeps none."""

    def __init__(self, chain_id: int) -> None:
        self._native = NativeSigner(chain_id)

    def sign(
        self, credential: LighterCredential, text: str, *, key_index: int, nonce: int
    ) -> SignedTransaction:
        """Sign a message of `message`.

        Raises:
            NotAllowed: the message is not one that this system signs, or the signer made another
                of it.
            InvalidInput: the credential has no such key, or the signer takes none of it.
        """
        read = check_allowed(text)
        tx_type = read["tx_type"]
        key = credential.keys.get(key_index)
        if key is None:
            raise InvalidInput(
                "credential", f"expected an API key of index {key_index}, found none"
            )
        own = [read[name] for name in _FIELDS[tx_type]]
        try:
            made = self._native.sign(
                _FUNCTIONS[tx_type],
                *own,
                *_MORE.get(tx_type, ()),
                key=key,
                nonce=nonce,
                key_index=key_index,
                account_index=credential.account_index,
            )
        except (NotSigned, SignerMissing) as error:
            raise InvalidInput("credential", str(error)) from None
        return _checked(made, read, credential.account_index, key_index, nonce)

    def token(self, credential: LighterCredential, now: datetime, *, key_index: int) -> str:
        """Return a token to read with for `TOKEN_LIFETIME`. Raises InvalidInput as `sign`."""
        deadline_s = int((now + TOKEN_LIFETIME).timestamp())
        try:
            return self._native.auth_token(
                deadline_s,
                key=credential.keys[key_index],
                key_index=key_index,
                account_index=credential.account_index,
            )
        except (NotSigned, SignerMissing) as error:
            raise InvalidInput("credential", str(error)) from None

    def signer_of(self, secret: SecretText) -> str:
        """Return what a credential is called. Raises InvalidInput if it is none."""
        return read_credential(secret).signer


def read_signed(text: str, wanted: str, *, account: int, key_index: int, nonce: int) -> Any:
    """Return a signed transaction that was kept, if it is of this message, key and nonce.

    Raises:
        NotAllowed: it is of another.
    """
    read = check_allowed(wanted)
    try:
        kept = json.loads(text)
        made = NativeTransaction(
            tx_type=kept["tx_type"], tx_info=kept["tx_info"], tx_hash=kept["tx_hash"]
        )
    except (ValueError, KeyError, TypeError):
        raise NotAllowed("expected a signed transaction in the ledger, found none") from None
    return _checked(made, read, account, key_index, nonce)


def _checked(
    made: NativeTransaction, read: Mapping[str, int], account: int, key_index: int, nonce: int
) -> SignedTransaction:
    """Compare a transaction with what was asked, number by number."""
    try:
        info = json.loads(made.tx_info)
        found = {name: info[name] for name in (*_FIELDS[read["tx_type"]], "ExpiredAt")}
        same = (info["AccountIndex"], info["ApiKeyIndex"], info["Nonce"])
    except (ValueError, KeyError, TypeError):
        raise NotAllowed("expected a transaction of lighter's signer, found none") from None
    expires_ms = found.pop("ExpiredAt")
    asked = {name: read[name] for name in found}
    is_plain = not info.get("L2TxAttributes")
    if (
        made.tx_type != read["tx_type"]
        or found != asked
        or same != (account, key_index, nonce)
        or not is_plain
        or not isinstance(expires_ms, int)
    ):
        raise NotAllowed(
            f"expected the signature of {asked} by account {account} key {key_index} nonce "
            f"{nonce}, found one of {found} by {same}"
        )
    return SignedTransaction(
        tx_type=made.tx_type, tx_info=made.tx_info, tx_hash=made.tx_hash, expires_ms=expires_ms
    )
