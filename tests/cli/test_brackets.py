"""`perp-dex trade buy --take-profit --stop-loss`, and looking at brackets."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from cli.exit_codes import ExitCode
from domain.brackets import BracketState, Leg, LegKind, OnFailure, OrderNews
from domain.orders import OrderStatus
from tests.api.serving import Api
from tests.cli.conftest import Terminal

BUY = ("trade", "buy", "BTC-PERP", "0.1", "--price", "45000")
EXITS = ("--take-profit", "50000", "--stop-loss", "2.5%")


async def begun(desk: Terminal, *more: str) -> str:
    result = await desk(*BUY, *EXITS, "--json", *more)
    assert result.code == 0, result.err
    order_id: str = json.loads(result.out)["order_id"]
    return order_id


async def test_an_entry_with_exits(desk: Terminal, api: Api) -> None:
    order_id = await begun(desk, "--on-protection-failure", "alert")

    (plan,) = api.brackets.started
    assert plan.bracket_id == order_id
    assert plan.take_profit is not None
    assert plan.take_profit.price == 50_000
    assert plan.stop_loss is not None
    assert plan.stop_loss.percent == Decimal("2.5")
    assert plan.on_failure is OnFailure.ALERT


async def test_exits_in_the_entrys_own_request(desk: Terminal, api: Api) -> None:
    order_id = await begun(desk, "--native")

    (plan,) = api.brackets.started
    assert plan.native
    shown = await desk("trade", "bracket", order_id)
    assert "protected by" in shown.out
    found = json.loads((await desk("trade", "bracket", order_id, "--json")).out)
    assert (found["native"], found["protected_by"]) == (True, "workflow")


async def protected(api: Api, order_id: str) -> BracketState:
    """Have the entry filled and a stop rest, as far as the database knows."""
    state = await api.storage.brackets.get(order_id)
    assert state is not None
    await api.desk.fill(order_id)
    leg = Leg(
        kind=LegKind.STOP_LOSS,
        order_id="44444444-4444-5444-8444-444444444444",
        quantity=Decimal("0.1"),
        trigger_price=Decimal(43_875),
    )
    entry = OrderNews(
        order_id=order_id,
        status=OrderStatus.FILLED,
        outcome="accepted",
        filled_quantity=Decimal("0.1"),
    )
    return await api.storage.brackets.keep(
        replace(state, legs=(leg,), entry=entry, failures=1, last_answer="STOP_LOSS REJECTED")
    )


async def test_show_list_end(desk: Terminal, api: Api) -> None:
    order_id = await begun(desk)
    await protected(api, order_id)

    shown = await desk("trade", "bracket", order_id)
    assert shown.code == 0, shown.err
    assert "stop loss" in shown.out
    assert "0.1 @ 43875: PENDING" in shown.out
    assert "STOP_LOSS REJECTED" in shown.out
    listed = await desk("trade", "brackets", "--json")
    assert [each["bracket_id"] for each in json.loads(listed.out)] == [order_id]
    table = await desk("trade", "brackets", "--status", "all", "--symbol", "BTC-PERP")
    assert order_id in table.out
    ended = await desk("trade", "bracket-end", order_id)
    assert ended.code == ExitCode.DONE
    assert "0.1 BTC-PERP stays open, without protection" in ended.err
    assert (await desk("trade", "bracket-end", order_id)).code == ExitCode.REFUSED
    found = json.loads((await desk("trade", "bracket", order_id, "--json")).out)
    assert found["is_terminal"] is True


async def test_an_end_on_its_way(desk: Terminal, api: Api) -> None:
    order_id = await begun(desk)
    api.brackets.end_script = "hang"

    assert (await desk("trade", "bracket-end", order_id)).code == ExitCode.STILL_LIVE


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--take-profit", "x"), "--take-profit"),
        (("--stop-loss", "0%"), "--stop-loss"),
        (("--stop-loss", "2%", "--on-protection-failure", "pray"), "--on-protection-failure"),
        (("--on-protection-failure", "close"), "--take-profit or --stop-loss"),
        (("--take-profit", "44000"), "above the entry"),
        (("--native",), "--take-profit or --stop-loss"),
    ],
)
async def test_bad_exits_send_nothing(
    desk: Terminal, api: Api, options: tuple[str, ...], says: str
) -> None:
    result = await desk(*BUY, *options)

    assert result.code == ExitCode.USAGE
    assert says in result.err
    assert not api.brackets.started
