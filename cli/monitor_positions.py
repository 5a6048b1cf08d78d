"""Positions and money as they are followed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cli.account_states import AccountStates
from cli.live_table import Cell, LiveTable, Notes, age_text, money
from cli.output import json_ready, safe

if TYPE_CHECKING:
    from perp_dex_client import AccountEvent, LiveBalance, LivePosition, PositionsEvent

_POSITIONS: Final = (
    *("account", "symbol", "side", "quantity", "entry", "mark", "age", "notional"),
    *("unrealized", "net", "liquidation", "protected", "feed"),
)
_MONEY: Final = ("account", "equity", "available", "initial", "maintenance", "age", "feed")


class PositionsView:
    """Implements `cli.live_table.View` for positions."""

    def __init__(
        self,
        labels: Mapping[str, str],
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.title = "positions"
        self._states = AccountStates(labels, clock)
        self._now = now
        self._held: dict[str, dict[str, LivePosition]] = {}
        self._notes = Notes()

    def take(self, event: PositionsEvent) -> list[str]:
        """Keep an event; return what it changed."""
        if event.kind == "status":
            return self._notes.add(self._states.take(event))
        before = self._held.get(event.account_id)
        held = {position.position_id: position for position in event.positions}
        self._held[event.account_id] = held
        label = self._states.label(event.account_id)
        lines = [
            self._line(label, position)
            for key, position in held.items()
            if before is None or before.get(key) != position
        ]
        closed = [] if before is None else [before[key] for key in before.keys() - held.keys()]
        lines += [f"{safe(self._now())} {label}:{safe(one.symbol)} closed" for one in closed]
        # What moves with every mark is in the table; what opens, closes or grows is an event.
        noted = [
            self._line(label, position)
            for key, position in held.items()
            if before is None or key not in before or before[key].quantity != position.quantity
        ]
        self._notes.add([*noted, *lines[len(lines) - len(closed) :]])
        if before is None and not held:
            return self._notes.add([f"{label}: no open positions"])
        return lines

    def document(self, event: PositionsEvent) -> dict[str, Any]:
        """Return an event in the shape that `--json` prints."""
        document = self._states.document("positions", event)
        if event.kind == "status":
            return document
        return {**document, "positions": json_ready(event.positions)}

    def tables(self) -> tuple[LiveTable, ...]:
        """Return the open positions."""
        held = [
            (self._states.label(account_id), account_id, position)
            for account_id, positions in self._held.items()
            for position in positions.values()
        ]
        held.sort(key=lambda item: (item[0], item[2].symbol))
        right = frozenset(_POSITIONS[3:-2])
        rows = tuple(self._row(*item) for item in held)
        return (LiveTable(columns=_POSITIONS, rows=rows, right=right, nothing="no open positions"),)

    def notes(self) -> list[str]:
        """Return the latest lines."""
        return self._notes.all()

    def _line(self, label: str, position: LivePosition) -> str:
        profit = money(position.unrealized_pnl).text
        return (
            f"{safe(self._now())} {label}:{safe(position.symbol)} {position.side} "
            f"{safe(position.quantity)} entry {safe(position.entry_price)} mark "
            f"{safe(position.mark_price)} unrealized {profit}"
        )

    def _row(self, label: str, account_id: str, position: LivePosition) -> tuple[Cell, ...]:
        marked = position.mark_at
        age = None if marked is None else age_text((self._now() - marked).total_seconds())
        return (
            Cell(label),
            Cell(position.symbol),
            Cell(position.side, "good" if position.side == "LONG" else "bad"),
            Cell(position.quantity),
            Cell(position.entry_price),
            Cell(position.mark_price),
            Cell(age),
            Cell(position.notional),
            money(position.unrealized_pnl),
            money(position.net_pnl),
            Cell(position.liquidation_price),
            Cell(position.protection, "alarm" if position.protection == "NONE" else ""),
            self._states.cell(account_id),
        )


class MoneyView:
    """Implements `cli.live_table.View` for accounts' money."""

    def __init__(
        self,
        labels: Mapping[str, str],
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.title = "account"
        self._states = AccountStates(labels, clock)
        self._now = now
        self._money: dict[str, LiveBalance | None] = {}
        self._notes = Notes()

    def take(self, event: AccountEvent) -> list[str]:
        """Keep an event; return what it tells."""
        if event.kind == "status":
            return self._notes.add(self._states.take(event))
        self._money[event.account_id] = event.balance
        label = self._states.label(event.account_id)
        balance = event.balance
        if balance is None:
            return self._notes.add([f"{label}: its exchange was not heard yet"])
        return self._notes.add(
            [
                f"{safe(balance.as_of)} {label} equity {safe(balance.equity)} available "
                f"{safe(balance.available)} initial margin {safe(balance.initial_margin)}"
            ]
        )

    def document(self, event: AccountEvent) -> dict[str, Any]:
        """Return an event in the shape that `--json` prints."""
        document = self._states.document("account", event)
        if event.kind == "status":
            return document
        return {**document, "balance": json_ready(event.balance)}

    def tables(self) -> tuple[LiveTable, ...]:
        """Return the money of each account."""
        rows = []
        for account_id, balance in sorted(
            self._money.items(), key=lambda item: self._states.label(item[0])
        ):
            label = Cell(self._states.label(account_id))
            feed = self._states.cell(account_id)
            if balance is None:
                rows.append((label, *[Cell(None)] * 5, feed))
                continue
            age = age_text((self._now() - balance.as_of).total_seconds())
            amounts = (
                balance.equity,
                balance.available,
                balance.initial_margin,
                balance.maintenance_margin,
            )
            rows.append((label, *map(Cell, amounts), Cell(age), feed))
        right = frozenset(_MONEY[1:-1])
        return (LiveTable(columns=_MONEY, rows=tuple(rows), right=right, nothing="no accounts"),)

    def notes(self) -> list[str]:
        """Return the latest lines."""
        return self._notes.all()
