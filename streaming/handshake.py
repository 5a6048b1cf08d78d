"""Whether a socket may open at all: its address, Host, Origin. Pure; nothing is read or sent.

CORS does not protect sockets and a name can be rebound to a loopback address, so both headers are
checked here. A token never belongs into an address, where logs and histories keep it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from streaming.protocol import CloseCode

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """What may come in. `channels` maps paths to channel names; `hosts` are names without port."""

    channels: dict[str, str]
    hosts: frozenset[str] = LOOPBACK_HOSTS
    origins: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Admitted:
    """The socket opens on a channel."""

    channel: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The socket is closed as soon as it is open, before anything is said."""

    code: CloseCode
    reason: str


def judge(
    doors: Doors, path: str, hosts: Sequence[str], origins: Sequence[str]
) -> Admitted | Refused | None:
    """Return what becomes of a request; None when there is nothing at that path.

    `hosts` and `origins` are all values of these headers, as received.
    """
    place, query_mark, _ = path.partition("?")
    channel = doors.channels.get(place)
    if channel is None:
        return None
    if len(hosts) != 1 or _name(hosts[0]) not in doors.hosts:
        return Refused(CloseCode.FORBIDDEN, "this Host is not allowed")
    if len(origins) > 1 or (origins and not _is_allowed(doors, origins[0], hosts[0])):
        return Refused(CloseCode.FORBIDDEN, "this Origin is not allowed")
    if query_mark:
        return Refused(
            CloseCode.UNAUTHENTICATED, "no query is taken; send auth as the first message"
        )
    return Admitted(channel)


def _is_allowed(doors: Doors, origin: str, host: str) -> bool:
    return origin in doors.origins or _place(origin) == _place(f"http://{host}")


def _name(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _place(origin: str) -> tuple[str, int] | None:
    """Return host and port of an origin, or None for what is no plain http(s) origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or parts.hostname is None or parts.path or parts.query:
        return None
    return parts.hostname, port or _DEFAULT_PORTS[parts.scheme]
