"""What a bracket gives to its activities and gets: one dataclass each, defaults for new fields."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.brackets import BracketPlan, BracketState
from domain.orders import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketTask:
    """Something about one bracket, as its workflow knows it."""

    state: BracketState


@dataclass(frozen=True, slots=True, kw_only=True)
class JointTask:
    """Place entry and exits of a bracket in one request, each as its revision `revision`.

    `created_at` is when the exits begin. Not `send`: only find out whether it was done before.
    """

    plan: BracketPlan
    revision: int
    created_at: datetime
    send: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class JointResult:
    """Entry and exits after a joint placement, as they are stored.

    `exits` is empty where nothing was placed: refused by us, too late, or not to be sent. `known`
    tells that the store has the entry. `answer` is what the venue, or we, said.
    """

    entry: Order
    exits: tuple[Order, ...] = ()
    known: bool = True
    answer: str = ""
