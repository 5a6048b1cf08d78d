"""SNIP-12 order hashes and Stark signatures, for orders alone.

Signs orders of known shape only: transfers and withdrawals, which the same key could sign, have no
spelling here whoever asks for them. Knows no ledger and no transport.

Source: PyPI x10-python-trading-starknet 2.6.0, x10/signing/order_object_settlement.py and
x10/core/amount.py; hash and curve are fast-stark-crypto's. NOTES.md "Signing".
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal
from typing import Any, Final

import fast_stark_crypto

from domain.accounts import SecretText
from domain.errors import InvalidInput
from domain.instruments import OrderSide
from venues.extended.credential import StarkCredential, read_credential

DOMAIN_NAME: Final = "Perpetuals"
DOMAIN_VERSION: Final = "v0"
DOMAIN_REVISION: Final = "1"
#: A signature stays good for the contract so long after the order's own end.
SETTLEMENT_BUFFER_S: Final = 14 * 86_400
_EXACT: Final = Context(prec=100)
_I64_MAX: Final = 2**63 - 1
_KEYS_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """How a market's two assets are named and counted on chain (`l2Config`)."""

    collateral_id: int
    collateral_resolution: int
    synthetic_id: int
    synthetic_resolution: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """An order's quantities as integers: signed base and quote, and the fee it allows."""

    base: int
    quote: int
    fee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderTerms:
    """What one signature covers, but for whose it is: `salt` is the order's nonce."""

    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee_rate: Decimal
    expiry_ms: int
    salt: int
    assets: Assets
    chain_id: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """A signed order's proof: what goes into the field `settlement`."""

    signature: tuple[int, int]
    public_key: int
    vault: int

    def wire(self) -> dict[str, Any]:
        """Return it as the venue spells it: unpadded hex, the vault in decimal."""
        r, s = self.signature
        return {
            "signature": {"r": hex(r), "s": hex(s)},
            "starkKey": hex(self.public_key),
            "collateralPosition": str(self.vault),
        }


def amounts(terms: OrderTerms) -> Amounts:
    """Return an order's integers: a buy's are rounded up, a sell's down, the fee always up.

    Raises:
        InvalidInput: one is nothing, or more than the contract counts.
    """
    is_buy = terms.side is OrderSide.BUY
    rounding = ROUND_UP if is_buy else ROUND_DOWN
    value = _EXACT.multiply(terms.quantity, terms.price)
    units = _EXACT.multiply(value, Decimal(terms.assets.collateral_resolution))
    base = _whole(
        _EXACT.multiply(terms.quantity, Decimal(terms.assets.synthetic_resolution)), rounding
    )
    quote = _whole(units, rounding)
    fee = _whole(_EXACT.multiply(units, terms.fee_rate), ROUND_UP)
    if not (0 < base <= _I64_MAX and 0 < quote <= _I64_MAX):
        raise InvalidInput(
            "quantity", f"expected an order that can be counted on chain, found {base} for {quote}"
        )
    return Amounts(base=base if is_buy else -base, quote=-quote if is_buy else quote, fee=fee)


def _whole(number: Decimal, rounding: str) -> int:
    return int(number.to_integral_value(rounding=rounding, context=_EXACT))


def settlement_expiration_s(expiry_ms: int) -> int:
    """Return what is signed as the order's end, in seconds."""
    return -(-expiry_ms // 1000) + SETTLEMENT_BUFFER_S


def order_hash(terms: OrderTerms, *, vault: int, public_key: int) -> int:
    """Return the SNIP-12 message hash of an order.

    Raises:
        InvalidInput: as `amounts`.
    """
    counted, assets = amounts(terms), terms.assets
    found: int = fast_stark_crypto.get_order_msg_hash(
        position_id=vault,
        base_asset_id=assets.synthetic_id,
        base_amount=counted.base,
        quote_asset_id=assets.collateral_id,
        quote_amount=counted.quote,
        fee_asset_id=assets.collateral_id,
        fee_amount=counted.fee,
        expiration=settlement_expiration_s(terms.expiry_ms),
        salt=terms.salt,
        user_public_key=public_key,
        domain_name=DOMAIN_NAME,
        domain_version=DOMAIN_VERSION,
        domain_chain_id=terms.chain_id,
        domain_revision=DOMAIN_REVISION,
    )
    return found


@dataclass(frozen=True, slots=True)
class _Opened:
    private_key: int = field(repr=False)
    public_key: int
    vault: int
    api_key: str = field(repr=False)


class Signer:
    """Signs with opened credentials; remembers the last few keys as numbers, not their text."""

    def __init__(self) -> None:
        self._opened: OrderedDict[bytes, _Opened] = OrderedDict()

    def public_key(self, credential: SecretText) -> str:
        """Return the Stark public key that a credential signs as.

        Raises:
            InvalidInput: it is no credential; the message shows nothing of it.
        """
        return hex(self._open(credential).public_key)

    def vault(self, credential: SecretText) -> str:
        """Return the number of the vault a credential is for. Raises as `public_key`."""
        return str(self._open(credential).vault)

    def api_key(self, credential: SecretText) -> str:
        """Return a credential's API key. Raises as `public_key`."""
        return self._open(credential).api_key

    def sign(self, credential: SecretText, terms: OrderTerms) -> Settlement:
        """Sign an order; the same terms and credential give the same signature.

        Raises:
            InvalidInput: it is no credential, or the order cannot be counted on chain.
        """
        opened = self._open(credential)
        message = order_hash(terms, vault=opened.vault, public_key=opened.public_key)
        r, s = fast_stark_crypto.sign(private_key=opened.private_key, msg_hash=message)
        return Settlement((r, s), opened.public_key, opened.vault)

    def _open(self, credential: SecretText) -> _Opened:
        text = credential.reveal().strip()
        name = hashlib.sha256(text.encode()).digest()
        found = self._opened.get(name)
        if found is not None:
            self._opened.move_to_end(name)
            return found
        found = _opened(read_credential(text))
        self._opened[name] = found
        if len(self._opened) > _KEYS_MAX:
            self._opened.popitem(last=False)
        return found


def _opened(read: StarkCredential) -> _Opened:
    derived: int = fast_stark_crypto.get_public_key(read.private_key)
    if derived != read.public_key:
        raise InvalidInput(
            "credential",
            "expected the public key that belongs to the private key, found another; copy both "
            "from the same line of the venue's API page",
        )
    return _Opened(read.private_key, derived, read.vault, read.api_key)


def assets_of(l2: Mapping[str, Any]) -> Assets:
    """Return a market's assets from the form that messages keep them in."""
    return Assets(
        collateral_id=int(l2["collateralId"], 16),
        collateral_resolution=l2["collateralResolution"],
        synthetic_id=int(l2["syntheticId"], 16),
        synthetic_resolution=l2["syntheticResolution"],
    )
