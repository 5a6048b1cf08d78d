"""The dead man's switch over the API, typed."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.transport import Transport

_MARGIN_S = 10.0


class DeadMan(msgspec.Struct, frozen=True, kw_only=True):
    """An account's switch; `effect` is what going off means.

    `kept_by`: `venue`, or `watchdog` where the venue has none; None while no worker has looked.
    `armed` only by the venue's word, or while our watchdog is known to run.
    """

    account_id: str
    state: str
    armed: bool
    triggers_today: int
    effect: str
    triggers_most: int | None = None
    kept_by: str | None = None
    after_s: int | None = None
    armed_until: datetime | None = None
    reason: str | None = None


class DeadManApi:
    """Dead man's switches of the API; `PerpDexClient.dead_man`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def get(self, account: str) -> DeadMan:
        """Return how an account's switch stands. Raises UnknownObject."""
        answer = await self._transport.call("GET", _path(account), repeatable=True)
        return _as_dead_man(answer.document)

    async def want(self, account: str, after_s: int | None, *, wait_s: float = 5.0) -> DeadMan:
        """Arm it to go off after so many seconds of silence, or with None disarm it.

        Not confirmed within `wait_s` it is returned as it is.

        Raises:
            StateConflict: the venue refuses; it is not armed.
            UnknownObject: there is no such account.
        """
        answer = await self._transport.call(
            "POST",
            _path(account),
            body={"off": True} if after_s is None else {"after_s": after_s},
            headers={"Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as_dead_man(answer.document)


def _path(account: str) -> str:
    return f"/api/v1/accounts/{quote(account, safe='')}/dead-man"


def _as_dead_man(document: Any) -> DeadMan:
    try:
        return msgspec.convert(document, DeadMan)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected a dead man's switch from the API: {error}") from error
