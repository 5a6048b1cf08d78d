"""Secrets show themselves to nobody who does not ask for them by name."""

from __future__ import annotations

import copy
import pickle
from dataclasses import asdict

import pytest

from domain.accounts import Account, AccountState, Network, SecretText, TradingAccess
from tests.domain.building import NOW

SECRET = "0x" + "5e" * 32


def an_access() -> TradingAccess:
    account = Account(
        account_id="acc",
        owner="local",
        venue="hyperliquid",
        label="main",
        network=Network.PAPER,
        address="0xaddress",
        signer="0xsigner",
        state=AccountState.ACTIVE,
        created_at=NOW,
    )
    return TradingAccess(account=account, credential=SecretText(SECRET))


def test_a_secret_is_revealed_only_by_asking() -> None:
    access = an_access()
    assert access.credential.reveal() == SECRET
    for shown in (repr(access), str(access.credential), f"{access.credential}", repr([access])):
        assert SECRET not in shown


def test_a_secret_cannot_be_pickled_nor_copied_out() -> None:
    for take in (pickle.dumps, copy.deepcopy, lambda access: asdict(access)):
        with pytest.raises(TypeError, match="not pickled"):
            take(an_access())
