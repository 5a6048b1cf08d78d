"""Answers that a simulator does not give: a host that is gone, odd bodies, wrong ids."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.commands import CommandKind
from domain.errors import VenueRefused, VenueUnavailable
from domain.outcomes import Accepted, Acknowledged, NotSent, Rejected, Unknown
from venues.transport import Reply
from venues.vest import wire
from venues.vest.answers import Asked, outcome
from venues.vest.rest import _read

PLACE = Asked(kind=CommandKind.PLACE, order_id="o")
CANCEL = Asked(kind=CommandKind.CANCEL, order_id="o", venue_order_id="0x1")
SETTING = Asked(kind=None)


def reply(body: Any, status: int = 200, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status=status, body=raw, received_at=datetime.now(UTC), headers=headers)


@pytest.mark.parametrize(
    ("body", "status", "asked", "kind"),
    [
        ({"id": "0x1"}, 200, PLACE, Acknowledged),
        ({"id": "0x1"}, 200, CANCEL, Acknowledged),
        ({"id": "0x2"}, 200, CANCEL, Unknown),
        ({"id": ""}, 200, PLACE, Unknown),
        ({"id": "0x1"}, 500, PLACE, Unknown),
        ({"id": "0x1"}, 202, PLACE, Unknown),
        ({"code": 3002, "msg": "MARGIN_CHECK_FAILED"}, 200, PLACE, Rejected),
        ({"detail": {"code": 3002}}, 500, PLACE, Rejected),
        ({"code": 9999, "msg": "NEW"}, 400, PLACE, Unknown),
        ({"code": 3015, "msg": "DUPLICATE"}, 400, PLACE, Unknown),
        ({"code": 1132}, 400, PLACE, NotSent),
        ({"detail": [{"loc": ["body"]}]}, 422, PLACE, Unknown),
        ({"detail": "Not Found"}, 404, PLACE, Unknown),
        (b"<html>530</html>", 530, PLACE, Unknown),
        ({"symbol": "BTC-PERP", "value": 3}, 200, SETTING, Accepted),
        ({"symbol": "BTC-PERP"}, 200, SETTING, Unknown),
    ],
)
def test_what_an_answer_to_a_first_send_proves(
    body: Any, status: int, asked: Asked, kind: type[Any]
) -> None:
    found = outcome(reply(body, status), asked, first=True)
    assert isinstance(found, kind), found


def test_a_copy_decides_only_that_there_is_nothing_to_cancel() -> None:
    gone = reply({"code": 3017, "msg": "ORDER_NOT_FOUND"}, 400)
    assert isinstance(outcome(gone, CANCEL, first=False), Rejected)
    for asked in (PLACE, CANCEL):
        refused = reply({"code": 3002, "msg": "x"}, 400)
        assert isinstance(outcome(refused, asked, first=False), Unknown)


def test_a_rejection_has_its_proof_and_its_report() -> None:
    found = outcome(reply({"code": 3002, "msg": ""}, 400), PLACE, first=True)
    assert isinstance(found, Rejected)
    assert (found.code, found.reason) == ("insufficient_margin", "MARGIN_CHECK_FAILED")
    assert "HTTP 400, code 3002" in found.proof
    assert found.report is not None and found.report.filled_quantity == 0


def test_a_host_that_is_gone_is_no_trouble_that_passes() -> None:
    with pytest.raises(VenueRefused, match="VEST_MAINNET_URL"):
        _read("/account", reply(b"<html>", 530), wire.AccountRow)
    for status in (429, 500, 502, 503):
        with pytest.raises(VenueUnavailable):
            _read("/account", reply(b"null", status), wire.AccountRow)
    for code in (429, 1003):
        with pytest.raises(VenueUnavailable):
            _read("/account", reply({"code": code}), wire.AccountRow)
    with pytest.raises(VenueRefused, match="1002"):
        _read("/account", reply({"code": 1002, "msg": "UNAUTHORIZED"}), wire.AccountRow)


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_is_none_is_none(date: str) -> None:
    page = _read("/account/listenKey", reply({"listenKey": "k"}, date=date), wire.ListenKey)
    assert page.date is None
    told = _read(
        "/x", reply({"listenKey": "k"}, date="Mon, 30 Nov 2026 11:00:00 GMT"), wire.ListenKey
    )
    assert told.date == datetime(2026, 11, 30, 11, tzinfo=UTC)
