"""The door to setting leverage. Knows no venue and no SQL."""

from __future__ import annotations

import asyncio

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.leverage import LeverageAnswer, LeverageTask
from domain.accounts import Account, MarginMode
from domain.errors import Conflict
from workflows import ids, policies
from workflows.leverage import SetLeverageWorkflow
from workflows.reaching import unreached


class Leverages:
    """Has a worker set leverage."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def set(
        self, account: Account, symbol: str, leverage: int, mode: MarginMode, *, wait_s: float
    ) -> LeverageAnswer | None:
        """Set a market's leverage and margin mode; None when it is not decided in time.

        Raises:
            Conflict: another setting of that market is under way (code `leverage_running`).
            Unavailable: Temporal does not answer.
        """
        task = LeverageTask(
            account_id=account.account_id, symbol=symbol, leverage=leverage, mode=mode
        )
        try:
            async with asyncio.timeout(wait_s):
                return await self._client.execute_workflow(
                    SetLeverageWorkflow.run,
                    task,
                    id=ids.leverage_workflow_id(account.account_id, symbol),
                    task_queue=ids.venue_queue(account.venue),
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                    task_timeout=policies.TASK_TIMEOUT,
                    search_attributes=TypedSearchAttributes(
                        [
                            SearchAttributePair(ids.VENUE, account.venue),
                            SearchAttributePair(ids.ACCOUNT, account.account_id),
                            SearchAttributePair(ids.SYMBOL, symbol),
                        ]
                    ),
                    static_summary=(
                        f"{symbol} at {leverage}x {mode.value.lower()} · "
                        f"{account.venue}/{account.label}"
                    ),
                )
        except TimeoutError:
            return None
        except WorkflowAlreadyStartedError:
            raise Conflict(
                f"another setting of {symbol} is under way; ask again when it is decided",
                code="leverage_running",
            ) from None
        except (RPCError, RuntimeError) as error:
            raise unreached(error) from None
