"""Ports are chosen, kept and, when taken, explained."""

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stack import ports as ports_module
from stack.errors import PortTaken
from stack.ports import PortChoice, choose_ports, is_free, port_owner
from stack.settings import StackSettings

pytestmark = pytest.mark.usefixtures("paths")


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_automatic_ports_are_free_distinct_and_outside_the_ephemeral_range() -> None:
    chosen = choose_ports(StackSettings.load(), PortChoice.AUTO, {}).as_dict()
    assert len(set(chosen.values())) == len(chosen)
    assert all(15_000 <= port < 30_000 and is_free(port) for port in chosen.values())


def test_automatic_ports_are_kept_if_they_are_free(taken: int) -> None:
    first = choose_ports(StackSettings.load(), PortChoice.AUTO, {}).as_dict()
    assert choose_ports(StackSettings.load(), PortChoice.AUTO, first).as_dict() == first
    second = choose_ports(StackSettings.load(), PortChoice.AUTO, {**first, "api": taken})
    assert second.api != taken
    assert second.as_dict() | {"api": first["api"]} == first
    same = choose_ports(StackSettings.load(), PortChoice.AUTO, dict.fromkeys(first, first["api"]))
    assert len(set(same.as_dict().values())) == len(first)


def test_a_port_that_was_set_is_not_chosen_for_you(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        free = server.getsockname()[1]
    monkeypatch.setenv("API_PORT", str(free))
    assert choose_ports(StackSettings.load(), PortChoice.AUTO, {}).api == free


def test_two_settings_may_not_share_a_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "18700")
    monkeypatch.setenv("STREAMING_PORT", "18700")
    with pytest.raises(PortTaken, match=r"STREAMING_PORT: .* found 18700, which API_PORT has too"):
        choose_ports(StackSettings.load(), PortChoice.AUTO, {})


def test_ports_of_the_user_s_servers_are_not_needed(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TEMPORAL_PORT", "VALKEY_PORT"):
        monkeypatch.setenv(name, str(taken))
    simulators = ("SIM_PORT", "SIM_CONTROL_PORT")
    monkeypatch.setenv("SIMULATED_VENUES", "hyperliquid")
    for name in ("API_PORT", "STREAMING_PORT", *simulators):
        with closing(socket.create_server(("127.0.0.1", 0))) as server:
            monkeypatch.setenv(name, str(server.getsockname()[1]))
    with pytest.raises(PortTaken):
        choose_ports(StackSettings.load(), PortChoice.FIXED, {})
    monkeypatch.setenv("TEMPORAL_ADDRESS", "far:7233")
    monkeypatch.setenv("REDIS_URL", "redis://far/0")
    assert choose_ports(StackSettings.load(), PortChoice.FIXED, {}).temporal == taken


def test_no_free_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports_module, "is_free", lambda *_: False)
    with pytest.raises(PortTaken, match="--ports auto: expected a free port between 15000"):
        choose_ports(StackSettings.load(), PortChoice.AUTO, {"api": 1})


def test_a_port_without_listener_has_no_owner(taken: int) -> None:
    assert port_owner(taken) is not None
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        gone = server.getsockname()[1]
    assert port_owner(gone) is None


def test_an_owner_that_may_not_be_seen_is_said_so(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path) -> Iterator[Path]:
        raise PermissionError(self)

    real = Path.iterdir
    monkeypatch.setattr(
        Path, "iterdir", lambda self: refuse(self) if self.name == "fd" else real(self)
    )
    assert port_owner(taken) is None
    monkeypatch.setenv("API_PORT", str(taken))
    with pytest.raises(PortTaken, match="taken by a process that is not yours to see"):
        choose_ports(StackSettings.load(), PortChoice.AUTO, {})


def test_a_port_is_tested_where_it_will_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.2", 0))) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("STREAMING_PORT", str(port))
        assert choose_ports(StackSettings.load(), PortChoice.AUTO, {}).streaming == port
        monkeypatch.setenv("STREAMING_HOST", "127.0.0.2")
        with pytest.raises(PortTaken, match="STREAMING_PORT"):
            choose_ports(StackSettings.load(), PortChoice.AUTO, {})
