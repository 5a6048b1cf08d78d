"""Makes the app from the parts it is given. Knows every route, and how none of them works."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api import (
    account_changes,
    account_groups,
    accounts,
    brackets,
    closes,
    conditions,
    dead_man,
    failures,
    halts,
    health,
    market_past,
    markets,
    operator,
    order_routing,
    orders,
    positions,
    reconciliations,
    reference,
    risk,
    splits,
    temporal_ui,
    trading_setup,
    venues,
)
from api.context import ApiParts, Context
from api.edge import OPEN_PATHS, Edge, EdgeRules
from api.metrics import RequestMeter
from api.problems import MEDIA_TYPE

VERSION = "1"
_DESCRIPTION = (
    "Orders on perpetual-futures exchanges, each a durable workflow. Decimals are strings, times "
    "are RFC 3339 in UTC, refusals are application/problem+json. Commands take an "
    "Idempotency-Key; repeating one with the same key never acts twice."
)


class ProblemDocument(BaseModel):
    """A refusal (RFC 9457). `outcome` says whether anything can have reached the venue."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    outcome: str | None
    retryable: bool
    request_id: str
    errors: list[dict[str, str]]


def create_app(parts: ApiParts) -> FastAPI:
    """Return the app, its edge around it."""
    app = FastAPI(
        title="perp-dex",
        version=VERSION,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = Context(parts)
    app.state.requests = RequestMeter()
    failures.install(app)
    for module in (
        orders,
        order_routing,
        brackets,
        splits,
        closes,
        conditions,
        positions,
        risk,
        halts,
        dead_man,
        accounts,
        account_changes,
        account_groups,
        reconciliations,
        markets,
        market_past,
        operator,
        health,
        reference,
        trading_setup,
        venues,
    ):
        app.include_router(module.router)
    app.include_router(operator.codec_router)
    app.include_router(temporal_ui.router)
    app.add_middleware(
        Edge,
        rules=EdgeRules(
            authenticator=parts.authenticator,
            sessions=parts.sessions,
            hosts=parts.hosts,
            origins=parts.origins,
            page_origins=parts.page_origins,
            meter=app.state.requests,
        ),
    )
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return the document with what the framework cannot know: security and problems."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = ProblemDocument.model_json_schema()
    schemas["Problem"]["title"] = "Problem"
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    problem = {
        "description": "Refused; see `code` and `outcome`.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = problem
            if path not in OPEN_PATHS:
                operation["security"] = [{"token": []}]
    app.openapi_schema = document
    return document
