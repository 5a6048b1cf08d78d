"""Account groups: an owner's alone, changed in one step, without accounts out of use."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import insert

from domain.account_groups import MEMBERS_MAX, AccountGroup
from domain.accounts import AccountState
from domain.errors import InvalidInput, NotFound
from storage.account_groups import SqlAccountGroupStore
from storage.accounts import SqlAccountStore
from storage.engine import Database
from storage.tables import principals
from tests.storage.builders import CREATED_AT, an_account
from tests.storage.conftest import Clock


@pytest.fixture
def groups(database: Database) -> SqlAccountGroupStore:
    """A group store with nothing in it."""
    return SqlAccountGroupStore(database)


@pytest.fixture
async def store(database: Database, clock: Clock) -> SqlAccountStore:
    """Accounts c, b, a (in the order they were made), and another owner's."""
    opened = SqlAccountStore(database, now=clock)
    for number, name in enumerate("cba"):
        made_at = CREATED_AT + timedelta(seconds=number)
        await opened.add(an_account(name, created_at=made_at), trading=b"t", feed=None)
    other = {"principal_id": "other", "created_at": CREATED_AT}
    await database.write(lambda c: c.execute(insert(principals), other))
    await opened.add(an_account("foreign", owner="other"), trading=b"t", feed=None)
    return opened


def group(name: str, account_ids: Sequence[str]) -> AccountGroup:
    return AccountGroup(owner="local", name=name, account_ids=tuple(account_ids))


async def test_members_are_replaced_added_and_dropped(
    store: SqlAccountStore, groups: SqlAccountGroupStore
) -> None:
    assert await groups.of_owner("local") == ()
    assert await groups.get("local", "majors") is None
    assert await groups.replace("local", "majors", ["a", "b", "a"]) == group("majors", "ba")
    assert await groups.replace("local", "majors", ["c"]) == group("majors", "c")
    added = await groups.change("local", "majors", add=["a", "c"])
    assert added == group("majors", "ca"), "by age, each once"
    assert await groups.change("local", "majors", add=["b"], drop=["a", "nobody"]) == group(
        "majors", "cb"
    )
    await groups.change("local", "alts", add=["c"])
    assert await groups.of_owner("local") == (group("alts", "c"), group("majors", "cb"))
    assert await groups.get("local", "majors") == group("majors", "cb")


async def test_without_members_there_is_no_group(
    store: SqlAccountStore, groups: SqlAccountGroupStore
) -> None:
    await groups.change("local", "majors", add=["a"])
    assert await groups.change("local", "majors", drop=["a"]) == group("majors", "")
    await groups.change("local", "alts", add=["a"])
    assert await groups.replace("local", "alts", []) == group("alts", "")
    assert await groups.of_owner("local") == ()
    assert await groups.get("local", "majors") is None


@pytest.mark.parametrize("account_id", ["foreign", "nobody", "gone"])
async def test_only_accounts_in_use_of_the_owner_come_in_and_else_nothing_changes(
    store: SqlAccountStore, groups: SqlAccountGroupStore, account_id: str
) -> None:
    await store.add(an_account("gone"), trading=b"t", feed=None)
    await store.set_state("gone", AccountState.REMOVED, reason="bye", signer=None)
    await groups.change("local", "majors", add=["a"])
    with pytest.raises(NotFound, match=f"no account in use '{account_id}'"):
        await groups.change("local", "majors", add=["b", account_id], drop=["a"])
    with pytest.raises(NotFound, match=f"no account in use '{account_id}'"):
        await groups.replace("local", "majors", [account_id])
    assert await groups.get("local", "majors") == group("majors", "a")


async def test_groups_of_one_name_are_each_owners_own(
    store: SqlAccountStore, groups: SqlAccountGroupStore
) -> None:
    await groups.change("local", "majors", add=["a"])
    await groups.change("other", "majors", add=["foreign"])
    await groups.replace("local", "majors", [])
    assert await groups.get("other", "majors") == AccountGroup(
        owner="other", name="majors", account_ids=("foreign",)
    )
    assert await groups.of_owner("local") == ()


async def test_a_removed_account_is_a_member_no_more(
    store: SqlAccountStore, groups: SqlAccountGroupStore
) -> None:
    await groups.replace("local", "majors", ["a", "b"])
    await store.set_state("a", AccountState.REMOVED, reason="bye", signer=None)
    assert await groups.get("local", "majors") == group("majors", "b")
    assert await groups.of_owner("local") == (group("majors", "b"),)


async def test_a_group_does_not_outgrow_its_bound(
    store: SqlAccountStore, groups: SqlAccountGroupStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match=f"at most {MEMBERS_MAX} in a group, found 201"):
        await groups.replace("local", "majors", [f"x{n}" for n in range(MEMBERS_MAX + 1)])
    monkeypatch.setattr("storage.account_groups.MEMBERS_MAX", 2)
    answers = await asyncio.gather(
        *(groups.change("local", "majors", add=[name]) for name in "abc"), return_exceptions=True
    )
    assert sum(isinstance(answer, InvalidInput) for answer in answers) == 1
    kept = await groups.get("local", "majors")
    assert kept is not None
    assert len(kept.account_ids) == 2
