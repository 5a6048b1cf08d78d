"""The routes of operators: what is where, one-time tickets for the browser, and the codec.

The codec opens workflow payloads for the Temporal web UI, so it is as well guarded as they are:
bearer token, or the cookie of a ticket together with the interface's origin; every call audited.

The cookie is `SameSite=Strict`, for the two paths that need it. The interface is served by
`api.temporal_ui` under this API's origin; one with an origin of its own must be of the same site
(`localhost` and `127.0.0.1` are two sites) and send credentials to its codec.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from api.authentication import COOKIE_NAME, SESSION_S
from api.context import Caller, Ctx
from api.edge import CODEC_PREFIX, UI_PATH
from api.problems import Problem, ProblemError, unavailable
from api.strict_json import StrictRoute
from domain.principals import Action, local_principal

router = APIRouter(prefix="/api/v1", tags=["operator"], route_class=StrictRoute)
#: The body is Temporal's, read by the codec and not by the framework.
_PAYLOADS: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["payloads"],
                    "properties": {"payloads": {"type": "array", "items": {"type": "object"}}},
                }
            }
        },
    }
}
codec_router = APIRouter(prefix="/api/v1/codec", tags=["operator"])


@router.get("/endpoints", operation_id="get_endpoints")
async def get_endpoints(
    context: Ctx, caller: Caller
) -> dict[str, str | list[str] | dict[str, str] | None]:
    """Say where the parts of this installation are reached; `sockets` by what they carry."""
    await context.authorize(caller, Action.READ_MARKET, None, "endpoints")
    endpoints = context.parts.endpoints
    return {
        "api": endpoints.api,
        "streaming": endpoints.streaming,
        "sockets": endpoints.sockets,
        "temporal_ui": endpoints.temporal_ui,
        "temporal_namespace": endpoints.temporal_namespace,
        "simulator": endpoints.simulator,
        "venues": list(context.parts.venues),
    }


@router.post("/operator/tickets", operation_id="make_ticket", status_code=201)
async def make_ticket(context: Ctx, caller: Caller) -> dict[str, str]:
    """Make a ticket that opens the operator's interface once, within a minute."""
    await context.authorize(caller, Action.ADMIN, None, "operator")
    if context.parts.endpoints.temporal_ui is None:
        raise ProblemError(
            unavailable("there is no operator interface here; set TEMPORAL_UI_URL to have one")
        )
    ticket = context.parts.sessions.ticket()
    await context.audit(caller, "operator.ticket", "operator", "made")
    base = context.parts.endpoints.api
    return {"ticket": ticket, "url": f"{base}/api/v1/operator/session?ticket={ticket}"}


@router.get("/operator/session", operation_id="open_session", status_code=303)
async def open_session(ticket: str, context: Ctx) -> Response:
    """Take a ticket, give the browser its cookie, and send it to the operator's interface."""
    cookie = context.parts.sessions.open(ticket)
    target = context.parts.endpoints.temporal_ui
    if cookie is None or target is None:
        raise ProblemError(
            Problem(
                status=401,
                code="ticket_refused",
                detail="expected an unused ticket of the last minute; run `perp-dex ui` again",
            )
        )
    await context.audit(local_principal(), "operator.session", "operator", "opened")
    response = RedirectResponse(target, status_code=303)
    response.headers["Referrer-Policy"] = "no-referrer"
    # Browsers keep a cookie for a host, whatever the port: no other path needs to see it.
    for path in (CODEC_PREFIX.rstrip("/"), UI_PATH):
        response.set_cookie(
            COOKIE_NAME,
            cookie,
            max_age=SESSION_S,
            path=path,
            httponly=True,
            samesite="strict",
            secure=context.parts.endpoints.api.startswith("https:"),
        )
    return response


@codec_router.post("/decode", operation_id="decode_payloads", openapi_extra=_PAYLOADS)
async def decode(request: Request, context: Ctx, caller: Caller) -> JSONResponse:
    """Open workflow payloads (Temporal's codec-server protocol)."""
    await context.authorize(caller, Action.ADMIN, None, "codec")
    return await _code(request, context, caller, "decode")


@codec_router.post("/encode", operation_id="encode_payloads", openapi_extra=_PAYLOADS)
async def encode(
    request: Request, context: Ctx, caller: Caller, workflow_id: str = ""
) -> JSONResponse:
    """Seal payloads for one workflow (Temporal's codec-server protocol)."""
    await context.authorize(caller, Action.ADMIN, None, "codec")
    return await _code(request, context, caller, "encode", workflow_id=workflow_id)


async def _code(
    request: Request, context: Ctx, caller: Caller, action: str, *, workflow_id: str = ""
) -> JSONResponse:
    namespace = request.headers.get("x-namespace", context.parts.endpoints.temporal_namespace)
    body = await request.body()
    codec = context.parts.codec
    try:
        coded: dict[str, Any] = (
            await codec.decode(body)
            if action == "decode"
            else await codec.encode(body, namespace=namespace, workflow_id=workflow_id)
        )
    except ValueError as error:
        await context.audit(caller, f"codec.{action}", "codec", "refused")
        raise ProblemError(
            Problem(status=400, code="invalid_payloads", detail=str(error)[:500])
        ) from None
    count = str(len(coded.get("payloads", [])))
    await context.audit(caller, f"codec.{action}", "codec", "done", detail={"payloads": count})
    return JSONResponse(coded)
