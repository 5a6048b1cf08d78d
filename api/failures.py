"""Turns what routes and the framework raise into problems.

The framework's own refusals (404, 405, a body that does not validate) get the same shape as ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.edge import MUTATING
from api.problems import Problem, ProblemError, of_error
from domain.errors import PerpDexError

_CODES = {
    HTTPStatus.NOT_FOUND: "no_such_path",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}
#: Names from other APIs, and what the field is called here.
_OTHER_NAMES = {
    "type": "order_type",
    "size": "quantity",
    "amount": "quantity",
    "qty": "quantity",
    "tif": "time_in_force",
    "stop_price": "trigger_price",
    "limit_price": "price",
    "idempotency_key": "client_key",
    "client_order_id": "client_key",
    "clientOrderId": "client_key",
    "account_id": "account",
    "dex": "venue",
}


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(PerpDexError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def respond(request: Request, problem: Problem) -> JSONResponse:
    """Return a problem as the answer to `request`."""
    return problem.response(
        instance=request.url.path,
        request_id=request.state.request_id,
        mutating=request.method in MUTATING,
    )


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101 - registered for it
    return respond(request, error.problem)


async def _on_domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PerpDexError)  # noqa: S101 - registered for it
    return respond(request, of_error(error))


async def _on_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    status = HTTPStatus(error.status_code)
    problem = Problem(
        status=status,
        code=_CODES.get(status, status.phrase.lower().replace(" ", "_")),
        detail=str(error.detail),
        headers=error.headers or {},
    )
    return respond(request, problem)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    places = [_place(detail) for detail in error.errors()]
    named = [place.get("pointer") or place.get("parameter") or "body" for place in places]
    shown = "; ".join(
        f"{name}: {place['detail']}" for name, place in zip(named, places, strict=True)
    )
    problem = Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code="invalid_input",
        detail=shown[:1000],
        errors=tuple(places[:20]),
    )
    return respond(request, problem)


def _place(detail: Mapping[str, Any]) -> dict[str, str]:
    location: Sequence[str | int] = detail["loc"]
    source, *path = location
    message = _message(detail, str(path[-1]) if path else "")
    field = (detail.get("ctx") or {}).get("field")
    if field:
        path = [*path, field]
    if source == "body":
        # RFC 6901; a name in an object of the caller's may hold anything.
        steps = [str(step).replace("~", "~0").replace("/", "~1")[:64] for step in path]
        return {"pointer": "".join(f"/{step}" for step in steps), "detail": message}
    name = ".".join(str(step) for step in path)
    return {"parameter" if source == "query" else str(source): name, "detail": message}


def _message(detail: Mapping[str, Any], name: str) -> str:
    kind = detail["type"]
    if kind == "extra_forbidden":
        known = _OTHER_NAMES.get(name)
        return "unknown field" + (f"; it is called {known} here" if known else "")
    if kind == "missing":
        return "expected a value, found none"
    message = str(detail["msg"])
    return message.replace("Input should be ", "expected ").replace("Value error, ", "")
