"""Problem details (RFC 9457): the one shape in which this API says no.

Knows the domain's error tree and no route.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi.responses import JSONResponse

from domain.errors import (
    Conflict,
    CorruptState,
    InvalidInput,
    NotAllowed,
    NotFound,
    PerpDexError,
    RiskRefused,
    Unavailable,
    VenueRefused,
)
from domain.numbers import plain
from domain.violations import Violation

MEDIA_TYPE = "application/problem+json"
INSTANCE_LENGTH_MAX = 256
TYPE_PREFIX = "urn:perp-dex:problem:"

#: Nothing of the command can take effect, because it was refused before anything was started.
NOT_SENT = "not_sent"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal. `outcome` answers "was anything sent?", None where nothing was asked to be.

    `retryable` tells whether the same request can succeed later. `errors` names the places in the
    input (`pointer` into the body, or `parameter`, or `header`), `extra` are further members.
    """

    status: int
    code: str
    detail: str
    outcome: str | None = None
    retryable: bool = False
    errors: tuple[Mapping[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def members(self, *, instance: str, request_id: str, mutating: bool) -> dict[str, Any]:
        """Return the members of the problem document.

        `mutating` requests that were refused say `not_sent` where nothing else is known.
        """
        outcome = self.outcome
        if outcome is None and mutating:
            outcome = NOT_SENT
        return {
            "type": TYPE_PREFIX + self.code,
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "instance": instance[:INSTANCE_LENGTH_MAX],
            "code": self.code,
            "outcome": outcome,
            "retryable": self.retryable,
            "request_id": request_id,
            "errors": [dict(error) for error in self.errors],
            **self.extra,
        }

    def response(self, *, instance: str, request_id: str, mutating: bool) -> JSONResponse:
        """Return the problem as a response."""
        return JSONResponse(
            self.members(instance=instance, request_id=request_id, mutating=mutating),
            status_code=self.status,
            headers=dict(self.headers),
            media_type=MEDIA_TYPE,
        )


class ProblemError(Exception):
    """Raised inside a route to answer with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.status} {problem.code}: {problem.detail}")
        self.problem = problem


def invalid_input(pointer: str, detail: str) -> Problem:
    """Return the problem of one field of the body."""
    return Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code=InvalidInput.code,
        detail=f"{pointer}: {detail}",
        errors=({"pointer": pointer, "detail": detail},),
    )


def invalid_parameter(name: str, detail: str) -> Problem:
    """Return the problem of one query parameter."""
    return Problem(
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
        code=InvalidInput.code,
        detail=f"{name}: {detail}",
        errors=({"parameter": name, "detail": detail},),
    )


def invalid_header(name: str, detail: str) -> Problem:
    """Return the problem of one header."""
    return Problem(
        status=HTTPStatus.BAD_REQUEST,
        code="invalid_header",
        detail=f"{name}: {detail}",
        errors=({"header": name, "detail": detail},),
    )


def unavailable(detail: str, *, code: str = Unavailable.code, retry_after_s: int = 1) -> Problem:
    """Return the problem of a part that does not answer; nothing was done."""
    return Problem(
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        code=code,
        detail=detail,
        retryable=True,
        headers={"Retry-After": str(retry_after_s)},
    )


def of_error(error: PerpDexError, *, prefix: str = "") -> Problem:
    """Return the problem that says what a domain error says; `prefix` leads its JSON pointer."""
    if isinstance(error, InvalidInput):
        return invalid_input(f"{prefix}/{error.field}", error.message)
    if isinstance(error, Unavailable):
        return unavailable(str(error), code=error.code)
    if isinstance(error, CorruptState):
        return Problem(
            status=HTTPStatus.INTERNAL_SERVER_ERROR,
            code=error.code,
            detail=str(error),
            outcome=UNKNOWN,
        )
    extra = violation_members(error.violations) if isinstance(error, RiskRefused) else {}
    return Problem(status=_status(error), code=error.code, detail=str(error), extra=extra)


def violation_members(violations: Sequence[Violation]) -> dict[str, Any]:
    """Return a problem's members: of the first limit exceeded, and of all in `violations`."""
    if not violations:
        return {}
    each = [
        {
            "limit": violation.limit.value,
            "limit_value": plain(violation.limit_value),
            "value": None if violation.value is None else plain(violation.value),
            "scope": violation.scope,
            "note": violation.note,
        }
        for violation in violations
    ]
    first = {name: each[0][name] for name in ("limit", "limit_value", "value", "scope")}
    return {**first, "violations": each}


_STATUSES: Sequence[tuple[type[PerpDexError], HTTPStatus]] = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (RiskRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
    (VenueRefused, HTTPStatus.UNPROCESSABLE_ENTITY),
)


def _status(error: PerpDexError) -> int:
    if isinstance(error, Conflict):
        mismatch = error.code == "idempotency_mismatch"
        return HTTPStatus.UNPROCESSABLE_ENTITY if mismatch else HTTPStatus.CONFLICT
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return HTTPStatus.INTERNAL_SERVER_ERROR
