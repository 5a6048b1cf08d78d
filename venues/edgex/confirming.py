"""Looking up, within a command's own time, what its answer left open.

An answer names an order and says nothing more, or says that a cancel was taken: so an order that
may not rest, one that may not cross, a cancel, and a refusal that is on no list are looked up at
once. Nothing is lost where that fails: the outcome then is what the answer proves alone.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from domain.accounts import Account, SecretText
from domain.commands import CommandKind
from domain.errors import VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.outcomes import Accepted, Acknowledged, Rejected, SendResult, Unknown
from venues.connector import VenueOrder
from venues.edgex.account_queries import AccountQueries
from venues.edgex.answers import Asked, cancel_confirmed, with_order
from venues.edgex.credential import ApiKey
from venues.edgex.dispatch import Dispatched
from venues.edgex.signing import Signer, check_allowed

#: Between two looks at an order whose cancel was taken.
_LOOK_EVERY_S: Final = 0.15
#: Orders that end, or are refused, as soon as the engine sees them.
_DECIDED_AT_ONCE: Final = ("IMMEDIATE_OR_CANCEL", "POST_ONLY")


class Confirming:
    """Makes of an answer what the venue's own record of the order says."""

    def __init__(self, queries: AccountQueries) -> None:
        self._queries = queries

    async def confirmed(
        self,
        sent: Dispatched,
        row: CommandRow,
        account: Account,
        signer: Signer,
        credential: SecretText,
        *,
        deadline: float,
    ) -> SendResult:
        """Return the result, confirmed as far as the time up to `deadline` allows."""
        result = sent.result
        if sent.reply is None:
            return result
        api = signer.credential(credential).api
        try:
            async with asyncio.timeout_at(deadline):
                if sent.unconfirmed is not None:
                    return await self._refused(sent, account, api)
                if isinstance(result.outcome, Acknowledged):
                    return await self._canceled(sent, account, api)
                if isinstance(result.outcome, Accepted) and _is_decided_at_once(row):
                    return await self._placed(sent, account, api)
        except (TimeoutError, VenueUnavailable, VenueRefused) as error:
            if sent.unconfirmed is not None:
                reason = f"refused by a code that is on no list, and not looked up: {error}"
                return replace(result, outcome=Unknown(reason=reason[:500]))
        return result

    async def _placed(self, sent: Dispatched, account: Account, api: ApiKey) -> SendResult:
        taken = sent.result.outcome
        if not isinstance(taken, Accepted) or taken.report is None:
            return sent.result
        found = await self._look(sent.asked, account, api, taken.report.venue_order_id)
        if found is None:
            return sent.result
        return replace(sent.result, outcome=with_order(taken.report, found))

    async def _canceled(self, sent: Dispatched, account: Account, api: ApiKey) -> SendResult:
        while True:
            found = await self._look(sent.asked, account, api, sent.asked.venue_order_id)
            if found is not None and sent.reply is not None:
                decided = cancel_confirmed(sent.asked, sent.reply, found)
                if decided is not None:
                    return replace(sent.result, outcome=decided)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _refused(self, sent: Dispatched, account: Account, api: ApiKey) -> SendResult:
        found = await self._look(sent.asked, account, api, None)
        if found is None:
            return sent.result
        refused = sent.result.outcome
        said = refused.reason if isinstance(refused, Rejected) else str(refused)
        reason = f"refused ({said}), and the venue has an order of this client id"
        return replace(sent.result, outcome=Unknown(reason=reason[:500]))

    async def _look(
        self, asked: Asked, account: Account, api: ApiKey, venue_order_id: str | None
    ) -> VenueOrder | None:
        found = await self._queries.find_order(
            account,
            api,
            client_order_id=asked.client_order_id,
            venue_order_id=venue_order_id,
        )
        return found.order


def _is_decided_at_once(row: CommandRow) -> bool:
    """Tell whether an order that was sent may be over before its answer: it may not rest."""
    if row.key.command is not CommandKind.PLACE:
        return False
    body: dict[str, Any] = check_allowed(row.message)["body"]
    return "triggerPrice" not in body and body.get("timeInForce") in _DECIDED_AT_ONCE
