"""`python -m venues.check`: what venues send, held against what we read; one JSON document.

Without `--live` the samples that each venue's `shapes.py` carries, with it what the venue sends
now. Exits 0 whenever it could look, whatever it found; `perp-dex venue check` judges.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec

from domain.accounts import Network
from domain.errors import InvalidInput, PerpDexError
from venues import registry
from venues.live_payloads import live_payloads
from venues.shapes import Shape, differences, fields_of, shapes_of
from venues.wire_tap import Kept

LISTEN_S: Final = 10.0
EXIT_USAGE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelCheck:
    """One channel: how many payloads were looked at, and where they differ from what we read.

    `unknown` fields are neither read nor listed as known; `vanished` ones are needed and were not
    there; `unseen` ones are read where they come, and came in no payload. `unreadable` says why a
    payload could not be read strictly, None when all could.
    """

    channel: str
    payloads: int
    unknown: tuple[str, ...]
    vanished: tuple[str, ...]
    unseen: tuple[str, ...]
    unreadable: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing differs."""
        return not (self.unknown or self.vanished or self.unreadable)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueCheck:
    """One venue. `offered`: it lists its payloads at all. `error`: why it could not be looked at.

    `missed` is what could not be asked or heard, in words.
    """

    venue: str
    network: str | None
    offered: bool
    channels: tuple[ChannelCheck, ...] = ()
    missed: tuple[str, ...] = ()
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as JSON, with whether it is clean."""
        clean = self.error is None and all(each.is_clean for each in self.channels)
        return {**asdict(self), "clean": clean}


def check_samples(venue: str) -> VenueCheck:
    """Hold a venue's own samples against what it reads of them."""
    shapes = shapes_of(venue)
    kept = tuple(Kept(shape.kind, shape.sample.encode()) for shape in shapes or ())
    checked = VenueCheck(venue=venue, network=None, offered=shapes is not None)
    return replace(checked, channels=compared(shapes or (), kept))


async def check_live(venue: str, network: Network, listen_s: float) -> VenueCheck:
    """Hold what a venue sends now against what we read of it; only what is public."""
    shapes = shapes_of(venue)
    checked = VenueCheck(venue=venue, network=network.value, offered=shapes is not None)
    if shapes is None:
        return checked
    try:
        kept, missed = await live_payloads(registry.load(venue), network, shapes, listen_s)
    except PerpDexError as error:
        return replace(checked, error=str(error))
    return replace(checked, channels=compared(shapes, kept), missed=missed)


def compared(shapes: Iterable[Shape], kept: Sequence[Kept]) -> tuple[ChannelCheck, ...]:
    """Return each shape with what was found in the payloads that were kept of it."""
    return tuple(
        _channel(shape, [each for each in kept if each.kind == shape.kind]) for shape in shapes
    )


def _channel(shape: Shape, kept: Sequence[Kept]) -> ChannelCheck:
    unknown: set[str] = set()
    vanished: set[str] = set()
    unseen = set(fields_of(shape)) if kept else set()
    unreadable = None
    for each in kept:
        try:
            payload = msgspec.json.decode(each.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            unreadable = unreadable or f"not JSON: {error}"
            continue
        found = differences(payload, shape)
        unknown |= set(found.unknown)
        vanished |= set(found.vanished)
        unseen -= found.seen
        unreadable = unreadable or _unreadable(each)
    return ChannelCheck(
        channel=shape.channel,
        payloads=len(kept),
        unknown=tuple(sorted(unknown)),
        vanished=tuple(sorted(vanished)),
        unseen=tuple(sorted(unseen)),
        unreadable=unreadable,
    )


def _unreadable(kept: Kept) -> str | None:
    try:
        msgspec.json.decode(kept.body, type=kept.kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return str(error)
    return None


async def checked(options: argparse.Namespace) -> dict[str, Any]:
    """Look at every venue that is asked for, one after the other."""
    found = []
    for venue in options.venue or registry.names():
        if options.live:
            found.append(await check_live(venue, Network(options.network), options.seconds))
        else:
            found.append(check_samples(venue))
    return {"live": bool(options.live), "venues": [each.document() for each in found]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the document; 0 when venues could be looked at, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m venues.check", description=__doc__)
    parser.add_argument("venue", nargs="*", help="such as hyperliquid; none: all")
    parser.add_argument("--live", action="store_true", help="what the venue sends now")
    parser.add_argument(
        "--network", choices=[each.value for each in Network], default=Network.MAINNET.value
    )
    parser.add_argument("--seconds", type=float, default=LISTEN_S, help="listen so long")
    options = parser.parse_args(arguments)
    try:
        document = asyncio.run(checked(options))
    except InvalidInput as error:
        sys.stderr.write(f"{str(error)!a}\n")
        return EXIT_USAGE
    sys.stdout.write(json.dumps(document) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
