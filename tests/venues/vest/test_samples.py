"""Example payloads of the venue's page go through wire and translate, where this machine has them.

The same shapes, made up, go through in any case.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from domain.accounts import PositionSide
from domain.orders import Verdict
from tests.venues.vest.building import NOW, account, sample, samples
from venues.vest import translate, wire
from venues.vest.refusals import BY_CODE

READERS: dict[str, Any] = {
    "account.json": wire.AccountRow,
    "account_leverage.json": wire.LeverageRow,
    "depth.json": wire.Depth,
    "exchangeInfo.json": wire.ExchangeInfo,
    "funding_history.json": list[wire.FundingRateRow],
    "klines.json": list[wire.Kline],
    "listenKey_post.json": wire.ListenKey,
    "orders_get_filled.json": list[wire.OrderRow],
    "orders_post.json": wire.OrderNamed,
    "register.json": wire.Registered,
    "ticker_latest.json": wire.Tickers,
}
#: Codes of the page that concern what this system never does.
OUT_OF_SCOPE = {1125, 1143, 1144, 1147}


def test_every_rest_example_is_read() -> None:
    for path in samples("v2_rest"):
        document = json.loads(path.read_text(encoding="utf-8"))
        if path.name in READERS:
            body = json.dumps(document["response"]["body"]).encode()
            wire.decode(body, READERS[path.name])
            assert wire.failure_in(body) is None, path.name
            continue
        answers = [document["response"]] if "response" in document else document["items"]
        for answer in answers:
            failed = wire.failure_in(json.dumps(answer["body"]).encode())
            assert failed is not None and failed.code in (429, 3015), path.name


def test_every_frame_is_read() -> None:
    for path in samples("v2_ws"):
        for frame in json.loads(path.read_text(encoding="utf-8"))["frames"]:
            if frame["dir"] != "in":
                continue
            read = wire.decode(json.dumps(frame["msg"]).encode(), wire.Frame)
            data = bytes(read.data)
            if read.channel == "account_private":
                event = wire.decode(data, wire.PrivateEvent)
                if event.event == "ORDER":
                    wire.decode(bytes(event.args), wire.OrderRow)
            elif read.channel == "tickers":
                wire.decode(data, list[wire.TickerRow])
            elif read.channel is not None:
                assert read.channel.endswith("@depth")
                wire.decode(data, wire.Depth)


def test_every_code_of_the_page_is_in_the_table() -> None:
    found = sample("v2_error_codes.json")
    for group in ("general", "invalid_request", "order_rejection") if found else ():
        for code, name in found[group].items():
            if int(code) not in OUT_OF_SCOPE:
                assert BY_CODE[int(code)].name == name


ORDER: dict[str, Any] = {
    "id": "0x0",
    "nonce": 7,
    "symbol": "BTC-PERP",
    "isBuy": True,
    "orderType": "LIMIT",
    "limitPrice": "30000",
    "size": "0.1000",
    "status": "FILLED",
    "reduceOnly": False,
    "code": None,
    "lastFilledSize": "0.0400",
    "lastFilledPrice": "30000.00",
    "lastFilledTime": 1683849600976,
    "avgFilledPrice": "29990.00",
    "fees": "0.300000",
    "realizedPnl": "0.200000",
    "postTime": 1683849600076,
}


def row(**changes: Any) -> wire.OrderRow:
    return wire.decode(json.dumps({**ORDER, **changes}).encode(), wire.OrderRow)


@pytest.mark.parametrize(
    ("status", "code", "verdict", "filled"),
    [
        ("NEW", None, Verdict.ACCEPTED, None),
        ("PARTIALLY_FILLED", None, Verdict.PARTIALLY_FILLED, "0.04"),
        ("FILLED", None, Verdict.FILLED, "0.1"),
        ("CANCELLED", None, Verdict.CANCELED, "0.04"),
        ("REJECTED", 3002, Verdict.REJECTED, None),
        ("REJECTED", 1132, Verdict.EXPIRED, None),
        ("REJECTED", 3004, Verdict.EXPIRED, None),
        ("SOMETHING_NEW", None, Verdict.ACCEPTED, None),
    ],
)
def test_statuses(status: str, code: int | None, verdict: Verdict, filled: str | None) -> None:
    changes: dict[str, Any] = {} if filled else {"lastFilledSize": None, "lastFilledPrice": None}
    found = translate.order_row(row(status=status, code=code, **changes))
    assert found.verdict is verdict
    assert found.filled_quantity == Decimal(filled or 0)
    assert found.client_order_id == "7"


def test_a_filled_order_is_one_derived_fill_of_its_whole_size() -> None:
    fill = translate.fill_in("a1", row())
    assert fill is not None
    assert (fill.quantity, fill.price, fill.fee) == (
        Decimal("0.1"), Decimal(29990), Decimal("0.3"),
    )  # fmt: skip
    assert fill.is_total
    assert fill.liquidity_side.value == "MAKER"
    took = translate.fill_in("a1", row(lastFilledTime=ORDER["postTime"]))
    assert took is not None and took.liquidity_side.value == "TAKER"
    assert translate.fill_in("a1", row(status="NEW", lastFilledSize=None)) is None


def test_an_account_is_read_and_its_owner_checked() -> None:
    document = sample("v2_rest/account.json")
    if document is None:
        return
    read = wire.decode(json.dumps(document["response"]["body"]).encode(), wire.AccountRow)
    owner = account(address=read.address.lower())
    summary = translate.account_summary(owner, read, frozenset())
    (position,) = summary.positions
    assert (position.side, position.quantity, position.leverage) == (
        PositionSide.LONG, Decimal("0.1"), Decimal(5),
    )  # fmt: skip
    assert summary.equity == Decimal("200000.12")
    with pytest.raises(wire.WireError, match="expected account"):
        translate.account_summary(account(), read, frozenset())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"code":429,"msg":"Rate limited"}', 429),
        (b'{"detail":{"code":3015,"msg":"DUPLICATE"}}', 3015),
        (b'{"detail":[{"loc":["body"],"msg":"field required","type":"x"}]}', None),
        (b'{"detail":"Not Found"}', None),
    ],
)
def test_errors_in_each_envelope(body: bytes, code: int | None) -> None:
    failed = wire.failure_in(body)
    assert failed is not None and failed.code == code


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"12", b"\xff", b'{"id":"0x1"}'])
def test_what_is_no_error(body: bytes) -> None:
    assert wire.failure_in(body) is None


def test_books_are_sorted_and_cut() -> None:
    depth = wire.Depth(
        bids=[(Decimal(1), Decimal(5)), (Decimal(3), Decimal(5)), (Decimal(2), Decimal(5))],
        asks=[(Decimal(5), Decimal(5)), (Decimal(4), Decimal(5))],
    )
    book = translate.order_book("BTC-PERP", depth, levels=2, event_time=NOW, received_time=NOW)
    assert [level.price for level in book.bids] == [3, 2]
    assert [level.price for level in book.asks] == [4, 5]
