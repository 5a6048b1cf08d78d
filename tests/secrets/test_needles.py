"""The search itself: what it must find, it finds."""

from __future__ import annotations

import base64

import pytest

from tests.secrets.stage import Needles

KEY = "0x" + "c0ffee" * 10 + "beef"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
@pytest.mark.parametrize(
    "form",
    [KEY.encode(), KEY.encode().upper(), KEY[2:].encode(), bytes.fromhex(KEY[2:])],
)
def test_a_secret_is_found_in_every_form(before: bytes, form: bytes) -> None:
    needles = Needles.of_key("key", KEY)
    document = before + form + b'", "then": 1}'
    for content in (document, base64.b64encode(document), base64.urlsafe_b64encode(document)):
        assert needles.within(content)
    assert not needles.within(base64.b64encode(before + b"x" * 64))
    assert KEY[2:] not in repr(needles)


def test_a_text_is_found_too() -> None:
    needles = Needles.of_text("token", "abcdefghijklmnopqrstuvwxyz")
    assert needles.within(b"Bearer abcdefghijklmnopqrstuvwxyz\n")
    assert needles.within(base64.b64encode(b"Bearer abcdefghijklmnopqrstuvwxyz"))
    assert needles.within(b"abcdefghijklmnopqrstuvwxyz".hex().encode())
