"""Halts over the API: the kill switch, how far it is, and the resume, typed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import ServiceBusy, Unreachable, UnreadableAnswer
from perp_dex_client.transport import Transport

T = TypeVar("T")

_PATH: Final = "/api/v1/halt"
_LOOK_EVERY_S: Final = 0.5


class HaltInForce(msgspec.Struct, frozen=True, kw_only=True):
    """A halt in force; `name` is its venue's or account's, None for everything."""

    scope: str
    reason: str
    set_by: str
    set_at: datetime
    name: str | None = None


class AccountStopping(msgspec.Struct, frozen=True, kw_only=True):
    """How far a kill switch is with one account; `still_open` names what it saw last."""

    account_id: str
    label: str
    venue: str
    stage: str
    needs_attention: bool
    open_orders: int
    open_positions: int
    still_open: tuple[str, ...] = ()
    looks: int = 0
    last_answer: str = ""
    last_look: datetime | None = None
    ended_at: datetime | None = None


class KillSwitch(msgspec.Struct, frozen=True, kw_only=True):
    """A kill switch; `stage` HALTED: the venue was seen to hold nothing that had to go."""

    kill_switch_id: str
    scope: str
    stage: str
    flatten: bool
    reason: str
    requested_by: str
    requested_at: datetime
    name: str | None = None
    ended_at: datetime | None = None
    workflow_url: str | None = None
    accounts: tuple[AccountStopping, ...] = ()

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more is done."""
        return self.stage in ("HALTED", "STOPPED")


class HaltAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a halt, which is in force; `started` False: `note` says what waits for what.

    `more` are the kill switches of a group's other accounts.
    """

    kill_switch: KillSwitch
    started: bool
    note: str | None = None
    more: tuple[KillSwitch, ...] = ()


class Halts(msgspec.Struct, frozen=True, kw_only=True):
    """The halts in force, and the newest kill switches."""

    halts: tuple[HaltInForce, ...]
    kill_switches: tuple[KillSwitch, ...]


class ResumeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a resume; `stopped` was ended by it, `halts` are left in force."""

    halts: tuple[HaltInForce, ...]
    stopped: KillSwitch | None = None
    more: tuple[KillSwitch, ...] = ()


class HaltsApi:
    """The halts of the API; `PerpDexClient.halts`. With no account, venue or group all are meant.

    A group is each account that is in it now; `more` in the answer are those after the first.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def halt(
        self,
        reason: str,
        *,
        account: str | None = None,
        venue: str | None = None,
        group: str | None = None,
        flatten: bool = False,
    ) -> HaltAnswer:
        """Refuse new exposure, cancel every order, and with `flatten` close every position.

        The halt is in force when this returns; asking again joins the kill switch that runs.

        Raises:
            UnknownObject: there is no such account.
            ServiceBusy: the database does not answer; nothing is halted.
        """
        body = {**_scope(account, venue, group), "reason": reason, "flatten": flatten}
        answer = await self._transport.call("POST", _PATH, body=body, repeatable=True)
        return _as(answer.document, HaltAnswer)

    async def resume(
        self,
        reason: str,
        *,
        account: str | None = None,
        venue: str | None = None,
        group: str | None = None,
        force: bool = False,
    ) -> ResumeAnswer:
        """Lift a halt; `force` also stops its kill switch, and leaves open what is open.

        Raises:
            StateConflict: nothing is halted by this scope, or its kill switch runs.
        """
        body = {**_scope(account, venue, group), "reason": reason, "force": force}
        answer = await self._transport.call("POST", "/api/v1/resume", body=body, repeatable=False)
        return _as(answer.document, ResumeAnswer)

    async def all(self) -> Halts:
        """Return the halts in force, and the newest kill switches."""
        return _as((await self._transport.call("GET", _PATH, repeatable=True)).document, Halts)

    async def get(self, kill_switch_id: str) -> KillSwitch:
        """Return a kill switch. Raises UnknownObject."""
        path = f"{_PATH}/{quote(kill_switch_id, safe='')}"
        answer = await self._transport.call("GET", path, repeatable=True)
        return _as(answer.document, KillSwitch)

    async def wait(
        self,
        kill_switch_id: str,
        *,
        timeout_s: float,
        changed: Callable[[KillSwitch], None] = lambda state: None,
    ) -> KillSwitch:
        """Return the kill switch once it has ended, or as it is when the time is over.

        Goes on through restarts of the API; `changed` is told of everything new.

        Raises:
            Unreachable, ServiceBusy: the API did not answer at the end either.
            UnknownObject: there is no such kill switch.
        """
        deadline = time.monotonic() + timeout_s
        told: KillSwitch | None = None
        while True:
            try:
                state = await self.get(kill_switch_id)
            except (Unreachable, ServiceBusy, UnreadableAnswer):
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            if state != told:
                told = state
                changed(state)
            if state.is_terminal or time.monotonic() >= deadline:
                return state
            await asyncio.sleep(min(_LOOK_EVERY_S, max(deadline - time.monotonic(), 0.0)))


def _scope(account: str | None, venue: str | None, group: str | None) -> dict[str, object]:
    if account is not None:
        return {"scope": "account", "account": account}
    if group is not None:
        return {"scope": "group", "group": group}
    return {"scope": "all"} if venue is None else {"scope": "venue", "venue": venue}


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(
            f"expected an answer of the API this client knows: {error}"
        ) from error
