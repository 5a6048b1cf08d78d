"""Started connectors: who is given access to credentials, and who is not started without it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from domain.accounts import Network
from domain.errors import CorruptState
from venues import registry
from venues.started import Connectors

NEEDS = replace(registry.load("hyperliquid").capabilities, queries_need_credential=True)


class Asking:
    """A connector of a venue that answers only the account's owner."""

    def __init__(self) -> None:
        self.capabilities = NEEDS
        self.venue = "picky"
        self.given: list[Any] = []

    def use_credentials(self, source: Any) -> None:
        self.given.append(source)

    async def start(self) -> None:
        assert self.given, "expected access before anything is asked"

    async def close(self) -> None:
        """Nothing is held."""


def serve(monkeypatch: pytest.MonkeyPatch, connector: Any) -> None:
    spec = SimpleNamespace(connect=lambda network: connector)
    monkeypatch.setattr(registry, "load", lambda venue: spec)


async def test_access_is_given_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking()
    access: Any = SimpleNamespace()
    serve(monkeypatch, asking)
    connectors = Connectors(frozenset({"picky"}), access)
    connected: object = await connectors.connector("picky", Network.PAPER)
    assert connected is asking
    assert asking.given == [access]


async def test_without_access_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Asking())
    connectors = Connectors(frozenset({"picky"}))
    with pytest.raises(CorruptState, match="expected access to credentials for picky"):
        await connectors.connector("picky", Network.PAPER)
    assert connectors.started() == ()


async def test_who_can_hear_of_feeds_is_told_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asking: Any = Asking()
    heard: list[Any] = []
    asking.use_feed = heard.append
    feed: Any = SimpleNamespace()
    access: Any = SimpleNamespace()
    serve(monkeypatch, asking)
    await Connectors(frozenset({"picky"}), access).connector("picky", Network.PAPER)
    assert heard == []
    told = Connectors(frozenset({"picky"}), access, feed=feed)
    await told.connector("picky", Network.PAPER)
    assert heard == [feed]


async def test_others_are_started_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking()
    asking.capabilities = replace(NEEDS, queries_need_credential=False)
    asking.given.append("not from us")
    serve(monkeypatch, asking)
    connectors = Connectors(frozenset({"picky"}))
    await connectors.connector("picky", Network.PAPER)
    assert asking.given == ["not from us"]
