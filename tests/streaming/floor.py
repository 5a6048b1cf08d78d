"""The simulated Hyperliquid with an account of ours, and orders that really go there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import CancelOrder, Command, CommandKind, PlaceOrder
from domain.instruments import OrderSide
from domain.ledger import CommandDraft, CommandKey, Inserted
from domain.orders import Order, TimeInForce
from domain.outcomes import SendResult
from tests.streaming.building import order
from tests.streaming.stage import Stage, order_id
from venues.connector import Connector
from venues.hyperliquid.connector import HyperliquidConnector
from venues.hyperliquid.rate_budget import RateBudget
from venues.pacifica.connector import PacificaConnector
from venues.pacifica.credits import CreditBudget
from venues.simulation.server import RunningSimulator, running_simulator

SYMBOL = "BTC-PERP"


@dataclass
class Floor:
    """What tests do at the venue, around whatever is being tested."""

    sim: RunningSimulator
    stage: Stage
    connector: Connector
    http: aiohttp.ClientSession
    access: dict[str, TradingAccess] = field(default_factory=dict)
    bid: Decimal = Decimal(0)
    network: Network = Network.PAPER
    venue: str = "hyperliquid"
    #: What the venue gave out for each account, its owner's own key among it.
    keys: dict[str, dict[str, str]] = field(default_factory=dict)

    async def open_account(self, account_id: str = "acc-1") -> Account:
        keys = await self.sim.simulator.open_account(Decimal(10_000_000), account_id)
        account = await self.stage.add_account(
            account_id,
            address=keys["address"],
            signer=keys["agent_address"],
            network=self.network,
            venue=self.venue,
        )
        self.keys[account_id] = keys
        credential = SecretText(keys["private_key"])
        self.access[account_id] = TradingAccess(account=account, credential=credential)
        return account

    async def send(
        self,
        number: int = 1,
        *,
        account_id: str = "acc-1",
        side: OrderSide = OrderSide.BUY,
        price: Decimal | None = None,
        quantity: str = "1",
        time_in_force: TimeInForce = TimeInForce.GTC,
        decide: bool = True,
    ) -> SendResult:
        """Place an order as a worker does; without `decide`, die before the outcome is kept."""
        limit = self.bid if price is None else price
        wanted = order(
            order_id(number),
            account_id=account_id,
            venue=self.venue,
            revisions=(),
            side=side,
            price=limit,
            quantity=Decimal(quantity),
            time_in_force=time_in_force,
        )
        command = PlaceOrder(
            symbol=SYMBOL,
            side=side,
            order_type=wanted.order_type,
            quantity=wanted.quantity,
            price=limit,
            time_in_force=time_in_force,
        )
        return await self._run(number, CommandKind.PLACE, command, wanted, account_id, decide)

    async def cancel(self, number: int = 1, *, account_id: str = "acc-1") -> SendResult:
        """Cancel an order at the venue, unknown to the order's row."""
        current = (await self.stage.order(number)).current
        assert current is not None
        command = CancelOrder(
            symbol=SYMBOL,
            client_order_id=current.client_order_id,
            venue_order_id=current.venue_order_id,
        )
        return await self._run(number, CommandKind.CANCEL, command, None, account_id, False)

    async def _run(
        self,
        number: int,
        kind: CommandKind,
        command: Command,
        wanted: Order | None,
        account_id: str,
        decide: bool,
    ) -> SendResult:
        access = self.access[account_id]
        key = CommandKey(order_id=order_id(number), command=kind, revision=0)
        draft = CommandDraft(
            key=key,
            account_id=account_id,
            venue=self.venue,
            network=self.network,
            symbol=SYMBOL,
            signer=access.account.signer,
            command=command,
            target_revision=0,
            raises_exposure=False,
            nonce_rule=self.connector.capabilities.nonce_rule,
            send_within_s=60.0,
            admission_window_s=min(self.connector.proofs.admission_window_s or 60.0, 60.0),
            order=wanted,
        )

        def spell(collision: int) -> str:
            return self.connector.client_order_id(order_id(number), 0, collision)

        composer = await self.connector.compose(command)
        reservation = await self.stage.ledger.reserve(
            draft, spell_client_order_id=spell, compose=composer
        )
        assert isinstance(reservation, Inserted)
        result = await self.connector.send(reservation.row, access)
        assert result.outcome.kind in ("accepted", "rejected"), result
        if decide:
            await self.stage.ledger.decide(key, result)
        return result

    async def fill(self, number: int, quantity: str | None = None) -> None:
        """Have somebody trade against a resting order."""
        current = (await self.stage.order(number)).current
        assert current is not None
        body: dict[str, Any] = {"client_order_id": current.client_order_id}
        if quantity is not None:
            body["quantity"] = quantity
        await self.control("/fill", body)

    async def control(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.http.post(self.sim.control_url + path, json=body) as answer:
            assert answer.status == 200, await answer.text()
            found: dict[str, Any] = await answer.json()
            return found

    async def fills_at_venue(self, account_id: str = "acc-1") -> list[dict[str, Any]]:
        """Return the venue's own ledger of fills: the independent witness."""
        address = self.access[account_id].account.address
        async with self.http.get(
            self.sim.control_url + "/ledger", params={"account": address}
        ) as answer:
            found: list[dict[str, Any]] = (await answer.json())["fills"]
            return found

    async def cut(self) -> None:
        """Cut every socket."""
        await self.sim.simulator.close_sockets()


@asynccontextmanager
async def open_floor(
    stage: Stage, network: Network = Network.PAPER, venue: str = "hyperliquid"
) -> AsyncIterator[Floor]:
    async with running_simulator(venue=venue) as sim, aiohttp.ClientSession() as http:
        connector = _connector(venue, network, sim.url)
        await connector.start()
        try:
            instrument = await connector.instrument(SYMBOL)
            book = await connector.order_book(SYMBOL)
            assert book.mid_price is not None
            bid = instrument.price_rule.floor(book.mid_price * Decimal("0.9"))
            yield Floor(
                sim=sim,
                stage=stage,
                connector=connector,
                http=http,
                bid=bid,
                network=network,
                venue=venue,
            )
        finally:
            await connector.close()


def _connector(venue: str, network: Network, url: str) -> Connector:
    # What is tested here is never the budget of the one who trades.
    if venue == "pacifica":
        return PacificaConnector(network, url, budget=CreditBudget(per_minute=1_000_000))
    budget = RateBudget(per_minute=1_000_000)
    return HyperliquidConnector(network, url, budget=budget)
