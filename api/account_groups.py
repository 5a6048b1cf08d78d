"""The routes of account groups: list, show, make, change, and take apart.

A group only names accounts to look at together; nothing here touches the accounts themselves.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.account_bodies import GroupBody, GroupName
from api.account_views import GroupsView, GroupView, group_view
from api.context import IN_USE, Caller, Context, Ctx
from api.problems import ProblemError, invalid_input, invalid_parameter
from api.strict_json import StrictRoute
from domain.account_groups import AccountGroup, check_group_name
from domain.accounts import Account
from domain.errors import InvalidInput, NotFound
from domain.principals import Action, Principal

router = APIRouter(prefix="/api/v1/account-groups", tags=["accounts"], route_class=StrictRoute)


@router.get("", operation_id="list_account_groups", response_model=GroupsView)
async def list_groups(context: Ctx, caller: Caller) -> JSONResponse:
    """List the caller's groups, by name."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "group:list")
    mine = await _by_id(context, caller)
    groups = await context.parts.account_groups.of_owner(caller.principal_id)
    view = GroupsView(groups=[group_view(each, mine) for each in groups])
    return JSONResponse(view.json_ready())


@router.get("/{name}", operation_id="get_account_group", response_model=GroupView)
async def get_group(name: GroupName, context: Ctx, caller: Caller) -> JSONResponse:
    """Read a group."""
    await context.authorize(caller, Action.READ_ACCOUNT, None, "group:read")
    group = await group_named(context, caller, name)
    return await _answer(context, caller, group)


@router.put("/{name}", operation_id="set_account_group", response_model=GroupView)
async def set_group(name: GroupName, body: GroupBody, context: Ctx, caller: Caller) -> JSONResponse:
    """Make a group of these accounts, or give the group these members and no others."""
    _check("name", name)
    await context.authorize(caller, Action.ADMIN, None, f"group:{name}")
    mine = await context.parts.accounts.of_owner(caller.principal_id)
    ids = [
        _member(mine, text, pointer=f"/accounts/{number}")
        for number, text in enumerate(body.accounts)
    ]
    group = await context.parts.account_groups.replace(caller.principal_id, name, ids)
    await _audit(context, caller, "group.set", group)
    return await _answer(context, caller, group)


@router.delete("/{name}", operation_id="delete_account_group", response_model=GroupView)
async def delete_group(name: GroupName, context: Ctx, caller: Caller) -> JSONResponse:
    """Take a group apart; its accounts stay as they are."""
    await context.authorize(caller, Action.ADMIN, None, "group:delete")
    await group_named(context, caller, name)
    group = await context.parts.account_groups.replace(caller.principal_id, name, [])
    await _audit(context, caller, "group.delete", group)
    return await _answer(context, caller, group)


@router.put(
    "/{name}/accounts/{account_id}", operation_id="join_account_group", response_model=GroupView
)
async def join_group(
    name: GroupName, account_id: str, context: Ctx, caller: Caller
) -> JSONResponse:
    """Add an account, by id or label, to a group; the group is made where there is none."""
    _check("name", name)
    account = await context.account(caller, Action.ADMIN, account_id)
    group = await context.parts.account_groups.change(
        caller.principal_id, name, add=[account.account_id]
    )
    await _audit(context, caller, "group.join", group, account=account)
    return await _answer(context, caller, group)


@router.delete(
    "/{name}/accounts/{account_id}", operation_id="leave_account_group", response_model=GroupView
)
async def leave_group(
    name: GroupName, account_id: str, context: Ctx, caller: Caller
) -> JSONResponse:
    """Take an account, by id or label, out of a group; one without members is no more."""
    account = await context.account(caller, Action.ADMIN, account_id)
    await group_named(context, caller, name)
    group = await context.parts.account_groups.change(
        caller.principal_id, name, drop=[account.account_id]
    )
    await _audit(context, caller, "group.leave", group, account=account)
    return await _answer(context, caller, group)


async def group_named(context: Context, caller: Principal, name: str) -> AccountGroup:
    """Return a group of the caller's.

    Raises:
        ProblemError: 422, nothing can have that name.
        NotFound: there is no such group.
    """
    _check("group", name)
    group = await context.parts.account_groups.get(caller.principal_id, name)
    if group is None:
        raise NotFound(f"no account group {name!r}")
    return group


def _check(parameter: str, name: str) -> None:
    try:
        check_group_name(name)
    except InvalidInput as error:
        raise ProblemError(invalid_parameter(parameter, error.message)) from None


def _member(mine: tuple[Account, ...], text: str, *, pointer: str) -> str:
    for account in reversed(mine):
        if account.state in IN_USE and text in (account.account_id, account.label):
            return account.account_id
    raise ProblemError(
        invalid_input(pointer, f"expected a label or id of an account in use, found {text[:64]!a}")
    )


async def _by_id(context: Context, caller: Principal) -> dict[str, Account]:
    mine = await context.parts.accounts.of_owner(caller.principal_id)
    return {each.account_id: each for each in mine}


async def _answer(context: Context, caller: Principal, group: AccountGroup) -> JSONResponse:
    return JSONResponse(group_view(group, await _by_id(context, caller)).json_ready())


async def _audit(
    context: Context,
    caller: Principal,
    action: str,
    group: AccountGroup,
    *,
    account: Account | None = None,
) -> None:
    detail = {"members": str(len(group.account_ids))}
    if account is not None:
        detail["account"] = account.account_id
    await context.audit(caller, action, f"group:{group.name}", "done", detail=detail)
