"""Principals: one question at every door, and another's object does not exist."""

from __future__ import annotations

from itertools import product

import pytest

from domain.errors import NotAllowed, NotFound
from domain.principals import LOCAL_PRINCIPAL_ID, Action, Principal, authorize, local_principal


@pytest.mark.parametrize(("held", "asked"), list(product(Action, Action)))
def test_a_key_allows_what_it_holds_and_nothing_else(held: Action, asked: Action) -> None:
    principal = Principal(principal_id="p", actions=frozenset({held}))
    if held is asked:
        authorize(principal, asked, "p")
        authorize(principal, asked, None)
    else:
        for owner in ("p", None):
            with pytest.raises(NotAllowed, match=asked.value):
                authorize(principal, asked, owner)


@pytest.mark.parametrize("action", list(Action))
def test_anothers_object_is_not_found_even_for_what_the_key_allows(action: Action) -> None:
    with pytest.raises(NotFound):
        authorize(local_principal(), action, "somebody-else")
    nobody = Principal(principal_id="p", actions=frozenset())
    with pytest.raises(NotFound):
        authorize(nobody, action, "somebody-else")


def test_the_local_principal_may_do_everything_with_its_own() -> None:
    for action in Action:
        authorize(local_principal(), action, LOCAL_PRINCIPAL_ID)
