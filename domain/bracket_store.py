"""The port of brackets: what was asked, how far it is, how it ended; kept for ever."""

from __future__ import annotations

from dataclasses import dataclass

from domain.brackets import BracketState
from domain.parent_orders import ParentOrderStore


@dataclass(frozen=True, slots=True, kw_only=True)
class BracketFilter:
    """Which brackets a listing shows, newest first; None means any."""

    owner: str
    account_id: str | None = None
    symbol: str | None = None
    running: bool | None = None
    limit: int = 100


BracketStore = ParentOrderStore[BracketState, BracketFilter]
