"""An order's lifecycle against an exchange that loses, delays and refuses whatever it likes.

Hypothesis drives `domain.lifecycle` as a workflow does: one step at a time, with any fate for any
command, any reports in any order, and any requests in between. What must hold, holds after every
rule; and once the exchange is quiet, everything ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from domain import lifecycle
from domain.commands import CommandKind
from domain.keeping import begin_kept, keep, to_tell
from domain.kept_modifies import KeptModify
from domain.ledger import CommandKey
from domain.lifecycle import Cancel, Lifecycle, Place, Replacement, Step, next_step
from domain.order_fold import apply, with_absence, with_closure, with_revision
from domain.orders import Closure, Concern, Order, OrderReport, OrderStatus, Revision, Verdict
from tests.domain.building import NOW, ORDER_ID, an_order

PAUSE = timedelta(seconds=1)
STEPS_UNTIL_QUIET = 60
#: Each takes some steps of those.
KEPT_AT_ONCE = 6

FATES = (
    "answered",
    "refused",
    "answer lost",
    "on its way",
    "lost on its way",
    "not sent",
    "done twice",
    "too late",
)
"""What can become of a command; "on its way" may arrive later, until a fence stops it."""


@dataclass
class VenueOrder:
    """The exchange's own truth of one order."""

    revision: int
    quantity: Decimal
    filled: Decimal = Decimal(0)
    verdict: Verdict = Verdict.ACCEPTED

    @property
    def lives(self) -> bool:
        return not self.verdict.is_terminal

    def fill(self, quantity: Decimal) -> None:
        self.filled += min(quantity, self.quantity - self.filled)
        self.verdict = Verdict.FILLED if self.filled == self.quantity else Verdict.PARTIALLY_FILLED

    def report(self) -> OrderReport:
        return OrderReport(
            order_id=ORDER_ID,
            revision=self.revision,
            verdict=self.verdict,
            filled_quantity=self.filled,
            average_price=Decimal(100) if self.filled else None,
            reason="no margin" if self.verdict is Verdict.REJECTED else None,
        )


@dataclass
class Exchange:
    """Orders by revision, and commands under way that no fence has stopped yet."""

    orders: dict[int, VenueOrder] = field(default_factory=dict)
    under_way: dict[CommandKey, VenueOrder | int] = field(default_factory=dict)

    def arrive(self, key: CommandKey) -> None:
        command = self.under_way.pop(key)
        if isinstance(command, VenueOrder):
            self.orders[command.revision] = command
        elif command in self.orders and self.orders[command].lives:
            self.orders[command].verdict = Verdict.CANCELED

    @property
    def filled(self) -> Decimal:
        return sum((order.filled for order in self.orders.values()), Decimal(0))

    @property
    def living(self) -> list[VenueOrder]:
        return [order for order in self.orders.values() if order.lives]

    @property
    def coming(self) -> list[VenueOrder]:
        return [c for c in self.under_way.values() if isinstance(c, VenueOrder)]


class OrderLife(RuleBasedStateMachine):
    """One order, its ledger and stored copy, its workflow's lifecycle, and the exchange."""

    @initialize(steps=st.integers(0, 2))
    def start(self, steps: int) -> None:
        self.now = NOW
        self.life = Lifecycle(order=an_order())
        self.stored: Order | None = None
        self.decided: dict[CommandKey, bool] = {}
        self.cancels = 0
        self.exchange = Exchange()
        self.reports: list[OrderReport] = []
        self.asked = {"first": Decimal(10)}
        self.replacing: dict[int, str] = {}
        self.must_send_nothing = False
        self.done = False
        for _ in range(steps):
            self.perform(self.next(), "answered", luck=True)

    # The workflow's loop: one step, as OrderWorkflow does it

    @precondition(lambda self: not self.done)
    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4), luck=st.booleans())
    def work(self, fates: list[str], luck: bool) -> None:
        for fate in fates:
            if not self.done:
                self.perform(self.next(), fate, luck)

    @precondition(lambda self: not self.done)
    @rule()
    def work_undisturbed(self) -> None:
        self.work(["answered"] * 3, luck=True)

    def next(self) -> Step:
        self.life = begin_kept(self.life, self.now, placed=bool(self.decided))
        return next_step(self.life, self.now)

    def perform(self, step: Step, fate: str, luck: bool) -> None:
        if self.life.unresolved:
            assert step.kind in ("resolve", "wait"), f"{step.kind} while bytes may be out"
        match step.kind:
            case "place":
                self.place(step, fate)
            case "cancel":
                self.cancel(step, fate)
            case "resolve":
                self.resolve(step.key, proven=luck)
            case "announce":
                assert self.life.replacement is not None
                announced = replace(self.life.replacement, announced=True)
                self.life = replace(self.life, replacement=announced)
            case "close":
                self.close(step.closure)
            case "give_up":
                assert self.life.replacement is not None and not self.life.replacement.cleared
                self.life = lifecycle.given_up(self.life)
            case "wait":
                if step.until is not None:
                    self.now = max(self.now, step.until)
            case "settle":
                self.done = self.life.order.is_terminal and not self.life.kept

    def place(self, step: Place, fate: str) -> None:
        key = CommandKey(order_id=ORDER_ID, command=CommandKind.PLACE, revision=step.revision)
        if key in self.decided:
            self.conclude(key, self.stored, definite=self.decided[key])
            return
        assert not self.must_send_nothing, "sent although canceled before sending"
        assert step.quantity > 0
        assert all(self.decided.values()), "placed while a command is undecided"
        assert not self.exchange.living and not self.exchange.coming, "a second venue order"
        wanted = self.life.replacement
        limit = wanted.quantity if wanted and wanted.cleared else self.life.order.quantity
        assert self.exchange.filled + step.quantity <= limit, "more than asked could fill"
        if fate == "too late":
            self.conclude(key, self.stored or self.life.order, definite=True)
            return
        self.reserve_placement(key, step)
        if wanted is not None and wanted.cleared:
            self.replacing[step.revision] = wanted.request_id
        new = VenueOrder(revision=step.revision, quantity=step.quantity)
        match fate:
            case "answered" | "done twice":
                self.exchange.orders[step.revision] = new
                self.learn(key, new.report())
            case "refused":
                new.verdict = Verdict.REJECTED
                self.learn(key, new.report())
            case "not sent" | "too late":
                assert self.stored is not None
                self.decided[key] = True
                self.stored = with_absence(self.stored, step.revision, "no connection")
            case "answer lost":
                self.exchange.orders[step.revision] = new
            case "on its way":
                self.exchange.under_way[key] = new
        definite = self.decided[key] and fate != "done twice"
        self.conclude(key, self.stored, definite=definite)
        if fate == "refused" and step.revision in self.replacing:
            self.check_refusal_is_said(self.replacing[step.revision])

    def close(self, closure: Closure) -> None:
        """End the order, unless the ledger tells that something of it is or may be out."""
        newest = None if self.stored is None else self.stored.current
        lives = newest is not None and not newest.is_settled
        if self.stored is not None and (not all(self.decided.values()) or lives):
            self.look_into_the_ledger()
            return
        base = self.stored or self.life.order
        self.stored = with_closure(replace(base, concern=Concern.NONE), closure)
        self.life = lifecycle.after_report(self.life, self.stored)

    def reserve_placement(self, key: CommandKey, step: Place) -> None:
        order = self.stored or self.life.order
        revision = Revision(
            number=step.revision,
            client_order_id=f"c{step.revision}",
            quantity=step.quantity,
            price=step.price,
        )
        self.decided[key] = False
        self.stored = replace(
            with_revision(order, revision),
            quantity=order.filled_quantity + step.quantity,
            price=step.price,
            concern=Concern.NONE,
        )

    def cancel(self, step: Cancel, fate: str) -> None:
        key = CommandKey(order_id=ORDER_ID, command=CommandKind.CANCEL, revision=step.number)
        assert self.stored is not None
        if key in self.decided:
            self.conclude(key, self.stored, definite=self.decided[key])
            return
        if step.concern is Concern.PENDING_MODIFY:
            assert self.life.replacement is not None and self.life.replacement.announced
            request_id = self.life.replacement.request_id
            assert self.replacing.get(step.revision) != request_id, "replaces its own replacement"
        self.decided[key] = False
        self.cancels = step.number + 1
        self.stored = replace(self.stored, concern=step.concern)
        target = self.exchange.orders[step.revision]
        match fate:
            case "answered" | "done twice" | "refused":
                if target.lives:
                    target.verdict = Verdict.CANCELED
                self.learn(key, target.report())
            case "not sent" | "too late":
                self.decided[key] = True
            case "answer lost":
                target.verdict = Verdict.CANCELED if target.lives else target.verdict
            case "on its way":
                self.exchange.under_way[key] = step.revision
        self.keep_modify_concern(key)
        self.conclude(key, self.stored, definite=self.decided[key] and fate != "done twice")
        newest = self.life.order.current
        if self.decided[key] and newest is not None and not newest.is_settled:
            self.life = lifecycle.delayed(self.life, self.now + PAUSE)

    def resolve(self, key: CommandKey, *, proven: bool) -> None:
        """Find the truth, after closing the fence: what is still under way never arrives."""
        assert self.stored is not None
        if not self.decided[key]:
            if not proven:
                self.conclude(key, self.stored, definite=False)
                self.life = lifecycle.delayed(self.life, self.now + PAUSE)
                return
            self.exchange.under_way.pop(key, None)
            self.decide_by_look_up(key)
        self.conclude(key, self.stored, definite=True)

    def decide_by_look_up(self, key: CommandKey) -> None:
        assert self.stored is not None
        if key.command is CommandKind.CANCEL:
            newest = self.stored.current
            assert newest is not None
            self.learn(key, self.exchange.orders[newest.number].report())
        elif key.revision in self.exchange.orders:
            self.learn(key, self.exchange.orders[key.revision].report())
        else:
            self.decided[key] = True
            self.stored = with_absence(self.stored, key.revision, "never admitted")
            self.stored = replace(self.stored, concern=Concern.NONE)
        self.keep_modify_concern(key)

    def learn(self, key: CommandKey, report: OrderReport) -> None:
        """Commit an outcome that carries what the venue says of the order."""
        assert self.stored is not None
        self.decided[key] = True
        self.stored = apply(self.stored, report)
        if key.command is CommandKind.PLACE:
            self.stored = replace(self.stored, concern=Concern.NONE)

    def keep_modify_concern(self, key: CommandKey) -> None:
        """A decided cancel of a modify leaves the order being modified, any other cancel not."""
        assert self.stored is not None
        if key.command is not CommandKind.CANCEL or not self.decided[key]:
            return
        if self.stored.concern is not Concern.PENDING_MODIFY:
            self.stored = replace(self.stored, concern=Concern.NONE)

    def conclude(self, key: CommandKey, order: Order | None, *, definite: bool) -> None:
        assert order is not None
        self.life = lifecycle.after_command(self.life, key, order, definite=definite, answer="")
        newest = self.life.order.current
        if key.command is CommandKind.PLACE and newest is not None and newest.absent:
            self.life = lifecycle.delayed(self.life, self.now + PAUSE)
        elif definite:
            self.life = lifecycle.undelayed(self.life)

    def check_refusal_is_said(self, request_id: str) -> None:
        if self.life.unresolved:
            return
        record = lifecycle.find_request(self.life, request_id)
        assert record is not None and record.answered
        assert record.refusal is not None and record.refusal.startswith("replace_refused")
        assert self.life.order.status is OrderStatus.CANCELED
        assert (self.life.order.reason or "").startswith("replace_refused")

    # What traders ask

    @precondition(lambda self: not self.life.order.is_terminal)
    @rule(number=st.integers(0, 3))
    def ask_to_cancel(self, number: int) -> None:
        self.life = lifecycle.request(self.life, f"cancel{number}", "cancel")
        self.life = lifecycle.want_cancel(self.life)
        self.must_send_nothing = self.must_send_nothing or not self.decided

    @precondition(lambda self: self.decided and not self.life.unresolved)
    @rule(
        quantity=st.integers(1, 15).map(Decimal),
        patience_s=st.integers(1, 20),
        fates=st.lists(st.sampled_from(FATES), max_size=3),
    )
    def ask_to_modify(self, quantity: Decimal, patience_s: int, fates: list[str]) -> None:
        if lifecycle.refuse_modify(self.life, quantity) is not None:
            return
        name = f"modify{len(self.asked)}"
        self.asked[name] = quantity
        wanted = Replacement(
            request_id=name,
            quantity=quantity,
            price=Decimal(99),
            place_by=self.now + timedelta(seconds=patience_s),
        )
        self.life = lifecycle.request(self.life, name, "modify")
        self.life = lifecycle.want_replacement(self.life, wanted)
        self.work(fates, luck=True)

    @precondition(lambda self: not self.done and len(self.life.kept) < KEPT_AT_ONCE)
    @rule(
        quantity=st.integers(1, 15).map(Decimal),
        patience_s=st.integers(0, 20),
        again=st.booleans(),
    )
    def a_modify_was_kept(self, quantity: Decimal, patience_s: int, again: bool) -> None:
        """Whatever the order is at; asked `again` it is one that was asked before."""
        heard = [record.request_id for record in self.life.requests]
        kept = [name for name in heard if name.startswith("kept")]
        name = kept[-1] if kept and again else f"kept{len(self.asked)}"
        self.asked.setdefault(name, quantity)
        wanted = KeptModify(
            request_id=name,
            quantity=self.asked[name],
            price=None,
            begin_by=self.now + timedelta(seconds=patience_s),
        )
        self.life = keep(self.life, wanted)

    @precondition(lambda self: self.exchange.living and not self.life.unresolved)
    @rule(quantity=st.integers(1, 15).map(Decimal), fate=st.sampled_from(FATES))
    def ask_to_modify_and_have_the_placement_meet(self, quantity: Decimal, fate: str) -> None:
        """Announce and cancel undisturbed, so that the replacement itself meets the fate."""
        self.ask_to_modify(quantity=quantity, patience_s=20, fates=["answered", "answered", fate])

    # What the venue does

    @precondition(lambda self: self.exchange.under_way)
    @rule(data=st.data())
    def a_late_command_arrives(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.exchange.under_way, key=str)))
        self.exchange.arrive(key)

    @precondition(lambda self: self.exchange.living)
    @rule(quantity=st.integers(1, 10).map(Decimal))
    def something_fills(self, quantity: Decimal) -> None:
        order = self.exchange.living[0]
        order.fill(quantity)
        self.reports.append(order.report())

    @precondition(lambda self: self.exchange.living)
    @rule(verdict=st.sampled_from([Verdict.CANCELED, Verdict.EXPIRED]))
    def the_venue_ends_an_order(self, verdict: Verdict) -> None:
        order = self.exchange.living[0]
        order.verdict = verdict
        self.reports.append(order.report())

    @precondition(lambda self: self.reports)
    @rule(data=st.data())
    def a_report_comes_again_or_late(self, data: st.DataObject) -> None:
        self.deliver(data.draw(st.sampled_from(self.reports)))

    def deliver(self, report: OrderReport) -> None:
        """Fold a report into the stored order, then tell the workflow, as the bridge does."""
        assert self.stored is not None
        self.stored = apply(self.stored, report)
        if any(r.number == report.revision for r in self.life.order.revisions):
            order = apply(self.life.order, report)
            if order != self.life.order:
                self.life = lifecycle.after_report(self.life, order)
        else:
            self.look_into_the_ledger()

    # What happens to us

    @precondition(lambda self: not self.done)
    @rule(
        fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=4),
        looks=st.booleans(),
    )
    def a_worker_dies_amid_its_work(self, fates: list[str], looks: bool) -> None:
        """What it sent is in the ledger; of that the workflow knows no more than was durable."""
        known = self.life
        for fate in fates:
            step = self.next()
            if step.kind == "settle":
                break
            self.perform(step, fate, luck=True)
            if step.kind not in ("place", "cancel", "close"):
                known = self.life
        self.life = known
        if looks and self.stored is not None:
            self.look_into_the_ledger()

    @rule(seconds=st.sampled_from([1, 2, 20]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.stored is not None and not self.done)
    @rule()
    def look_into_the_ledger(self) -> None:
        assert self.stored is not None
        undecided = tuple(key for key, decided in self.decided.items() if not decided)
        self.life = lifecycle.taken_over(self.life, self.stored, undecided, self.cancels)

    @precondition(lambda self: self.stored is not None and not self.done)
    @rule()
    def another_workflow_adopts_the_order(self) -> None:
        assert self.stored is not None
        undecided = tuple(key for key, decided in self.decided.items() if not decided)
        self.life = lifecycle.adopted(self.stored, undecided, self.cancels)

    # What must hold

    @invariant()
    def at_most_one_venue_order_can_trade(self) -> None:
        living = [*self.exchange.living, *self.exchange.coming]
        assert len(living) <= 1, f"{len(living)} venue orders"

    @invariant()
    def never_more_than_the_most_ever_asked_can_fill(self) -> None:
        rest = sum(
            (o.quantity - o.filled for o in (*self.exchange.living, *self.exchange.coming)),
            Decimal(0),
        )
        assert self.exchange.filled + rest <= max(self.asked.values())

    @invariant()
    def at_the_end_every_kept_modify_has_its_answer(self) -> None:
        if self.done:
            assert not self.life.kept
            assert len(to_tell(self.life)) == len(self.life.untold)

    @invariant()
    def an_undecided_command_keeps_the_workflow_from_ending(self) -> None:
        if self.done:
            assert all(self.decided.values())

    @invariant()
    def every_answer_is_true(self) -> None:
        for record in self.life.requests:
            if record.answered and record.kind == "cancel":
                assert self.life.order.is_terminal and all(self.decided.values())
            if record.answered and record.kind == "modify" and record.refusal is None:
                assert record.request_id in self.replacing.values(), "nothing was placed for it"

    def teardown(self) -> None:
        """The exchange becomes quiet: what is under way arrives, and all is reported."""
        if not hasattr(self, "exchange"):
            return
        for key in list(self.exchange.under_way):
            self.exchange.arrive(key)
        if self.stored is not None:
            self.report_everything()
            self.look_into_the_ledger_unless_done()
        self.run_until_idle()
        for order in self.exchange.living:
            assert not self.life.cancel_wanted, "a wanted cancel was forgotten"
            order.verdict = Verdict.CANCELED
        self.report_everything()
        self.run_until_idle()
        assert self.done, f"never ended: {next_step(self.life, self.now)}"
        assert self.life.order.filled_quantity == self.exchange.filled
        assert all(record.answered for record in self.life.requests)
        if self.must_send_nothing:
            assert not self.exchange.orders and not self.decided

    def look_into_the_ledger_unless_done(self) -> None:
        if not self.done:
            self.look_into_the_ledger()

    def report_everything(self) -> None:
        for order in self.exchange.orders.values():
            if self.stored is not None:
                self.deliver(order.report())

    def run_until_idle(self) -> None:
        for _ in range(STEPS_UNTIL_QUIET):
            step = self.next()
            if self.done or (step.kind == "wait" and step.until is None):
                return
            self.perform(step, "answered", luck=True)
        raise AssertionError(f"no rest after {STEPS_UNTIL_QUIET} steps: {step}")


OrderLife.TestCase.settings = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOrderLife = pytest.mark.timeout(400)(OrderLife.TestCase)  # shrinking a failure takes minutes
