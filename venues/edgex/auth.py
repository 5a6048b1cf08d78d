"""The authentication of EdgeX's requests: HMAC-SHA256 over time, method, path and a plain text.

Signs no order; knows no curve, so that a private feed may load it. The key of the HMAC is the
base64 text of the secret (encoded, not decoded), and the text of a query is not percent-encoded.

Source: edgex-python-sdk 2.0.1 `internal/auth.py`; NOTES.md "Signing".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from venues.edgex.credential import ApiKey
from venues.edgex.times import to_ms

PRIVATE_SOCKET_PATH: Final = "/api/v1/private/ws"
_KEY_HEADER: Final = "X-edgeX-Api-Key"
_PASSPHRASE_HEADER: Final = "X-edgeX-Passphrase"  # noqa: S105 - a header's name
_SIGNATURE_HEADER: Final = "X-edgeX-Signature"
_TIMESTAMP_HEADER: Final = "X-edgeX-Timestamp"


def body_text(value: Any) -> str:
    """Return the text that stands for a JSON body: sorted, joined, nested objects inline."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "&".join(f"{name}={body_text(value[name])}" for name in sorted(value))
    if isinstance(value, list | tuple):
        return "&".join(body_text(item) for item in value)
    return str(value)


def query_text(parameters: Mapping[str, str]) -> str:
    """Return the text that stands for a query: sorted, not percent-encoded."""
    return "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))


def signature(secret: str, message: str) -> str:
    """Return the HMAC of a message in hexadecimal digits."""
    key = base64.b64encode(secret.encode())
    return hmac.new(key, message.encode(), hashlib.sha256).hexdigest()


def headers(api: ApiKey, at: datetime, method: str, path: str, text: str) -> dict[str, str]:
    """Return the headers of one request; `text` is what stands for its body or query."""
    timestamp = str(to_ms(at))
    return {
        _KEY_HEADER: api.api_key,
        _PASSPHRASE_HEADER: api.api_passphrase,
        _SIGNATURE_HEADER: signature(api.api_secret, f"{timestamp}{method}{path}{text}"),
        _TIMESTAMP_HEADER: timestamp,
    }


def socket_handshake(api: ApiKey, account_id: str, at: datetime) -> tuple[str, dict[str, str]]:
    """Return path and headers of a private socket's handshake.

    The venue takes the four headers, and for browsers the same as a subprotocol: base64 of their
    JSON without padding. Both are sent, as the venue's SDK does.
    """
    query = f"accountId={account_id}&timestamp={to_ms(at)}"
    found = headers(api, at, "GET", PRIVATE_SOCKET_PATH, query)
    protocol = base64.b64encode(json.dumps(found).encode()).decode().rstrip("=")
    return f"{PRIVATE_SOCKET_PATH}?{query}", {**found, "Sec-WebSocket-Protocol": protocol}
