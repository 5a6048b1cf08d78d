"""The contract of the sockets: current, whole, and what the server and its clients really say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streaming import asyncapi, market_messages, protocol
from streaming.asyncapi import CLIENT_MESSAGES, DOCUMENT, document, main, server_messages
from streaming.paths import PATHS
from streaming.protocol import CloseCode
from tests.architecture.tree import ROOT
from tests.streaming.contract import assert_documented, documented_as


def test_the_document_is_current() -> None:
    assert main(["--check", "--root", str(ROOT)]) == 0


def test_it_can_be_written_and_notices_when_it_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    assert main(["--check", "--root", str(tmp_path)]) == 1
    assert "--write" in capsys.readouterr().err
    assert main(["--write", "--root", str(tmp_path)]) == 0
    assert main(["--check", "--root", str(tmp_path)]) == 0
    (tmp_path / DOCUMENT).write_text("{}", encoding="utf-8")
    assert main(["--check", "--root", str(tmp_path)]) == 1


def said(module: Any, base: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    """Return the messages a module defines: what has a tag of its own."""
    return {
        found
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, base)
        and found.__module__ == module.__name__
        and found.__struct_config__.tag is not None
        and not found.__name__.startswith("_")
        and found.__struct_config__.tag != found.__name__
    }


def test_every_message_there_is_stands_in_it() -> None:
    server = said(protocol, protocol.ServerMessage) | said(market_messages, protocol.ServerMessage)
    assert server == set(server_messages())
    assert len(server) > 25
    assert set(document()["components"]["messages"]) == {
        each.__name__ for each in (*CLIENT_MESSAGES, *server)
    }


def test_every_socket_and_close_code_stands_in_it() -> None:
    made = document()
    assert {channel["address"] for channel in made["channels"].values()} == set(PATHS)
    for channel in made["channels"].values():
        assert set(channel["x-close-codes"]) == {str(int(code)) for code in CloseCode}


def test_every_reference_leads_somewhere() -> None:
    made = json.loads(asyncapi.rendered())
    references = set()

    def collect(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                references.add(node["$ref"])
            for value in node.values():
                collect(value)
        elif isinstance(node, list):
            for value in node:
                collect(value)

    collect(made)
    assert references
    for reference in references:
        found = made
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ({"op": "auth", "token": "t"}, "Auth"),
        ({"op": "subscribe", "channel": "book", "venue": "a", "symbol": "BTC-PERP"}, "Subscribe"),
        ({"op": "subscribe", "account_id": "acc-1", "from_seq": 7, "id": 1}, "Subscribe"),
        ({"op": "unsubscribe"}, "Unsubscribe"),
        ({"op": "ping", "id": "a"}, "Ping"),
    ],
)
def test_what_clients_say(message: dict[str, Any], name: str) -> None:
    assert documented_as(message, "op") == [name]
    assert protocol.decode(json.dumps(message).encode())


def test_what_is_not_documented_is_noticed() -> None:
    top = {
        "type": "update", "channel": "top", "venue": "a", "network": "paper", "symbol": "X-PERP",
        "seq": 2, "prev_seq": 1, "bid": ["1", "2"], "ask": None,
        "event_time": None, "received_time": "2026-01-01T00:00:00Z", "source": "stream",
    }  # fmt: skip
    assert_documented(top)
    for wrong in (
        top | {"extra": 1},
        top | {"bid": ["1"]},
        top | {"channel": "book"},
        {key: value for key, value in top.items() if key != "seq"},
        top | {"type": "news"},
    ):
        with pytest.raises(AssertionError):
            assert_documented(wrong)
