from __future__ import annotations

import pytest

from streaming.handshake import Admitted, Doors, Refused, judge
from streaming.protocol import CloseCode

DOORS = Doors(
    channels={"/ws/v1/orders": "orders"},
    hosts=frozenset({"127.0.0.1", "localhost", "::1", "desk.example"}),
    origins=frozenset({"https://desk.example"}),
)
HOST = "127.0.0.1:8701"


def test_a_client_without_origin_is_let_in() -> None:
    assert judge(DOORS, "/ws/v1/orders", [HOST], []) == Admitted("orders")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/ws/v1/orders/",
        "//ws/v1/orders",
        "/WS/v1/orders",
        "/ws/v1/positions",
        "/ws/v1/../v1/orders",
        "/ws/v1/orders%2f",
    ],
)
def test_nothing_is_at_other_paths(path: str) -> None:
    assert judge(DOORS, path, [HOST], []) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        (HOST, "http://127.0.0.1:8701"),
        ("localhost:80", "http://localhost"),
        ("LOCALHOST:8701", "http://localhost:8701"),
        ("[::1]:8701", "http://[::1]:8701"),
        ("desk.example", "https://desk.example"),
        (HOST, "https://desk.example"),
    ],
)
def test_the_same_place_and_listed_origins_are_let_in(host: str, origin: str) -> None:
    assert judge(DOORS, "/ws/v1/orders", [host], [origin]) == Admitted("orders")


@pytest.mark.parametrize(
    ("hosts", "origins"),
    [
        ([HOST], ["https://evil.example"]),
        ([HOST], ["null"]),
        ([HOST], [""]),
        ([HOST], ["http://127.0.0.1:3000"]),
        ([HOST], ["http://localhost:8701"]),
        ([HOST], ["https://127.0.0.1"]),
        ([HOST], ["https://desk.example.evil.example"]),
        ([HOST], ["https://desk.example/"]),
        ([HOST], ["http://127.0.0.1:8701/path"]),
        ([HOST], ["http://127.0.0.1:99999999"]),
        ([HOST], ["file://127.0.0.1:8701"]),
        ([HOST], ["https://desk.example", "https://desk.example"]),
        (["evil.example:8701"], []),
        (["evil.example:8701"], ["http://evil.example:8701"]),
        (["127.0.0.1.evil.example"], []),
        (["[::1"], []),
        ([""], []),
        ([], []),
        ([HOST, HOST], []),
    ],
)
def test_other_origins_and_rebound_names_are_forbidden(
    hosts: list[str], origins: list[str]
) -> None:
    verdict = judge(DOORS, "/ws/v1/orders", hosts, origins)
    assert isinstance(verdict, Refused)
    assert verdict.code is CloseCode.FORBIDDEN
    assert "evil" not in verdict.reason


@pytest.mark.parametrize("query", ["token=secret-text", "", "x"])
def test_a_query_is_refused_as_unauthenticated(query: str) -> None:
    verdict = judge(DOORS, f"/ws/v1/orders?{query}", [HOST], [])
    assert isinstance(verdict, Refused)
    assert verdict.code is CloseCode.UNAUTHENTICATED
    assert "secret-text" not in verdict.reason
