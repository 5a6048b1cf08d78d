"""Small builders for Extended's tests: keys, accounts, rows, and where recorded payloads are."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from domain.accounts import Account, AccountState, Network, SecretText, TradingAccess
from domain.commands import CommandKind, PlaceOrder
from domain.instruments import Instrument, OrderSide, PriceRule
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderType
from venues.extended import wire
from venues.extended.actions import Listing
from venues.transport import Reply

#: A key of the official SDK's own tests: throw-away.
PRIVATE_KEY = "0x7a7ff6fd3cab02ccdcd4a572563f5976f8976899b03a39773795a3c486d4986"
PUBLIC_KEY = "0x61c5e7e8339b7d56f197f54ea91b776776690e3232313de0f2ecbd0ef76f466"
VAULT = "10002"
API_KEY = "b1a5e0c8f00d4a2e9c3b7d6e5f4a3b2c"
CREDENTIAL = json.dumps(
    {"vault": VAULT, "private_key": PRIVATE_KEY, "public_key": PUBLIC_KEY, "api_key": API_KEY}
)

NOW = datetime(2026, 9, 30, 12, 0, 0, tzinfo=UTC)
ORDER_ID = "7b22b026-1b4f-4823-95bc-cb584a783b18"
SLOT = CommandSlot(client_order_id=ORDER_ID, nonce=None, admitted_until=None)
MARKET = Instrument(
    venue="extended",
    symbol="BTC-PERP",
    venue_symbol="BTC-USD",
    asset_index=0,
    lot_size=Decimal("0.00001"),
    price_rule=PriceRule(tick_size=Decimal(1)),
    min_notional=Decimal(0),
    max_leverage=50,
    min_quantity=Decimal("0.0001"),
)
LISTING = Listing(
    l2=wire.L2Config(
        collateralId="0x1",
        collateralResolution=1_000_000,
        syntheticId="0x4254432d3600000000000000000000",
        syntheticResolution=1_000_000,
    ),
    position_value_max=Decimal(10_000_000),
)


def account(*, address: str = VAULT, network: Network = Network.PAPER) -> Account:
    return Account(
        account_id="acc",
        owner="local",
        venue="extended",
        label="main",
        network=network,
        address=address,
        signer=PUBLIC_KEY,
        state=AccountState.ACTIVE,
        created_at=NOW,
    )


def access(*, credential: str = CREDENTIAL, of: Account | None = None) -> TradingAccess:
    return TradingAccess(account=of or account(), credential=SecretText(credential))


def place(**changes: Any) -> PlaceOrder:
    order = PlaceOrder(
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.001"),
        price=Decimal(84077),
    )
    return replace(order, **changes)


def row(message: str, kind: CommandKind = CommandKind.PLACE, **changes: Any) -> CommandRow:
    made = CommandRow(
        key=CommandKey(order_id=ORDER_ID, command=kind, revision=0),
        account_id="acc",
        venue="extended",
        network=Network.PAPER,
        symbol="BTC-PERP",
        signer=PUBLIC_KEY,
        lane="",
        target_revision=0,
        client_order_id=ORDER_ID,
        nonce=None,
        admitted_until=None,
        message=message,
        inserted_at=NOW,
        send_by=NOW + timedelta(seconds=1),
    )
    return replace(made, **changes)


def reply(body: bytes | Any, status: int = 200, **headers: str) -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, body=encoded, received_at=NOW, headers=headers)


def ok(data: Any = None) -> dict[str, Any]:
    return {"status": "OK", "data": data}


def refusal(code: int | str, message: str = "refused") -> dict[str, Any]:
    return {"status": "ERROR", "error": {"code": code, "message": message}}


def samples() -> Path | None:
    """Return the folder of recorded payloads, where this machine has one."""
    named = os.environ.get("PERP_DEX_SAMPLES")
    root = Path(named) if named else Path(__file__).parents[4] / "shared" / "venues" / "samples"
    found = root / "extended"
    return found if found.is_dir() else None


def sample(name: str) -> Any:
    """Return one recorded payload, or None where this machine has none."""
    root = samples()
    return None if root is None else json.loads((root / name).read_text())
