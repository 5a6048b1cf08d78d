"""Reconciliations over the API: asked for, listed, read; what is not ours is handled plainly."""

from __future__ import annotations

import uuid

from domain.orders import Origin
from tests.api.serving import FOREIGN, PAPER, Api, keep, order

PATH = f"/api/v1/accounts/{PAPER}/reconciliations"


async def test_a_reconciliation_is_answered_with_its_findings(api: Api) -> None:
    answer = await api.post(PATH + "?full=true", None, **{"Idempotency-Key": "k1"})

    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["status"], done["is_full"], done["found"]) == (
        "PASSED",
        True,
        {"external_order": 1},
    )
    (finding,) = done["findings"]
    assert (finding["kind"], finding["state"]) == ("external_order", "OPEN")
    assert finding["evidence"] == {"quantity": "1"}
    assert answer.headers["location"] == f"{PATH}/{done['reconciliation_id']}"
    read = await api.http.get(answer.headers["location"])
    assert read.json() == done
    again = await api.post(PATH, None, **{"Idempotency-Key": "k1"})
    assert again.json() == done
    assert len(api.reconciliations.asked) == 1


async def test_a_listing_shows_the_newest_first_and_since_when_it_is_due(api: Api) -> None:
    for key in ("a", "b"):
        await api.post(PATH, None, **{"Idempotency-Key": key})
    await api.storage.reconciliations.make_due()

    listed = (await api.http.get(PATH)).json()

    starts = [each["started_at"] for each in listed["reconciliations"]]
    assert starts == sorted(starts, reverse=True)
    assert len(starts) == 2
    assert listed["due_since"] is not None
    assert listed["workflow_id"] == f"reconcile-{PAPER}"
    assert listed["reconciliations"][0]["findings"] is None
    older = await api.http.get(PATH, params={"before": starts[0], "limit": "1"})
    assert [each["started_at"] for each in older.json()["reconciliations"]] == starts[1:]


async def test_one_under_way_is_accepted_and_asked_again_by_its_key(api: Api) -> None:
    api.reconciliations.script = "hang"

    answer = await api.post(PATH, None, **{"Idempotency-Key": "k", "Prefer": "wait=0"})

    assert answer.status_code == 202
    assert answer.headers["location"] == PATH
    again = await api.post(PATH, None, **{"Idempotency-Key": "k"})
    assert again.json()["reconciliation_id"] == answer.json()["reconciliation_id"]
    assert len({asked[1] for asked in api.reconciliations.asked}) == 1


async def test_what_cannot_be_asked_is_refused_in_words(api: Api) -> None:
    api.reconciliations.script = "away"
    assert (await api.post(PATH, None)).status_code == 503
    api.reconciliations.script = "not_active"
    refused = await api.post(PATH, None)
    assert (refused.status_code, refused.json()["code"]) == (409, "account_not_active")
    assert (await api.http.get(PATH, params={"limit": "0"})).status_code == 422
    assert (await api.http.get(PATH, params={"before": "2026-01-01T00:00:00"})).status_code == 422
    assert (await api.http.get(f"{PATH}/{uuid.uuid4()}")).status_code == 404
    foreign = f"/api/v1/accounts/{FOREIGN}/reconciliations"
    assert (await api.http.get(foreign)).status_code == 404
    assert (await api.post(foreign, None)).status_code == 404


async def test_an_order_made_elsewhere_is_shown_canceled_on_demand_and_never_changed(
    api: Api,
) -> None:
    kept = await keep(api.storage, order(origin=Origin.EXTERNAL))
    path = f"/api/v1/orders/{kept.order_id}"

    assert (await api.http.get(path)).json()["origin"] == "EXTERNAL"
    changed = await api.http.patch(path, json={"price": "44000"})
    assert (changed.status_code, changed.json()["code"]) == (409, "not_ours")
    await api.http.delete(path)

    assert api.desk.adopted == [kept.order_id]
    assert [each[:2] for each in api.desk.requests] == [("cancel", kept.order_id)]


async def test_an_order_of_ours_is_canceled_by_the_workflow_it_has(api: Api) -> None:
    kept = await keep(api.storage, order())
    await api.http.delete(f"/api/v1/orders/{kept.order_id}")
    assert api.desk.adopted == []
