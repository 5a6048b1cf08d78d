"""Keys and accounts: whose key it is, what it may do, its end, and no two accounts mixed."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from domain.accounts import Account, SecretText, TradingAccess
from domain.errors import InvalidInput, VenueRefused, VenueUnavailable
from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from tests.conformance.stage import Stage


async def test_an_accounts_own_key_is_taken(stage: Stage) -> None:
    access = await stage.trading()
    assert stage.connector.signer_of(access.credential) == stage.account.signer
    check = await stage.connector.check_signer(access)
    assert check.refusal is None
    assert check.signer == stage.account.signer
    assert check.power, "the owner is told what the key can do"
    assert check.owner_address in (None, stage.account.address)


async def test_greater_and_foreign_keys_are_refused_in_words(stage: Stage) -> None:
    stranger = await stage.open_account()
    refused = {
        "another account's key": (await stage.trading(stranger)).credential,
        **{
            what: SecretText(pick(stage.opened))
            for what, pick in stage.rig.refused_credentials.items()
        },
    }
    for what, credential in refused.items():
        access = TradingAccess(account=stage.account, credential=credential)
        check = await stage.connector.check_signer(access)
        assert check.refusal, what
        assert credential.reveal() not in repr(check)


@pytest.mark.parametrize("text", ["", "hello", "0x", "0x" + "zz" * 32, "11" * 200])
def test_what_is_no_key_is_refused_without_being_repeated(stage: Stage, text: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        stage.connector.signer_of(SecretText(text))
    if len(text) > 4:
        assert text not in str(seen.value)


async def test_an_expired_key_places_and_cancels_nothing(stage: Stage) -> None:
    placed, _ = await stage.accepted(await stage.resting())
    await stage.rig.expire(stage.running, stage.opened)
    row, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Rejected | NotSent), outcome
    assert stage.at_venue(row) == []
    canceled = await stage.cancel(placed)
    assert not isinstance(canceled, Accepted), canceled
    assert stage.one_at_venue(placed).status.is_live
    check = await stage.connector.check_signer(await stage.trading())
    assert check.refusal is not None
    if stage.connector.capabilities.queries_need_credential or stage.rig.reading_needs_key:
        # Nobody may take a refusal for an account that is empty.
        with pytest.raises((VenueRefused, VenueUnavailable)):
            await stage.connector.open_orders(stage.account)
        return
    # What can be read without a signature is still read: positions do not go out of sight.
    (listed,) = await stage.connector.open_orders(stage.account)
    assert listed.client_order_id == placed.client_order_id


async def test_a_row_is_not_sent_with_another_accounts_access(stage: Stage) -> None:
    stranger = await stage.open_account()
    row = await stage.reserve(await stage.resting())
    result = await stage.connector.send(row, await stage.trading(stranger))
    assert isinstance(result.outcome, NotSent), result
    assert not result.outcome.retryable
    assert stage.records() == []


async def test_a_row_is_not_sent_with_another_key(stage: Stage) -> None:
    stranger = await stage.open_account()
    credential = (await stage.trading(stranger)).credential
    row = await stage.reserve(await stage.resting())
    mixed = TradingAccess(account=stage.account, credential=credential)
    result = await stage.connector.send(row, mixed)
    assert isinstance(result.outcome, NotSent), result
    assert stage.records() == []
    again = await stage.connector.resend(row, mixed)
    assert isinstance(again.outcome, Unknown), "of an earlier copy this says nothing"


async def test_everything_is_said_of_the_account_it_was_asked_of(stage: Stage) -> None:
    accounts = [stage.account, await stage.open_account(), await stage.open_account()]
    rested = {a.account_id: await stage.accepted(await stage.resting(), a) for a in accounts}
    for account in accounts[:2]:
        await stage.accepted(await stage.taking(), account)

    async def look(account: Account) -> None:
        (order,) = await stage.connector.open_orders(account)
        assert order.client_order_id == rested[account.account_id][0].client_order_id
        since = await stage.connector.venue_time(account)
        fills = await stage.connector.fills(account, since=since.replace(hour=0, minute=0))
        assert {fill.account_id for fill in fills} <= {account.account_id}
        assert bool(fills) is (account is not accounts[2])
        summary = await stage.connector.account_summary(account)
        assert summary.account_id == account.account_id
        assert {p.account_id for p in summary.positions} <= {account.account_id}
        assert len(summary.positions) == (0 if account is accounts[2] else 1)

    # All at once, so that answers come in any order.
    await asyncio.gather(*(look(account) for account in accounts))


async def test_an_order_is_found_by_its_own_account_alone(stage: Stage) -> None:
    row, _ = await stage.accepted(await stage.resting())
    stranger = await stage.open_account()
    theirs = await stage.connector.find_order(
        stranger, symbol=row.symbol, client_order_id=row.client_order_id
    )
    assert theirs.order is None
    assert await stage.find(row) is not None


async def test_no_secret_is_in_what_is_kept(stage: Stage) -> None:
    row, _ = await stage.send(await stage.resting())
    kept = await stage.storage.ledger.read(row.key)
    secrets = {stage.rig.credential(stage.opened)} | {
        pick(stage.opened) for pick in stage.rig.refused_credentials.values()
    }
    for secret in secrets:
        for shown in (secret, secret.removeprefix("0x")):
            assert shown not in repr(kept)
            assert shown not in repr(replace(stage.account))
