from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from streaming.frames import FRAGMENTS_MAX, Assembler, FrameError, text_frame
from streaming.protocol import CloseCode

Given = tuple[str, bytes, bool]


def take(assembler: Assembler, kind: str, payload: bytes, fin: bool) -> bytes | None:
    return assembler.take(payload, is_text=kind == "text", is_continuation=kind == "more", fin=fin)


def feed(frames: list[Given], bytes_max: int = 100) -> list[bytes]:
    assembler = Assembler(bytes_max)
    taken = [take(assembler, *frame) for frame in frames]
    return [message for message in taken if message is not None]


def test_messages_whole_and_in_pieces() -> None:
    frames = [
        ("text", b"one", True),
        ("text", b"t", False),
        ("more", b"w", False),
        ("more", b"o", True),
        ("text", b"", True),
    ]
    assert feed(frames) == [b"one", b"two", b""]


def test_a_character_may_be_cut_in_two() -> None:
    euro = "€".encode()
    assert feed([("text", euro[:1], False), ("more", euro[1:], True)]) == [euro]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([("binary", b"x", True)], CloseCode.UNSUPPORTED_DATA),
        ([("binary", b"x", False)], CloseCode.UNSUPPORTED_DATA),
        ([("more", b"x", True)], CloseCode.PROTOCOL_ERROR),
        ([("text", b"x", False), ("text", b"y", True)], CloseCode.PROTOCOL_ERROR),
        ([("text", b"x" * 101, True)], CloseCode.MESSAGE_TOO_BIG),
        ([("text", b"x" * 60, False), ("more", b"x" * 60, False)], CloseCode.MESSAGE_TOO_BIG),
        (
            [("text", b"", False)] + [("more", b"", False)] * FRAGMENTS_MAX,
            CloseCode.MESSAGE_TOO_BIG,
        ),
        ([("text", b"\xff", True)], CloseCode.INVALID_TEXT),
        ([("text", b"\xed\xa0\x80", True)], CloseCode.INVALID_TEXT),
        ([("text", "€".encode()[:2], True)], CloseCode.INVALID_TEXT),
    ],
)
def test_what_ends_a_connection(frames: list[Given], code: CloseCode) -> None:
    with pytest.raises(FrameError) as raised:
        feed(frames)
    assert raised.value.code is code


@given(st.lists(st.text(max_size=10), max_size=8), st.data())
def test_any_cutting_gives_the_same_messages(messages: list[str], data: st.DataObject) -> None:
    frames: list[Given] = []
    for message in messages:
        raw = message.encode()
        cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=3)))
        bounds = [0, *cuts, len(raw)]
        pieces = [raw[a:b] for a, b in itertools.pairwise(bounds)]
        for number, piece in enumerate(pieces):
            kind = "text" if number == 0 else "more"
            frames.append((kind, piece, number == len(pieces) - 1))
    assert feed(frames) == [message.encode() for message in messages]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_of_ours_are_whole_and_not_masked(length: int) -> None:
    parser = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    message = b"x" * length
    parser.receive_data(text_frame(message) + text_frame(b"next"))
    received = [event for event in parser.events_received() if isinstance(event, Frame)]
    assert [(bytes(one.data), one.opcode, one.fin) for one in received] == [
        (message, Opcode.TEXT, True),
        (b"next", Opcode.TEXT, True),
    ]
    assert parser.parser_exc is None
