"""The redactor takes out every kind of secret, wherever it stands, and leaves the rest readable."""

import json
import string
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from importlib import resources
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from process.redaction import (
    HASH_FIELDS,
    REDACTED,
    TEXT_LENGTH_MAX,
    escape_controls,
    is_sensitive_name,
    redact_field,
    redact_text,
)

HEX = "0123456789abcdef"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
TOKEN_LETTERS = string.ascii_letters + string.digits + "-_"
BIP39 = (
    (resources.files("eth_account") / "hdaccount" / "wordlist" / "english.txt")
    .read_text(encoding="utf-8")
    .split()
)

private_keys = st.text(HEX, min_size=64, max_size=64).map(lambda digits: f"0x{digits}")
secrets = st.one_of(
    private_keys,
    private_keys.map(lambda key: key.removeprefix("0x").upper()),
    st.text(BASE58, min_size=87, max_size=88),
    st.lists(st.text(TOKEN_LETTERS, min_size=12, max_size=40), min_size=3, max_size=3).map(
        lambda parts: "eyJ" + ".".join(parts)
    ),
    st.text(string.ascii_letters + string.digits, min_size=16, max_size=48).map(
        lambda text: f"whsec_{text}"
    ),
    st.text(BASE58, min_size=40, max_size=200).map(
        lambda body: f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----"
    ),
    st.lists(st.sampled_from(BIP39), min_size=12, max_size=24).map(" ".join),
)
# Whatever stands around a secret in a log line; a letter or digit would make it another text.
frames = st.tuples(
    st.text(string.printable, max_size=20).map(lambda text: f"{text} ("),
    st.text(string.printable, max_size=20).map(lambda text: f") {text}"),
)


@given(secret=secrets, frame=frames)
def test_no_secret_survives_in_a_text(secret: str, frame: tuple[str, str]) -> None:
    assert secret not in redact_text(f"{frame[0]}{secret}{frame[1]}")


@given(
    secret=secrets,
    name=st.sampled_from(["event", "reply", "tx_hash", "client_order_id", "order_id", "error"]),
)
def test_no_secret_survives_in_nested_fields(secret: str, name: str) -> None:
    shown = redact_field("payload", {name: [{"inner": f"<{secret}>"}]})
    assert secret not in json.dumps(shown)


@given(secrets)
def test_no_secret_survives_alone(secret: str) -> None:
    assert secret not in redact_text(secret)


@given(st.text())
def test_nothing_leaves_the_redactor_that_could_steer_a_terminal(text: str) -> None:
    shown = redact_field("reply", text)
    assert isinstance(shown, str)
    assert all(
        character.isprintable() or character == " " for character in shown if ord(character) < 0xA0
    )
    shown.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def", f"Authorization: {REDACTED}"),
        ('{"authorization": "Basic dTpw"}', f'{{"authorization": {REDACTED}}}'),
        ("Cookie: session=abc; theme=dark", f"Cookie: {REDACTED}"),
        ("b'Set-Cookie', b'session=1'", f"b'Set-Cookie', {REDACTED}"),
        ("sent bearer abcdef0123456789", f"sent bearer {REDACTED}"),
        ("password=hunter2 user=me", f"password={REDACTED} user=me"),
        ('"passphrase": "two words", "n": 1', f'"passphrase": {REDACTED}, "n": 1'),
        (r"{\"private_key\": \"abc\", \"n\": 1}", rf"{{\"private_key\": {REDACTED}, \"n\": 1}}"),
        ("API_KEY='a b'", f"API_KEY={REDACTED}"),
        ("GET /ws?token=abc&x=1", f"GET /ws?token={REDACTED}&x=1"),
        (
            "postgresql+psycopg://me:pw@db:5432/x",
            f"postgresql+psycopg://me:{REDACTED}@db:5432/x",
        ),
        ("redis://:pw@host/0", f"redis://:{REDACTED}@host/0"),
        ("-----BEGIN EC PRIVATE KEY-----\ncut off", REDACTED),
    ],
)
def test_secrets_in_their_usual_dress(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "order 7f3c1d9e-0000-5000-8000-000000000001 accepted",
        "client_order_id 0x0123456789abcdef0123456789abcdef",
        "address 0x52908400098527886E0F7030069857D2E4169EE7",
        "http://127.0.0.1:8700/api/v1/orders?symbol=BTC-PERP",
        "Order could not immediately match against any resting orders. asset=0",
        "the venue said that this price is too far from the mark and that it was not placed here",
        "insufficient margin to place order for account main on hyperliquid at the moment",
        "a bearer of news",
    ],
)
def test_ordinary_lines_are_left_alone(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize("name", sorted(HASH_FIELDS))
def test_a_hash_is_shown_where_only_a_hash_may_stand(name: str) -> None:
    value = "0x" + "ab" * 32
    assert redact_field(name, value) == value
    assert redact_field(name, f"{value} {value}") == f"{REDACTED} {REDACTED}"
    assert redact_field("note", value) == REDACTED


@pytest.mark.parametrize(
    "name",
    [
        "private_key",
        "privateKey",
        "X-API-Key",
        "api_secret",
        "accessToken",
        "DB_PASSWORD",
        "passphrase",
        "Authorization",
        "set-cookie",
        "mnemonic",
        "codec_key",
        "credentials",
    ],
)
def test_a_sensitive_name_hides_any_value(name: str) -> None:
    assert is_sensitive_name(name)
    for value in ("short", 7, ["a"], {"b": 1}, b"raw"):
        assert redact_field(name, value) == REDACTED
    assert redact_field(name, None) is None
    assert redact_field(name, True) is True


@pytest.mark.parametrize(
    "name",
    [
        "order_id",
        "client_order_id",
        "idempotency_key",
        "token_id",
        "key_id",
        "signer",
        "credential_id",
        "price",
        "tokenizer",
    ],
)
def test_ordinary_names_are_not_sensitive(name: str) -> None:
    assert not is_sensitive_name(name)


class Side(StrEnum):
    BUY = "buy"


class Stranger:
    def __repr__(self) -> str:
        return "Stranger(key=0x" + "1" * 64 + ")"


def test_values_become_plain() -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    assert redact_field("a", Decimal("1.50")) == "1.50"
    assert redact_field("a", UUID(int=1)) == str(UUID(int=1))
    assert redact_field("a", Path("/tmp/x")) == "/tmp/x"
    assert redact_field("a", moment) == moment.isoformat()
    assert redact_field("a", timedelta(seconds=1)) == "0:00:01"
    assert redact_field("a", Side.BUY) == "buy"
    assert redact_field("a", 1.5) == 1.5
    assert redact_field("a", b"raw") == "<3 bytes>"
    assert redact_field("a", Stranger()) == f"Stranger(key={REDACTED})"
    assert redact_field("a", ("x", 1)) == ["x", 1]
    assert redact_field("a", {7: "x"}) == {"7": "x"}
    assert redact_field("a", {"k\x1b[2J": 1}) == {"k\\x1b[2J": 1}


def test_size_and_depth_are_bounded() -> None:
    long = redact_field("a", "x" * (TEXT_LENGTH_MAX + 5))
    assert isinstance(long, str)
    assert long.endswith("… (5 more characters)")
    deep: object = "end"
    for _ in range(20):
        deep = [deep]
    assert "nested deeper" in json.dumps(redact_field("a", deep))
    assert redact_field("a", list(range(300)))[-1] == "… 44 more"  # type: ignore[index]
    many = redact_field("a", {str(number): number for number in range(300)})
    assert isinstance(many, dict)
    assert many["…"] == "44 more"


def test_lines_are_kept_only_where_a_traceback_stands() -> None:
    assert redact_field("exception", "a\n\tb\x1b") == "a\n\tb\\x1b"
    assert redact_field("event", "a\nb") == "a\\x0ab"
    assert escape_controls("\u202etxt\u2028") == "\\u202etxt\\u2028"
    assert escape_controls("\ud800") == "\\ud800"
