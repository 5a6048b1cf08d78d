"""Stopping without Temporal: by what the venue lists, with the database, and without it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from activities import emergency_command
from activities.emergency_command import (
    EXIT_DONE,
    EXIT_STILL_OPEN,
    EXIT_USAGE,
    AwayDatabase,
    EmergencyWish,
    parse,
)
from activities.emergency_halt import EmergencyHalt
from activities.halt_contracts import AccountLookTask
from activities.halting import AccountHaltActivities
from activities.orders import OrderActivities
from domain.errors import NotFound, Unavailable
from domain.orders import OrderStatus, Origin, TimeInForce
from domain.ports import OrderFilter
from storage.emergency_kit import EmergencyKit, OpenedKit
from tests.activities.away import Away, away, locked, short_waits
from tests.activities.floor import ABOVE, ACCOUNT_ID, Floor, an_order
from tests.activities.test_emergency_closes import by_hand
from venues.hyperliquid.connector import HyperliquidConnector
from venues.simulation.faults import FaultKind

__all__ = ["away", "short_waits"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated exchange shows at once what it has taken."""
    proofs = replace(HyperliquidConnector.proofs, visibility_delay_s=0.05)
    monkeypatch.setattr(HyperliquidConnector, "proofs", proofs)
    monkeypatch.setattr("activities.emergency_halt.STORE_WITHIN_S", 0.3)


@pytest.fixture
async def busy(away: Away, floor: Floor) -> Away:
    """An account with an order of ours, one of somebody else's, and a position."""
    await away.access.open(ACCOUNT_ID)
    await floor.place(an_order(price=ABOVE, time_in_force=TimeInForce.IOC))
    await floor.place(an_order())
    by_hand(floor)
    return away


def halt_of(away: Away, **parts: Any) -> EmergencyHalt:
    given = away.floor.parts(access=away.access, **parts)
    return EmergencyHalt(given, OrderActivities(given, away.emergency))


def resting(floor: Floor) -> int:
    return sum(order.status.is_live for order in floor.at_venue())


def held(floor: Floor) -> Decimal:
    tables = floor.venue.exchange.tables
    return tables.quantity_held(floor.opened["address"], "BTC")


async def test_status_shows_what_the_venue_lists(busy: Away, floor: Floor) -> None:
    sight = await halt_of(busy).look(busy.access.last(ACCOUNT_ID))
    assert len(sight.orders) == 2
    assert [str(p) for p in sight.positions] == ["LONG 0.01 BTC-PERP"]
    assert resting(floor) == 2


async def test_everything_is_canceled_and_closed(busy: Away, floor: Floor) -> None:
    access = busy.access.last(ACCOUNT_ID)

    sight = await halt_of(busy).stop(access, flatten=True, within_s=20, pause_s=0.05)

    assert sight.still_open(positions_too=True) == ()
    assert (resting(floor), held(floor)) == (0, Decimal(0))
    page = await floor.storage.orders.page(OrderFilter(owner="local"))
    assert {o.origin for o in page.orders} == {Origin.USER, Origin.EXTERNAL, Origin.KILL_SWITCH}
    assert all(order.is_terminal for order in page.orders)
    assert not (busy.home / "journal" / "commands.jsonl").exists()


async def test_one_market_is_closed_and_the_others_stay(
    busy: Away, floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    eth = {"symbol": "ETH-PERP", "quantity": Decimal("0.1")}
    await floor.place(an_order(**eth, price=Decimal(2600), time_in_force=TimeInForce.IOC))
    await floor.place(an_order(**eth, price=Decimal(2000)))
    only = ("--account", "1111", "--symbol", "BTC-PERP", "--yes")

    with locked(busy.home):
        assert await typed(busy, "flatten", *only) == EXIT_DONE

    said = capsys.readouterr().out
    assert "BTC-PERP: 0 orders and 0 positions open" in said
    assert "ETH" not in said
    assert (resting(floor), held(floor)) == (1, Decimal(0))
    address = floor.opened["address"]
    assert floor.venue.exchange.tables.quantity_held(address, "ETH") == Decimal("0.1")
    assert await busy.absorb() == 3
    assert await typed(busy, "status", "--symbol", "BTC-PERP") == EXIT_DONE
    assert await typed(busy, "status") == EXIT_STILL_OPEN


async def test_one_market_sets_no_halt(
    busy: Away, floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    halts = floor.storage.halts
    only = ("--all", "--symbol", "BTC-PERP", "--yes")
    assert await typed(busy, "cancel-all", *only, halting=halts) == EXIT_DONE
    assert "nothing is halted" in capsys.readouterr().out
    assert await halts.halted() == ()
    assert (resting(floor), held(floor)) == (0, Decimal("0.01"))


async def test_positions_stay_when_only_orders_are_to_go(busy: Away, floor: Floor) -> None:
    access = busy.access.last(ACCOUNT_ID)
    sight = await halt_of(busy).stop(access, flatten=False, within_s=20, pause_s=0.05)
    assert sight.still_open(positions_too=False) == ()
    assert (resting(floor), held(floor)) == (0, Decimal("0.01"))


async def test_with_the_database_locked_it_is_all_journaled_and_absorbed_once(
    busy: Away, floor: Floor
) -> None:
    access = busy.access.last(ACCOUNT_ID)
    with locked(busy.home):
        await halt_of(busy).stop(access, flatten=True, within_s=30, pause_s=0.05)
        assert (resting(floor), held(floor)) == (0, Decimal(0))
    assert await busy.absorb() == 3
    assert await busy.absorb() == 0
    page = await floor.storage.orders.page(OrderFilter(owner="local"))
    assert {o.origin for o in page.orders} == {Origin.USER, Origin.EXTERNAL, Origin.KILL_SWITCH}
    assert all(order.is_terminal for order in page.orders)
    counted = floor.storage.net_positions
    assert await counted.quantity(ACCOUNT_ID, "BTC-PERP") == 0


async def test_without_any_database_the_kit_is_enough(busy: Away, floor: Floor) -> None:
    kit = EmergencyKit(busy.home)
    assert kit.entries() == ()
    await kit.pack(floor.storage.database)
    await kit.pack(floor.storage.database)
    opened = OpenedKit.from_entries(EmergencyKit(busy.home).entries(), floor.key)
    access = await opened.open(ACCOUNT_ID)
    assert access.account.address == floor.opened["address"]
    assert (await opened.open_signer(ACCOUNT_ID, access.account.signer)) == access
    with pytest.raises(NotFound):
        await opened.open_signer(ACCOUNT_ID, "0xother")
    with pytest.raises(NotFound):
        await opened.open("none")
    busy.emergency.access = opened
    gone: Any = AwayDatabase()
    halt = halt_of(busy, ledger=gone, orders=gone)

    await halt.stop(access, flatten=True, within_s=30, pause_s=0.05)

    assert (resting(floor), held(floor)) == (0, Decimal(0))
    assert await busy.absorb() == 3
    content = (busy.home / "journal" / "accounts.json").read_text()
    assert floor.opened["private_key"] not in content


async def test_a_venue_that_fails_is_asked_again_and_told_of_at_the_end(
    busy: Away, floor: Floor
) -> None:
    access = busy.access.last(ACCOUNT_ID)
    floor.fault(FaultKind.ERROR_BEFORE_APPLY, "cancel", count=2)
    floor.fault(FaultKind.ERROR_BEFORE_APPLY, "frontendOpenOrders", count=1)
    await halt_of(busy).stop(access, flatten=True, within_s=20, pause_s=0.05)
    assert (resting(floor), held(floor)) == (0, Decimal(0))
    await floor.close_venue()
    sight = await halt_of(busy).stop(access, flatten=True, within_s=0.1, pause_s=0.05)
    assert sight.note.startswith("not known what is open")


async def test_the_kill_switch_goes_on_while_the_database_is_away(busy: Away, floor: Floor) -> None:
    gone: Any = AwayDatabase()
    parts = floor.parts(access=busy.access, ledger=gone, orders=gone)
    commands = OrderActivities(parts, busy.emergency)
    halting = AccountHaltActivities(
        parts,
        commands,
        floor.storage.closes,
        without_database=EmergencyHalt(parts, commands),
        last_access=busy.access,
    )
    task = AccountLookTask(account_id=ACCOUNT_ID, venue="hyperliquid", flatten=True)

    for _ in range(2):
        sight = await floor.environment.run(halting.look, task)

    assert (resting(floor), held(floor)) == (0, Decimal(0))
    assert sight.note.startswith("journaled")
    assert [o.text for o in sight.orders][-1] == "what only the database knows"
    alone = AccountHaltActivities(parts, commands, floor.storage.closes)
    with pytest.raises(Unavailable):
        await floor.environment.run(alone.look, task)


# What is typed


async def typed(busy: Away, *arguments: str, halting: Any = None) -> int:
    wish = parse([*arguments, "--timeout", "10"])
    opened = (busy.access.last(ACCOUNT_ID),)
    return await emergency_command.run(wish, halt_of(busy), opened, halting)


async def test_typed_it_halts_stops_and_says_what_stays(
    busy: Away, floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await typed(busy, "status") == EXIT_STILL_OPEN
    assert "2 orders and 1 positions open" in capsys.readouterr().out
    halts = floor.storage.halts
    assert await typed(busy, "cancel-all", "--all", "--yes", halting=halts) == EXIT_DONE
    assert "the halt stays until" in capsys.readouterr().out
    [halt] = await halts.halted()
    assert (halt.account_id, halt.set_by) == (None, "emergency")
    assert await typed(busy, "flatten", "--account", "1111", "--yes", halting=halts) == EXIT_DONE
    assert (resting(floor), held(floor)) == (0, Decimal(0))
    assert await typed(busy, "flatten", "--all", "--yes") == EXIT_DONE
    assert "in the journal" in capsys.readouterr().out
    assert await typed(busy, "status") == EXIT_DONE


async def test_a_halt_that_cannot_be_set_does_not_stop_the_stopping(
    busy: Away, floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    halting: Any = AwayDatabase()
    assert await typed(busy, "cancel-all", "--all", "--yes", halting=halting) == EXIT_DONE
    assert "not halted" in capsys.readouterr().out
    assert resting(floor) == 0


class Answering:
    """Standard input where somebody answers, or nobody is."""

    def __init__(self, answer: str | None) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return self._answer is not None

    def readline(self) -> str:
        return f"{self._answer}\n"


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y", EXIT_DONE, 0), ("n", EXIT_STILL_OPEN, 2), (None, 1, 2)]
)
async def test_it_asks_first(
    busy: Away,
    floor: Floor,
    monkeypatch: pytest.MonkeyPatch,
    answer: str | None,
    code: int,
    left: int,
) -> None:
    monkeypatch.setattr("sys.stdin", Answering(answer))
    assert await typed(busy, "cancel-all", "--all") == code
    assert resting(floor) == left


async def test_an_unknown_account_and_a_closed_venue_are_said(
    busy: Away, floor: Floor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await typed(busy, "status", "--account", "nobody") == EXIT_USAGE
    assert "known: 1111" in capsys.readouterr().out
    await floor.close_venue()
    assert await typed(busy, "status") == EXIT_STILL_OPEN
    assert "not known what is open" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["cancel-all"],
        ["flatten", "--all", "--account", "a"],
        ["burn", "--all"],
        ["flatten", "--all", "--symbol", "bitcoin"],
    ],
)
def test_wrong_arguments_end_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == EXIT_USAGE


def test_right_arguments_are_read() -> None:
    assert parse(["status"]) == EmergencyWish(
        what="status", account=None, is_sure=False, timeout_s=60.0
    )


async def test_an_order_of_ours_ends_as_canceled(busy: Away, floor: Floor) -> None:
    access = busy.access.last(ACCOUNT_ID)
    await halt_of(busy).stop_once(access, flatten=False)
    wanted = OrderFilter(owner="local", statuses=(OrderStatus.CANCELED.value,))
    assert len((await floor.storage.orders.page(wanted)).orders) == 2
