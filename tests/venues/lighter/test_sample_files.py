"""The rest of the recorded folder, where this machine has it: primitives of the signature, frames.

Together with `test_samples`, `test_signing` and `test_streams` every file there is read by a test,
but for those named below with the reason why nothing of ours reads them.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.venues.lighter.building import NOW, sample, samples
from tests.venues.lighter.test_streams import Talk, markets
from venues.connector import (
    BookSeen,
    CandleSeen,
    MarketChannel,
    MarketChannelKind,
    TickerSeen,
    TradesSeen,
)
from venues.lighter import simulator_curve as curve
from venues.lighter import simulator_poseidon as poseidon
from venues.lighter import wire
from venues.lighter.answers import Asked, answered
from venues.lighter.shapes import SHAPES
from venues.lighter.simulator_constants import DIAGONAL, EXTERNAL, INTERNAL
from venues.lighter.simulator_transactions import read_transaction
from venues.lighter.stream_session import Session
from venues.shapes import differences
from venues.stream_session import SessionOver
from venues.transport import Reply

#: Files of what nothing here asks for, and why.
UNREAD: Final = {
    "README.md": "about the folder",
    "rest/ccxt_assetDetails.json": "assets of the spot side",
    "rest/nautilus_http_order_book_depth.json": "a route of the newer API that is not asked",
    "ws/docs_account_tx_and_notification.json": "channels that are not followed",
    "ws/nautilus_ws_account_all_assets_update.json": "a channel that is not followed",
    "ws/nautilus_ws_account_orders_update.json": "a channel by market; ours has all markets",
    "ws/nautilus_ws_height_update.json": "a channel that is not followed",
    "ws/nautilus_ws_spot_market_stats_subscribed_single.json": "spot markets",
    "ws/nautilus_ws_spot_market_stats_update_all.json": "spot markets",
}
SHAPE_OF: Final = {
    "order_book": wire.BookFrame,
    "ticker": wire.BestFrame,
    "trade": wire.TradeFrame,
    "market_stats": wire.StatsFrame,
    "candle": wire.CandleFrame,
    "account_all_orders": wire.OrdersFrame,
    "account_all_trades": wire.AccountTradesFrame,
    "account_all_positions": wire.PositionsFrame,
    "user_stats": wire.UserStatsFrame,
}


def limbs(spelled: str) -> list[int]:
    data = bytes.fromhex(spelled)
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


def vectors(name: str) -> Any:
    found = sample(f"signing/nautilus_signing_{name}_vectors.json")
    return {} if found is None else found["vectors"]


def test_the_base_field_is_the_venues() -> None:
    p = poseidon.P
    for one in vectors("field_goldilocks"):
        a, b, e = *limbs(one["a"] + one["b"]), int(one["e"])
        told = {name: limbs(one[name])[0] for name in ("add", "sub", "mul", "neg_a", "pow_a_e")}
        ours = {"add": a + b, "sub": a - b, "mul": a * b, "neg_a": -a, "pow_a_e": pow(a, e, p)}
        assert told == {name: value % p for name, value in ours.items()}
        assert limbs(one["inv_a"]) == [pow(a, p - 2, p)]


def test_the_fields_extension_is_the_venues() -> None:
    for one in vectors("field_quintic"):
        a, b = (_element(one[name]) for name in ("a", "b"))
        assert curve.multiply(a, b) == _element(one["mul"])
        assert curve.square(a) == curve.multiply(a, a)
        assert curve.invert(a) == _element(one["inv_a"])


def _element(spelled: str) -> curve.Element:
    a, b, c, d, e = limbs(spelled)
    return a, b, c, d, e


def test_the_hash_is_the_venues() -> None:
    found = vectors("hash_poseidon2")
    if not found:
        return
    for one in found["permute"]:
        assert poseidon._permute(limbs(one["input"])) == limbs(one["output"])
    # A transaction's hash has five elements and a fold's four: more than the rate is never taken.
    for one in (each for each in found["sponge"] if each["num_outputs"] <= 8):
        hashed = poseidon.hash_elements(limbs(one["input"]), one["num_outputs"])
        assert list(hashed) == limbs(one["output"])
    for one in found["hash_to_quintic"]:
        assert list(poseidon.hash_elements(limbs(one["input"]), 5)) == limbs(one["output"])
    for one in found["hash_n_to_one"]:
        folded: tuple[int, ...] = ()
        for each in map(limbs, one["inputs"]):
            folded = poseidon.hash_elements([*folded, *each], 4) if folded else tuple(each)
        assert list(folded) == limbs(one["output"])


def test_the_hashs_constants_are_the_venues() -> None:
    found = sample("signing/poseidon2_goldilocks_width12_constants.json")
    if found is not None:
        assert [one for row in found["external_round_constants"] for one in row] == list(EXTERNAL)
        assert tuple(found["internal_round_constants"]) == INTERNAL
        assert tuple(found["internal_matrix_diagonal"]) == DIAGONAL


def test_requests_of_another_client_are_read_by_the_simulator() -> None:
    found = sample("rest/ccxt_sendTx_requests.json")
    for one in found["requests"] if found else ():
        form = one["form"]
        read = read_transaction(int(form["tx_type"]), form["tx_info"], 304)
        assert read.account_index == 715085, one["description"]
        assert len(read.tx_hash) == 80 and len(read.signature) == 80


# Frames


def ws(name: str) -> Any:
    return sample(f"ws/{name}.json")


def talk() -> Talk:
    kinds = [one for one in MarketChannelKind if one is not MarketChannelKind.CANDLES]
    return markets(
        *(MarketChannel(kind=kind, symbol="ETH-PERP") for kind in kinds),
        MarketChannel(kind=MarketChannelKind.CANDLES, symbol="ETH-PERP", interval="1m"),
        MarketChannel(kind=MarketChannelKind.TICKER, symbol="BTC-PERP"),
    )


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("order_book_subscribed", BookSeen),
        ("ticker_subscribed", BookSeen),
        ("market_stats_subscribed_single", TickerSeen),
        ("market_stats_update_single", TickerSeen),
        ("trade_update", TradesSeen),
        ("candle_update", CandleSeen),
    ],
)
def test_a_documented_public_frame_tells_something(name: str, told: type) -> None:
    frame = ws(f"nautilus_ws_{name}")
    if frame is not None:
        step = talk().hear(frame)
        assert step.close is None, step.close
        assert told in {type(event) for event in step.events}


def test_a_documented_change_of_a_book_follows_no_other_book() -> None:
    change = ws("nautilus_ws_order_book_update")
    if change is not None:
        # Nothing was told whole before it, so nothing is known of the book.
        step = talk().hear(change)
        assert not [event for event in step.events if isinstance(event, BookSeen)]


def test_frames_of_control_and_errors() -> None:
    found = ws("control_and_error_frames")
    spoken = [one for one in found["frames"] if one["dir"] == "in"] if found else []
    refused = ws("recorded_error_invalid_channel_a") or []
    for frame in [one["json"] for one in spoken] + refused:
        session = Session()
        payload = json.dumps(frame).encode()
        error = frame.get("error")
        goes_on = error is None or error["code"] == 30003
        if frame.get("type") in ("shutdown", "error") or not goes_on:
            with pytest.raises(SessionOver):
                session.read(payload)
        else:
            assert session.read(payload) is None, frame
    for one in found["frames"] if found else ():
        if one["dir"] == "http" and one["json"]["code"] != 200:
            reply = Reply(
                status=one["status"] or 400, body=json.dumps(one["json"]).encode(), received_at=NOW
            )
            assert answered(reply, Asked(kind=None, tx_hash="00"), first=True).outcome.kind in (
                "rejected",
                "not_sent",
            )


def test_no_recorded_frame_has_a_field_that_the_shapes_do_not_know() -> None:
    shapes = {shape.kind: shape for shape in SHAPES}
    root = samples()
    for path in sorted((root / "ws").glob("*.json")) if root else ():
        for frame in _frames(json.loads(path.read_text())):
            name = str(frame.get("channel", "")).partition(":")[0]
            if name in SHAPE_OF:
                found = differences(frame, shapes[SHAPE_OF[name]])
                assert not found, (path.name, found)


def _frames(content: Any) -> list[dict[str, Any]]:
    listed = content if isinstance(content, list) else [content]
    return [json.loads(one["msg"]) if "msg" in one else one for one in listed]


def test_every_file_of_the_folder_is_read_by_some_test() -> None:
    root = samples()
    if root is None:
        return
    here = Path(__file__).parent
    said = " ".join(
        node.value
        for path in here.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    for path in root.rglob("*.*"):
        name = path.relative_to(root).as_posix()
        plain = path.stem.removeprefix("nautilus_ws_").removeprefix("nautilus_signing_")
        is_named = path.stem in said or plain.removesuffix("_vectors") in said
        assert is_named or name in UNREAD, name
