"""Read JSON as strictly as money deserves: no duplicate names, no numbers turned into floats.

Numbers stay text (`JsonNumber`) until a field decides whether it takes one. Knows no field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Never

from fastapi import Request, Response
from fastapi.routing import APIRoute

from api.problems import Problem, ProblemError

DEPTH_MAX = 16


@dataclass(frozen=True, slots=True)
class JsonNumber:
    """A number as it was spelled in the document."""

    text: str


class NotStrictJson(ValueError):
    """The bytes are not JSON as this API takes it; the message says why."""


def read_json(data: bytes) -> Any:
    """Return the document; numbers come as `JsonNumber`.

    Raises:
        NotStrictJson: it is not UTF-8, not JSON, nested too deep, repeats a name, or carries a
            lone surrogate.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotStrictJson(f"expected UTF-8, found another byte at {error.start}") from None
    try:
        document = _decoder.decode(text)
    except RecursionError:
        raise NotStrictJson(f"expected at most {DEPTH_MAX} levels, found many more") from None
    except json.JSONDecodeError as error:
        raise NotStrictJson(f"expected JSON: {error.msg} at character {error.pos}") from None
    _check(document, 1)
    return document


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotStrictJson(f"expected each name once, found {twice[:64]!r} twice")
    return members


def _constant(name: str) -> Never:
    raise NotStrictJson(f"expected JSON, found {name}")


_decoder = json.JSONDecoder(
    object_pairs_hook=_pairs,
    parse_float=JsonNumber,
    parse_int=JsonNumber,
    parse_constant=_constant,
)


def _check(value: Any, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise NotStrictJson(f"expected at most {DEPTH_MAX} levels, found more")
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise NotStrictJson("expected text, found a lone surrogate")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check(name, depth)
            _check(member, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)


class _ReadRequest(Request):
    """A request whose JSON was read already."""

    document: Any = None

    async def json(self) -> Any:
        return self.document


class StrictRoute(APIRoute):
    """A route whose JSON body is read by `read_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's handler so that it gets our reading of the body."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            data = await request.body()
            if not data:
                return await handler(request)
            read = _ReadRequest(request.scope, _once(data))
            try:
                read.document = read_json(data)
            except NotStrictJson as error:
                raise ProblemError(
                    Problem(status=400, code="invalid_json", detail=str(error))
                ) from None
            return await handler(read)

        return strict


def _once(data: bytes) -> Callable[[], Coroutine[Any, Any, dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": data, "more_body": False}

    return receive
