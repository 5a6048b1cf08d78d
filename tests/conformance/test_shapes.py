"""Does what the venue sends look as we read it: its samples, and what its exchange sends now?"""

from __future__ import annotations

import importlib
import json

from domain.accounts import Network
from tests.conformance.rig import VenueRig
from tests.conformance.stage import Stage
from venues import registry, wire_tap
from venues.check import check_live, check_samples, compared
from venues.connector import ShapedVenue
from venues.shapes import shapes_of
from venues.wire_tap import Tap

LISTEN_S = 0.5


def test_the_samples_are_read_and_nothing_in_them_is_unknown(rig: VenueRig) -> None:
    checked = check_samples(rig.venue)
    assert checked.offered == isinstance(registry.load(rig.venue), ShapedVenue)
    assert [each for each in checked.channels if not each.is_clean] == []
    assert all(each.payloads for each in checked.channels)


def test_each_shape_is_told_apart(rig: VenueRig) -> None:
    shapes = shapes_of(rig.venue) or ()
    assert len({shape.kind for shape in shapes}) == len(shapes)
    assert len({shape.channel for shape in shapes}) == len(shapes)


def test_every_shape_is_what_the_venues_decode_reads(rig: VenueRig) -> None:
    """A kind that `decode` is never given would never be looked at."""
    wire = importlib.import_module(f"{registry.folder_of(rig.venue)}.wire")
    shapes = shapes_of(rig.venue) or ()
    tap = Tap([shape.kind for shape in shapes], one_in=1, kept_max=len(shapes))
    wire_tap.install(tap)
    try:
        for shape in shapes:
            wire.decode(shape.sample.encode(), shape.kind)
    finally:
        wire_tap.install(None)
    assert [kept.kind for kept in tap.take()] == [shape.kind for shape in shapes]


async def test_public_data_of_the_exchange_looks_as_it_is_read(stage: Stage) -> None:
    checked = await check_live(stage.rig.venue, Network.PAPER, LISTEN_S)
    assert checked.error is None
    if not checked.offered:
        return
    assert [each for each in checked.channels if not each.is_clean] == []
    assert sum(each.payloads for each in checked.channels) > 3


async def test_private_answers_of_the_exchange_look_as_they_are_read(stage: Stage) -> None:
    shapes = shapes_of(stage.rig.venue) or ()
    tap = Tap([shape.kind for shape in shapes], one_in=1, kept_max=1_000)
    wire_tap.install(tap)
    try:
        row, _ = await stage.accepted(await stage.resting())
        await stage.position()
        await stage.connector.open_orders(stage.account)
        await stage.connector.account_summary(stage.account)
        await stage.connector.order_history(stage.account)
        await stage.connector.fills(stage.account, since=stage.account.created_at)
        await stage.cancel(row)
    finally:
        wire_tap.install(None)
    found = compared(shapes, tap.take())
    assert [each for each in found if not each.is_clean] == []
    assert not shapes or sum(each.payloads for each in found) > 3


def test_the_document_says_what_was_looked_at(rig: VenueRig) -> None:
    document = json.loads(json.dumps(check_samples(rig.venue).document()))
    assert document["venue"] == rig.venue
    assert document["clean"] is True
    assert document["network"] is None
