"""What became of an acknowledged command: by the feed where it lives, else by look-ups.

First the conversation alone, over scripted looks and a clock of its own; then a worker's parts, the
streaming process's, the simulated exchange and a real Valkey, with every request counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from activities.contracts import CancelTask
from bus.connection import Bus
from bus.nudges import new_sender
from bus.session_states import SessionStatesOnBus
from domain.commands import CommandKind
from domain.errors import VenueUnavailable
from domain.ledger import CommandRow
from domain.orders import Concern, OrderReport, Verdict
from domain.outcomes import Accepted, Acknowledged, Outcome, Rejected, Unknown
from serving.heard_feeds import HeardFeeds
from storage.opening import open_storage
from storage.schema import upgrade
from streaming.app import StreamingApp, StreamingParts
from streaming.catch_up import Cadence
from streaming.handshake import LOOPBACK_HOSTS
from streaming.tokens import FileToken
from tests.activities.floor import until
from tests.bus.valkey import ValkeyProcess, running_valkey
from tests.conformance.rig import rig_of
from tests.conformance.stage import Stage, open_stage, running
from tests.conformance.test_feeds import _Minted
from tests.conformance.way import Way, way_to
from tests.domain.building import a_row
from tests.streaming.test_app import Crossings
from tests.streaming.test_bridge import Workflows
from venues import registry
from venues.connector import HearsFeed, VenueOrder
from venues.lighter.limits import Purpose, RequestBudget
from venues.lighter.rest import SEND
from venues.lighter.verdicts import PLAN, verdict_on
from venues.simulation.faults import FaultKind
from venues.simulation.switches import Switches

ORDERS = 8
PATIENT_S = 3.0
LOOK_UP = "/accountOrders"
PLACED = a_row()
CANCEL = a_row(CommandKind.CANCEL)


def seen(verdict: Verdict, reason: str | None = None, **changes: Any) -> VenueOrder:
    values: dict[str, Any] = {
        "client_order_id": PLACED.client_order_id,
        "venue_order_id": "281474976710700",
        "symbol": "BTC-PERP",
        "side": "BUY",
        "quantity": Decimal(1),
        "price": Decimal(1),
        "verdict": verdict,
        "filled_quantity": Decimal(0),
        "reason": reason,
    }
    return VenueOrder(**{**values, **changes})


def told(verdict: Verdict, reason: str | None = None) -> OrderReport:
    return OrderReport(
        order_id=PLACED.key.order_id,
        revision=0,
        verdict=verdict,
        filled_quantity=Decimal(0),
        reason=reason,
    )


@dataclass
class Script:
    """Looks and news by the time since the acknowledgement; `asked` says when it was looked."""

    live: bool = True
    word_at_s: float | None = None
    word: OrderReport | None = None
    shown_at_s: float = 99.0
    shown: VenueOrder | None = None
    executed_at_s: float = 99.0
    spare: int = 50
    fails: int = 0
    now_s: float = 0.0
    asked: list[float] = field(default_factory=list)
    missed: bool = False

    async def order(self) -> VenueOrder | None:
        self.asked.append(round(self.now_s, 2))
        if self.fails:
            self.fails -= 1
            raise VenueUnavailable("scripted")
        return self.shown if self.now_s >= self.shown_at_s else None

    async def is_executed(self) -> bool:
        return self.now_s >= self.executed_at_s

    def left(self) -> int:
        return self.spare

    def next_in_s(self) -> float:
        return 0.0 if self.spare else 9.0

    async def told(self) -> OrderReport | None:
        heard = self.word_at_s is not None and self.now_s >= self.word_at_s
        return self.word if heard else None

    async def is_live(self) -> bool:
        return self.live

    async def changed(self, within_s: float) -> None:
        step = within_s
        if self.word_at_s is not None and self.word_at_s > self.now_s:
            step = min(step, self.word_at_s - self.now_s)
        self.now_s += step

    def was_missed(self) -> None:
        self.missed = True

    async def run(self, row: CommandRow = PLACED) -> Outcome:
        return await verdict_on(row, self, self, monotonic=lambda: self.now_s)


async def test_a_live_feeds_word_costs_no_question() -> None:
    script = Script(word_at_s=0.4, word=told(Verdict.ACCEPTED))
    outcome = await script.run()
    assert outcome == Accepted(report=script.word)
    assert (script.asked, script.now_s, script.missed) == ([], 0.4, False)


async def test_a_refusal_that_the_feed_tells_is_one_with_its_proof() -> None:
    reason = "canceled-margin-not-allowed"
    outcome = await Script(word_at_s=0.3, word=told(Verdict.REJECTED, reason)).run()
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.reason) == ("insufficient_margin", reason)
    assert reason in outcome.proof and outcome.report is not None


async def test_a_silent_feed_is_asked_about_and_no_more_trusted() -> None:
    script = Script(shown_at_s=0.1, shown=seen(Verdict.ACCEPTED))
    assert isinstance(await script.run(), Accepted)
    assert (script.asked, script.missed) == ([PLAN.feed_within_s], True)


async def test_without_a_feed_it_is_asked_at_once_and_again() -> None:
    script = Script(live=False, shown_at_s=0.8, shown=seen(Verdict.ACCEPTED))
    assert isinstance(await script.run(), Accepted)
    assert (script.asked, script.missed) == ([0.0, 0.35, 0.85], False)


@pytest.mark.parametrize("live", [True, False])
async def test_silence_of_everybody_is_no_verdict(live: bool) -> None:
    script = Script(live=live)
    assert await script.run() == Acknowledged()
    assert script.now_s == script.asked[-1] == PLAN.within_s
    assert isinstance(await Script(live=live).run(CANCEL), Unknown)


async def test_without_a_question_to_spare_only_the_feed_is_heard() -> None:
    silent = Script(live=False, spare=0, shown_at_s=0.0, shown=seen(Verdict.ACCEPTED))
    assert (await silent.run(), silent.asked) == (Acknowledged(), [])
    heard = Script(live=False, spare=0, word_at_s=1.0, word=told(Verdict.ACCEPTED))
    assert (await heard.run(), heard.asked) == (Accepted(report=heard.word), [])


async def test_a_look_that_fails_is_made_again() -> None:
    script = Script(live=False, fails=2, shown_at_s=0.0, shown=seen(Verdict.ACCEPTED))
    assert isinstance(await script.run(), Accepted)
    assert script.asked == [0.0, 0.35, 0.85]


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [
        (Verdict.CANCELED, Accepted),
        (Verdict.FILLED, Rejected),
        (Verdict.EXPIRED, Rejected),
    ],
)
async def test_a_cancel_is_confirmed_by_the_end_that_the_feed_tells(
    verdict: Verdict, kind: type
) -> None:
    script = Script(word_at_s=0.3, word=told(verdict))
    outcome = await script.run(CANCEL)
    assert isinstance(outcome, kind) and getattr(outcome, "report", None) == script.word
    assert script.asked == []


async def test_a_cancel_of_what_still_rests_is_not_confirmed_by_a_word() -> None:
    script = Script(word_at_s=0.0, word=told(Verdict.ACCEPTED))
    assert isinstance(await script.run(CANCEL), Unknown)
    assert script.asked == [PLAN.feed_within_s, PLAN.within_s]


async def test_a_cancel_of_nothing_is_looked_at_once_its_transaction_is_through() -> None:
    script = Script(executed_at_s=0.3)
    outcome = await script.run(CANCEL)
    assert isinstance(outcome, Rejected) and outcome.code == "no_such_order"
    # No feed tells of what is not there.
    assert not script.missed


def test_questions_leave_what_commands_and_cancels_need() -> None:
    budget = RequestBudget()
    while budget.spare(LOOK_UP, Purpose.VERDICT, 0.0):
        assert budget.take(LOOK_UP, Purpose.VERDICT, 0.0)
    assert not budget.take(LOOK_UP, Purpose.VERDICT, 0.0)
    sent = sum(budget.take(SEND, Purpose.COMMAND, 0.0) for _ in range(60))
    canceled = sum(budget.take(SEND, Purpose.CANCEL, 0.0) for _ in range(60))
    assert (sent, canceled) == (6, 6)
    assert budget.spare(LOOK_UP, Purpose.VERDICT, 0.0) == 0


# A worker's parts, the streaming process's, the exchange, and what goes between.


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "perp-dex.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with running_valkey() as server:
        yield server


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A worker of one standard account, 60 requests a minute, and the way that counts them."""

    stage: Stage
    way: Way
    bus: Bus

    async def place(self, count: int) -> tuple[list[Outcome], int]:
        """Place resting orders one after the other; return outcomes and requests made."""
        command = await self.stage.resting()
        await self.stage.settle_lanes()
        before = self.requests
        outcomes = [(await self.stage.send(command))[1] for _ in range(count)]
        return outcomes, self.requests - before

    @property
    def requests(self) -> int:
        return len(self.way.sent) + len(self.way.asked)

    async def until_live(self) -> None:
        states = SessionStatesOnBus(self.bus)

        async def is_live() -> bool:
            said = await states.feed_of(self.stage.account.account_id)
            return said is not None and said.live

        await until(is_live, what="a live feed")


@pytest.fixture
async def desk(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: ValkeyProcess
) -> AsyncIterator[Desk]:
    rig = rig_of("lighter")
    bus = Bus(valkey.url, group=tmp_path.name)
    # Asked in vain for a moment, a worker goes on without the feed: right, and not what is tested.
    monkeypatch.setattr("serving.heard_feeds._ASK_WITHIN_S", 20.0)
    async with (
        running(rig, switches=Switches(sequencing_ms=40)) as simulator,
        way_to(simulator.url, rig.command_paths) as way,
        open_stage(rig, simulator, template, tmp_path, monkeypatch, url=way.url) as stage,
    ):
        # Feeds, and whatever else the streaming process asks, go by no counted way.
        monkeypatch.setenv(rig.paper_variable, simulator.url)
        heard = HeardFeeds(stage.storage.orders, SessionStatesOnBus(bus))
        assert isinstance(stage.connector, HearsFeed)
        stage.connector.use_feed(heard)
        listening = asyncio.create_task(heard.run(bus, new_sender()))
        try:
            yield Desk(stage=stage, way=way, bus=bus)
        finally:
            listening.cancel()
            await asyncio.wait([listening])
            await bus.close()


@asynccontextmanager
async def streaming(desk: Desk, home: Path, valkey: ValkeyProcess) -> AsyncIterator[StreamingApp]:
    """Run the streaming process's parts over a connection to the database of their own."""
    storage = await open_storage("", home)
    app = StreamingApp(
        StreamingParts(
            orders=storage.orders,
            accounts=storage.accounts,
            positions=storage.positions,
            load=registry.load,
            sink=Workflows(),
            conditions=storage.conditions,
            crossings=Crossings(),
            bus=Bus(valkey.url, group=home.name),
            authenticator=FileToken(lambda: "0" * 43),
            hosts=LOOPBACK_HOSTS,
            feed_credentials=_Minted(desk.stage),
            cadence=Cadence(live_s=3600, stale_s=3600),
        )
    )
    storage.on_change(app.storage_changed)
    await app.start("127.0.0.1", 0)
    task = asyncio.create_task(app.run())
    try:
        yield app
    finally:
        await app.drain()
        task.cancel()
        await asyncio.wait([task])
        await app.close()
        await app.bus.close()
        await storage.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a live feed so long that no machine is too slow to hear it."""
    plan = replace(PLAN, feed_within_s=PATIENT_S, within_s=10 * PATIENT_S)
    monkeypatch.setattr("venues.lighter.verdicts.PLAN", plan)


@pytest.mark.usefixtures("patient")
async def test_orders_under_a_live_feed_cost_one_request_each(
    desk: Desk, tmp_path: Path, valkey: ValkeyProcess
) -> None:
    async with streaming(desk, tmp_path, valkey):
        await desk.until_live()
        outcomes, requests = await desk.place(ORDERS)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    # One more for the nonce.
    assert ORDERS <= requests <= ORDERS + 1
    assert len(desk.way.sent) == ORDERS


@pytest.mark.usefixtures("patient")
async def test_a_cancel_under_a_live_feed_costs_one_request(
    desk: Desk, tmp_path: Path, valkey: ValkeyProcess
) -> None:
    stage = desk.stage
    async with streaming(desk, tmp_path, valkey):
        await desk.until_live()
        row, _ = await stage.accepted(await stage.resting())
        task = CancelTask(
            order_id=row.key.order_id, number=0, revision=0, concern=Concern.PENDING_CANCEL
        )
        asked = len(desk.way.asked)
        result = await stage.environment.run(stage.orders.cancel, task)
        assert result.definite and result.order.verdict is Verdict.CANCELED
        # The nonce of the cancels' lane.
        assert len(desk.way.asked) - asked <= 1


async def test_a_dead_feed_gets_verdicts_by_look_ups_in_time(desk: Desk) -> None:
    outcomes, requests = await desk.place(3)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    # One more for the nonce.
    assert 3 < requests <= 3 * (1 + len(PLAN.unheard_at_s)) + 1
    assert PLAN.within_s < desk.stage.connector.proofs.verdict_delay_s


async def test_a_feed_that_lives_and_is_silent_is_asked_about_once_in_time(
    desk: Desk, tmp_path: Path, valkey: ValkeyProcess
) -> None:
    async with streaming(desk, tmp_path, valkey):
        await desk.until_live()
        desk.stage.running.faults.add(FaultKind.STALL, count=None)
        began = time.monotonic()
        outcomes, _ = await desk.place(1)
        first_s = time.monotonic() - began
        outcomes += (await desk.place(3))[0]
        all_s = time.monotonic() - began
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    assert PLAN.feed_within_s <= first_s
    # What was silent once is not waited for with each order.
    assert all_s - first_s < 3 * PLAN.feed_within_s


async def test_what_nobody_tells_in_time_is_heard_by_whoever_resolves(desk: Desk) -> None:
    """The look-ups fail all the while; the feed's word, late as it is, decides."""
    stage = desk.stage
    command = await stage.resting()
    await stage.settle_lanes()
    row = await stage.reserve(command)
    desk.way.queries = rig_of("lighter").spell_error(rig_of("lighter").error_table[-1])
    assert await stage.carry_out(row) == Acknowledged()
    report = OrderReport(
        order_id=row.key.order_id,
        revision=0,
        verdict=Verdict.ACCEPTED,
        event_time=datetime.now(UTC),
        source="feed",
    )
    await stage.storage.orders.fold(report)
    assert isinstance(await stage.resolve(row), Accepted)
