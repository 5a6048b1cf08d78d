"""EdgeX's markets as its metadata has them: what we trade by name, and what the venue signs by id.

Ids differ between networks and eras, so nothing here is known beforehand: contracts are found by
name, and resolutions, chain and contract address are read. Pure.

Source: edgeX gitbook api/public-api/metadata-api; edgex-python-sdk 2.0.1 `order/client.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from domain.accounts import FeeRates
from domain.errors import InvalidInput, VenueUnavailable
from domain.instruments import Instrument, MarketState, PriceRule
from venues.edgex import wire
from venues.edgex.resolutions import resolution_of

VENUE: Final = "edgex"
_SUFFIX: Final = "-PERP"
#: What the venue's own client assumes where a contract states no fee.
_FEE_RATE: Final = Decimal("0.001")
_FUNDING_INTERVAL_MIN: Final = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Up to which value of a position which share of it is maintenance margin."""

    value_max: Decimal
    maintenance_rate: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One market. `fee_rate` is the greater of the contract's rates, which limits a signed fee."""

    instrument: Instrument
    contract_id: str
    quote_coin_id: str
    resolution: str
    quote_resolution: str
    fee_rate: Decimal
    default_leverage: Decimal
    funding_interval_s: int
    tiers: tuple[Tier, ...]

    def maintenance_rate(self, value: Decimal) -> Decimal:
        """Return the share of a position's value that is its maintenance margin."""
        for tier in self.tiers:
            if value <= tier.value_max:
                return tier.maintenance_rate
        return self.tiers[-1].maintenance_rate if self.tiers else Decimal(0)


class Catalog:
    """Every market of one answer of the venue."""

    def __init__(self, metadata: wire.Metadata) -> None:
        """Raises WireError where the metadata make no sense."""
        self.chain_id = metadata.global_.native_chain_id or metadata.global_.chain_id
        self.verifying_contract = metadata.global_.contract_address
        self.contracts: dict[str, Contract] = {}
        coins = {coin.coin_id: coin for coin in metadata.coin_list}
        for contract in _contracts(metadata, coins):
            self.contracts[contract.instrument.symbol] = contract
        self._symbols = {each.contract_id: symbol for symbol, each in self.contracts.items()}

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Every market, those that take no orders included."""
        return tuple(contract.instrument for contract in self.contracts.values())

    def find(self, symbol: str) -> Contract:
        """Return a market by our symbol. Raises InvalidInput."""
        found = self.contracts.get(symbol)
        if found is None:
            raise InvalidInput("symbol", f"expected a market of {VENUE}, found {symbol[:64]!r}")
        return found

    def symbol_of(self, contract_id: str) -> str | None:
        """Return our symbol of a contract, None for one that is no market of ours."""
        return self._symbols.get(contract_id)

    def terms(self, contract: Contract) -> dict[str, str]:
        """Return what an order of a contract is signed with beside its own fields.

        Raises:
            VenueUnavailable: the metadata name no chain or contract to sign for.
        """
        if not self.chain_id or not self.verifying_contract:
            raise VenueUnavailable(f"expected chain and contract in {VENUE}'s metadata, found none")
        return {
            "chain_id": self.chain_id,
            "verifying_contract": self.verifying_contract,
            "resolution": contract.resolution,
            "quote_coin_id": contract.quote_coin_id,
            "quote_resolution": contract.quote_resolution,
        }


def _contracts(metadata: wire.Metadata, coins: dict[str, wire.Coin]) -> Iterator[Contract]:
    for row in metadata.contract_list:
        coin = coins.get(row.quote_coin_id)
        if coin is None or not coin.resolution or not row.resolution:
            continue
        base = row.contract_name.removesuffix(coin.coin_name)
        if base == row.contract_name or not (base.isascii() and base.isalnum()):
            continue
        for spelled in (row.resolution, coin.resolution):
            try:
                resolution_of(spelled)
            except (ValueError, ArithmeticError):
                raise wire.WireError(f"expected a resolution, found {spelled[:40]!r}") from None
        yield _contract(row, coin.resolution, base + _SUFFIX)


def _contract(row: wire.Contract, quote_resolution: str, symbol: str) -> Contract:
    taker = wire.number_or_none(row.default_taker_fee_rate, "defaultTakerFeeRate")
    maker = wire.number_or_none(row.default_maker_fee_rate, "defaultMakerFeeRate")
    fees = None if taker is None or maker is None else FeeRates(maker=maker, taker=taker)
    greatest = wire.number_or_none(row.display_max_leverage, "displayMaxLeverage")
    tiers = [wire.number(tier.max_leverage, "maxLeverage") for tier in row.risk_tier_list]
    max_leverage = int(greatest or max(tiers, default=Decimal(1)))
    interval = wire.number_or_none(row.funding_rate_interval_min, "fundingRateIntervalMin")
    return Contract(
        instrument=Instrument(
            venue=VENUE,
            symbol=symbol,
            venue_symbol=row.contract_name,
            asset_index=wire.integer(row.contract_id, "contractId"),
            lot_size=wire.number(row.step_size, "stepSize"),
            price_rule=PriceRule(tick_size=wire.number(row.tick_size, "tickSize")),
            # The venue states no least value, but a least size.
            min_notional=Decimal(0),
            min_quantity=wire.number(row.min_order_size, "minOrderSize"),
            max_leverage=max_leverage,
            state=_state(row),
            fees=fees,
        ),
        contract_id=row.contract_id,
        quote_coin_id=row.quote_coin_id,
        resolution=row.resolution or "",
        quote_resolution=quote_resolution,
        fee_rate=max(rate if rate is not None else _FEE_RATE for rate in (taker, maker)),
        default_leverage=wire.number_or_none(row.default_leverage, "defaultLeverage")
        or Decimal(max_leverage),
        funding_interval_s=int(interval or _FUNDING_INTERVAL_MIN) * 60,
        tiers=tuple(
            Tier(
                value_max=wire.number(tier.position_value_upper_bound, "positionValueUpperBound"),
                maintenance_rate=wire.number(tier.maintenance_margin_rate, "maintenanceMarginRate"),
            )
            for tier in row.risk_tier_list
        ),
    )


def _state(row: wire.Contract) -> MarketState:
    if not row.enable_trade:
        return MarketState.DELISTED
    return MarketState.OPEN if row.enable_open_position else MarketState.CLOSE_ONLY
