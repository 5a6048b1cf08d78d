"""Changing how an account trades over the API: its credential, and its leverage per market."""

from __future__ import annotations

from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from perp_dex_client.errors import UnreadableAnswer
from perp_dex_client.models import Account
from perp_dex_client.transport import Transport

T = TypeVar("T")

_MARGIN_S: Final = 10.0


class Leverage(msgspec.Struct, frozen=True, kw_only=True):
    """A market's leverage and margin mode; not `decided`: it is being found out."""

    account: str
    account_id: str
    symbol: str
    leverage: int
    margin_mode: str
    decided: bool


class TradingSetupApi:
    """The setup of accounts; `PerpDexClient.setup`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def rotate(self, account: str, private_key: str, *, wait_s: float = 10.0) -> Account:
        """Change an account's credential; it trades on with the old one until then.

        An account whose `signer` is the old one is still being checked.

        Raises:
            OrderRefused: the credential is refused and destroyed; nothing has changed.
        """
        answer = await self._transport.call(
            "POST",
            f"/api/v1/accounts/{quote(account, safe='')}/credential",
            body={"private_key": private_key},
            headers={"Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Account)

    async def set_leverage(
        self,
        account: str,
        symbol: str,
        leverage: int,
        *,
        margin_mode: str = "CROSS",
        wait_s: float = 10.0,
    ) -> Leverage:
        """Set a market's leverage and margin mode.

        Raises:
            OrderRefused: the venue or a limit refuses it.
            StateConflict: another setting of the market is under way.
        """
        path = f"/api/v1/accounts/{quote(account, safe='')}/instruments/{quote(symbol, safe='')}"
        answer = await self._transport.call(
            "PUT",
            f"{path}/leverage",
            body={"leverage": leverage, "margin_mode": margin_mode},
            headers={"Prefer": f"wait={wait_s:.0f}"},
            repeatable=True,
            answer_within_s=wait_s + _MARGIN_S,
        )
        return _as(answer.document, Leverage)


def _as(document: Any, kind: type[T]) -> T:
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise UnreadableAnswer(f"expected {kind.__name__} from the API: {error}") from error
