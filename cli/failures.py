"""From what went wrong to words on stderr and an exit code. Never a traceback for a known case.

With `--json` the words are one problem document, the same as the API's.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import typer

from cli.connection import StackNotRunning
from cli.exit_codes import ExitCode
from cli.output import json_ready, safe, without_keys
from cli.simulator import SimulatorRefuses

_TEXT_MAX = 2_000
_NEGATIVE = re.compile(r"-[\d.]")


def report(error: Exception, *, as_json: bool) -> ExitCode:
    """Tell what went wrong, on stderr, and return the exit code."""
    code, document = describe(error)
    detail = without_keys(str(document["detail"]))[:_TEXT_MAX]
    document = {**document, "detail": detail}
    if as_json:
        sys.stderr.write(json.dumps(json_ready(document), ensure_ascii=False) + "\n")
    else:
        for line in detail.splitlines() or [""]:
            sys.stderr.write(f"{'perp-dex: ' if line == detail else ''}{safe(line)}\n")
        hint = _hint(code, document)
        if hint:
            sys.stderr.write(f"{safe(hint)}\n")
    sys.stderr.flush()
    return code


def describe(error: Exception) -> tuple[ExitCode, dict[str, Any]]:
    """Return the exit code and the problem document of an error."""
    if isinstance(error, StackNotRunning):
        return ExitCode.UNREACHABLE, _problem("not_running", str(error), outcome="not_sent")
    if isinstance(error, SimulatorRefuses):
        return ExitCode.REFUSED, _problem("simulator_refuses", str(error), outcome="not_sent")
    if isinstance(error, typer.TyperException):
        return _usage(error)
    name = type(error).__module__.partition(".")[0]
    if name == "perp_dex_client":
        return _api(error)
    if name == "stack":
        return _stack(error)
    return ExitCode.INTERNAL_ERROR, _problem(
        "internal_error", f"unforeseen {type(error).__name__}: {error}", outcome="unknown"
    )


def _usage(error: typer.TyperException) -> tuple[ExitCode, dict[str, Any]]:
    detail = error.format_message()
    option = getattr(error, "option_name", None)
    if isinstance(option, str) and _NEGATIVE.match(option):
        detail = (
            "expected a number above zero, found one that begins with '-'; "
            "to pass a text that begins with '-', put `--` before it"
        )
    context = getattr(error, "ctx", None)
    if context is not None:
        detail += f"\nsee `{context.command_path} --help`"
    return ExitCode.USAGE, _problem("usage", detail, outcome="not_sent")


def _api(error: Exception) -> tuple[ExitCode, dict[str, Any]]:
    from perp_dex_client import (
        ApiError,
        ApiProblem,
        InvalidRequest,
        NotAuthorized,
        OrderRefused,
        ServiceBusy,
        StateConflict,
        UnknownObject,
        Unreachable,
    )

    codes: tuple[tuple[type[ApiError], ExitCode], ...] = (
        (NotAuthorized, ExitCode.NOT_AUTHORIZED),
        (UnknownObject, ExitCode.NOT_FOUND),
        (StateConflict, ExitCode.REFUSED),
        (OrderRefused, ExitCode.REFUSED),
        (InvalidRequest, ExitCode.USAGE),
    )
    outcome = error.outcome if isinstance(error, ApiError) else None
    code = next((found for kind, found in codes if isinstance(error, kind)), None)
    if code is None and outcome == "unknown":
        code = ExitCode.UNKNOWN
    if code is None and isinstance(error, ServiceBusy):
        busy = error.code in ("too_busy", "risk_limit")
        code = ExitCode.RATE_LIMITED if busy else ExitCode.UNREACHABLE
    if code is None:
        code = ExitCode.UNREACHABLE if isinstance(error, Unreachable) else ExitCode.INTERNAL_ERROR
    if isinstance(error, ApiProblem):
        return code, {"detail": str(error), **error.document}
    return code, _problem("unreachable", str(error), outcome=outcome)


def _stack(error: Exception) -> tuple[ExitCode, dict[str, Any]]:
    from stack.errors import StackConfigurationError

    wrong = isinstance(error, StackConfigurationError)
    code = ExitCode.USAGE if wrong else ExitCode.INTERNAL_ERROR
    return code, _problem("stack", str(error), outcome="not_sent")


def _hint(code: ExitCode, document: dict[str, Any]) -> str:
    order = document.get("order")
    order_id = order.get("order_id") if isinstance(order, dict) else document.get("order_id")
    if code is ExitCode.UNKNOWN and order_id:
        return f"see `perp-dex trade show {order_id}`"
    if document.get("code") == "risk_limit":
        return "see `perp-dex risk show`"
    request_id = document.get("request_id")
    if code is ExitCode.INTERNAL_ERROR and request_id:
        return f"the log has more under request id {request_id}"
    return ""


def _problem(code: str, detail: str, *, outcome: str | None) -> dict[str, Any]:
    return {
        "type": f"urn:perp-dex:problem:{code}",
        "title": code.replace("_", " ").capitalize(),
        "detail": detail,
        "code": code,
        "outcome": outcome,
    }
