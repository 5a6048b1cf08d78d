"""Identity: one owner and key name one order for ever, and ids keep their shapes."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidInput
from domain.identifiers import (
    check_idempotency_key,
    check_label,
    check_order_id,
    check_symbol,
    client_order_bytes,
    fingerprint,
    order_id_for,
    request_id_for,
    thousands_by_letter,
    thousands_in_digits,
)
from tests.domain.building import ORDER_ID


def test_an_order_id_is_a_version_5_uuid_that_never_changes() -> None:
    found = order_id_for("local", "my-key-1")
    assert found == "b9f08d3e-1daf-5238-b388-87320902c7e9"
    assert uuid.UUID(found).version == 5


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_another_owner_or_key_is_another_order(one: str, key: str, other: str, key2: str) -> None:
    same = (one, key) == (other, key2)
    assert (order_id_for(one, key) == order_id_for(other, key2)) is same


def test_owner_and_key_cannot_be_shifted_into_each_other() -> None:
    assert order_id_for("ab", "c") != order_id_for("a", "bc")


def test_a_request_is_named_by_its_order_and_key() -> None:
    assert request_id_for(ORDER_ID, "k") == request_id_for(ORDER_ID, "k")
    assert request_id_for(ORDER_ID, "k") != request_id_for(ORDER_ID, "l")


def test_revision_0_is_the_order_id_itself() -> None:
    assert client_order_bytes(ORDER_ID, 0) == uuid.UUID(ORDER_ID).bytes


@given(st.sets(st.tuples(st.integers(0, 500), st.integers(0, 20)), min_size=2, max_size=30))
def test_each_revision_and_collision_has_its_own_16_bytes(slots: set[tuple[int, int]]) -> None:
    spelled = {client_order_bytes(ORDER_ID, revision, collision) for revision, collision in slots}
    assert len(spelled) == len(slots)
    assert {len(raw) for raw in spelled} == {16}


@pytest.mark.parametrize("key", ["a", "my key", "x" * 255, "!~", "{uuid}"])
def test_printable_keys_are_taken(key: str) -> None:
    assert check_idempotency_key(key) == key


@pytest.mark.parametrize(
    "key", ["", " ", " a", "a ", "a\n", "a\tb", "é", "x" * 256, "\x7f", "\x00"]
)
def test_other_keys_are_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(InvalidInput, match="idempotency_key") as caught:
        check_idempotency_key(key)
    assert key.strip() == "" or key not in str(caught.value)


def test_an_order_id_is_read_in_any_spelling_of_a_uuid() -> None:
    assert check_order_id(ORDER_ID.upper()) == ORDER_ID
    with pytest.raises(InvalidInput, match="expected a UUID"):
        check_order_id("42")


@pytest.mark.parametrize("symbol", ["BTC-PERP", "1000PEPE-PERP", "xyz:TSLA-PERP", "BTC/USDC-PERP"])
def test_symbols_are_taken(symbol: str) -> None:
    assert check_symbol(symbol) == symbol


@pytest.mark.parametrize(
    ("theirs", "ours"), [("kPEPE", "1000PEPE"), ("k1INCH", "k1INCH"), ("kas", "kas"), ("K", "K")]
)
def test_a_lot_of_a_thousand_has_one_spelling(theirs: str, ours: str) -> None:
    assert thousands_in_digits(theirs) == ours
    assert thousands_in_digits(ours) == ours
    assert thousands_by_letter(ours) == theirs
    assert check_symbol(f"{theirs}-PERP") == f"{ours}-PERP"


@pytest.mark.parametrize(
    "symbol", ["", "BTC", "-PERP", "BTC-PERP\n", "B C-PERP", "x" * 33 + "-PERP"]
)
def test_what_is_no_symbol_is_refused(symbol: str) -> None:
    with pytest.raises(InvalidInput, match="symbol"):
        check_symbol(symbol)


@pytest.mark.parametrize("label", ["a", "main", "paper-1", "0.x_y"])
def test_labels_are_taken(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize("label", ["", "Main", "-a", "a b", "x" * 33, "a\n", "é"])
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(InvalidInput, match="label"):
        check_label(label)


def test_a_fingerprint_is_the_sha256_of_the_body() -> None:
    assert fingerprint("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert fingerprint("a") != fingerprint("b")
