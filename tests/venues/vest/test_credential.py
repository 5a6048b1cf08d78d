"""A credential's two parts: what is read of it, what a feed may know, and what is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from domain.accounts import SecretText
from domain.errors import InvalidInput
from tests.venues.vest.building import EXPIRY_MS, SIGNING_KEY, credential
from venues.vest.credential import feed_part, reader, trading


def test_a_workers_part_is_read_whole() -> None:
    given = trading(credential(expiryTime=EXPIRY_MS, accGroup=3))
    assert given.signing_bytes().hex() == SIGNING_KEY[2:]
    assert given.reader.api_key.reveal() == "abcde"
    assert given.reader.acc_group == 3
    assert given.expires_at == datetime(2026, 10, 13, 20, 34, 39, tzinfo=UTC)
    assert trading(credential()).expires_at is None
    assert SIGNING_KEY[2:] not in repr(given)


def test_the_feeds_part_knows_no_signing_key() -> None:
    part = feed_part(credential(expiryTime=EXPIRY_MS))
    assert json.loads(part.reveal()) == {"apiKey": "abcde", "accGroup": 0}
    assert reader(part).api_key.reveal() == "abcde"
    with pytest.raises(InvalidInput, match="signingKey"):
        trading(part)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        SIGNING_KEY,
        "[" * 100_000,
        '{"apiKey":"a","accGroup":0,"withdrawKey":"x"}',
        credential("0x12").reveal(),
        credential("0x" + "00" * 32).reveal(),
        credential("0x" + "ff" * 32).reveal(),
        credential(apiKey="").reveal(),
        credential(apiKey="two words").reveal(),
        credential(apiKey=5).reveal(),
        credential(accGroup="0").reveal(),
        credential(accGroup=-1).reveal(),
        credential(accGroup=True).reveal(),
        credential(expiryTime="soon").reveal(),
        credential(expiryTime=10**18).reveal(),
    ],
)
def test_what_is_none_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidInput) as seen:
        trading(SecretText(text))
    assert "python -m venues.vest.registration" in str(seen.value)
    for secret in ("0x12", "two words", SIGNING_KEY, "ff" * 32):
        assert secret not in str(seen.value)
