"""A trader's client that never gives up and never changes its mind: same key, same body, again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.conformance.rig import rig_of

RETRY_EVERY_S = 0.2
CALL_TIMEOUT_S = 15.0
#: What a credential may be is found out within so long on a busy machine.
CHECKED_WITHIN_S = 60.0


class Trader:
    """Places, cancels and modifies through the public API, whatever dies meanwhile."""

    def __init__(self, api_url: str, token_file: Path, account_id: str = "") -> None:
        self._api_url = api_url
        self._token_file = token_file
        self.account_id = account_id

    async def open_account(
        self, control: dict[str, Any], label: str, *, venue: str = "hyperliquid"
    ) -> str:
        """Register a paper account that a venue's simulator made; return its id."""
        rig = rig_of(venue)
        body = {
            "venue": venue,
            "label": label,
            "network": "paper",
            "address": rig.address(control),
            "credential": {"private_key": rig.credential(control)},
        }
        response = await self._insist("POST", "/api/v1/accounts", json=body)
        assert response.status_code in (201, 202), response.text
        self.account_id = response.json()["account_id"]
        deadline = time.monotonic() + CHECKED_WITHIN_S
        while (state := await self._state()) != "ACTIVE":
            assert state == "PENDING" and time.monotonic() < deadline, f"{label}: {state}"
            await asyncio.sleep(RETRY_EVERY_S)
        return self.account_id

    async def _state(self) -> str:
        response = await self._insist("GET", f"/api/v1/accounts/{self.account_id}")
        assert response.status_code == 200, response.text
        return str(response.json()["state"])

    async def place(self, key: str, *, within_s: float = 60.0, **order: Any) -> dict[str, Any]:
        """Place an order and return it once its outcome is known (or the time is over)."""
        asked = {"account": self.account_id, "place_within_s": 60, **order}
        body = {name: value for name, value in asked.items() if value is not None}
        response = await self._insist(
            "POST", "/api/v1/orders", json=body, headers={"Idempotency-Key": key}, within_s=within_s
        )
        if response.status_code == 422:
            problem = dict(response.json())
            assert "order" in problem, problem
            return dict(problem["order"])
        assert response.status_code in (200, 201, 202), (response.status_code, response.text)
        placed = dict(response.json())
        if response.status_code == 202 or not _is_settled(placed):
            return await self.until(placed["order_id"], _is_settled, within_s=within_s)
        return placed

    async def cancel(self, order_id: str, key: str, *, within_s: float = 60.0) -> dict[str, Any]:
        """Cancel an order and return it once it has ended."""
        response = await self._insist(
            "DELETE",
            f"/api/v1/orders/{order_id}",
            headers={"Idempotency-Key": key},
            within_s=within_s,
        )
        assert response.status_code in (200, 202, 409), (response.status_code, response.text)
        return await self.until(order_id, _has_ended, within_s=within_s)

    async def modify(
        self, order_id: str, key: str, *, within_s: float = 60.0, **changes: Any
    ) -> dict[str, Any]:
        """Modify an order and return it once the replacement is decided."""
        response = await self._insist(
            "PATCH",
            f"/api/v1/orders/{order_id}",
            json=changes,
            headers={"Idempotency-Key": key},
            within_s=within_s,
        )
        assert response.status_code in (200, 202), (response.status_code, response.text)
        return await self.until(
            order_id,
            lambda order: order["status"] not in ("PENDING_MODIFY", "UNKNOWN", "SUBMITTED"),
            within_s=within_s,
        )

    async def resolve(self, order_id: str, verdict: str, reason: str) -> dict[str, Any]:
        """Give an operator's word on an order; return the order once it has ended."""
        response = await self._insist(
            "POST",
            f"/api/v1/orders/{order_id}/resolve",
            json={"verdict": verdict, "reason": reason},
            headers={"Idempotency-Key": f"{order_id}-{verdict}"},
        )
        assert response.status_code in (200, 202), (response.status_code, response.text)
        return await self.until(order_id, _has_ended, within_s=60)

    async def get(self, order_id: str) -> dict[str, Any]:
        """Return an order as the API shows it."""
        response = await self._insist("GET", f"/api/v1/orders/{order_id}")
        assert response.status_code == 200, (response.status_code, response.text)
        return dict(response.json())

    async def bracket(self, bracket_id: str) -> dict[str, Any]:
        """Return a bracket as the API shows it."""
        response = await self._insist("GET", f"/api/v1/brackets/{bracket_id}")
        assert response.status_code == 200, (response.status_code, response.text)
        return dict(response.json())

    async def brackets(self) -> list[dict[str, Any]]:
        """Return the brackets that have not ended."""
        response = await self._insist("GET", "/api/v1/brackets?status=open&limit=500")
        assert response.status_code == 200, (response.status_code, response.text)
        return list(response.json()["brackets"])

    async def end_bracket(self, bracket_id: str, key: str, *, within_s: float = 60.0) -> None:
        """Ask for a bracket's end until it has ended: a 202 says not even that we were heard."""
        path, headers = f"/api/v1/brackets/{bracket_id}", {"Idempotency-Key": key}
        deadline = time.monotonic() + within_s
        while not (await self.bracket(bracket_id))["is_terminal"]:
            response = await self._insist("DELETE", path, headers=headers, within_s=within_s)
            assert response.status_code in (200, 202, 409), (response.status_code, response.text)
            assert time.monotonic() < deadline, f"no end within {within_s} s: {bracket_id}"

    async def split(self, key: str, **order: Any) -> dict[str, Any]:
        """Place a split order and return it once every child's outcome is known."""
        body = {"split": True, "place_within_s": 60, **order}
        headers = {"Idempotency-Key": key}
        deadline = time.monotonic() + 60
        while True:
            response = await self._insist("POST", "/api/v1/orders", json=body, headers=headers)
            assert response.status_code in (201, 202), (response.status_code, response.text)
            if response.status_code == 201:
                return dict(response.json())
            assert time.monotonic() < deadline, response.text

    async def refused(self, key: str, **order: Any) -> str | None:
        """Ask for an order; return the code of its refusal, or None where it was taken."""
        headers = {"Idempotency-Key": key}
        response = await self._insist("POST", "/api/v1/orders", json=order, headers=headers)
        if response.status_code in (201, 202):
            return None
        return str(response.json()["code"])

    async def dry_run(self, **order: Any) -> dict[str, Any]:
        """Return what an order would be now."""
        body = {"dry_run": True, **order}
        response = await self._insist("POST", "/api/v1/orders", json=body)
        assert response.status_code == 200, (response.status_code, response.text)
        return dict(response.json())

    async def group(self, name: str, accounts: list[str]) -> None:
        """Make a group of accounts."""
        path = f"/api/v1/account-groups/{name}"
        response = await self._insist("PUT", path, json={"accounts": accounts})
        assert response.status_code == 200, (response.status_code, response.text)

    async def routing(self, order_id: str) -> dict[str, Any]:
        """Return why an order went where it went."""
        response = await self._insist("GET", f"/api/v1/orders/{order_id}/routing")
        assert response.status_code == 200, (response.status_code, response.text)
        return dict(response.json())

    async def end_split(self, split_id: str, key: str) -> dict[str, Any]:
        """Cancel a split order and return it once it has ended."""
        path, deadline = f"/api/v1/splits/{split_id}", time.monotonic() + 60
        while True:
            shown = dict((await self._insist("GET", path)).json())
            if shown["is_terminal"]:
                return shown
            assert time.monotonic() < deadline, f"no end within 60 s: {shown}"
            response = await self._insist("DELETE", path, headers={"Idempotency-Key": key})
            assert response.status_code in (200, 202, 409), (response.status_code, response.text)

    async def until(self, order_id: str, good: Any, *, within_s: float) -> dict[str, Any]:
        """Return the order once `good` holds of it."""
        deadline = time.monotonic() + within_s
        while True:
            order = await self.get(order_id)
            if good(order):
                return order
            assert time.monotonic() < deadline, f"not within {within_s} s: {order}"
            await asyncio.sleep(0.1)

    async def _insist(
        self, method: str, path: str, *, within_s: float = 60.0, **request: Any
    ) -> httpx2.Response:
        """Repeat a request until something answers that is not a server's failure."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                response = await self._once(method, path, **request)
                if response.status_code < 500 and not _is_too_early(method, response):
                    return response
                failure = f"{response.status_code} {response.text}"
            except (httpx2.TransportError, FileNotFoundError) as error:
                failure = repr(error)
            assert time.monotonic() < deadline, f"{method} {path}: {failure}"
            await asyncio.sleep(RETRY_EVERY_S)

    async def _once(self, method: str, path: str, **request: Any) -> httpx2.Response:
        token = self._token_file.read_text().strip()
        headers = {"Authorization": f"Bearer {token}", **request.pop("headers", {})}
        async with httpx2.AsyncClient(base_url=self._api_url, timeout=CALL_TIMEOUT_S) as client:
            return await client.request(method, path, headers=headers, **request)


def _has_ended(order: dict[str, Any]) -> bool:
    return order["status"] in ("CANCELED", "FILLED", "REJECTED", "EXPIRED", "DENIED")


def _is_too_early(method: str, response: httpx2.Response) -> bool:
    """Tell whether the order is not placed yet, so that a cancel or modify has to be repeated."""
    if method == "POST":
        return False
    codes = ("not_placed", "not_found", "workflow_missing")
    return response.status_code in (404, 409) and response.json().get("code") in codes


def _is_settled(order: dict[str, Any]) -> bool:
    """Tell whether it is known what became of a placement."""
    return order["outcome"] not in ("pending", "unknown")
