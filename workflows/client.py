"""The door to workflows for everybody else: start, ask, signal, query. Knows no venue and no SQL.

An error here is never a rejection: only an explicit refusal of a *start* means that nothing is
sent. Whatever else goes wrong leaves the order undecided, and the caller asks again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from temporalio.client import (
    Client,
    WithStartWorkflowOperation,
    WorkflowExecutionStatus,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts import AccountTask
from domain.accounts import Account
from domain.errors import Conflict, NotFound, Unavailable
from domain.orders import Order, OrderReport
from workflows import describing, ids, policies
from workflows.account import VerifyAccountWorkflow
from workflows.contracts import (
    CancelRequest,
    ModifyRequest,
    OrderStart,
    PlaceRequest,
    RequestReply,
    ResolveRequest,
    StartMode,
)
from workflows.order import OrderWorkflow
from workflows.payloads import KeySource, data_converter
from workflows.reaching import (
    QUERY_TIMEOUT,
    SIGNAL_TIMEOUT,
    asked,
    cancel_lastingly,
    never_left,
    queried,
    refusal_of,
    serialization_context,
    signal_lastingly,
    started,
    unreached,
)

RESOLVE_WAIT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """What became of a placement within the wait: the order, if its outcome is known."""

    order: Order | None
    decided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswer:
    """What became of a cancel, modify or resolve within the wait."""

    order: Order | None
    decided: bool
    refusal: str | None = None


class Delivered(StrEnum):
    """What became of a report sent to an order's workflow."""

    DELIVERED = "delivered"
    CLOSED = "closed"
    MISSING = "missing"


async def connect(
    address: str,
    namespace: str,
    keys: KeySource,
    *,
    refused: Callable[[str], None] = lambda reason: None,
    lazy: bool = True,
) -> Client:
    """Return a Temporal client with the encrypted converter, which reconnects by itself.

    A `lazy` one connects at its first call; a worker needs one that is connected.

    Raises:
        Unavailable: not lazy, and Temporal cannot be reached.
    """
    converter = data_converter(keys, refused=refused)
    try:
        return await Client.connect(
            address, namespace=namespace, data_converter=converter, lazy=lazy
        )
    except RuntimeError as error:
        raise Unavailable(f"Temporal at {address} cannot be reached: {error}") from None


class OrderWorkflows:
    """Starts, asks, signals and queries the workflows of orders and accounts."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @staticmethod
    def workflow_id(order_id: str) -> str:
        """Return the id of an order's workflow, as the web UI shows it."""
        return ids.order_workflow_id(order_id)

    @property
    def namespace(self) -> str:
        """The Temporal namespace."""
        return self._client.namespace

    async def place(
        self, order: Order, *, wait_s: float, account_label: str | None = None
    ) -> Placement:
        """Start the order's workflow, or join it, and wait for the outcome at most `wait_s`.

        Raises:
            Conflict: another request has this key (code `idempotency_mismatch`), or the workflow
                has closed (code `workflow_closed`; the store has the order).
            Unavailable: the start was provably refused; nothing is sent.
        """
        start = WithStartWorkflowOperation(
            OrderWorkflow.run,
            OrderStart(order=order, status_at_close=True),
            id=ids.order_workflow_id(order.order_id),
            task_queue=ids.venue_queue(order.venue),
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            task_timeout=policies.TASK_TIMEOUT,
            search_attributes=ids.order_attributes(order),
            static_summary=describing.summary(order, account_label or order.account_id),
        )
        hearing = asyncio.create_task(_hear(start))
        try:
            async with asyncio.timeout(wait_s):
                placed: Order = await self._client.execute_update_with_start_workflow(
                    "place",
                    PlaceRequest(fingerprint=order.fingerprint),
                    start_workflow_operation=start,
                    id="place",
                    result_type=Order,
                )
        except TimeoutError:
            return Placement(order=None, decided=False)
        except WorkflowAlreadyStartedError:
            raise Conflict("the order's workflow has closed", code="workflow_closed") from None
        except WorkflowUpdateFailedError as error:
            raise refusal_of(error) from None
        except WorkflowUpdateRPCTimeoutOrCancelledError:
            return Placement(order=None, decided=False)
        except RuntimeError as error:
            raise Unavailable(f"Temporal cannot be reached; nothing was sent ({error})") from None
        except RPCError as error:
            return await self._after_failed_start(order.order_id, error)
        finally:
            hearing.cancel()
        if placed.fingerprint != order.fingerprint:
            # Joining an update by its id does not run its validator.
            raise Conflict("another request has this key already", code="idempotency_mismatch")
        decided = placed.outcome not in ("pending", "unknown")
        return Placement(order=placed if decided else None, decided=decided)

    async def _after_failed_start(self, order_id: str, error: RPCError) -> Placement:
        """Tell whether a failed start started all the same; never call it refused on a guess."""
        if error.status in (RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.NOT_FOUND):
            return Placement(order=None, decided=False)
        refused = error.status is RPCStatusCode.RESOURCE_EXHAUSTED or never_left(error)
        if await self._exists(order_id) is False and refused:
            raise Unavailable(f"Temporal does not answer; nothing was sent ({error.message})")
        return Placement(order=None, decided=False)

    async def _exists(self, order_id: str) -> bool | None:
        try:
            await self._handle(order_id).describe(rpc_timeout=QUERY_TIMEOUT)
        except RPCError as error:
            return False if error.status is RPCStatusCode.NOT_FOUND else None
        return True

    async def cancel(self, order_id: str, request_id: str, *, wait_s: float) -> RequestAnswer:
        """Cancel an order; `decided` when its end is known.

        Not decided, the request is kept all the same, also where no worker has heard it.

        Raises:
            Conflict: the order has ended (code `order_ended`) or its workflow closed.
            NotFound: no workflow of that order.
            Unavailable: Temporal does not answer; whether the request arrived is unknown.
        """
        handle = self._handle(order_id)
        answer = await self._request(
            handle.execute_update(
                "cancel",
                CancelRequest(request_id=request_id),
                id=request_id,
                result_type=RequestReply,
            ),
            wait_s,
        )
        if not answer.decided:
            await cancel_lastingly(handle)
        return answer

    async def modify(
        self,
        order_id: str,
        request_id: str,
        *,
        price: Decimal | None,
        quantity: Decimal | None,
        wait_s: float,
    ) -> RequestAnswer:
        """Replace an order's price or total quantity; `decided` when the replacement is decided.

        Not decided, the request is kept all the same, also where no worker has heard it: it is
        begun within the order's own time to be placed, or refused, and the timeline tells which.

        Raises: as `cancel`, and Conflict with code `modify_refused` or `not_placed`.
        """
        wanted = ModifyRequest(
            request_id=request_id,
            quantity=quantity,
            price=price,
            asked_at=datetime.now(UTC),
        )
        handle = self._handle(order_id)
        answer = await self._request(
            handle.execute_update("modify", wanted, id=request_id, result_type=RequestReply),
            wait_s,
        )
        if not answer.decided:
            await signal_lastingly(handle, "keep_modify", wanted)
        return answer

    async def resolve(
        self,
        order_id: str,
        request_id: str,
        *,
        verdict: Literal["absent", "accepted"],
        reason: str,
        by: str,
    ) -> RequestAnswer:
        """Give an operator's word on an unknown order.

        Raises: as `cancel`; Unavailable also where no worker took it in time. A word is not kept,
        since what is known of the order may be another then.
        """
        word = ResolveRequest(request_id=request_id, verdict=verdict, reason=reason, by=by)
        handle = self._handle(order_id)
        answer = await self._request(
            handle.execute_update("resolve", word, id=request_id, result_type=RequestReply),
            RESOLVE_WAIT_S,
        )
        if not answer.decided:
            raise Unavailable(
                f"no worker answered within {RESOLVE_WAIT_S:g} s whether it took the word; check "
                "that the worker runs, and give it again with the same Idempotency-Key"
            )
        return answer

    async def _request(self, call: Awaitable[RequestReply], wait_s: float) -> RequestAnswer:
        reply = await asked(call, wait_s)
        if reply is None or not reply.decided:
            return RequestAnswer(order=None, decided=False)
        return RequestAnswer(order=reply.order, decided=True, refusal=reply.refusal)

    async def report(self, order_id: str, report: OrderReport) -> Delivered:
        """Tell an order's workflow of a report.

        Raises:
            Unavailable: Temporal does not answer; send it again.
        """
        return await self._signal(order_id, "report", report)

    async def reconsider(self, order_id: str) -> Delivered:
        """Tell an order's workflow to look into the ledger again. Raises as `report`."""
        return await self._signal(order_id, "reconsider")

    async def _signal(self, order_id: str, name: str, *args: object) -> Delivered:
        handle = self._handle(order_id)
        try:
            await handle.signal(name, args=args, rpc_timeout=SIGNAL_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if isinstance(reason, NotFound):
                return Delivered.MISSING
            if isinstance(reason, Conflict):
                return Delivered.CLOSED
            raise reason from None
        return Delivered.DELIVERED

    async def state(self, order_id: str) -> Order:
        """Return the order as its workflow knows it.

        Raises:
            NotFound: no such workflow.
            Unavailable: no worker answers in 3 s.
        """
        return await queried(self._handle(order_id), OrderWorkflow.state)

    async def pending(self, order_id: str) -> Order | None:
        """Return the order a workflow was started with, or None if there is no such workflow.

        Needs no worker: reads the start from the history.

        Raises:
            Unavailable: Temporal does not answer.
        """
        handle = self._handle(order_id)
        try:
            first = await anext(aiter(handle.fetch_history_events(page_size=1)))
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if isinstance(reason, NotFound):
                return None
            raise reason from None
        attributes = first.workflow_execution_started_event_attributes
        converter = self._client.data_converter.with_context(
            serialization_context(self._client.namespace, handle.id)
        )
        values = await converter.decode(attributes.input.payloads, [OrderStart])
        start: OrderStart = values[0]
        return start.order

    async def is_running(self, order_id: str) -> bool | None:
        """Tell whether an order's workflow runs; None when there is none of that id.

        Raises:
            Unavailable: Temporal does not answer.
        """
        try:
            description = await self._handle(order_id).describe(rpc_timeout=QUERY_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            reason = unreached(error)
            if isinstance(reason, NotFound):
                return None
            raise reason from None
        return description.status is WorkflowExecutionStatus.RUNNING

    async def adopt(self, order: Order, *, completed_too: bool = False) -> bool:
        """Start a workflow that takes over an order nobody manages; False if one runs already.

        `completed_too` starts one although an earlier one completed: the order lives again.

        Raises:
            Unavailable: Temporal does not answer.
        """
        reuse = (
            WorkflowIDReusePolicy.ALLOW_DUPLICATE
            if completed_too
            else WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY
        )
        return await started(
            self._client.start_workflow(
                OrderWorkflow.run,
                OrderStart(order=order, mode=StartMode.ADOPT, status_at_close=True),
                id=ids.order_workflow_id(order.order_id),
                task_queue=ids.venue_queue(order.venue),
                id_reuse_policy=reuse,
                task_timeout=policies.TASK_TIMEOUT,
                search_attributes=ids.order_attributes(order),
                static_summary=describing.summary(order, order.account_id),
                rpc_timeout=SIGNAL_TIMEOUT,
            )
        )

    async def verify_account(self, account_id: str, venue: str, *, wait_s: float) -> Account | None:
        """Have a worker check an account's credential; None when it is not done in time.

        Raises:
            Unavailable: Temporal does not answer.
        """
        try:
            async with asyncio.timeout(wait_s):
                return await self._client.execute_workflow(
                    VerifyAccountWorkflow.run,
                    AccountTask(account_id=account_id),
                    id=ids.account_workflow_id(account_id),
                    task_queue=ids.venue_queue(venue),
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    task_timeout=policies.TASK_TIMEOUT,
                )
        except TimeoutError:
            return None
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None

    async def healthy(self) -> bool:
        """Tell whether Temporal answers."""
        try:
            return await self._client.service_client.check_health(timeout=timedelta(seconds=2))
        except (RPCError, RuntimeError):
            return False

    def _handle(self, order_id: str) -> WorkflowHandle[OrderWorkflow, str]:
        return self._client.get_workflow_handle_for(
            OrderWorkflow.run, ids.order_workflow_id(order_id)
        )


async def _hear(start: WithStartWorkflowOperation[Any, Any]) -> None:
    """Take what became of a start, or asyncio reports it as an error nobody looked at."""
    with contextlib.suppress(Exception, asyncio.CancelledError):
        await start.workflow_handle()
