"""Builders and vectors for Vest's tests.

The vectors were computed from the page's scheme with other libraries than the connector's
(eth-account, eth-abi): no signature that the venue accepted is public.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from domain.accounts import Account, AccountState, Network, SecretText
from domain.instruments import Instrument, PriceRule
from venues.vest.translate import VENUE

NOW: Final = datetime(2026, 10, 7, 12, tzinfo=UTC)

PRIMARY_KEY: Final = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
PRIMARY: Final = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8"
SIGNING_KEY: Final = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"
SIGNING: Final = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc"
EXPIRY_MS: Final = 1791923679000
REGISTRATION_DIGEST: Final = "6f08368b7bbfdf9078b4ecbf358e0ff2e1188947ba1483dfd36a1542c7050979"
REGISTRATION_SIGNATURE: Final = (
    "0xe8f186524a0b952be6cc4a22d44c1c29522a48ce78a1cf5b0ea199fe49dfc66e"
    "6e7b4431b7a795ab74bf84ed7ab01b7411f652606d6b8661ebf684580415e34f1c"
)
LIMIT_ORDER: Final[dict[str, Any]] = {
    "time": 1791318879000,
    "nonce": 1791318879000,
    "symbol": "BTC-PERP",
    "isBuy": True,
    "size": "0.1000",
    "orderType": "LIMIT",
    "limitPrice": "30000.00",
    "reduceOnly": False,
    "timeInForce": "GTC",
}
LIMIT_DIGEST: Final = "c136649fd7d07816f7aadb47e8ad54d3e357e875cef6fec611b29c5e5ea44273"
LIMIT_SIGNATURE: Final = (
    "0x28da6dac146638569e663555259018a51d247f00c70665e3c85a361bf64d6d26"
    "45433552d32ee4c6621c87063e5374233c0807474ac323d52cd28d6865f6e0ae1b"
)


def credential(signing_key: str = SIGNING_KEY, **changes: Any) -> SecretText:
    fields = {"signingKey": signing_key, "apiKey": "abcde", "accGroup": 0, **changes}
    return SecretText(json.dumps(fields))


def account(**changes: Any) -> Account:
    fields: dict[str, Any] = {
        "account_id": "a1",
        "owner": "local",
        "venue": VENUE,
        "label": "main",
        "network": Network.PAPER,
        "address": PRIMARY,
        "signer": SIGNING,
        "state": AccountState.ACTIVE,
        "created_at": NOW,
    }
    return Account(**{**fields, **changes})


def btc(**changes: Any) -> Instrument:
    fields: dict[str, Any] = {
        "venue": VENUE,
        "symbol": "BTC-PERP",
        "venue_symbol": "BTC-PERP",
        "asset_index": 0,
        "lot_size": Decimal("0.0001"),
        "price_rule": PriceRule(tick_size=Decimal("0.01")),
        "min_notional": Decimal(0),
        "max_leverage": 10,
    }
    return Instrument(**{**fields, **changes})


def sample_root() -> Path:
    """Return where example payloads are, where this machine has any."""
    named = os.environ.get("PERP_DEX_SAMPLES")
    root = Path(named) if named else Path(__file__).parents[4] / "shared" / "venues" / "samples"
    return root / "vest"


def samples(folder: str) -> list[Path]:
    """Return the example payloads of a folder."""
    return sorted((sample_root() / folder).glob("*.json"))


def sample(name: str) -> Any:
    """Return an example payload, or None where this machine has none."""
    path = sample_root() / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
