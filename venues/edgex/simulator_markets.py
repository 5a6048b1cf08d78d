"""The simulated venue's markets: their numbers, names and steps, and how it writes its metadata.

Shares nothing with the connector. Ids and resolutions are of this simulator; some are spelled in
hexadecimal digits, as the venue spells some of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from venues.edgex.simulator_auth import CHAIN_ID, CONTRACT
from venues.simulation.instruments import Instrument
from venues.simulation.settlement import MAKER_FEE, TAKER_FEE
from venues.simulation.tables import Tables

Json = dict[str, Any]

QUOTE_COIN: Final = "1000"
QUOTE_NAME: Final = "USDC"
QUOTE_RESOLUTION: Final = 1_000_000
#: How far from the oracle's price a limit price may be, as a share of it.
PRICE_RATIO: Final = Decimal("0.2")
_FIRST_ID: Final = 30_000_001
_LEVERAGE: Final = 20


def _market(symbol: str, price: str, *, tick: int, lot: int, leverage: int) -> Instrument:
    """Describe a market whose tick is the same at every price; both sizes in decimals."""
    return Instrument(
        symbol=symbol,
        size_decimals=lot,
        price_decimals=tick,
        significant_figures=30,
        max_leverage=leverage,
        start_price=Decimal(price),
        min_notional=Decimal(0),
    )


INSTRUMENTS: Final = (
    _market("BTC", "65000", tick=1, lot=3, leverage=100),
    _market("ETH", "2500", tick=2, lot=2, leverage=100),
    _market("SOL", "150", tick=2, lot=1, leverage=50),
    _market("HYPE", "40", tick=3, lot=1, leverage=20),
    _market("XAU", "4000", tick=0, lot=2, leverage=20),
    _market("1000PEPE", "0.01", tick=7, lot=0, leverage=20),
)
CONTRACT_IDS: Final = {
    instrument.symbol: str(_FIRST_ID + index) for index, instrument in enumerate(INSTRUMENTS)
}
SYMBOLS: Final = {contract_id: symbol for symbol, contract_id in CONTRACT_IDS.items()}


def resolution_of(symbol: str) -> int:
    """Return into how many parts a unit of a market is divided for signing."""
    return 10_000_000_000 if symbol == "BTC" else 1_000_000_000


def name_of(symbol: str) -> str:
    """Return the venue's name of a market."""
    return symbol + QUOTE_NAME


def size_step(instrument: Instrument) -> str:
    """Return a market's step of sizes, which is also the smallest size."""
    return format(Decimal(1).scaleb(-instrument.size_decimals), "f")


def metadata(tables: Tables) -> Json:
    """Write the metadata."""
    coins = [
        {"coinId": QUOTE_COIN, "coinName": QUOTE_NAME, "stepSize": "0.000001",
         "resolution": str(QUOTE_RESOLUTION)},
        *(
            {"coinId": str(1001 + number), "coinName": symbol, "stepSize": "0.001",
             "resolution": None}
            for number, symbol in enumerate(tables.instruments)
        ),
    ]  # fmt: skip
    return {
        "global": {
            "appName": "edgeX",
            "appEnv": "simulated",
            "nativeChainId": str(CHAIN_ID),
            "chainId": str(CHAIN_ID),
            "contractAddress": CONTRACT,
            "maintenanceReason": "",
        },
        "coinList": coins,
        "contractList": [_contract(one) for one in tables.instruments.values()],
        "multiChain": {"coinList": [], "chainList": []},
    }


def _contract(instrument: Instrument) -> Json:
    symbol = instrument.symbol
    resolution = resolution_of(symbol)
    return {
        "contractId": CONTRACT_IDS[symbol],
        "contractName": name_of(symbol),
        "baseCoinId": str(1001 + list(CONTRACT_IDS).index(symbol)),
        "quoteCoinId": QUOTE_COIN,
        "tickSize": format(instrument.tick_size(instrument.start_price), "f"),
        "stepSize": size_step(instrument),
        "minOrderSize": size_step(instrument),
        "maxOrderSize": "1000000000",
        "maxOrderBuyPriceRatio": str(PRICE_RATIO),
        "minOrderSellPriceRatio": str(PRICE_RATIO),
        "maxPositionSize": "1000000000",
        "riskTierList": [
            {
                "tier": 1,
                "positionValueUpperBound": "79228162514264337593543",
                "maxLeverage": str(instrument.max_leverage),
                "maintenanceMarginRate": str(instrument.maintenance_rate()),
            }
        ],
        "defaultTakerFeeRate": str(TAKER_FEE),
        "defaultMakerFeeRate": str(MAKER_FEE),
        "defaultLeverage": str(min(instrument.max_leverage, _LEVERAGE)),
        "liquidateFeeRate": "0.01",
        "enableTrade": not instrument.delisted,
        "enableDisplay": True,
        "enableOpenPosition": not instrument.delisted,
        "fundingInterestRate": "0.0003",
        "fundingImpactMarginNotional": "100",
        "fundingMaxRate": "0.000234",
        "fundingMinRate": "-0.000234",
        "fundingRateIntervalMin": "60",
        "displayMaxLeverage": str(instrument.max_leverage),
        "displayMinLeverage": "1",
        "resolution": hex(resolution) if symbol == "ETH" else str(resolution),
    }
