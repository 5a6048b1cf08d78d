"""Accounts, positions and balances. Secrets are named here, never held."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Network(StrEnum):
    """Which exchange an account lives on; fixed when the account is made."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    PAPER = "paper"


class AccountState(StrEnum):
    """Whether an account may trade."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    REFUSED = "REFUSED"
    REMOVED = "REMOVED"


class PositionSide(StrEnum):
    """The direction of a position."""

    LONG = "LONG"
    SHORT = "SHORT"
    FLAT = "FLAT"


class MarginMode(StrEnum):
    """Whether a position's margin is the whole account's or its own."""

    CROSS = "CROSS"
    ISOLATED = "ISOLATED"


EXPIRY_WARNING = timedelta(days=14)
"""So long before it expires a credential is announced to do so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerFacts:
    """What a credential turned out to be: whose key, with which power, and until when.

    `master_address` is the owner of the account where that is another (a sub-account's master).
    """

    signer: str
    master_address: str | None
    power: str
    expires_at: datetime | None

    def has_expired(self, now: datetime) -> bool:
        """Tell whether the venue takes nothing of it any more."""
        return self.expires_at is not None and now >= self.expires_at

    def expires_soon(self, now: datetime) -> bool:
        """Tell whether it is time to replace it."""
        return self.expires_at is not None and now >= self.expires_at - EXPIRY_WARNING


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One trading account of a principal at one venue.

    `address` is the account itself at the venue (never a secret), `signer` the public identity of
    the key that signs for it, `facts` what its check found out of that key. `halted` refuses
    whatever raises exposure.
    """

    account_id: str
    owner: str
    venue: str
    label: str
    network: Network
    address: str
    signer: str
    state: AccountState
    created_at: datetime
    is_default: bool = False
    halted: bool = False
    state_reason: str | None = None
    facts: SignerFacts | None = None


class SecretText:
    """A secret that shows itself to nobody but who calls `reveal`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._text

    def __repr__(self) -> str:
        return "SecretText('***')"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingAccess:
    """An account with the opened credential that signs for it; lives only in the worker."""

    account: Account
    credential: SecretText = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An open position; `quantity` is positive, `side` tells the direction.

    `notional` is quantity × mark price; `unrealized_pnl` excludes funding.
    """

    account_id: str
    venue: str
    symbol: str
    side: PositionSide
    quantity: Decimal
    entry_price: Decimal | None
    notional: Decimal
    unrealized_pnl: Decimal
    liquidation_price: Decimal | None
    leverage: Decimal
    margin_mode: MarginMode
    initial_margin: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSummary:
    """An account's money, in quote units, by the venue's clock."""

    account_id: str
    equity: Decimal
    available: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    positions: tuple[Position, ...]
    event_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageSetting:
    """How an account's positions in one market are margined."""

    symbol: str
    leverage: int
    mode: MarginMode


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeRates:
    """An account's present fee rates as fractions of notional."""

    maker: Decimal
    taker: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingPayment:
    """Funding paid (negative) or received at `event_time`, in quote units."""

    account_id: str
    symbol: str
    amount: Decimal
    rate: Decimal
    position_quantity: Decimal
    event_time: datetime
