"""Orders that name no account, and split ones, killed between choice, start and ledger.

Judged by both exchanges' own ledgers: each share is there once, the shares add up to what was
asked, and the choice is the one that was made first, wherever prices went meanwhile. Of an order
and a split one that ask by one key the exchanges see one.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from tests.crash.matrix import Cell, CellResult
from tests.crash.rig import Rig, eventually
from tests.crash.trader import Trader

POINTS = {
    "choice kept | workflow started": "split.choice_kept",
    "workflow started | answer to the caller": "split.started",
    "children being begun | first child started": "split.working_kept",
    "one child's ledger commit | first byte": "place.ledger_committed",
    "one child's answer read | outcome commit": "place.answer_read",
}
API_POINTS = ("split.choice_kept", "split.started")
CHOICE_KEPT = "choice kept | workflow started"
KEY_CLAIMED = "key claimed | workflow started"
MARKET = "BTC-PERP"
#: The exchanges that an order is split over; the rig has to serve both.
VENUES = ("hyperliquid", "pacifica")
MARK, MOVED = "65000", "60000"
RACES = 4
PLAIN_ACCOUNT = "split-hyperliquid"


def split_cells() -> list[Cell]:
    """Return all cells: with the process that stands still there, alone and with everything."""
    cells = []
    for gap, point in POINTS.items():
        own = "api" if point in API_POINTS else "worker"
        cells += [
            Cell(command="split", gap=gap, kill=own),
            Cell(command="split", gap=gap, kill="worker+temporal+api"),
        ]
    for kill in ("api", "worker+temporal+api"):
        cells.append(Cell(command="routed", gap=CHOICE_KEPT, kill=kill))
        cells.append(Cell(command="one key", gap=KEY_CLAIMED, kill=kill))
    return cells


class Splits:
    """Runs cells on one rig, one after the other, each at a price of its own."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._trader = Trader(rig.api_url, rig.home / "api-token")
        self._addresses: dict[str, str] = {}
        self._quantity = Decimal(0)
        self._runs = 0

    async def run(self, cell: Cell) -> CellResult:
        """Run one cell."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        wrong: str | None = None
        try:
            if not self._addresses:
                await self._open()
            kinds = {"routed": self._routed, "one key": self._one_key}
            await kinds.get(cell.command, self._cell)(cell)
        except AssertionError as error:
            wrong = str(error) or repr(error)
        finally:
            self._rig.points.disarm()
            await self._rig.start(*self._rig.order_of_start)
            await self._price(MARK)
        return CellResult(cell=cell, wrong=wrong, seconds=loop.time() - began)

    async def _cell(self, cell: Cell) -> None:
        self._runs += 1
        key, price = f"split-{self._runs}", str(30_000 + 10 * self._runs)
        point = POINTS[cell.gap]
        self._rig.points.arm(point)
        placing = asyncio.create_task(self._place(key, price))
        try:
            await eventually(
                lambda: self._is_hit(point), within_s=20, what=f"the split to reach {cell.gap!r}"
            )
            self._rig.kill(*cell.kill.split("+"))
            self._rig.points.disarm()
            # Whoever chose again would choose otherwise.
            await self._price(MOVED)
            await self._rig.start("temporal", "worker", "api")
            placed = await placing
        finally:
            placing.cancel()
        await self._judge(placed, price, live=True)
        routing = await self._trader.routing(placed["split_id"])
        kept = {share["account_id"]: share["quantity"] for share in routing["shares"]}
        assert kept == {leg["account_id"]: leg["quantity"] for leg in placed["legs"]}
        again = await self._place(key, price)
        assert again["split_id"] == placed["split_id"]
        ended = await self._trader.end_split(placed["split_id"], f"{key}-end")
        assert ended["status"] == "CANCELED", f"expected CANCELED, found {ended}"
        await self._judge(placed, price, live=False)

    async def _routed(self, cell: Cell) -> None:
        """Have prices turn round between an order's choice and its start: the choice stays."""
        self._runs += 1
        key, limit = f"routed-{self._runs}", str(72_000 + 10 * self._runs)
        await self._price("66000", "hyperliquid")
        self._rig.points.arm("place.choice_kept")
        placing = asyncio.create_task(self._take(key, limit))
        try:
            await eventually(
                lambda: self._is_hit("place.choice_kept"), within_s=20, what="the choice"
            )
            self._rig.kill(*cell.kill.split("+"))
            self._rig.points.disarm()
            await self._price("67000", "pacifica")
            await self._rig.start("temporal", "worker", "api")
            placed = await placing
        finally:
            placing.cancel()
        assert placed["venue"] == "pacifica", f"expected what was cheaper at first: {placed}"
        assert placed["filled_quantity"] == "0.001", f"expected it filled: {placed}"
        for venue, count in (("pacifica", 1), ("hyperliquid", 0)):
            found = await self._orders_at(venue, limit)
            assert len(found) == count, f"expected {count} at {venue}, it has {found}"

    async def _one_key(self, cell: Cell) -> None:
        """Have an order's process die once it has claimed its key, and a split order ask for it."""
        self._runs += 1
        key, price = f"one-key-{self._runs}", str(30_000 + 10 * self._runs)
        whole = self._order(str(self._quantity), price)
        self._rig.points.arm("place.choice_kept")
        placing = asyncio.create_task(self._plain(key, price))
        try:
            await eventually(
                lambda: self._is_hit("place.choice_kept"), within_s=20, what="the claim"
            )
            self._rig.kill(*cell.kill.split("+"))
            self._rig.points.disarm()
            await self._rig.start("temporal", "worker", "api")
            code = await self._trader.refused(key, split=True, **whole)
            assert code == "idempotency_mismatch", f"expected the order's claim to hold: {code}"
            placed = await placing
        finally:
            placing.cancel()
        assert placed["outcome"] == "accepted", f"expected it placed: {placed}"
        assert await self._taken(price) == Decimal("0.001")
        await self._trader.cancel(placed["order_id"], f"{key}-end")
        for number in range(RACES):
            await self._race(f"{key}-{number}", str(30_001 + 10 * self._runs + number))

    async def _race(self, key: str, price: str) -> None:
        """Have an order and a split one ask by one key in the same moment: one is there."""
        whole = self._order(str(self._quantity), price)
        plain = self._order("0.001", price) | {"account": PLAIN_ACCOUNT}
        del plain["group"]
        codes = await asyncio.gather(
            self._trader.refused(key, **plain), self._trader.refused(key, split=True, **whole)
        )
        assert sorted(map(str, codes)) == ["None", "idempotency_mismatch"], codes
        if codes[0] is None:
            placed = await self._plain(key, price)
            assert await self._taken(price) == Decimal("0.001")
            await self._trader.cancel(placed["order_id"], f"{key}-end")
            return
        split = await self._place(key, price)
        assert await self._taken(price) == self._quantity
        await self._trader.end_split(split["split_id"], f"{key}-end")

    async def _plain(self, key: str, price: str) -> dict[str, Any]:
        asked = self._order("0.001", price) | {"account": PLAIN_ACCOUNT, "group": None}
        return await self._trader.place(key, **asked, place_within_s=None)

    async def _taken(self, price: str) -> Decimal:
        """Return how much all orders at a price are that the exchanges did not refuse."""
        orders = [order for venue in VENUES for order in await self._orders_at(venue, price)]
        taken = [order for order in orders if "reject" not in order["status"].lower()]
        return sum((Decimal(order["quantity"]) for order in taken), Decimal(0))

    async def _take(self, key: str, limit: str) -> dict[str, Any]:
        order = await self._trader.place(key, account=None, **self._order("0.001", limit))
        return await self._trader.until(
            order["order_id"], lambda seen: seen["filled_quantity"] != "0", within_s=60
        )

    async def _orders_at(self, venue: str, price: str) -> list[dict[str, Any]]:
        """Return every order that an exchange knows at a price, of whichever account."""
        return [
            order
            for order in (await self._control(venue, "GET", "/ledger"))["orders"]
            if order["price"] is not None and Decimal(order["price"]) == Decimal(price)
        ]

    async def _judge(self, placed: dict[str, Any], price: str, *, live: bool) -> None:
        """Compare with what the exchanges have at this price, of whichever account of ours."""
        shares = {leg["venue"]: Decimal(leg["quantity"]) for leg in placed["legs"]}
        assert len(shares) == 2, f"expected both exchanges to take a share: {placed}"
        assert sum(shares.values()) == self._quantity, f"shares do not add up: {placed}"
        for venue, quantity in shares.items():
            orders = await self._orders_at(venue, price)
            taken = [order for order in orders if "reject" not in order["status"].lower()]
            assert [Decimal(order["quantity"]) for order in taken] == [quantity], (
                f"expected one order of {quantity} at {venue}, it has {orders}"
            )
            resting = [order for order in taken if order["status"] == "open"]
            assert len(resting) == live, f"expected {'one' if live else 'none'} live: {orders}"

    # What is asked, and by whom.

    async def _open(self) -> None:
        """Open an account at each exchange, and ask for more than either can take alone."""
        for venue in VENUES:
            opened = await self._control(venue, "POST", "/accounts", {"balance": "100"})
            self._addresses[venue] = str(opened["address"])
            await self._trader.open_account(opened, f"split-{venue}", venue=venue)
        accounts = list(self._addresses)
        await self._trader.group("splitters", [f"split-{venue}" for venue in accounts])
        candidates = await eventually(
            self._candidates,
            within_s=20,
            what="both accounts to be candidates",
            until=lambda found: len(found) == 2,
        )
        rooms = [
            Decimal(each["margin_available"]) / Decimal(each["margin_needed"])
            for each in candidates
        ]
        lots = int(max(rooms) + min(rooms) / 2)
        self._quantity = Decimal(lots) / 1000

    async def _candidates(self) -> list[dict[str, Any]]:
        shown = await self._trader.dry_run(**self._order("0.001", "30000"))
        found: list[dict[str, Any]] = shown["routing"]["candidates"]
        return found

    def _order(self, quantity: str, price: str) -> dict[str, Any]:
        return {
            "symbol": MARKET,
            "side": "BUY",
            "quantity": quantity,
            "price": price,
            "group": "splitters",
        }

    async def _place(self, key: str, price: str) -> dict[str, Any]:
        return await self._trader.split(key, **self._order(str(self._quantity), price))

    async def _price(self, price: str, *venues: str) -> None:
        """Set the price at these exchanges, or at both."""
        for venue in venues or tuple(self._addresses):
            await self._control(venue, "POST", "/price", {"symbol": "BTC", "price": price})

    async def _control(
        self, venue: str, method: str, path: str, body: object = None
    ) -> dict[str, Any]:
        return await self._rig.control(method, path, body, venue=venue)

    async def _is_hit(self, point: str) -> bool:
        return self._rig.points.is_hit(point)
