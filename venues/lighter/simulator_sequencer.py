"""Transactions of the simulated venue: taken by its API server, executed by its sequencer.

Checks in the venue's order: shape, expiry, key and signature, nonce, form. What passes uses its
nonce and is acknowledged under its hash; the sequencer comes to it after a delay (none, unless the
switches say so), and whatever it makes of it shows in the state of orders alone. Refused by the
server, a transaction leaves its nonce; a copy finds its nonce used.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from venues.lighter import simulator_transactions as tx
from venues.lighter.simulator_business import Business, Refused
from venues.lighter.simulator_signature import NotVerified, verify_transaction
from venues.lighter.simulator_transactions import BadTransaction, Transaction, read_transaction
from venues.simulation.commands import CommandFaults
from venues.simulation.exchange import Exchange
from venues.simulation.faults import FaultKind, FaultPlan

Json = dict[str, Any]

FAILED, PENDING, EXECUTED = 0, 1, 2
_ENCODER: Final = msgspec.json.Encoder()
_BATCH_MAX: Final = 50
_KEPT_MAX: Final = 20_000
#: What faults may be filtered by.
_NAMES: Final = {
    tx.CREATE_ORDER: ("create_order", "order"),
    tx.CREATE_GROUP: ("create_group", "order"),
    tx.CANCEL_ORDER: ("cancel_order", "cancel"),
    tx.CANCEL_ALL: ("cancel_all",),
    tx.MODIFY_ORDER: ("modify_order", "modify"),
}
_NOT_DELAYED: Final = frozenset({tx.UPDATE_LEVERAGE, tx.UPDATE_MARGIN, tx.CANCEL_ALL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"


@dataclass(slots=True, kw_only=True)
class Kept:
    """A transaction that was taken, and how far it is."""

    transaction: Transaction
    info: str
    status: int
    queued_ms: int
    executed_ms: int = 0
    error: str = ""


def encode(body: Json) -> bytes:
    """Write an answer."""
    return _ENCODER.encode(body)


def refusal(code: int, text: str, status: int = 400) -> Reply:
    """Write a refusal."""
    return Reply(status=status, body=encode({"code": code, "message": text}))


class Sequencer:
    """Takes transactions, over HTTP or a socket, and executes them."""

    def __init__(self, exchange: Exchange, faults: FaultPlan, chain_id: int) -> None:
        self._exchange = exchange
        self._command_faults = CommandFaults(exchange, faults)
        self._chain_id = chain_id
        self._business = Business(exchange)
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._under_way: set[asyncio.Task[None]] = set()
        #: Told of each transaction that was executed.
        self.on_executed: list[Any] = []

    def next_nonce(self, account_index: int, key_index: int) -> int:
        """Return the nonce that is expected next of a key."""
        return self._exchange.tables.settings.get(_nonce_name(account_index, key_index), 0)

    def found(self, tx_hash: str) -> tuple[int, Kept | None] | None:
        """Return a transaction's status, and itself unless it is of an earlier run."""
        kept = self._kept.get(tx_hash)
        if kept is not None:
            return kept.status, kept
        status = self._exchange.tables.settings.get(f"tx/{tx_hash}")
        return None if status is None else (status, None)

    async def submit(self, tx_type: int, tx_info: str) -> Reply:
        """Answer one transaction. Raises `ConnectionDropped` where a fault cuts the connection."""
        return await self._submit([(tx_type, tx_info)], is_batch=False)

    async def submit_batch(self, tx_types: str, tx_infos: str) -> Reply:
        """Answer several transactions of one key, all taken or none."""
        try:
            types, infos = json.loads(tx_types), json.loads(tx_infos)
            pairs = [(int(kind), str(info)) for kind, info in zip(types, infos, strict=True)]
        except (ValueError, TypeError):
            return refusal(21513, "tx types and tx infos have different lengths")
        if not 0 < len(pairs) <= _BATCH_MAX:
            return refusal(21514, "too many transactions in a batch")
        return await self._submit(pairs, is_batch=True)

    async def close(self) -> None:
        """Let go of what the sequencer has not come to."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _submit(self, pairs: Sequence[tuple[int, str]], *, is_batch: bool) -> Reply:
        try:
            read = [read_transaction(kind, info, self._chain_id) for kind, info in pairs]
        except BadTransaction as bad:
            return refusal(bad.code, str(bad))
        names = _NAMES.get(pairs[0][0], ("transaction",)) if not is_batch else ("batch",)
        early = await self._before(names)
        if early is not None:
            return early
        infos = [info for _, info in pairs]
        delay_ms = self._delay_ms(read)
        with self._exchange.action(names[0]) as receipt:
            reply = self._take(read, infos, delayed=delay_ms > 0, is_batch=is_batch)
        await self._exchange.durable(receipt)
        if reply.status == 200:
            self._go_on(read, delay_ms)
        return await self._after(names, reply)

    def _take(
        self, read: Sequence[Transaction], infos: Sequence[str], *, delayed: bool, is_batch: bool
    ) -> Reply:
        """Check transactions and use their nonces; execute them at once unless they are delayed."""
        owner = (read[0].account_index, read[0].key_index)
        try:
            for number, transaction in enumerate(read):
                if (transaction.account_index, transaction.key_index) != owner:
                    raise Refused(21121, "all transactions must have the same owner")
                self._verify(transaction, self.next_nonce(*owner) + number)
            for transaction in read:
                self._business.check(transaction)
            if not delayed and not is_batch:
                self._business.apply(read[0])
        except (NotVerified, Refused) as refused:
            return refusal(refused.code, str(refused))
        for transaction, info in zip(read, infos, strict=True):
            self._keep(transaction, info, PENDING if delayed else EXECUTED)
            if is_batch and not delayed:
                self._execute_one(transaction)
        self._exchange.setting(_nonce_name(*owner), read[-1].nonce + 1)
        hashes = [transaction.tx_hash for transaction in read]
        return Reply(
            status=200,
            body=encode(
                {
                    "code": 200,
                    "message": '{"ratelimit": "didn\'t use volume quota"}',
                    "tx_hash": hashes if is_batch else hashes[0],
                    "predicted_execution_time_ms": self._exchange.now_ms(),
                }
            ),
        )

    def _verify(self, transaction: Transaction, expected: int) -> None:
        if transaction.expires_ms <= self._exchange.now_ms():
            raise Refused(21501, "invalid tx info: transaction expired")
        verify_transaction(self._exchange.tables, transaction)
        if transaction.nonce != expected:
            raise Refused(21104, f"invalid nonce: expected {expected}, got {transaction.nonce}")

    def _keep(self, transaction: Transaction, info: str, status: int) -> None:
        now_ms = self._exchange.now_ms()
        kept = Kept(transaction=transaction, info=info, status=status, queued_ms=now_ms)
        kept.executed_ms = now_ms if status == EXECUTED else 0
        self._kept[transaction.tx_hash] = kept
        if len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        self._exchange.setting(f"tx/{transaction.tx_hash}", status)

    def _go_on(self, read: Sequence[Transaction], delay_ms: int) -> None:
        if not delay_ms:
            self._tell(read)
            return
        task = asyncio.create_task(self._execute(read, delay_ms), name="sequencer")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _execute(self, read: Sequence[Transaction], delay_ms: int) -> None:
        await asyncio.sleep(delay_ms / 1_000)
        with self._exchange.action("sequenced") as receipt:
            for transaction in read:
                self._execute_one(transaction)
        await self._exchange.durable(receipt)
        self._tell(read)

    def _execute_one(self, transaction: Transaction) -> None:
        """Do what an acknowledged transaction says; where it is refused now, nobody is told."""
        kept = self._kept[transaction.tx_hash]
        kept.status, kept.executed_ms = EXECUTED, self._exchange.now_ms()
        try:
            self._business.apply(transaction)
        except Refused as refused:
            kept.status, kept.error = FAILED, str(refused)
        self._exchange.setting(f"tx/{transaction.tx_hash}", kept.status)

    def _tell(self, read: Sequence[Transaction]) -> None:
        for transaction in read:
            for listener in self.on_executed:
                listener(self._kept[transaction.tx_hash])

    def _delay_ms(self, read: Sequence[Transaction]) -> int:
        """Return how long the sequencer takes: takers and cancels wait longer."""
        switches = self._exchange.switches
        if read[0].tx_type in _NOT_DELAYED:
            return 0
        makes = all(
            one.tx_type == tx.CREATE_ORDER and one.fields["TimeInForce"] == 2 for one in read
        )
        return switches.sequencing_ms + (0 if makes else switches.speed_bump_ms)

    async def _before(self, names: tuple[str, ...]) -> Reply | None:
        fault = await self._command_faults.before(names)
        if fault is None:
            return None
        if fault is FaultKind.RATE_LIMIT:
            return refusal(23000, "Too Many Requests!", 429)
        return refusal(29500, "internal server error", 500)

    async def _after(self, names: tuple[str, ...], reply: Reply) -> Reply:
        fault = await self._command_faults.after(names)
        if fault is FaultKind.ERROR_AFTER_APPLY:
            return Reply(status=504, body=b"upstream request timeout", content_type="text/plain")
        if fault is FaultKind.GARBLE:
            return Reply(status=reply.status, body=reply.body[: len(reply.body) // 2])
        return reply


def _nonce_name(account_index: int, key_index: int) -> str:
    return f"nonce/{account_index}/{key_index}"
