"""Small builders for every venue's tests: an account, a placement, a ledger row, recordings."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from domain.accounts import Account, AccountState, Network
from domain.commands import CommandKind, PlaceOrder
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow
from domain.orders import OrderType


def an_account(
    venue: str, *, address: str, signer: str, now: datetime, network: Network = Network.PAPER
) -> Account:
    return Account(
        account_id="acc",
        owner="local",
        venue=venue,
        label="main",
        network=network,
        address=address,
        signer=signer,
        state=AccountState.ACTIVE,
        created_at=now,
    )


def a_placement(default_quantity: str, default_price: str, **changes: Any) -> PlaceOrder:
    order = PlaceOrder(
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(default_quantity),
        price=Decimal(default_price),
    )
    return replace(order, **changes)


def a_row(
    of: Account,
    kind: CommandKind,
    *,
    order_id: str,
    client_order_id: str,
    now: datetime,
    window_s: float,
    **changes: Any,
) -> CommandRow:
    made = CommandRow(
        key=CommandKey(order_id=order_id, command=kind, revision=0),
        account_id=of.account_id,
        venue=of.venue,
        network=of.network,
        symbol="BTC-PERP",
        signer=of.signer,
        lane="",
        target_revision=0,
        client_order_id=client_order_id,
        nonce=None,
        admitted_until=now + timedelta(seconds=window_s),
        message="",
        inserted_at=now,
        send_by=now + timedelta(seconds=1),
    )
    return replace(made, **changes)


def samples(venue: str) -> Path | None:
    """Return the folder of a venue's recorded payloads, where this machine has one."""
    named = os.environ.get("PERP_DEX_SAMPLES")
    root = Path(named) if named else Path(__file__).parents[3] / "shared" / "venues" / "samples"
    found = root / venue
    return found if found.is_dir() else None
