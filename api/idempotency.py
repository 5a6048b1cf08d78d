"""Idempotency keys: from the header, from the body, or made here and returned.

The key names the intent; nothing about it is stored apart from the order itself.
"""

from __future__ import annotations

import uuid

from fastapi import Request

from api.problems import ProblemError, invalid_header, invalid_input
from domain.errors import InvalidInput
from domain.identifiers import check_idempotency_key

HEADER = "Idempotency-Key"


def key_of_header(request: Request) -> str | None:
    """Return the header's key, quoted (as a structured field) or not; None without header.

    Raises:
        ProblemError: 400, there are several, or it cannot be a key.
    """
    values = request.headers.getlist(HEADER)
    if not values:
        return None
    if len(values) > 1:
        raise ProblemError(invalid_header(HEADER, f"expected one, found {len(values)}"))
    text = values[0]
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1]
    try:
        return check_idempotency_key(text)
    except InvalidInput as error:
        raise ProblemError(invalid_header(HEADER, error.message)) from None


def key_of(header_key: str | None, client_key: str | None) -> str:
    """Return the one key that a request gives, or a new one.

    Raises:
        ProblemError: 422, header and body name different keys.
    """
    if header_key is not None and client_key is not None and header_key != client_key:
        raise ProblemError(
            invalid_input(
                "/client_key", f"expected the key of the {HEADER} header or none, found another"
            )
        )
    return header_key or client_key or str(uuid.uuid4())
