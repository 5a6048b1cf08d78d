"""Accounts, positions and balances. Secrets are named here, never held."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One trading account of a principal at one venue.

    `address` is the account itself at the venue (never a secret), `signer` the public identity of
    the key that signs for it. `halted` refuses whatever raises exposure.
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
