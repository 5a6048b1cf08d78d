"""Idempotency keys: from the header, from the body, or made here and returned; and who holds them.

A key names one intent of whatever kind. It is claimed after all that may refuse a request, and
before anything is kept or started of it.
"""

from __future__ import annotations

import uuid

from fastapi import Request

from api.context import Context
from api.problems import ProblemError, invalid_header, invalid_input
from domain.errors import InvalidInput
from domain.identifiers import check_idempotency_key
from domain.key_claims import IntentKind, KeyClaim, key_mismatch

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


async def claim_key(context: Context, intent_id: str, kind: IntentKind, fingerprint: str) -> None:
    """Have a key name this intent for ever; it may do so already.

    Raises:
        Conflict: it names another one, of whatever kind.
        Unavailable: the database does not answer; nothing may be started.
    """
    asked = KeyClaim(
        intent_id=intent_id,
        kind=kind,
        fingerprint=fingerprint,
        claimed_at=context.parts.now(),
    )
    held = await context.parts.key_claims.claim(asked)
    if held.fingerprint != fingerprint:
        raise key_mismatch(held.kind)


async def refuse_if_claimed(context: Context, intent_id: str, fingerprint: str) -> None:
    """Check that a key names nothing else, before much is asked for its sake; claims nothing.

    Raises:
        Conflict: it names another intent, of whatever kind.
    """
    held = await context.parts.key_claims.held(intent_id)
    if held is not None and held.fingerprint != fingerprint:
        raise key_mismatch(held.kind)
