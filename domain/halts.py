"""Halts and the kill switch: what is halted, how far stopping it has come, and what is still open.

A halt is a flag under which the ledger refuses whatever raises exposure. The kill switch sets it,
then cancels every order, closes every position if asked, and is done only when the venue itself
shows nothing open. Knows no venue, clock or storage.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from domain.accounts import Position, PositionSide
from domain.errors import InvalidInput
from domain.instruments import OrderSide
from domain.numbers import plain

ALL_KEY = "*"
VENUE_PREFIX = "venue:"
SHOWN_MAX = 20
"""So many open orders and positions are named; beyond them only their number is told."""


class HaltLevel(StrEnum):
    """How much a halt covers."""

    ALL = "all"
    VENUE = "venue"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltScope:
    """What a halt covers: everything, a venue, or an account; `name` is the venue or account id."""

    level: HaltLevel
    name: str = ""

    def __post_init__(self) -> None:
        if bool(self.name) == (self.level is HaltLevel.ALL):
            expected = "no name" if self.level is HaltLevel.ALL else f"a name of the {self.level}"
            raise InvalidInput("scope", f"expected {expected}, found {self.name!r}")

    @property
    def key(self) -> str:
        """How the scope is spelled in storage: `*`, `venue:<name>`, or the account id."""
        match self.level:
            case HaltLevel.ALL:
                return ALL_KEY
            case HaltLevel.VENUE:
                return f"{VENUE_PREFIX}{self.name}"
            case HaltLevel.ACCOUNT:
                return self.name

    @property
    def slug(self) -> str:
        """How the scope is spelled in a workflow id: `all`, `venue-<name>`, or the account id."""
        match self.level:
            case HaltLevel.ALL:
                return "all"
            case HaltLevel.VENUE:
                return f"venue-{self.name}"
            case HaltLevel.ACCOUNT:
                return self.name

    def __str__(self) -> str:
        return "everything" if self.level is HaltLevel.ALL else f"{self.level.value} {self.name}"


EVERYTHING = HaltScope(level=HaltLevel.ALL)


def venue_scope(venue: str) -> HaltScope:
    """Return the scope of all accounts at a venue."""
    return HaltScope(level=HaltLevel.VENUE, name=venue)


def account_scope(account_id: str) -> HaltScope:
    """Return the scope of one account."""
    return HaltScope(level=HaltLevel.ACCOUNT, name=account_id)


def scope_of(key: str) -> HaltScope:
    """Return the scope that `key` spells in storage."""
    if key == ALL_KEY:
        return EVERYTHING
    if key.startswith(VENUE_PREFIX):
        return venue_scope(key.removeprefix(VENUE_PREFIX))
    return account_scope(key)


class HaltStage(StrEnum):
    """How far a kill switch is.

    BLOCKING: new exposure is refused, nothing else is done yet. CANCELING: orders are open.
    FLATTENING: positions are being closed. VERIFYING: the venue showed nothing open once and is
    asked again. HALTED: it showed nothing open twice. STOPPED: a forced resume ended it.
    """

    BLOCKING = "BLOCKING"
    CANCELING = "CANCELING"
    FLATTENING = "FLATTENING"
    VERIFYING = "VERIFYING"
    HALTED = "HALTED"
    STOPPED = "STOPPED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more is done."""
        return self in (HaltStage.HALTED, HaltStage.STOPPED)


_STAGES = tuple(HaltStage)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that may still trade. `at_venue`: the venue lists it. `direct`: no workflow may
    cancel it, since our own record has ended."""

    order_id: str
    text: str
    at_venue: bool
    direct: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPosition:
    """A position that the venue shows; `quantity` is positive."""

    symbol: str
    side: PositionSide
    quantity: Decimal

    def __str__(self) -> str:
        return f"{self.side.value} {plain(self.quantity)} {self.symbol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSight:
    """What is open on an account: venue orders and positions by the venue, the rest by our store.

    `closes` are symbols whose close runs. `visibility_delay_s` is how long the venue may take to
    show what it has taken. `note` says what could not be seen, or was done on the way.
    """

    at: datetime
    orders: tuple[OpenOrder, ...] = ()
    positions: tuple[OpenPosition, ...] = ()
    closes: tuple[str, ...] = ()
    visibility_delay_s: float = 0.0
    note: str = ""

    def still_open(self, *, positions_too: bool) -> tuple[str, ...]:
        """Return what is open, in words, orders first; positions only where they are to go."""
        words = [f"order {order.text}" for order in self.orders]
        if positions_too:
            words += [f"position {position}" for position in self.positions]
        return _bounded(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountProgress:
    """How far the kill switch is with one account.

    `still_open` names what the last look found; `last_look` is None before the first. `attempts`
    counts looks in a row that found as much open as before, or could not be made.
    """

    account_id: str
    venue: str
    owner: str
    flatten: bool = False
    stage: HaltStage = HaltStage.BLOCKING
    needs_attention: bool = False
    orders: int = 0
    positions: int = 0
    still_open: tuple[str, ...] = ()
    round: int = 0
    attempts: int = 0
    last_answer: str = ""
    since: datetime | None = None
    last_look: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_done(self) -> bool:
        """Whether the venue was seen to hold nothing that had to go."""
        return self.stage is HaltStage.HALTED

    def seen(self, sight: AccountSight) -> AccountProgress:
        """Return the progress after a look."""
        orders, positions = len(sight.orders), len(sight.positions)
        is_less = self.last_look is None or (orders, positions) < (self.orders, self.positions)
        return replace(
            self,
            orders=orders,
            positions=positions,
            still_open=sight.still_open(positions_too=self.flatten),
            round=self.round + 1,
            attempts=0 if is_less else self.attempts + 1,
            last_answer=sight.note,
            last_look=sight.at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KillSwitch:
    """One use of the kill switch, from the halt to the proof that nothing is open; kept for ever.

    `needs_attention`: it has taken longer than it should; `accounts` tell what is still open.
    """

    kill_switch_id: str
    scope: HaltScope
    owner: str
    flatten: bool
    reason: str
    requested_by: str
    requested_at: datetime
    stage: HaltStage = HaltStage.BLOCKING
    accounts: tuple[AccountProgress, ...] = ()
    ended_at: datetime | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether an account has taken longer than it should."""
        return not self.stage.is_terminal and any(a.needs_attention for a in self.accounts)

    @property
    def shown_stage(self) -> str:
        """The stage, or ATTENTION while it takes longer than it should."""
        return "ATTENTION" if self.needs_attention else self.stage.value

    def with_progress(self, progress: AccountProgress) -> KillSwitch:
        """Return the kill switch with what is known of one account replaced."""
        others = {a.account_id: a for a in self.accounts} | {progress.account_id: progress}
        return replace(self, accounts=tuple(others.values())).at_stage()

    def at_stage(self) -> KillSwitch:
        """Return the kill switch at the stage of the account that is furthest behind.

        Never at its end: there may be accounts that nothing is known of yet.
        """
        stage = least_stage(a.stage for a in self.accounts)
        return replace(self, stage=HaltStage.VERIFYING if stage.is_terminal else stage)

    def upgraded(self, *, flatten: bool) -> KillSwitch:
        """Return the kill switch with positions to be closed too, if that is asked now."""
        if not flatten or self.flatten:
            return self
        accounts = tuple(
            replace(a, flatten=True, stage=HaltStage.BLOCKING if a.is_done else a.stage)
            for a in self.accounts
        )
        return replace(self, flatten=True, accounts=accounts)


def least_stage(stages: Iterable[HaltStage]) -> HaltStage:
    """Return the stage that is furthest from the end; BLOCKING for none."""
    return min(stages, key=_STAGES.index, default=HaltStage.BLOCKING)


def open_positions(positions: Iterable[Position]) -> tuple[OpenPosition, ...]:
    """Return those that are not flat, as the kill switch names them."""
    return tuple(
        OpenPosition(symbol=p.symbol, side=p.side, quantity=p.quantity)
        for p in positions
        if p.quantity
    )


def order_words(
    symbol: str, side: OrderSide, quantity: Decimal, price: Decimal | None, name: str
) -> str:
    """Return an open order in words."""
    at = "" if price is None else f" @ {plain(price)}"
    return f"{side.value} {plain(quantity)} {symbol}{at} ({name})"


def _bounded(words: list[str]) -> tuple[str, ...]:
    if len(words) <= SHOWN_MAX:
        return tuple(words)
    return (*words[:SHOWN_MAX], f"and {len(words) - SHOWN_MAX} more")
