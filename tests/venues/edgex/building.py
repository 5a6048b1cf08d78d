"""Small builders for EdgeX's tests: keys, accounts, rows, markets, and where recordings are."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.accounts import Account, Network, SecretText, TradingAccess
from domain.commands import CommandKind, PlaceOrder
from domain.ledger import CommandRow, CommandSlot
from tests.venues import making
from tests.venues.making import a_placement, a_row, an_account
from venues.edgex import wire
from venues.edgex.catalog import Catalog, Contract
from venues.transport import Reply

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
ADDRESS: str = VECTORS["account_id"]
SIGNER = "0x17c5185167401ed00cf5f5b2fc97d9bbfdb7d025"
CREDENTIAL = json.dumps(
    {
        "api_key": "key",
        "api_passphrase": "phrase",
        "api_secret": VECTORS["secret"],
        "trading_private_key": VECTORS["signer_key"],
    }
)
NOW = datetime(2026, 11, 18, 9, 20, 0, tzinfo=UTC)
ORDER_ID = "7b22b026-1b4f-4823-95bc-cb584a783b18"
CLIENT_ID = "7b22b0261b4f482395bccb584a783b18"
SLOT = CommandSlot(client_order_id=CLIENT_ID, nonce=None, admitted_until=None)
BTC = "30000001"


def account(*, network: Network = Network.PAPER) -> Account:
    return an_account("edgex", address=ADDRESS, signer=SIGNER, now=NOW, network=network)


def access(*, credential: str = CREDENTIAL) -> TradingAccess:
    return TradingAccess(account=account(), credential=SecretText(credential))


def place(**changes: Any) -> PlaceOrder:
    return a_placement("0.003", "64000.1", **changes)


def row(message: str, kind: CommandKind = CommandKind.PLACE, **changes: Any) -> CommandRow:
    made = a_row(
        account(),
        kind,
        order_id=ORDER_ID,
        client_order_id=CLIENT_ID,
        now=NOW,
        window_s=5,
        message=message,
    )
    return replace(made, admitted_until=None, **changes)


def reply(body: bytes | Any, status: int = 200) -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, body=encoded, received_at=NOW)


def envelope(data: Any, code: str = "SUCCESS", **more: Any) -> dict[str, Any]:
    return {"code": code, "data": data, "msg": None, "errorParam": None, **more}


def contract_row(**changes: Any) -> dict[str, Any]:
    row_: dict[str, Any] = {
        "contractId": BTC,
        "contractName": "BTCUSDC",
        "quoteCoinId": "1000",
        "tickSize": "0.1",
        "stepSize": "0.001",
        "minOrderSize": "0.001",
        "riskTierList": [
            {
                "tier": 1,
                "positionValueUpperBound": "50000",
                "maxLeverage": "100",
                "maintenanceMarginRate": "0.005",
            },
            {
                "tier": 2,
                "positionValueUpperBound": "100000",
                "maxLeverage": "50",
                "maintenanceMarginRate": "0.01",
            },
        ],
        "resolution": "10000000000",
        "displayMaxLeverage": "100",
        "defaultLeverage": "20",
        "defaultTakerFeeRate": "0.00038",
        "defaultMakerFeeRate": "0.00018",
        "enableTrade": True,
        "enableOpenPosition": True,
        "fundingRateIntervalMin": "240",
    }
    return {**row_, **changes}


def metadata(*contracts: dict[str, Any]) -> wire.Metadata:
    made = {
        "global": {"nativeChainId": "3343", "contractAddress": "0x" + "ee" * 20},
        "coinList": [{"coinId": "1000", "coinName": "USDC", "resolution": "1000000"}],
        "contractList": list(contracts) or [contract_row()],
    }
    return wire.decode(json.dumps(made).encode(), wire.Metadata)


def catalog(*contracts: dict[str, Any]) -> Catalog:
    return Catalog(metadata(*contracts))


def btc() -> Contract:
    return catalog().find("BTC-PERP")


def order_row(**changes: Any) -> dict[str, Any]:
    row_ = {
        "id": "799376025145311638",
        "accountId": ADDRESS,
        "contractId": BTC,
        "side": "BUY",
        "price": "64000.1",
        "size": "0.003",
        "clientOrderId": CLIENT_ID,
        "type": "LIMIT",
        "timeInForce": "GOOD_TIL_CANCEL",
        "reduceOnly": False,
        "triggerPrice": "0",
        "triggerTime": "0",
        "status": "OPEN",
        "cancelReason": "UNKNOWN_ORDER_CANCEL_REASON",
        "cumMatchSize": "0",
        "cumMatchValue": "0",
        "cumFailSize": "0",
        "createdTime": "1795000000000",
        "updatedTime": "1795000000100",
    }
    return {**row_, **changes}


def fill_row(**changes: Any) -> dict[str, Any]:
    row_ = {
        "id": "1001",
        "orderId": "799376025145311638",
        "accountId": ADDRESS,
        "contractId": BTC,
        "orderSide": "BUY",
        "fillSize": "0.003",
        "fillValue": "192.0003",
        "fillFee": "0.072960",
        "fillPrice": "64000.1",
        "realizePnl": "-0.072960",
        "direction": "TAKER",
        "isLiquidate": False,
        "matchTime": "1795000000050",
        "censorStatus": "INIT",
    }
    return {**row_, **changes}


def samples() -> Path | None:
    """Return the folder of recorded payloads, where this machine has one."""
    return making.samples("edgex")


def sample(name: str) -> Any:
    found = samples()
    assert found is not None
    return json.loads((found / name).read_text(encoding="utf-8"))
