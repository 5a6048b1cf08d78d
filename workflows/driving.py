"""What a workflow does under cancellation requests: goes on, with a wish to come to an end.

Knows no workflow by name, and no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def driven(drive: Coroutine[Any, Any, T], wish_end: Callable[[], None]) -> T:
    """Return what `drive` comes to; each cancellation request calls `wish_end`, nothing is cut."""
    task = asyncio.create_task(drive)
    while True:
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            wish_end()
