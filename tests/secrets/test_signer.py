"""The signer signs what trading needs, whatever the venue's own SDK could sign besides."""

from __future__ import annotations

import inspect
import re

import hyperliquid.exchange
import hyperliquid.utils.signing
import pytest

from domain.accounts import SecretText
from domain.errors import NotAllowed
from tests.venues.hyperliquid.building import KEY
from venues.hyperliquid import signing
from venues.hyperliquid.signing import Signer

SIGNED = frozenset(
    {"order", "cancel", "cancelByCloid", "batchModify", "noop", "scheduleCancel", "updateLeverage"}
)


def types_of_the_sdk() -> set[str]:
    """Every action type that is written in the SDK's source."""
    source = inspect.getsource(hyperliquid.exchange) + inspect.getsource(hyperliquid.utils.signing)
    return set(re.findall(r'"type": "(\w+)"', source))


def test_of_everything_the_sdk_can_sign_only_trading_is_signed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    monkeypatch.setattr(signing, "sign_unchecked", lambda *args, **kwargs: made.append("bytes"))
    known = types_of_the_sdk()
    assert {"withdraw3", "usdSend", "agentSendAsset", "order", "updateLeverage"} <= known | {
        "agentSendAsset"
    }
    others = (known | {"agentSendAsset", "spotSend", "sendAsset", "approveAgent"}) - SIGNED
    assert len(others) > 10
    for kind in sorted(others):
        with pytest.raises(NotAllowed):
            sign({"type": kind})
    # Nothing rides along in an action that is allowed, neither beside it nor in capitals.
    for kind in SIGNED:
        for extra in ("destination", "amount", "builder", "agentAddress", "signatureChainId"):
            with pytest.raises(NotAllowed):
                sign({"type": kind, extra: "0x1"})
        with pytest.raises(NotAllowed):
            sign({"type": kind.upper()})
    assert made == []


def sign(action: dict[str, object]) -> None:
    Signer().sign(
        SecretText(KEY),
        action,
        nonce=1,
        vault_address=None,
        expires_after_ms=None,
        is_mainnet=False,
    )
