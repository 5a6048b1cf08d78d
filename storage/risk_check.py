"""The ledger's own check of risk limits, inside the transaction that reserves a command.

The account's lock makes it one after the other for an account; where limits are summed over all
accounts, their row's lock does so for all. Without limits it costs no statement.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Connection, select

from domain.commands import ModifyOrder, PlaceOrder
from domain.errors import MarkPriceNeeded, RiskRefused
from domain.exposure import Asked, open_quantity
from domain.ledger import CommandDraft
from domain.orders import Order
from domain.risk import judge
from domain.risk_limits import RiskLimits
from domain.violations import in_words
from storage.clock import Clock
from storage.engine import Database
from storage.risk_reader import Needs, RiskReader, read_limits
from storage.risk_tables import risk_limits

NO_LIMITS = "{}"
TOTAL = "total"


class LimitCheck:
    """Refuses commands that would exceed a limit."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._locks = not database.is_sqlite
        self._reader = RiskReader(now)

    def run(
        self,
        connection: Connection,
        draft: CommandDraft,
        stored: Order | None,
        *,
        own_body: str | None,
        general_body: str,
    ) -> None:
        """Check a command against the limits of its account and of everything.

        Raises:
            RiskRefused: it would exceed one.
            MarkPriceNeeded: a limit is measured by the mark price, and the draft has none.
        """
        if general_body == NO_LIMITS and own_body in (None, NO_LIMITS):
            return
        asked = asked_of(draft, stored)
        if asked is None:
            return
        own, general = read_limits(own_body or NO_LIMITS), read_limits(general_body)
        if asked.mark_price is None and (own.needs_mark or general.needs_mark):
            raise MarkPriceNeeded(
                f"expected the mark price of {draft.symbol} to measure risk limits by, found none; "
                "nothing was sent"
            )
        self._judge(connection, asked, own, general, draft.key.order_id)

    def _judge(
        self,
        connection: Connection,
        asked: Asked,
        own: RiskLimits,
        general: RiskLimits,
        order_id: str,
    ) -> None:
        together, whole = general.together(), None
        if not together.is_empty:
            if self._locks:
                connection.execute(_LOCK_TOTAL)
            whole = self._reader.of_all(connection, Needs.of(together), besides=order_id)
        needs = Needs.of(own, general.apart())
        situation = self._reader.of_account(connection, asked.account_id, needs, besides=order_id)
        violations = judge(own, general, situation, whole, asked)
        if violations:
            raise RiskRefused(in_words(violations), violations=violations)


def asked_of(draft: CommandDraft, stored: Order | None) -> Asked | None:
    """Return a draft as the limits see it; None for what places nothing."""
    command = draft.command
    if isinstance(command, ModifyOrder):
        command = command.order
    if not isinstance(command, PlaceOrder):
        return None
    return Asked(
        account_id=draft.account_id,
        symbol=draft.symbol,
        side=command.side,
        quantity=command.quantity,
        price=command.price,
        order_type=command.order_type,
        trigger_price=command.trigger_price,
        reduce_only=command.reduce_only,
        is_new=stored is None,
        replaces=Decimal(0) if stored is None else open_quantity(stored),
        mark_price=draft.mark_price,
    )


_LOCK_TOTAL = select(risk_limits.c.scope).where(risk_limits.c.scope == TOTAL).with_for_update()
