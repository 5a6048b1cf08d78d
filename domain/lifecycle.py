"""What to do next about an order: the decisions of its workflow, without workflow or clock.

`next_step` looks at one `Lifecycle` and the time and names one step; the `after_…` functions
return the lifecycle that follows from what a step brought. So every path is tested as plain data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from domain.commands import CommandKind
from domain.kept_modifies import KeptModify
from domain.ledger import CommandKey
from domain.numbers import plain
from domain.order_fold import apply
from domain.orders import Closure, Concern, Order, OrderReport, Revision, Verdict

ANSWERS_KEPT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A modify under way: what the order shall become.

    `announced` tells that the request itself is durable; `cleared` that the old venue order is
    gone by our cancel, so that the rest may be placed, until `place_by`.
    """

    request_id: str
    quantity: Decimal
    price: Decimal | None
    place_by: datetime
    announced: bool = False
    cleared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """A request and, once `answered`, its answer: done, or `refusal` says why not."""

    request_id: str
    kind: Literal["cancel", "modify", "resolve"]
    answered: bool = False
    refusal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """All that an order's workflow knows; what goes along when it continues as new.

    `unresolved` are commands whose bytes may be out. `cancel_count` numbers the cancels.
    `retry_at` is the earliest time of the next attempt after `attempts` that brought nothing.
    `kept` modifies wait to be begun; `untold` are requests whose answer the timeline has to tell.
    """

    order: Order
    cancel_wanted: bool = False
    cancel_count: int = 0
    replacement: Replacement | None = None
    unresolved: tuple[CommandKey, ...] = ()
    attempts: int = 0
    retry_at: datetime | None = None
    last_answer: str = ""
    requests: tuple[RequestRecord, ...] = ()
    kept: tuple[KeptModify, ...] = ()
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Reserve and send a placement: the order's `revision`, of `quantity` at `price`."""

    kind: Literal["place"] = "place"
    revision: int
    quantity: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Reserve and send cancel number `number` of the order's newest revision."""

    kind: Literal["cancel"] = "cancel"
    number: int
    revision: int
    concern: Concern


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Find out what became of a command whose bytes may be out."""

    kind: Literal["resolve"] = "resolve"
    key: CommandKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Announce:
    """Make the modify request durable before anything is done about it."""

    kind: Literal["announce"] = "announce"


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """End the order on our own account: nothing of it is, or can come, at the venue."""

    kind: Literal["close"] = "close"
    closure: Closure


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait for reports and requests, at most until a time."""

    kind: Literal["wait"] = "wait"
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """The order has ended: collect late reports, book all fills, keep the timeline, end."""

    kind: Literal["settle"] = "settle"


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Drop a modify that could not be begun in its time; the order rests as it was."""

    kind: Literal["give_up"] = "give_up"


Step = Place | Cancel | Resolve | Announce | Close | GiveUp | Wait | Settle


def next_step(life: Lifecycle, now: datetime) -> Step:
    """Return what to do now.

    Commands whose bytes may be out come first: nothing else is sent before they are resolved.
    """
    order = life.order
    if life.unresolved:
        if life.retry_at is not None and now < life.retry_at:
            return Wait(until=life.retry_at)
        return Resolve(key=life.unresolved[0])
    if order.is_terminal:
        return Settle()
    if life.replacement is not None and not life.replacement.announced:
        return Announce()
    newest = order.current
    if newest is None or newest.is_settled:
        return _place_or_close(life, newest, now)
    if life.replacement is not None and now >= life.replacement.place_by:
        return GiveUp()
    if life.cancel_wanted or life.replacement is not None:
        if life.retry_at is not None and now < life.retry_at:
            return Wait(until=life.retry_at)
        concern = Concern.PENDING_CANCEL if life.cancel_wanted else Concern.PENDING_MODIFY
        return Cancel(number=life.cancel_count, revision=newest.number, concern=concern)
    return Wait()


def _place_or_close(life: Lifecycle, newest: Revision | None, now: datetime) -> Step:
    order = life.order
    if order.joint:
        return _await_parent(life, newest, now)
    replacing = any(r.effective is Verdict.CANCELED for r in order.revisions)
    if life.cancel_wanted:
        return _close(Verdict.CANCELED, "canceled" if replacing else "canceled_before_sent")
    if replacing:
        if life.replacement is None:
            return _close(Verdict.CANCELED, "replace_refused: interrupted")
        quantity, price = life.replacement.quantity, life.replacement.price
        place_by = life.replacement.place_by
    else:
        quantity, price, place_by = order.quantity, order.price, order.place_by
    filled = order.filled_quantity
    if filled >= quantity:
        return _close(Verdict.CANCELED, f"replace_refused: {plain(filled)} had filled before")
    if now >= place_by:
        cause = f": {newest.absent}" if newest is not None and newest.absent else ""
        if replacing:
            return _close(Verdict.CANCELED, f"replace_refused: not_sent{cause}")
        return _close(Verdict.EXPIRED, f"not_sent{cause}")
    if life.retry_at is not None and now < life.retry_at:
        return Wait(until=min(life.retry_at, place_by))
    return Place(
        revision=0 if newest is None else newest.number + 1,
        quantity=quantity - filled,
        price=price,
    )


def _await_parent(life: Lifecycle, newest: Revision | None, now: datetime) -> Step:
    """Leave an order to its bracket, which places it together with others; end it past its time."""
    if life.cancel_wanted:
        return _close(Verdict.CANCELED, "canceled_before_sent")
    if now < life.order.place_by:
        return Wait(until=life.order.place_by)
    cause = f": {newest.absent}" if newest is not None and newest.absent else ""
    return _close(Verdict.EXPIRED, f"not_sent{cause}")


def _close(verdict: Verdict, reason: str) -> Close:
    return Close(closure=Closure(verdict=verdict, reason=reason))


def after_command(
    life: Lifecycle, key: CommandKey, order: Order, *, definite: bool, answer: str
) -> Lifecycle:
    """Return the lifecycle after a command (or its resolution) brought `order`.

    `definite` tells whether the command's outcome is known; if not, it has to be resolved.
    """
    pending = tuple(k for k in life.unresolved if k != key)
    if not definite:
        pending = (*pending, key)
    known = {revision.number for revision in life.order.revisions}
    if key.command is CommandKind.PLACE:
        known.add(key.revision)
    life = replace(life, order=order, unresolved=pending, last_answer=answer)
    life = _caught_up(life, known)
    if key.command is CommandKind.CANCEL and definite:
        life = replace(life, cancel_count=max(life.cancel_count, key.revision + 1))
        life = _clear(life)
    if definite and key.command is CommandKind.PLACE and life.replacement is not None:
        life = _after_replacement(life, key.revision)
    return _answer_if_done(life)


def _caught_up(life: Lifecycle, known: set[int]) -> Lifecycle:
    """Return the lifecycle with revisions that the ledger has and we did not know of.

    After a crash the ledger may be ahead: a command that is run again finds its row, and behind it
    the placement that followed. That placement may be out; it is resolved, never canceled unseen.
    """
    ahead = [r for r in life.order.revisions if r.number not in known]
    if not ahead:
        return life
    keys = tuple(
        CommandKey(order_id=life.order.order_id, command=CommandKind.PLACE, revision=r.number)
        for r in ahead
        if r.effective is Verdict.SUBMITTED and r.absent is None
    )
    life = _overtaken(replace(life, unresolved=(*life.unresolved, *keys)))
    return _after_replacement(life, ahead[-1].number) if not keys else life


def _overtaken(life: Lifecycle) -> Lifecycle:
    """Return the lifecycle with a modify of which the ledger has a placement already.

    That was reserved only once the old order had gone: it is what the modify wants, and must not be
    replaced in its turn.
    """
    if life.replacement is None:
        return life
    cleared = any(r.effective is Verdict.CANCELED for r in life.order.revisions[:-1])
    return replace(life, replacement=replace(life.replacement, cleared=cleared))


def _clear(life: Lifecycle) -> Lifecycle:
    newest = life.order.current
    if life.replacement is None or newest is None:
        return life
    never_came = newest.absent is not None and any(
        revision.effective is Verdict.CANCELED for revision in life.order.revisions
    )
    if newest.effective is Verdict.CANCELED or never_came:
        return replace(life, replacement=replace(life.replacement, cleared=True))
    return life


def _after_replacement(life: Lifecycle, placed: int) -> Lifecycle:
    newest = life.order.current
    wanted = life.replacement
    if wanted is None or newest is None or not wanted.cleared or newest.absent is not None:
        return life
    if newest.number != placed:
        return life  # The ledger made no revision of it: it came too late, or the order had ended.
    if newest.effective is Verdict.REJECTED:
        return _answered(replace(life, replacement=None), wanted.request_id, life.order.reason)
    return _answered(replace(life, replacement=None), wanted.request_id, None)


def after_report(life: Lifecycle, order: Order) -> Lifecycle:
    """Return the lifecycle after reports, or the ledger, changed the order."""
    life = _clear(replace(life, order=order))
    newest = order.current
    if newest is not None and newest.effective is not Verdict.CANCELED and not life.unresolved:
        # What came after the old order went, and is not in doubt, is the replacement.
        life = _after_replacement(life, newest.number)
    return _answer_if_done(life)


def after_reports(life: Lifecycle, reports: Sequence[OrderReport]) -> tuple[Lifecycle, bool]:
    """Return the lifecycle after reports, and whether one is of a revision it does not know."""
    order, is_behind = life.order, False
    for report in reports:
        if any(r.number == report.revision for r in order.revisions):
            order = apply(order, report)
        else:
            is_behind = True
    return (life if order == life.order else after_report(life, order)), is_behind


def after_word(life: Lifecycle, request_id: str, order: Order, word: str) -> Lifecycle:
    """Return the lifecycle after an operator's word, which decides what was unresolved."""
    life = answered(request(life, request_id, "resolve"), request_id, None)
    waits = "; the venue's word outranks it, by the feed or the next reconciliation"
    return after_report(replace(life, unresolved=(), last_answer=word + waits), order)


def announced(life: Lifecycle) -> Lifecycle:
    """Return the lifecycle with the modify request, if there still is one, known to be durable."""
    if life.replacement is None:
        return life
    return replace(life, replacement=replace(life.replacement, announced=True))


def given_up(life: Lifecycle) -> Lifecycle:
    """Return the lifecycle without the modify that could not be begun in its time."""
    if life.replacement is None:
        return life
    refusal = "it could not be begun in its time; the order rests as it was"
    return _answered(replace(life, replacement=None), life.replacement.request_id, refusal)


def denial(life: Lifecycle, reason: str) -> Close:
    """Return the end of an order of which we refuse to place a further revision."""
    if life.replacement is not None and life.replacement.cleared:
        return _close(Verdict.CANCELED, f"replace_refused: {reason}")
    return _close(Verdict.EXPIRED, f"not_sent: {reason}")


def is_in_vain(life: Lifecycle, key: CommandKey) -> bool:
    """Tell whether a decided command left us where we were, so that the next one has to wait."""
    newest = life.order.current
    if newest is None:
        return False
    if key.command is CommandKind.PLACE:
        return newest.absent is not None
    return not newest.is_settled


def delayed(life: Lifecycle, until: datetime) -> Lifecycle:
    """Return the lifecycle with one more fruitless attempt and the time of the next."""
    return replace(life, attempts=life.attempts + 1, retry_at=until)


def undelayed(life: Lifecycle) -> Lifecycle:
    """Return the lifecycle with nothing to wait for before the next attempt."""
    return replace(life, attempts=0, retry_at=None)


def request(
    life: Lifecycle, request_id: str, kind: Literal["cancel", "modify", "resolve"]
) -> Lifecycle:
    """Return the lifecycle with a request noted.

    The newest 64 are kept, and beyond them any that still wait for an answer.
    """
    if find_request(life, request_id) is not None:
        return life
    records = (*life.requests, RequestRecord(request_id=request_id, kind=kind))
    surplus = len(records) - ANSWERS_KEPT
    dropped = {r.request_id for r in [r for r in records if r.answered][: max(surplus, 0)]}
    return replace(life, requests=tuple(r for r in records if r.request_id not in dropped))


def find_request(life: Lifecycle, request_id: str) -> RequestRecord | None:
    """Return the record of a request, or None."""
    return next((r for r in life.requests if r.request_id == request_id), None)


def want_cancel(life: Lifecycle) -> Lifecycle:
    """Return the lifecycle with the order's cancellation wanted at once."""
    return undelayed(replace(life, cancel_wanted=True))


def replacement_of(
    order: Order,
    request_id: str,
    *,
    quantity: Decimal | None,
    price: Decimal | None,
    now: datetime,
) -> Replacement:
    """Return what a modify request makes of an order; None leaves as it is. It has as long as the
    order itself had to be placed."""
    return Replacement(
        request_id=request_id,
        quantity=order.quantity if quantity is None else quantity,
        price=order.price if price is None else price,
        place_by=now + (order.place_by - order.created_at),
    )


def want_replacement(life: Lifecycle, wanted: Replacement) -> Lifecycle:
    """Return the lifecycle with a modify wanted."""
    return undelayed(_clear(replace(life, replacement=wanted)))


def is_in_doubt(life: Lifecycle) -> bool:
    """Tell whether a placement may be out of which nobody has told anything yet.

    One that the venue has told of is placed, although our own search for it has not ended.
    """
    newest = life.order.current
    return bool(life.unresolved) and (newest is None or newest.effective is Verdict.SUBMITTED)


def refuse_modify(life: Lifecycle, quantity: Decimal) -> str | None:
    """Return why a modify to `quantity` cannot be taken now, or None if it can."""
    if life.order.is_terminal:
        return f"the order is {life.order.status.value}"
    if life.order.joint:
        return (
            "entry and exits of this bracket left in one request, and a modify would take the "
            "order out of it; end the bracket and place another"
        )
    if life.cancel_wanted:
        return "the order is being canceled"
    if life.replacement is not None:
        return "another modify is under way"
    if quantity <= life.order.filled_quantity:
        return "the quantity asked is not above what has been filled"
    return None


def _answer_if_done(life: Lifecycle) -> Lifecycle:
    """Answer all open requests once the order has ended."""
    if not life.order.is_terminal or life.unresolved:
        return life
    order = life.order
    for record in life.requests:
        if record.answered:
            continue
        refusal = None
        canceled = order.verdict in (Verdict.CANCELED, Verdict.EXPIRED)
        if record.kind == "modify" or (record.kind == "cancel" and not canceled):
            refusal = f"the order is {order.status.value}" + (
                f" ({order.reason})" if order.reason else ""
            )
        life = _answered(life, record.request_id, refusal)
    return replace(life, replacement=None)


def _answered(life: Lifecycle, request_id: str, refusal: str | None) -> Lifecycle:
    requests = tuple(
        replace(r, answered=True, refusal=refusal)
        if r.request_id == request_id and not r.answered
        else r
        for r in life.requests
    )
    return replace(life, requests=requests)


def answered(life: Lifecycle, request_id: str, refusal: str | None) -> Lifecycle:
    """Return the lifecycle with a request's answer."""
    return _answered(life, request_id, refusal)


def adopted(order: Order, undecided: tuple[CommandKey, ...], cancel_count: int) -> Lifecycle:
    """Return the lifecycle of an order taken over from the ledger, whatever was under way.

    A cancel that may be out is wanted still: whoever gave it was never told that it failed.
    """
    wanted = order.concern is Concern.PENDING_CANCEL or any(
        key.command is CommandKind.CANCEL for key in undecided
    )
    being_replaced = order.concern is Concern.PENDING_MODIFY
    return Lifecycle(
        order=order,
        unresolved=undecided,
        cancel_count=cancel_count,
        cancel_wanted=wanted and not being_replaced,
    )


def taken_over(
    life: Lifecycle, order: Order, undecided: tuple[CommandKey, ...], cancel_count: int
) -> Lifecycle:
    """Return the lifecycle that goes on from what the ledger says, with all that is wanted kept."""
    taken = adopted(order, undecided, cancel_count)
    known = {revision.number for revision in life.order.revisions}
    life = replace(
        life,
        order=order,
        unresolved=undecided,
        cancel_count=max(life.cancel_count, cancel_count),
        cancel_wanted=life.cancel_wanted or taken.cancel_wanted,
    )
    if any(revision.number not in known for revision in order.revisions):
        life = _overtaken(life)
    return after_report(life, order)
