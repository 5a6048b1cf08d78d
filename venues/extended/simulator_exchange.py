"""Commands of the simulated venue: who asks, what for, with which faults on the way there and back.

A body is taken or refused in one action of the exchange. Nothing remembers a request: the same
bytes sent twice are taken twice, because nobody has verified that they are not; what the contract
would not settle twice is never filled twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.extended.simulator_accounts import vault_of_api_key
from venues.extended.simulator_bodies import (
    Leverage,
    MassCancel,
    WrongShape,
    read,
    read_order,
)
from venues.extended.simulator_business import Business, Refused
from venues.simulation.commands import CommandFaults
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan
from venues.simulation.records import Account

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


def ok(data: Any = None, pagination: Any = None) -> Reply:
    """Write a successful answer; without data it has none."""
    body: dict[str, Any] = {"status": "OK"}
    if data is not None:
        body["data"] = data
    if pagination is not None:
        body["pagination"] = pagination
    return Reply(status=200, body=_ENCODER.encode(body))


def refusal(status: int, code: int | str, text: str) -> Reply:
    """Write a refusal."""
    body = {"status": "ERROR", "error": {"code": code, "message": text}}
    return Reply(status=status, body=_ENCODER.encode(body))


NO_KEY: Final = refusal(401, "UNAUTHORIZED", "Unauthorized")
TOO_MANY: Final = Reply(status=429, body=b"Too Many Requests", content_type="text/plain")


class Commands:
    """Takes commands and answers them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, business: Business) -> None:
        self._exchange = exchange
        self._command_faults = CommandFaults(exchange, faults)
        self._business = business

    async def place(self, body: bytes, api_key: str | None) -> Reply:
        """Answer a placement; one with `cancelId` is a modify to faults."""
        try:
            order = read_order(body)
        except WrongShape as wrong:
            return refusal(422, 422, str(wrong))
        name = "order" if order.cancel_id is None else "modify"
        return await self._answer(
            name, api_key, lambda account: self._business.place(order, account)
        )

    async def cancel(self, reference: int | str, api_key: str | None) -> Reply:
        """Answer the cancel of one order; success has no data."""

        def apply(account: Account) -> None:
            self._business.cancel(account, reference)

        return await self._answer("cancel", api_key, apply)

    async def mass_cancel(self, body: bytes, api_key: str | None) -> Reply:
        """Answer a cancel of many."""
        try:
            wanted = read(body, MassCancel)
        except WrongShape as wrong:
            return refusal(422, 422, str(wrong))

        def apply(account: Account) -> dict[str, Any]:
            self._business.mass_cancel(wanted, account)
            return {}

        return await self._answer("cancel", api_key, apply)

    async def cancel_all_after(self, countdown: str | None, api_key: str | None) -> Reply:
        """Answer the countdown that cancels everything."""

        def apply(account: Account) -> None:
            self._business.cancel_all_after(countdown, account)

        return await self._answer("deadmanswitch", api_key, apply)

    async def set_leverage(self, body: bytes, api_key: str | None) -> Reply:
        """Answer a change of leverage."""
        try:
            wanted = read(body, Leverage)
        except WrongShape as wrong:
            return refusal(422, 422, str(wrong))
        return await self._answer(
            "leverage", api_key, lambda account: self._business.set_leverage(wanted, account)
        )

    async def _answer(
        self, name: str, api_key: str | None, apply: Callable[[Account], Any]
    ) -> Reply:
        early = await self._before(name)
        if early is not None:
            return early
        with self._exchange.action(name) as receipt:
            reply = self._applied(api_key, apply)
        await self._exchange.durable(receipt)
        return await self._after(name, reply)

    def _applied(self, api_key: str | None, apply: Callable[[Account], Any]) -> Reply:
        tables = self._exchange.tables
        vault = vault_of_api_key(tables, api_key)
        if vault is None:
            return NO_KEY
        try:
            return ok(apply(tables.accounts[vault]))
        except Refused as refused:
            return refusal(refused.status, refused.code, refused.text)

    async def _before(self, name: str) -> Reply | None:
        fault = await self._command_faults.before((name,))
        if fault is None:
            return None
        if fault is FaultKind.RATE_LIMIT:
            return TOO_MANY
        return refusal(500, 1006, "Unhandled error")

    async def _after(self, name: str, reply: Reply) -> Reply:
        fault = await self._command_faults.after((name,))
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return Reply(status=504, body=b"upstream request timeout", content_type="text/plain")
        if fault is FaultKind.GARBLE:
            return Reply(status=reply.status, body=reply.body[: len(reply.body) // 2])
        return reply
