"""A seeded slice of the races, and the judge judged; the whole is `python -m tests.races`.

RACES_SEED chooses another slice.
"""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.races.judge import judge_fills, judge_targets
from tests.races.lane import Lane, Story
from tests.races.run import race

SEED = int(os.environ.get("RACES_SEED", "20261125"))
ROUNDS = 12


@pytest.mark.timeout(300)
async def test_a_slice_of_the_races(tmp_path: Path) -> None:
    outcome = await race(tmp_path / "home", rounds=ROUNDS, seed=SEED, lanes=12)

    assert not outcome.wrong, f"seed {SEED}:\n" + "\n".join(outcome.wrong)
    assert sum(outcome.ends.values()) == ROUNDS
    assert outcome.ends["DONE"] + outcome.ends["FLAT"] > ROUNDS // 4, outcome.ends
    assert sum(outcome.events.values()) >= ROUNDS


def a_fill(side: str, quantity: str, cloid: str | None = None) -> dict[str, Any]:
    return {"side": side, "quantity": quantity, "client_order_id": cloid}


LANE = cast(Lane, SimpleNamespace(name="lane", stories=[]))
OURS = {"0xours": SimpleNamespace(parent_id="close", order_id="order")}


@pytest.mark.parametrize(
    ("fills", "wrong"),
    [
        ([a_fill("buy", "2"), a_fill("sell", "2", "0xours")], 0),
        ([a_fill("buy", "2"), a_fill("buy", "1", "0xours")], 1),
        ([a_fill("buy", "2"), a_fill("sell", "3", "0xours")], 1),
        ([a_fill("sell", "2", "0xours")], 1),
        ([a_fill("buy", "2"), a_fill("sell", "5"), a_fill("buy", "3", "0xours")], 0),
        ([a_fill("buy", "2"), a_fill("sell", "5"), a_fill("sell", "1", "0xours")], 1),
    ],
)
def test_the_judge_sees_what_grows_or_turns(fills: list[dict[str, Any]], wrong: int) -> None:
    assert len(judge_fills(LANE, fills, OURS)) == wrong


def an_order(**changes: Any) -> dict[str, Any]:
    row = {
        "client_order_id": "0xours",
        "reduce_only": True,
        "is_live": False,
        "filled_quantity": "2",
        "created_ms": 10,
        "updated_ms": 20,
    }
    return {**row, **changes}


@pytest.mark.parametrize(
    ("orders", "target", "told", "wrong"),
    [
        ([an_order()], "2", "2", 0),
        ([an_order()], "1", "2", 1),
        ([an_order()], "2", "1", 1),
        ([an_order(reduce_only=False)], "2", "2", 1),
        ([an_order(is_live=True)], "2", "2", 1),
        ([an_order(), an_order(client_order_id="0xnext", created_ms=15)], "4", "4", 1),
        ([an_order(), an_order(client_order_id="0xnext", created_ms=25)], "4", "4", 0),
    ],
)
def test_the_judge_sees_what_exceeds(
    orders: list[dict[str, Any]], target: str, told: str, wrong: int
) -> None:
    story = Story(name="story")
    story.close = {"close_id": "close", "target_quantity": target, "filled_quantity": told}
    lane = cast(Lane, SimpleNamespace(name="lane", stories=[story]))
    ours = {**OURS, "0xnext": SimpleNamespace(parent_id="close", order_id="next")}

    found = judge_targets(lane, orders, ours)

    assert len(found) == wrong, found
    assert Decimal(target) > 0
