"""Credentials changed while orders live, and leverage that is set whatever happens to answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from coincurve import PrivateKey

from activities.credentials import ExpiryWatch
from domain.accounts import Account, LeverageSetting, MarginMode
from domain.errors import Conflict, Unavailable
from domain.orders import OrderStatus
from domain.risk_limits import RiskLimits
from sealing.box import BoxLabel, CredentialPart, seal
from tests.activities.floor import ACCOUNT_ID, Floor, an_order
from tests.workflows.stage import KEYS, NAMESPACE, Stage
from venues.hyperliquid.simulator_signature import address_of_key
from venues.simulation.faults import FaultKind
from venues.simulation.ownership import approve_agent
from workflows import ids
from workflows.client import connect
from workflows.leverage_client import Leverages
from workflows.rotation_client import Rotations

BTC = "BTC-PERP"
DAY_MS = 24 * 3600 * 1000


async def the_account(stage: Stage) -> Account:
    account = await stage.floor.storage.accounts.get(ACCOUNT_ID)
    assert account is not None
    return account


def another_agent(floor: Floor, *, days: int = 90) -> tuple[str, str]:
    """Have the venue approve another agent of the account; return its key and address."""
    key = PrivateKey()
    address = address_of_key(key.public_key)
    exchange = floor.venue.exchange
    with exchange.action("approve_agent"):
        until_ms = exchange.now_ms() + days * DAY_MS
        approve_agent(exchange.tables, floor.opened["address"], address, "second", until_ms)
    return "0x" + key.to_hex().rjust(64, "0"), address


async def propose(floor: Floor, private_key: str) -> None:
    label = BoxLabel(account_id=ACCOUNT_ID, venue="hyperliquid", part=CredentialPart.TRADING)
    sealed = seal(private_key.encode(), floor.key.public, label)
    await floor.storage.rotation.propose(ACCOUNT_ID, trading=sealed, feed=None)


async def test_a_key_changes_under_living_orders(stage: Stage) -> None:
    floor = stage.floor
    resting = await stage.place(an_order(price=Decimal(20_000)))
    assert resting.status is OrderStatus.ACCEPTED
    key, address = another_agent(floor)
    await propose(floor, key)
    rotations = Rotations(stage.client)
    result = await rotations.rotate(await the_account(stage), wait_s=15)
    assert result is not None
    assert (result.refusal, result.account.signer) == (None, address)
    facts = result.account.facts
    assert facts is not None
    assert facts.expires_at is not None
    # The order of before is canceled, and another placed, by the new key.
    answer = await stage.workflows.cancel(resting.order_id, resting.order_id, wait_s=15)
    assert answer.order is not None
    assert answer.order.status is OrderStatus.CANCELED
    after = await stage.place(an_order(price=Decimal(20_000)))
    assert after.status is OrderStatus.ACCEPTED
    rows = await floor.storage.ledger.of_order(after.order_id)
    assert [row.signer for row in rows] == [address]
    # Nothing is left to be changed: asking again says so.
    again = await rotations.rotate(await the_account(stage), wait_s=15)
    assert again is not None
    assert again.account.signer == address
    stage.kept_ids.add(ids.rotation_workflow_id(ACCOUNT_ID))


async def test_an_unknown_order_is_resolved_by_the_key_that_signed_it(stage: Stage) -> None:
    floor = stage.floor
    floor.fault(FaultKind.DROP_AFTER_APPLY)
    order = an_order(price=Decimal(20_000))
    placing = asyncio.create_task(stage.try_place(order, wait_s=20))
    await stage.until_placed(order)
    key, address = another_agent(floor)
    await propose(floor, key)
    result = await Rotations(stage.client).rotate(await the_account(stage), wait_s=15)
    assert result is not None
    assert result.account.signer == address
    await placing
    assert len(floor.at_venue()) == 1, "placed once, whoever signs now"
    assert (await floor.stored(order)).status is OrderStatus.ACCEPTED
    stage.kept_ids.add(ids.rotation_workflow_id(ACCOUNT_ID))


async def test_a_key_that_is_not_the_accounts_changes_nothing(stage: Stage) -> None:
    stranger = PrivateKey()
    await propose(stage.floor, "0x" + stranger.to_hex().rjust(64, "0"))
    before = await the_account(stage)
    result = await Rotations(stage.client).rotate(before, wait_s=15)
    assert result is not None
    assert result.refusal is not None
    assert "is unknown on paper" in result.refusal
    assert await the_account(stage) == before
    await propose(stage.floor, "no key at all")
    result = await Rotations(stage.client).rotate(before, wait_s=15)
    assert result is not None
    assert result.refusal is not None
    stage.kept_ids.add(ids.rotation_workflow_id(ACCOUNT_ID))


async def test_a_key_that_expires_is_announced(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    floor = stage.floor
    key, _ = another_agent(floor, days=3)
    await propose(floor, key)
    await Rotations(stage.client).rotate(await the_account(stage), wait_s=15)
    watch = ExpiryWatch(
        accounts=floor.storage.accounts,
        access=floor.access,
        connectors=floor.connectors,
        audit=floor.storage.audit,
        now=lambda: datetime.now(UTC),
        rights=floor.connectors.rights,
    )
    await watch.run()
    assert "a credential expires soon" in caplog.text
    proved = floor.connectors.rights.of(ACCOUNT_ID)
    assert proved is not None and proved.refusal is None
    exchange = floor.venue.exchange
    exchange.shift_clock(4 * DAY_MS)
    caplog.clear()
    await watch.run()
    assert "a credential expired" in caplog.text
    refused = floor.connectors.rights.of(ACCOUNT_ID)
    assert refused is not None and refused.refusal is not None
    assert refused.proved_at > proved.proved_at
    facts = (await the_account(stage)).facts
    assert facts is not None
    assert facts.expires_at is not None
    await floor.close_venue()
    caplog.clear()
    await watch.run()
    assert "could not be checked" in caplog.text
    stage.kept_ids.add(ids.rotation_workflow_id(ACCOUNT_ID))


async def setting(stage: Stage) -> LeverageSetting:
    connector = await stage.floor.connector()
    return await connector.leverage_of(await the_account(stage), BTC)


async def test_leverage_is_set(stage: Stage) -> None:
    leverages = Leverages(stage.client)
    account = await the_account(stage)
    answer = await leverages.set(account, BTC, 7, MarginMode.ISOLATED, wait_s=15)
    assert answer is not None
    wanted = LeverageSetting(symbol=BTC, leverage=7, mode=MarginMode.ISOLATED)
    assert answer.setting == await setting(stage) == wanted
    stage.kept_ids.add(ids.leverage_workflow_id(ACCOUNT_ID, BTC))


@pytest.mark.parametrize("kind", [FaultKind.DROP_AFTER_APPLY, FaultKind.DROP_BEFORE_APPLY])
async def test_a_lost_answer_is_found_out(
    stage: Stage, kind: FaultKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A lost request may arrive for so long; waiting for it is what the test is not about.
    connector = await stage.floor.connector()
    monkeypatch.setattr(connector, "proofs", replace(connector.proofs, admission_window_s=1.0))
    stage.floor.fault(kind, action="updateLeverage")
    account = await the_account(stage)
    answer = await Leverages(stage.client).set(account, BTC, 9, MarginMode.CROSS, wait_s=60)
    assert answer is not None
    assert answer.setting == await setting(stage)
    assert (await setting(stage)).leverage == 9
    stage.kept_ids.add(ids.leverage_workflow_id(ACCOUNT_ID, BTC))


async def test_our_own_limit_and_the_venues_refuse(stage: Stage) -> None:
    await stage.floor.storage.risk.put(ACCOUNT_ID, RiskLimits(max_leverage=Decimal(3)), by="local")
    leverages = Leverages(stage.client)
    account = await the_account(stage)
    before = await setting(stage)
    higher = await leverages.set(account, BTC, before.leverage + 1, MarginMode.CROSS, wait_s=15)
    assert higher is not None
    assert higher.refusal is not None
    assert "max_leverage" in higher.refusal
    assert await setting(stage) == before
    lower = await leverages.set(account, BTC, before.leverage - 1, MarginMode.CROSS, wait_s=15)
    assert lower is not None
    assert lower.refusal is None, "a lower one always passes"
    wrong = await leverages.set(account, BTC, 999, MarginMode.CROSS, wait_s=15)
    assert wrong is not None
    assert wrong.refusal is not None
    stage.kept_ids.add(ids.leverage_workflow_id(ACCOUNT_ID, BTC))


async def test_one_setting_of_a_market_at_a_time(stage: Stage) -> None:
    leverages = Leverages(stage.client)
    account = await the_account(stage)
    await stage.stop_worker()
    assert await leverages.set(account, BTC, 5, MarginMode.CROSS, wait_s=0.3) is None
    with pytest.raises(Conflict, match="under way"):
        await leverages.set(account, BTC, 6, MarginMode.CROSS, wait_s=5)
    assert await Rotations(stage.client).rotate(account, wait_s=0.3) is None
    stage.kept_ids |= {
        ids.leverage_workflow_id(ACCOUNT_ID, BTC),
        ids.rotation_workflow_id(ACCOUNT_ID),
    }


async def test_temporal_that_cannot_be_reached_says_so(stage: Stage) -> None:
    account = await the_account(stage)
    nowhere = await connect("127.0.0.1:1", NAMESPACE, KEYS)
    with pytest.raises(Unavailable):
        await Leverages(nowhere).set(account, BTC, 5, MarginMode.CROSS, wait_s=20)
    with pytest.raises(Unavailable):
        await Rotations(nowhere).rotate(account, wait_s=20)
