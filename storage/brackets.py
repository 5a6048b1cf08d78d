"""Brackets in SQL: what was asked and how far it is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement

from domain.bracket_store import BracketFilter
from domain.brackets import BracketState
from storage.closing_tables import brackets
from storage.codec import Codec
from storage.parent_orders import ParentTable


def _fixed(state: BracketState) -> dict[str, Any]:
    entry = state.plan.entry
    return {
        "bracket_id": state.plan.bracket_id,
        "owner": entry.owner,
        "account_id": entry.account_id,
        "symbol": entry.symbol,
        "created_at": entry.created_at,
    }


def _narrowed(wanted: BracketFilter) -> list[ColumnElement[bool]]:
    return [] if wanted.account_id is None else [brackets.c.account_id == wanted.account_id]


BRACKETS: ParentTable[BracketState, BracketFilter] = ParentTable(
    table=brackets, states=Codec(BracketState), fixed=_fixed, narrowed=_narrowed
)
