"""Payloads held against what we read: what is unknown and what has vanished."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from prometheus_client.registry import CollectorRegistry

from venues import wire_tap
from venues.check import compared
from venues.field_watch import SAID_MAX, FieldWatch
from venues.pacifica import wire
from venues.shapes import Shape, differences, fields_of, shapes_of
from venues.wire_tap import SIZE_MAX_BYTES, Kept, Tap


class Inner(msgspec.Struct):
    price: Decimal
    note: str = ""


class Outer(msgspec.Struct):
    rows: list[Inner]
    pair: tuple[Inner, str | None]
    named: dict[str, Inner] = {}
    spelled: int = msgspec.field(name="as", default=0)
    self_like: "Outer | None" = None  # noqa: UP037


def shape(kind: Any = Outer, *ignored: str) -> Shape:
    return Shape(channel="socket it", kind=kind, sample="{}", ignored=frozenset(ignored))


WHOLE: dict[str, Any] = {"rows": [{"price": "1"}], "pair": [{"price": "1"}, "x"]}


def test_a_payload_as_we_read_it_differs_in_nothing() -> None:
    found = differences(WHOLE, shape())
    assert not found
    assert found.seen == {"rows", "pair", "rows[].price", "pair[0].price"}


def test_unknown_fields_are_found_wherever_they_are() -> None:
    payload = {
        "rows": [{"price": "1"}, {"price": "2", "deep": 1}],
        "pair": [{"price": "1", "odd": 1}, "x"],
        "named": {"any": {"price": "1", "there": 1}},
        "as": 3,
        "self_like": {**WHOLE, "again": 1},
        "new": {"below": 1},
    }
    found = differences(payload, shape())
    assert found.unknown == (
        "named{}.there",
        "new",
        "pair[0].odd",
        "rows[].deep",
        "self_like.again",
    )
    assert found.vanished == ()
    assert differences(payload, shape(Outer, *found.unknown)).unknown == ()


def test_what_we_need_and_miss_has_vanished_and_what_we_can_do_without_has_not() -> None:
    found = differences({"rows": [{"note": "x"}], "pair": [{"price": "1"}, None]}, shape())
    assert found.vanished == ("rows[].price",)
    assert differences({}, shape()).vanished == ("pair", "rows")


def test_every_field_that_is_read_can_be_named() -> None:
    assert {"rows[].price", "pair[0].note", "named{}.price", "as"} <= fields_of(shape())


def test_of_a_union_the_member_that_fits_is_compared() -> None:
    either = shape(wire.Settings | list[wire.SettingRow])
    assert differences([{"symbol": "BTC", "isolated": True, "leverage": 1, "x": 1}], either).unknown
    assert differences({"margin_settings": []}, either).unknown == ()
    assert not differences("neither", either)


def test_names_from_outside_steer_no_terminal_and_have_an_end() -> None:
    hostile = {f"\x1b]0;pwn\x07\u202e{number}" + "x" * 500: 1 for number in range(500)}
    found = differences({**WHOLE, **hostile}, shape())
    assert len(found.unknown) <= 100
    assert all(name.isascii() and name.isprintable() for name in found.unknown)
    assert max(len(name) for name in found.unknown) < 500


def test_nothing_is_followed_for_ever() -> None:
    deep: Any = {}
    for _ in range(500):
        deep = {**WHOLE, "self_like": deep}
    assert "self_like.self_like.self_like.new" not in differences(deep, shape()).unknown


def test_a_venue_without_shapes_offers_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        venue = "bare"

    monkeypatch.setattr("venues.registry.load", lambda _: Bare())
    assert shapes_of("bare") is None


def test_an_unreadable_payload_is_told_as_one() -> None:
    (found,) = compared([shape()], [Kept(Outer, b'{"rows": 3'), Kept(Outer, b"{}")])
    assert found.unreadable is not None
    assert "not JSON" in found.unreadable
    assert found.vanished == ("pair", "rows")
    assert not found.is_clean


# The tap


def test_the_first_of_a_kind_is_kept_then_one_in_so_many() -> None:
    tap = Tap([Outer], one_in=3)
    for number in range(7):
        tap.saw(str(number).encode(), Outer)
        tap.saw(b"of no interest", Inner)
    assert [kept.body for kept in tap.take()] == [b"0", b"3", b"6"]
    assert tap.take() == ()


def test_never_more_is_kept_than_is_allowed() -> None:
    tap = Tap([Outer], one_in=1, kept_max=5)
    for number in range(100):
        tap.saw(str(number).encode(), Outer)
    tap.saw(b"x" * (SIZE_MAX_BYTES + 1), Outer)
    assert [kept.body for kept in tap.take()] == [b"95", b"96", b"97", b"98", b"99"]


def test_what_cannot_be_read_is_kept_once_however_rare_the_keeping() -> None:
    tap = Tap([wire.Book], one_in=1_000)
    wire_tap.install(tap)
    try:
        for number in range(3):
            with pytest.raises(wire.WireError):
                wire.decode(f'{{"s":"{number}"}}'.encode(), wire.Book)
    finally:
        wire_tap.install(None)
    assert len(tap.take()) == 3
    with pytest.raises(wire.WireError):
        wire.decode(b"{}", wire.Book)
    assert tap.take() == ()


# The watch


def counted(watch: FieldWatch, name: str) -> dict[tuple[str, ...], float]:
    registry = CollectorRegistry()
    registry.register(watch)
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_differences_in_production_are_counted_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = FieldWatch(["pacifica"])
    odd = b'{"s":"BTC","l":[[],[]],"new\\u001b[31m":1}'
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            watch.look(Kept(wire.Book, odd))
        watch.look(Kept(wire.Book, b"\xff"))
    channel = "GET /book, socket book"
    assert counted(watch, "perp_dex_venue_field_differences_total") == {
        ("pacifica", channel, "unknown"): 3,
        ("pacifica", channel, "vanished"): 3,
        ("pacifica", channel, "unreadable"): 1,
    }
    assert counted(watch, "perp_dex_venue_payloads_compared_total") == {("pacifica",): 4}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert not any("\x1b" in line for line in said)


def test_a_venue_that_renames_for_ever_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    watch = FieldWatch(["pacifica"])
    with caplog.at_level(logging.WARNING):
        for number in range(SAID_MAX + 50):
            watch.look(Kept(wire.OrderNamed, f'{{"order_id":1,"f{number}":1}}'.encode()))
    assert len(caplog.records) == SAID_MAX


async def test_the_watch_looks_at_what_passes_by() -> None:
    import asyncio

    watch = FieldWatch(["pacifica"])
    watch.install()
    try:
        wire.decode(b'{"order_id":1,"more":2}', wire.OrderNamed)
        looking = asyncio.create_task(watch.run())
        await asyncio.sleep(0.01)
        looking.cancel()
    finally:
        wire_tap.install(None)
    assert sum(counted(watch, "perp_dex_venue_field_differences_total").values()) == 1
