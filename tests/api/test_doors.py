"""Who gets in at all: the token, and the names under which we answer."""

from __future__ import annotations

import httpx2
import pytest
import pytest_asyncio

from tests.api.serving import TOKEN, Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

ORDERS = "/api/v1/orders"


@pytest_asyncio.fixture(loop_scope="module")
async def api(shared_api: Api) -> Api:
    """The module's API."""
    return shared_api


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer \xff\xfe",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ],
    ids=ascii,
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PATCH", "PUT", "OPTIONS"])
async def test_without_the_token_nothing_is_reached(
    api: Api, authorization: str | None, method: str
) -> None:
    headers = {} if authorization is None else {b"Authorization": authorization.encode("latin-1")}
    async with httpx2.AsyncClient(base_url=api.url) as http:
        for path in (ORDERS, "/api/v1/accounts", "/api/v1/codec/decode", "/api/v1/nothing"):
            answer = await http.request(method, path, headers=headers)
            assert answer.status_code == 401, (path, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "unauthenticated"
    assert api.desk.starts == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8700", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1.", 421),
        ("", 421),
        ("[::1", 421),
        ("127.0.0.1@evil", 421),
    ],
)
async def test_only_our_own_names_are_answered(api: Api, host: str, status: int) -> None:
    answer = await api.http.get(ORDERS, headers={"Host": host})
    assert answer.status_code == status
    health = await api.http.get("/healthz", headers={"Host": host})
    assert health.status_code == 200
