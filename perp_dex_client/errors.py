"""What can go wrong between a program and the API, and each time: can anything have been sent?

ApiError                       `outcome` is not_sent, rejected, unknown, or None for queries
├── Unreachable                no answer came; `outcome` unknown where something may have arrived
├── UnreadableAnswer           an answer came that is none of the API's
└── ApiProblem                 the API's own refusal, with its problem document
    ├── NotAuthorized          401, 403
    ├── UnknownObject          404
    ├── StateConflict          409: the object's state forbids it
    ├── InvalidRequest         400, 413, 415, 422 of the input
    ├── OrderRefused           422 with proof: the venue or we refused it, nothing is open
    ├── ServiceBusy            503: nothing was started, try again
    └── OutcomeUnknown         it may have happened; repeat with the same key only
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perp_dex_client.models import Order


class ApiError(Exception):
    """Whatever kept a request from succeeding."""

    outcome: str | None = None


class Unreachable(ApiError):
    """The API gave no answer within the time for retries."""

    def __init__(self, message: str, *, outcome: str | None) -> None:
        super().__init__(message)
        self.outcome = outcome


class UnreadableAnswer(ApiError):
    """Something answered, but not as the API answers; what became of a command is unknown."""

    outcome = "unknown"


class ApiProblem(ApiError):
    """The API said no; `document` is the whole problem (RFC 9457)."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        super().__init__(str(document.get("detail") or document.get("title") or status))
        self.document = dict(document)
        self.status = status
        self.code = str(document.get("code", "error"))
        self.outcome = _text(document.get("outcome"))
        self.retryable = document.get("retryable") is True
        self.request_id = _text(document.get("request_id"))

    @property
    def errors(self) -> tuple[Mapping[str, str], ...]:
        """The places in the input that were refused."""
        errors = self.document.get("errors")
        if not isinstance(errors, list):
            return ()
        return tuple(error for error in errors if isinstance(error, dict))

    @property
    def order(self) -> Order | None:
        """The order the problem is about, where the API sent it."""
        order = self.document.get("order")
        if not isinstance(order, dict):
            return None
        try:
            return msgspec.convert(order, Order)
        except msgspec.ValidationError:
            return None


class NotAuthorized(ApiProblem):
    """The token is missing, wrong, or does not allow this."""


class UnknownObject(ApiProblem):
    """No such order, account or market, or it is another's."""


class StateConflict(ApiProblem):
    """The object's state forbids it, such as cancelling a finished order."""


class InvalidRequest(ApiProblem):
    """The input cannot be taken; `errors` names the places. Nothing was sent."""


class OrderRefused(ApiProblem):
    """The venue, or one of our limits, refused the order with proof; nothing of it is open."""


class ServiceBusy(ApiProblem):
    """The API or a part it needs cannot serve now; nothing was started."""


class OutcomeUnknown(ApiProblem):
    """It may have happened. Repeat with the same key, never with a new one."""


_BY_STATUS: Mapping[int, type[ApiProblem]] = {
    400: InvalidRequest,
    401: NotAuthorized,
    403: NotAuthorized,
    404: UnknownObject,
    409: StateConflict,
    412: StateConflict,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    429: ServiceBusy,
    503: ServiceBusy,
}


#: Refusals of an order, or of a change to it, by ourselves: nothing of it is open.
_REFUSALS = frozenset({"denied", "no_route", "not_sent", "risk_limit", "split_refused"})


def problem_of(document: Mapping[str, Any], status: int) -> ApiProblem:
    """Return the error that a problem document makes."""
    outcome = document.get("outcome")
    if outcome == "unknown":
        return OutcomeUnknown(document, status)
    if outcome == "rejected" or document.get("code") in _REFUSALS:
        return OrderRefused(document, status)
    return _BY_STATUS.get(status, ApiProblem)(document, status)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
