"""Hashes and signatures are the venue's, bit for bit; only orders are signed; no error shows a key.

Own vectors are those that the official library publishes or makes; further ones are tried where
this machine has them. The official SDK, installed for tests alone, is the second opinion.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import fast_stark_crypto
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from x10.core.client_config import StarknetDomain
from x10.core.stark_account import StarkPerpetualAccount
from x10.models.market import MarketModel
from x10.models.order import OrderSide as SdkSide
from x10.signing.order_object_settlement import (
    SettlementDataCtx,
    create_order_settlement_data,
)

from domain.accounts import SecretText
from domain.errors import InvalidInput
from domain.instruments import OrderSide
from tests.venues.extended.building import (
    API_KEY,
    CREDENTIAL,
    PRIVATE_KEY,
    PUBLIC_KEY,
    VAULT,
    sample,
)
from venues.extended.credential import api_key_in, read_credential
from venues.extended.signing import (
    Assets,
    OrderTerms,
    Signer,
    amounts,
    order_hash,
    settlement_expiration_s,
)

ASSETS = Assets(
    collateral_id=1,
    collateral_resolution=1_000_000,
    synthetic_id=0x4254432D3600000000000000000000,
    synthetic_resolution=1_000_000,
)
TERMS = OrderTerms(
    side=OrderSide.BUY,
    quantity=Decimal("0.00100"),
    price=Decimal(84077),
    fee_rate=Decimal("0.00025"),
    expiry_ms=1790856000000,
    salt=1473459052,
    assets=ASSETS,
    chain_id="SN_MAIN",
)
#: The same order bought, sold, and bought on the test chain: hash, r, s.
VECTORS = [
    (
        TERMS,
        "0x3abb12394823c600a940c9f3d94ea6b5a87dbe626f48d0d5396603f919112fc",
        "0xfda45fec8ac92ca034f424fa08aa59bbb81a934317a5be06ff848f25597dd3",
        "0x70b80a9aca01e56a09184ce61dd9e840559f4dd1a2b1b96842a16c15be5f9ee",
    ),
    (
        replace(TERMS, side=OrderSide.SELL),
        "0x2e270202c13eba99923175f6752889ce53b3ec178bdc72c669af938072c123a",
        "0x763a22de4ecc6cd15c1b77745b69e1975cb28ba4309b58951b580ff93e55a9c",
        "0x870ab893b4381b5793d02079241c8da5202249d0d3fef4d3d0c06e572de27f",
    ),
    (
        replace(TERMS, chain_id="SN_SEPOLIA"),
        "0x6b12b92789c0950e322f42d5a142b7a16e6f818f3652999014b80f2aa671a18",
        "0x40ff5cf828284e87d64d5d4df0f73e5fb23335d1305c29797d0703e4f85a2c7",
        "0x63fb2e7ea29d2a951030bc7f5194a8ea4904008dc825d1e41cbdb52588824e4",
    ),
]


@pytest.mark.parametrize(("terms", "message_hash", "r", "s"), VECTORS)
def test_own_vectors(terms: OrderTerms, message_hash: str, r: str, s: str) -> None:
    key = int(PUBLIC_KEY, 16)
    assert hex(order_hash(terms, vault=int(VAULT), public_key=key)) == message_hash
    settlement = Signer().sign(SecretText(CREDENTIAL), terms)
    assert settlement.wire() == {
        "signature": {"r": r, "s": s},
        "starkKey": PUBLIC_KEY,
        "collateralPosition": VAULT,
    }
    assert fast_stark_crypto.verify(key, int(message_hash, 16), *settlement.signature)


def test_amounts_are_rounded_against_us() -> None:
    odd = replace(TERMS, quantity=Decimal("0.0000014"), price=Decimal("1.7"))
    bought, sold = amounts(odd), amounts(replace(odd, side=OrderSide.SELL))
    assert (bought.base, bought.quote, bought.fee) == (2, -3, 1)
    assert (sold.base, sold.quote, sold.fee) == (-1, 2, 1)
    with pytest.raises(InvalidInput, match="counted on chain"):
        amounts(replace(odd, side=OrderSide.SELL, quantity=Decimal("0.0000004")))


def test_an_end_is_signed_in_whole_seconds_and_two_weeks_later() -> None:
    assert settlement_expiration_s(1790856000000) == 1792065600
    assert settlement_expiration_s(1790856000124) == 1792065601


def _sdk_market() -> MarketModel:
    return MarketModel.model_validate(
        {
            "name": "BTC-USD", "type": "PERPETUAL", "assetName": "BTC", "assetPrecision": 5,
            "collateralAssetName": "USD", "collateralAssetPrecision": 6, "active": True,
            "isRfq": False, "isOffHours": False, "tradingHours": "CONTINUOUS",
            "marketStats": {
                "dailyVolume": "0", "dailyVolumeBase": "0", "dailyPriceChange": "0",
                "dailyLow": "0", "dailyHigh": "0", "lastPrice": "0", "askPrice": "0",
                "bidPrice": "0", "markPrice": "0", "indexPrice": "0", "fundingRate": "0",
                "nextFundingRate": 0, "openInterest": "0", "openInterestBase": "0",
            },
            "tradingConfig": {
                "minOrderSize": "0.0001", "minOrderSizeChange": "0.00001", "minPriceChange": "1",
                "maxMarketOrderValue": "1", "maxLimitOrderValue": "1", "maxPositionValue": "1",
                "maxLeverage": "50", "maxNumOrders": "200", "limitPriceCap": "0.05",
                "limitPriceFloor": "0.05", "riskFactorConfig": [],
            },
            "l2Config": {
                "type": "STARKX", "collateralId": "0x1", "collateralResolution": 1_000_000,
                "syntheticId": "0x4254432d3600000000000000000000",
                "syntheticResolution": 1_000_000,
            },
        }
    )  # fmt: skip


MARKET_OF_SDK = _sdk_market()
SDK_ACCOUNT = StarkPerpetualAccount(int(VAULT), PRIVATE_KEY, PUBLIC_KEY, API_KEY)


@settings(max_examples=60, deadline=None)
@given(
    side=st.sampled_from(OrderSide),
    lots=st.integers(1, 10**9),
    ticks=st.integers(1, 10**7),
    fee=st.integers(0, 10_000),
    salt=st.integers(1, 2**31 - 1),
    expiry_ms=st.integers(1_790_000_000_000, 1_799_000_000_000),
    chain_id=st.sampled_from(["SN_MAIN", "SN_SEPOLIA"]),
)
def test_the_official_sdk_signs_the_same(
    side: OrderSide, lots: int, ticks: int, fee: int, salt: int, expiry_ms: int, chain_id: str
) -> None:
    terms = replace(
        TERMS,
        side=side,
        quantity=Decimal(lots) / 100_000,
        price=Decimal(ticks) / 10,
        fee_rate=Decimal(fee) / 1_000_000,
        salt=salt,
        expiry_ms=expiry_ms,
        chain_id=chain_id,
    )
    theirs = create_order_settlement_data(
        side=SdkSide(side.value),
        synthetic_amount=terms.quantity,
        price=terms.price,
        ctx=SettlementDataCtx(
            market=MARKET_OF_SDK,
            taker_fee=terms.fee_rate,
            builder_fee=None,
            nonce=salt,
            collateral_position_id=int(VAULT),
            expire_time=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=expiry_ms),
            signer=SDK_ACCOUNT.sign,
            public_key=SDK_ACCOUNT.public_key,
            starknet_domain=StarknetDomain(
                name="Perpetuals", version="v0", chain_id=chain_id, revision="1"
            ),
        ),
    )
    try:
        ours = Signer().sign(SecretText(CREDENTIAL), terms)
    except InvalidInput:
        # What rounds to nothing is refused here before the venue has to.
        assert theirs.debugging_amounts.collateral_amount == 0
        return
    assert order_hash(terms, vault=int(VAULT), public_key=int(PUBLIC_KEY, 16)) == theirs.order_hash
    signature = theirs.settlement.signature
    assert ours.signature == (int(signature.r), int(signature.s))


def test_recorded_vectors() -> None:
    recorded = sample("signing_vectors.json") or {"vectors": []}
    for vector in recorded["vectors"]:
        for signed in vector["signed"]:
            found = _terms_of(vector["request"]["body"], signed, vector["starknet_domain"])
            credential = _credential(vector)
            settlement = Signer().sign(SecretText(credential), found)
            r, s = settlement.signature
            assert (hex(r), hex(s)) == (signed["r"], signed["s"]), vector["name"]
            counted = amounts(found)
            assert counted.base == signed["base_amount"], vector["name"]
            assert counted.quote == signed["quote_amount"], vector["name"]
            assert counted.fee == signed["fee_amount"], vector["name"]


def test_the_venues_own_vector_of_exits() -> None:
    recorded = sample("signing_vectors_official_tpsl_order.json")
    for leg in ("takeProfit", "stopLoss") if recorded else ():
        terms = replace(
            TERMS,
            side=OrderSide(recorded["side"]),
            quantity=Decimal(recorded["qty"]),
            price=Decimal(recorded[leg]["price"]),
            fee_rate=Decimal(recorded["fee"]),
            expiry_ms=recorded["expiryEpochMillis"],
            salt=recorded["nonce"],
            chain_id=recorded["chainId"],
            assets=replace(
                ASSETS,
                collateral_id=0x31857064564ED0FF978E687456963CBA09C2C6985D8F9300A1DE4962FAFA054,
            ),
        )
        r, s = Signer().sign(SecretText(CREDENTIAL), terms).signature
        assert (hex(r), hex(s)) == (recorded[leg]["r"], recorded[leg]["s"])


def _terms_of(body: dict[str, Any], signed: dict[str, Any], domain: dict[str, Any]) -> OrderTerms:
    leg, _, _ = signed["where"].rpartition(".")
    is_buy = signed["base_amount"] > 0
    return OrderTerms(
        side=OrderSide.BUY if is_buy else OrderSide.SELL,
        quantity=Decimal(body["qty"]),
        price=Decimal(body[leg]["price"] if leg else body["price"]),
        fee_rate=Decimal(body["fee"]) + Decimal(body.get("builderFee", 0)),
        expiry_ms=body["expiryEpochMillis"],
        salt=int(body["nonce"]),
        assets=ASSETS,
        chain_id=domain["chainId"],
    )


def _credential(vector: dict[str, Any]) -> str:
    return json.dumps(
        {
            "vault": str(vector["vault"]),
            "private_key": vector["private_key"],
            "public_key": vector["public_key"],
            "api_key": API_KEY,
        }
    )


def test_a_credential_says_whose_it_is() -> None:
    signer, credential = Signer(), SecretText(CREDENTIAL)
    assert signer.public_key(credential) == PUBLIC_KEY
    assert signer.vault(credential) == VAULT
    assert signer.api_key(credential) == API_KEY
    assert api_key_in(CREDENTIAL) == api_key_in(f" {API_KEY}\n") == API_KEY


def _without(**changes: Any) -> str:
    return json.dumps({**json.loads(CREDENTIAL), **changes})


@pytest.mark.parametrize(
    "text",
    [
        "",
        PRIVATE_KEY,
        "{}",
        "[1]",
        _without(vault="a lot"),
        _without(vault=2**32),
        _without(private_key="7a7ff6fd"),
        _without(private_key="0x0"),
        _without(private_key="0x" + "f" * 64),
        _without(public_key="0x1"),
        _without(api_key="short"),
        _without(api_key="with a blank in it"),
        _without(seed="and more"),
    ],
)
def test_what_is_no_credential_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        Signer().public_key(SecretText(text))
    assert seen.value.field == "credential"
    shown = str(seen.value)
    assert PRIVATE_KEY[2:] not in shown
    assert API_KEY not in shown


def test_secrets_show_themselves_nowhere() -> None:
    signer = Signer()
    signer.public_key(SecretText(CREDENTIAL))
    shown = repr(read_credential(CREDENTIAL)) + repr(signer) + repr(vars(signer))
    assert str(int(PRIVATE_KEY, 16)) not in shown
    assert API_KEY not in shown


def test_the_last_few_keys_are_remembered_and_no_more() -> None:
    signer = Signer()
    for number in range(70):
        key = 12345 + number
        public = hex(fast_stark_crypto.get_public_key(key))
        text = json.dumps(
            {"vault": 1, "private_key": hex(key), "public_key": public, "api_key": API_KEY}
        )
        assert signer.public_key(SecretText(text)) == public
    assert len(vars(signer)["_opened"]) == 64
