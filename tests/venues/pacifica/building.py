"""Small builders for Pacifica's tests: keys, accounts, rows, and where recorded payloads are."""

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
from domain.instruments import OrderSide
from domain.ledger import CommandKey, CommandRow, CommandSlot
from domain.orders import OrderType
from venues.transport import Reply

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
OWNER_KEY: str = VECTORS["owner"]["keypair"]
OWNER: str = VECTORS["owner"]["address"]
AGENT_KEY: str = VECTORS["agent"]["keypair"]
AGENT: str = VECTORS["agent"]["address"]

NOW = datetime(2026, 6, 8, 12, 0, 0, tzinfo=UTC)
NOW_MS = 1780920000000
ORDER_ID = "7b22b026-1b4f-4823-95bc-cb584a783b18"
SLOT = CommandSlot(client_order_id=ORDER_ID, nonce=None, admitted_until=NOW + timedelta(seconds=5))


def account(*, address: str = OWNER, network: Network = Network.PAPER) -> Account:
    return Account(
        account_id="acc",
        owner="local",
        venue="pacifica",
        label="main",
        network=network,
        address=address,
        signer=AGENT,
        state=AccountState.ACTIVE,
        created_at=NOW,
    )


def access(*, key: str = AGENT_KEY, of: Account | None = None) -> TradingAccess:
    return TradingAccess(account=of or account(), credential=SecretText(key))


def place(**changes: Any) -> PlaceOrder:
    order = PlaceOrder(
        symbol="BTC-PERP",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.0002"),
        price=Decimal("62958"),
    )
    return replace(order, **changes)


def row(message: str, kind: CommandKind = CommandKind.PLACE, **changes: Any) -> CommandRow:
    made = CommandRow(
        key=CommandKey(order_id=ORDER_ID, command=kind, revision=0),
        account_id="acc",
        venue="pacifica",
        network=Network.PAPER,
        symbol="BTC-PERP",
        signer=AGENT,
        lane="",
        target_revision=0,
        client_order_id=ORDER_ID,
        nonce=None,
        admitted_until=SLOT.admitted_until,
        message=message,
        inserted_at=NOW,
        send_by=NOW + timedelta(seconds=1),
    )
    return replace(made, **changes)


def reply(body: bytes | Any, status: int = 200) -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, body=encoded, received_at=NOW)


def envelope(data: Any, **more: Any) -> dict[str, Any]:
    return {"success": True, "data": data, "error": None, "code": None, **more}


def refusal(text: str, code: int | None, **more: Any) -> dict[str, Any]:
    return {"success": False, "data": None, "error": text, "code": code, **more}


def samples() -> Path | None:
    """Return the folder of recorded payloads, where this machine has one."""
    named = os.environ.get("PERP_DEX_SAMPLES")
    root = Path(named) if named else Path(__file__).parents[4] / "shared" / "venues" / "samples"
    found = root / "pacifica"
    return found if found.is_dir() else None


def sample(name: str) -> Any:
    """Return one recorded payload, or None where this machine has none."""
    root = samples()
    return None if root is None else json.loads((root / name).read_text())
