"""The seventh venue over HTTP: questions by GET, signed texts by POST. Queries raise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

from domain.errors import VenueRefused, VenueUnavailable
from tests.seventh.venue import wire
from venues.times import at_ms
from venues.transport import PostResult, Reply, Transport, WriteGate

COMMAND_PATH: Final = "/v1/do"
WHOAMI_PATH: Final = "/v1/whoami"
KEY_HEADER: Final = "X-Seventh-Key"
SIGNATURE_HEADER: Final = "X-Seventh-Signature"
COMMAND_TIMEOUT_S: Final = 2.0
_QUERY_TIMEOUT_S: Final = 5.0
_ANSWER_SIZE_MAX: Final = 8 * 1024 * 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What was answered, and the venue's clock."""

    data: T
    venue_time: datetime


class Rest:
    """The API at one origin."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def start(self) -> None:
        """Open the session."""
        await self._transport.start()

    async def close(self) -> None:
        """Close the session."""
        await self._transport.close()

    async def get(self, path: str, kind: type[T], **asked: str | int | None) -> Told[T]:
        """Ask one question; what is None is left out.

        Raises:
            VenueUnavailable: no answer, or one that cannot be read.
            VenueRefused: the venue refuses the question.
        """
        given = urlencode({name: value for name, value in asked.items() if value is not None})
        result = await self._transport.get(
            f"/v1/{path}?{given}", timeout_s=_QUERY_TIMEOUT_S, reply_size_max=_ANSWER_SIZE_MAX
        )
        if not isinstance(result, Reply):
            raise VenueUnavailable(f"seventh did not answer {path}: {result.reason}")
        return read(path, result, kind)

    async def post(
        self,
        text: str,
        key: str,
        signature: str,
        *,
        path: str = COMMAND_PATH,
        gate: WriteGate | None = None,
    ) -> PostResult:
        """Send one signed text, once."""
        return await self._transport.post(
            path,
            text.encode(),
            timeout_s=COMMAND_TIMEOUT_S,
            reply_size_max=_ANSWER_SIZE_MAX,
            gate=gate,
            headers={KEY_HEADER: key, SIGNATURE_HEADER: signature},
        )


def read(path: str, reply: Reply, kind: type[T]) -> Told[T]:
    """Read a whole answer. Raises as `Rest.get`."""
    said = f"seventh answered {path} with HTTP {reply.status}: {reply.body[:200]!r}"
    if reply.status == 422:
        raise VenueRefused(said)
    if reply.status != 200:
        raise VenueUnavailable(said)
    try:
        answer = wire.decode(reply.body, wire.Answer)
        if not answer.ok:
            raise VenueUnavailable(said)
        return Told(wire.decode(bytes(answer.data), kind), at_ms(answer.time))
    except wire.WireError as error:
        raise VenueUnavailable(f"seventh's {path} cannot be read: {error}") from None
