"""What may name a group of accounts."""

from __future__ import annotations

import pytest

from domain.account_groups import check_group_name
from domain.errors import InvalidInput


@pytest.mark.parametrize("name", ["majors", "desk-1", "a.b_c", "7", "x" * 32])
def test_what_labels_an_account_names_a_group(name: str) -> None:
    assert check_group_name(name) == name


@pytest.mark.parametrize("name", ["", "Majors", "-x", "a b", "x" * 33, "a/b", "é", "a\n"])
def test_another_name_is_refused_as_a_groups(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^group: expected 1 to 32") as refused:
        check_group_name(name)
    assert refused.value.field == "group"
