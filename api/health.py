"""Whether this process lives, and whether it can do its work; open to probes, telling no secret."""

from __future__ import annotations

import asyncio
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.context import Ctx
from api.ports import Probe
from domain.errors import PerpDexError

PROBE_TIMEOUT_S: Final = 3.0

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="get_health")
async def get_health() -> dict[str, str]:
    """Say that the event loop turns; asks nobody else."""
    return {"status": "ok"}


@router.get("/readyz", operation_id="get_readiness")
async def get_readiness(context: Ctx) -> JSONResponse:
    """Say whether every part that is needed answers, with the reason where one does not."""
    probes = context.parts.probes
    reasons = await asyncio.gather(*(_reason(probe) for probe in probes.values()))
    checks = {name: reason or "ok" for name, reason in zip(probes, reasons, strict=True)}
    ready = not any(reasons)
    if context.draining.is_set():
        ready, checks["process"] = False, "stopping"
    return JSONResponse(
        {"status": "ready" if ready else "not ready", "checks": checks},
        status_code=200 if ready else 503,
    )


async def _reason(probe: Probe) -> str | None:
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            await probe()
    except TimeoutError:
        return f"no answer in {PROBE_TIMEOUT_S:g} s"
    except PerpDexError as error:
        # What follows a colon are a library's words, with hosts, users and paths: for those only
        # who show a token.
        return str(error).partition(":")[0][:200]
    except Exception as error:  # noqa: BLE001 - whatever a probe raises is the answer
        # The text of a library's error may name what an open path should not tell.
        return f"failed with {type(error).__name__}"
    return None
