"""Small builders for Pacifica's tests: keys, accounts, rows, and where recorded payloads are."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import CommandKind, PlaceOrder
from domain.ledger import CommandRow, CommandSlot
from tests.venues import making
from tests.venues.making import a_placement, a_row, an_account
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
    return an_account("pacifica", address=address, signer=AGENT, now=NOW, network=network)


def access(*, key: str = AGENT_KEY, of: Account | None = None) -> TradingAccess:
    return TradingAccess(account=of or account(), credential=SecretText(key))


def place(**changes: Any) -> PlaceOrder:
    return a_placement("0.0002", "62958", **changes)


def row(message: str, kind: CommandKind = CommandKind.PLACE, **changes: Any) -> CommandRow:
    made = a_row(
        account(),
        kind,
        order_id=ORDER_ID,
        client_order_id=ORDER_ID,
        now=NOW,
        window_s=5,
        message=message,
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
    return making.samples("pacifica")


def sample(name: str) -> Any:
    """Return one recorded payload, or None where this machine has none."""
    root = samples()
    return None if root is None else json.loads((root / name).read_text())
