"""Errors carry a code for machines and name what was wrong."""

from __future__ import annotations

from domain import errors


def test_every_error_has_its_own_code_and_one_root() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.PerpDexError)
    ]
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes) == 11
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


def test_invalid_input_names_the_field() -> None:
    error = errors.InvalidInput("price", "expected more")
    assert (error.field, error.message, str(error)) == (
        "price",
        "expected more",
        "price: expected more",
    )


def test_a_conflict_has_the_code_it_is_given() -> None:
    assert errors.Conflict("over", code="order_ended").code == "order_ended"
    assert errors.Conflict("over").code == "conflict"
