"""From a ledger row to a signed transaction, to the wire, to an outcome.

The transaction was signed when its row was written, so that its hash is known before it leaves; it
is sent in its lane's turn. Whatever stops a command before its first byte is NotSent on a first
send, and Unknown on a resend: of the earlier copy it says nothing. Never raises for what the venue
or the network does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from domain.accounts import Account, Network, TradingAccess
from domain.commands import CommandKind
from domain.errors import InvalidInput, NotAllowed, VenueRefused, VenueUnavailable
from domain.ledger import CommandRow
from domain.outcomes import Accepted, Acknowledged, NotSent, Outcome, Rejected, SendResult, Unknown
from venues.lighter.answers import Answered, Asked, answered
from venues.lighter.credential import LighterCredential, account_index_of, read_credential
from venues.lighter.limits import Purpose
from venues.lighter.queries import Queries
from venues.lighter.rest import Rest
from venues.lighter.signing import (
    CANCEL_ALL,
    CREATE_ORDER,
    SignedTransaction,
    Signer,
    check_allowed,
    read_signed,
)
from venues.lighter.translate import VENUE
from venues.lighter.turns import Turn, Turns
from venues.transport import Clock, NoAnswer, NothingSent, PostResult, WriteGate, raw_evidence

SEND_BY_PASSED: Final = "send_by passed"
_NOTHING_LEFT: Final = "no byte was written"
#: How long a copy, or what has no moment, waits for its turn.
_TURN_WAIT_S: Final = 5.0
_BURN_LOOKS_S: Final = (0.0, 0.2, 0.4, 0.6)


class _NotSendableError(Exception):
    """Nothing can be sent; the message says why."""

    def __init__(self, reason: str, *, retryable: bool = False) -> None:
        super().__init__(reason)
        self.retryable = retryable


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A transaction that may be sent, and what its answer is compared with."""

    credential: LighterCredential
    transaction: SignedTransaction
    key_index: int
    asked: Asked
    purpose: Purpose

    @property
    def lane(self) -> tuple[int, int]:
        return self.credential.account_index, self.key_index


class Dispatch:
    """Signs and sends; knows the network it sends to."""

    def __init__(
        self,
        network: Network,
        rest: Rest,
        queries: Queries,
        signer: Signer,
        turns: Turns,
        clock: Clock,
    ) -> None:
        self._network = network
        self._rest = rest
        self._queries = queries
        self._signer = signer
        self._turns = turns
        self._clock = clock

    async def send_row(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        """Send a row's transaction; an acknowledgement is all that it can get."""
        try:
            prepared = self._prepare(row, access)
        except _NotSendableError as error:
            return _unsent(str(error), first=first, retryable=error.retryable)
        assert row.nonce is not None  # noqa: S101 - prepared
        if not first:
            return await self._send_copy(prepared)
        wait_s = max((row.send_by - self._clock()).total_seconds(), 0.0)
        async with self._turns.turn(prepared.lane, row.nonce, wait_s=wait_s) as turn:
            if turn is None:
                reason = SEND_BY_PASSED if wait_s <= 0 else "its turn did not come in time"
                return _unsent(reason, first=True, retryable=True)
            refusal = await self._nonce_refusal(turn, prepared, row.nonce)
            if refusal is not None:
                return refusal
            gate: WriteGate = lambda: SEND_BY_PASSED if self._clock() >= row.send_by else None  # noqa: E731
            return await self._post(turn, prepared, row.nonce, gate)

    async def burn(self, row: CommandRow, access: TradingAccess, *, first: bool) -> SendResult:
        """Use up the nonce of a row, and find out whether it was this transaction that did.

        Whichever copy: as long as the venue expects the nonce it may be sent, since whatever of it
        and of the other transaction with that nonce comes first keeps the other out.
        """
        try:
            prepared = self._prepare(row, access)
        except _NotSendableError as error:
            return _unsent(str(error), first=first, retryable=error.retryable)
        assert row.nonce is not None  # noqa: S101 - prepared
        try:
            return await self._burn(row, row.nonce, prepared, first=first)
        except (VenueUnavailable, VenueRefused) as error:
            return _unsent(str(error), first=first, retryable=True)

    async def _burn(
        self, row: CommandRow, nonce: int, prepared: _Prepared, *, first: bool
    ) -> SendResult:
        async with self._turns.turn(prepared.lane, None, wait_s=_TURN_WAIT_S) as turn:
            if turn is None:
                return _unsent("its turn did not come in time", first=first, retryable=True)
            expected = await self._ask_nonce(turn, prepared)
            if expected < nonce:
                return _unsent(
                    f"the venue expects nonce {expected} before", first=first, retryable=True
                )
            if expected == nonce:
                gate: WriteGate | None = None
                if first:
                    gate = lambda: SEND_BY_PASSED if self._clock() >= row.send_by else None  # noqa: E731
                sent = await self._post(turn, prepared, nonce, gate)
                if not isinstance(sent.outcome, Acknowledged):
                    return sent
        tx_hash = prepared.transaction.tx_hash
        for pause_s in _BURN_LOOKS_S if expected == nonce else (0.0,):
            await asyncio.sleep(pause_s)
            if await self._queries.is_executed(tx_hash, purpose=Purpose.CANCEL):
                return SendResult(outcome=Accepted())
        if expected == nonce:
            return SendResult(outcome=Unknown(reason="acknowledged, and not executed yet"))
        return SendResult(
            outcome=Rejected(
                code="nonce_used",
                reason=f"nonce {nonce} was used by another transaction",
                proof=f"nextNonce is {expected}, and {tx_hash} was not executed",
            )
        )

    async def send_message(
        self, text: str, access: TradingAccess, *, purpose: Purpose = Purpose.COMMAND
    ) -> SendResult:
        """Send a transaction that has no row: a setting, by the key kept for that.

        Its nonce is the one that the venue names; where somebody else takes it first, the venue
        refuses this one.
        """
        try:
            credential = self._credential(access)
            key_index = credential.own_index
            nonce = await self._queries.next_nonce(
                credential.account_index, key_index, purpose=purpose
            )
            made = self._signer.sign(credential, text, key_index=key_index, nonce=nonce)
        except (_NotSendableError, InvalidInput, NotAllowed) as error:
            return _unsent(str(error), first=True, retryable=False)
        except (VenueUnavailable, VenueRefused) as error:
            return _unsent(str(error), first=True, retryable=True)
        result = await self._rest.post(made, purpose=purpose)
        found = _decided(result, Asked(kind=None, tx_hash=made.tx_hash), first=True)
        if not isinstance(found.result.outcome, Acknowledged):
            return found.result
        for pause_s in _BURN_LOOKS_S:
            await asyncio.sleep(pause_s)
            try:
                if await self._queries.is_executed(made.tx_hash, purpose=purpose):
                    return SendResult(outcome=Accepted(), raw=found.result.raw)
            except VenueUnavailable:
                continue
        return found.result

    async def _send_copy(self, prepared: _Prepared) -> SendResult:
        async with self._turns.turn(prepared.lane, None, wait_s=_TURN_WAIT_S) as turn:
            if turn is None:
                return _unsent("its turn did not come in time", first=False, retryable=True)
            result = await self._rest.post(prepared.transaction, purpose=prepared.purpose)
            found = _decided(result, prepared.asked, first=False)
            if isinstance(found.result.outcome, Acknowledged):
                turn.learn(None)
            return found.result

    async def _post(
        self, turn: Turn, prepared: _Prepared, nonce: int, gate: WriteGate | None
    ) -> SendResult:
        """Send, and learn from the answer what the venue expects next."""
        # Whatever happens from here on, even that nobody waits any more, nothing is known.
        before = turn.expected
        turn.learn(None)
        result = await self._rest.post(prepared.transaction, purpose=prepared.purpose, gate=gate)
        found = _decided(result, prepared.asked, first=True)
        if isinstance(found.result.outcome, Acknowledged):
            turn.took(nonce)
        elif found.leaves_nonce:
            turn.learn(before)
        return found.result

    async def _nonce_refusal(
        self, turn: Turn, prepared: _Prepared, nonce: int
    ) -> SendResult | None:
        """Ask the venue what it expects, where that is not known; None: it is this nonce."""
        expected = turn.expected
        if expected is None:
            try:
                expected = await self._ask_nonce(turn, prepared)
            except (VenueUnavailable, VenueRefused) as error:
                return _unsent(str(error), first=True, retryable=True)
        if expected == nonce:
            return None
        return _unsent(
            f"lane {prepared.key_index} is at nonce {expected}, and the command has {nonce}",
            first=True,
            retryable=True,
        )

    async def _ask_nonce(self, turn: Turn, prepared: _Prepared) -> int:
        account_index, key_index = prepared.lane
        expected = await self._queries.next_nonce(
            account_index, key_index, purpose=prepared.purpose
        )
        turn.learn(expected)
        return expected

    def _prepare(self, row: CommandRow, access: TradingAccess) -> _Prepared:
        self._check_row(row, access.account)
        credential = self._credential(access)
        if credential.signer != row.signer:
            raise _NotSendableError(
                f"expected the keys of {row.signer}, found {credential.signer}'s"
            )
        if row.nonce is None or not (row.lane.isascii() and row.lane.isdigit()):
            raise _NotSendableError(
                f"expected a nonce and an API key's lane, found {row.nonce} and {row.lane!r}"
            )
        key_index = int(row.lane)
        try:
            read = check_allowed(row.message)
            transaction = self._signed(row, credential, key_index, row.nonce)
        except (NotAllowed, InvalidInput) as error:
            raise _NotSendableError(f"the row's message is none of ours: {error}") from None
        is_placement = row.key.command is CommandKind.PLACE
        if is_placement != (read["tx_type"] == CREATE_ORDER) or read["tx_type"] == CANCEL_ALL:
            raise _NotSendableError(
                f"expected the message of a {row.key.command}, found type {read['tx_type']}"
            )
        return _Prepared(
            credential=credential,
            transaction=transaction,
            key_index=key_index,
            asked=Asked(
                kind=row.key.command,
                tx_hash=transaction.tx_hash,
                order_id=row.key.order_id,
                revision=row.target_revision,
            ),
            purpose=_purpose(read),
        )

    def _signed(
        self, row: CommandRow, credential: LighterCredential, key_index: int, nonce: int
    ) -> SignedTransaction:
        if row.signed is None:
            raise NotAllowed("expected a signed transaction, found none")
        found: SignedTransaction = read_signed(
            row.signed,
            row.message,
            account=credential.account_index,
            key_index=key_index,
            nonce=nonce,
        )
        return found

    def _credential(self, access: TradingAccess) -> LighterCredential:
        try:
            credential = read_credential(access.credential)
            index = account_index_of(access.account.address)
        except InvalidInput as error:
            raise _NotSendableError(str(error)) from None
        if credential.account_index != index:
            raise _NotSendableError(
                f"expected keys of account {index}, found account {credential.account_index}'s"
            )
        return credential

    def _check_row(self, row: CommandRow, account: Account) -> None:
        if row.venue != VENUE or row.network is not self._network:
            raise _NotSendableError(
                f"expected a row for {VENUE} {self._network}, found {row.venue} {row.network}"
            )
        if row.account_id != account.account_id:
            raise _NotSendableError(
                f"expected access to account {row.account_id!r}, found {account.account_id!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    result: SendResult
    leaves_nonce: bool = False


def _decided(result: PostResult, asked: Asked, *, first: bool) -> _Decided:
    if isinstance(result, NothingSent):
        return _Decided(
            result=_unsent(result.reason, first=first, retryable=True), leaves_nonce=True
        )
    if isinstance(result, NoAnswer):
        raw = raw_evidence(result.partial) if result.partial else None
        return _Decided(result=SendResult(outcome=Unknown(reason=result.reason), raw=raw))
    found: Answered = answered(result, asked, first=first)
    sent = SendResult(
        outcome=found.outcome,
        raw=raw_evidence(result.body),
        received_at=result.received_at,
        leaves_nonce=found.leaves_nonce,
    )
    return _Decided(result=sent, leaves_nonce=found.leaves_nonce)


def _purpose(message: dict[str, int]) -> Purpose:
    """Whatever cuts risk may use the whole budget: cancels, and reduce-only orders."""
    if message["tx_type"] != CREATE_ORDER or message["ReduceOnly"]:
        return Purpose.CANCEL
    return Purpose.COMMAND


def _unsent(reason: str, *, first: bool, retryable: bool) -> SendResult:
    outcome: Outcome = Unknown(reason=f"not sent again: {reason}")
    if first:
        outcome = NotSent(reason=reason, proof=_NOTHING_LEFT, retryable=retryable)
    return SendResult(outcome=outcome, leaves_nonce=first)
