"""What the API tells Prometheus of its requests."""

from __future__ import annotations

from process.metrics import registry_of
from tests.api.serving import Api


async def test_requests_are_counted_by_template_method_and_answer(api: Api) -> None:
    registry = registry_of([api.app.state.requests])

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"perp_dex_api_{name}", labels)

    placed = (await api.place()).json()["order_id"]
    assert (await api.http.get(f"/api/v1/orders/{placed}")).status_code == 200
    assert (await api.http.get("/api/v1/orders/no-such-order")).status_code == 404
    assert (await api.http.get("/somewhere/else")).status_code == 404
    assert (await api.http.request("PROPFIND", "/api/v1/orders")).status_code == 405
    refused = await api.http.get("/api/v1/orders", headers={"Authorization": "Bearer no"})
    assert refused.status_code == 401

    route = "/api/v1/orders/{order_id}"
    assert value("requests_total", method="POST", route="/api/v1/orders", status="201") == 1
    assert value("requests_total", method="GET", route=route, status="200") == 1
    assert value("requests_total", method="GET", route=route, status="404") == 1
    # Refused before any route was looked for, or no route at all: one name for all of them.
    assert value("requests_total", method="GET", route="other", status="404") == 1
    assert value("requests_total", method="GET", route="other", status="401") == 1
    assert value("requests_total", method="other", route="/api/v1/orders", status="405") == 1
    assert value("request_seconds_count", method="GET", route=route) == 2
    assert value("requests_under_way") == 0
    assert placed not in "".join(str(family) for family in registry.collect())
