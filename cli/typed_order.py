"""An order as it was typed, and what it means. Contradictions are usage errors."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from cli.brackets import exit_of, policy_of
from cli.usage import one_of, optional_positive, positive, slippage_bps

if TYPE_CHECKING:
    from perp_dex_client import OrderRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The arguments and options of `trade buy` and `trade sell`, unread."""

    symbol: str
    quantity: str
    price: str | None
    market: bool
    max_slippage: str | None
    tif: str | None
    post_only: bool
    reduce_only: bool
    trigger_price: str | None
    stop: bool
    target: bool
    take_profit: str | None
    stop_loss: str | None
    on_protection_failure: str | None
    native: bool
    account: str | None
    venue: str | None
    group: str | None
    network: str | None
    key: str | None

    def request(self, side: str) -> OrderRequest:
        """Return the order that was meant."""
        from perp_dex_client import OrderRequest

        self._check()
        tif = self.tif
        return OrderRequest(
            symbol=self.symbol,
            side=side,
            quantity=positive("QUANTITY", self.quantity),
            price=optional_positive("--price", self.price),
            order_type=self._kind(),
            time_in_force=None
            if tif is None
            else one_of("--tif", tif.upper(), ("GTC", "IOC", "FOK")),
            trigger_price=optional_positive("--trigger-price", self.trigger_price),
            post_only=self.post_only,
            reduce_only=self.reduce_only,
            max_slippage_bps=slippage_bps(self.max_slippage),
            account=self.account,
            venue=self.venue,
            group=self.group,
            network=self.network,
            take_profit=exit_of("--take-profit", self.take_profit),
            stop_loss=exit_of("--stop-loss", self.stop_loss),
            on_protection_failure=policy_of(
                self.on_protection_failure,
                has_exits=self._has_exits,
            ),
            native=self.native,
            key=self.key if self.key is not None else str(uuid.uuid4()),
        )

    @property
    def _has_exits(self) -> bool:
        return self.take_profit is not None or self.stop_loss is not None

    @property
    def _is_trigger(self) -> bool:
        return self.stop or self.target

    def _check(self) -> None:
        if self.market and self.price is not None:
            raise typer.BadParameter("expected --market or --price, found both")
        if not self.market and self.price is None and not self._is_trigger:
            raise typer.BadParameter("expected --price or --market, found neither")
        if self.stop and self.target:
            raise typer.BadParameter("expected --stop or --target, found both")
        if self._is_trigger != (self.trigger_price is not None):
            raise typer.BadParameter("--trigger-price: expected together with --stop or --target")
        if self.native and not self._has_exits:
            raise typer.BadParameter("--native: expected with --take-profit or --stop-loss")

    def _kind(self) -> str:
        end = "MARKET" if self.price is None else "LIMIT"
        if self.stop:
            return f"STOP_{end}"
        return f"TAKE_PROFIT_{end}" if self.target else end
