"""How fresh each account's data is, from the process that follows its feed to the others.

One key for each place, written by its owner each second and gone soon after it. Knows no feed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from bus.connection import Bus, as_bytes
from domain.accounts import Network

KEY: Final = "perp-dex:freshness:"
#: What nobody has written for so long is not known any more.
LASTS_S: Final = 4

_log = logging.getLogger(__name__)


class AccountFreshness(msgspec.Struct, frozen=True, array_like=True):
    """One account's state, as its owner sees it."""

    live: bool
    reason: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, AccountFreshness])


async def say_freshness(
    bus: Bus, venue: str, network: Network, accounts: Mapping[str, AccountFreshness]
) -> None:
    """Write the state of a place's accounts. Raises `Unavailable`."""
    data = _encoder.encode(dict(accounts))
    await bus.call(lambda redis: redis.set(_key(bus, venue, network), data, ex=LASTS_S))


async def said_freshness(bus: Bus, venue: str, network: Network) -> dict[str, AccountFreshness]:
    """Return what the owner said lately, nothing if it said nothing. Raises `Unavailable`."""
    data = await bus.call(lambda redis: redis.get(_key(bus, venue, network)))
    if data is None:
        return {}
    try:
        return _decoder.decode(as_bytes(data))
    except msgspec.DecodeError as error:
        _log.warning("expected freshness, found other bytes", extra={"error": str(error)})
        return {}


def _key(bus: Bus, venue: str, network: Network) -> str:
    return bus.key(f"{KEY}{venue}:{network.value}")
