"""The API process of the rig: the product's own, standing still between verdict and answer."""

from __future__ import annotations

import os
import sys
from typing import Any

import api.main
from domain.splits import SplitPlan
from tests.crash.checkpoints import FileCheckpoints
from workflows.client import OrderWorkflows
from workflows.split_client import SplitWorkflows


class HaltingWorkflows(OrderWorkflows):
    """The façade with a checkpoint after each verdict, before the caller hears of it.

    One before a placement is reached once the account of an order that names none is chosen.
    """

    points = FileCheckpoints.from_environment()

    async def place(self, *args: Any, **kwargs: Any) -> Any:
        self.points.reached("place.choice_kept")
        placement = await super().place(*args, **kwargs)
        self.points.reached("place.task_completed")
        return placement

    async def cancel(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super().cancel(*args, **kwargs)
        self.points.reached("cancel.task_completed")
        return answer

    async def modify(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super().modify(*args, **kwargs)
        self.points.reached("modify.task_completed")
        return answer


class HaltingSplits(SplitWorkflows):
    """The façade with checkpoints around the start: the choice is kept before both."""

    points = FileCheckpoints.from_environment()

    async def start(self, plan: SplitPlan) -> None:
        self.points.reached("split.choice_kept")
        await super().start(plan)
        self.points.reached("split.started")


if __name__ == "__main__":
    vars(api.main)["OrderWorkflows"] = HaltingWorkflows
    vars(api.main)["SplitWorkflows"] = HaltingSplits
    code = api.main.main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
