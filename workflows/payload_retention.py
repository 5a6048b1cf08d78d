"""Which payload keys nothing needs any more, as Temporal itself says.

What a workflow's history holds was written under the keys that were current while it ran. A former
key is of no use once Temporal has no workflow, running or kept, that began while it was current.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from domain.errors import Unavailable

MARGIN = timedelta(hours=1)
"""Processes take a new key up within seconds; the list of workflows follows within minutes."""


async def unneeded_payload_keys(
    client: Client, superseded: Mapping[str, datetime], now: datetime, *, margin: timedelta = MARGIN
) -> tuple[str, ...]:
    """Return the ids of the former keys that no workflow needs.

    Raises:
        Unavailable: Temporal does not say.
    """
    unneeded = []
    for key_id, at in sorted(superseded.items()):
        if at + margin > now:
            continue
        before = (at + margin).astimezone(UTC).isoformat().replace("+00:00", "Z")
        try:
            left = await client.count_workflows(f'StartTime < "{before}"')
        except (RPCError, RuntimeError) as error:
            raise Unavailable(f"Temporal does not count its workflows: {error}") from error
        if left.count == 0:
            unneeded.append(key_id)
    return tuple(unneeded)
