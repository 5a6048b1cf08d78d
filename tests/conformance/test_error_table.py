"""Every row of a venue's error table, through its connector over a real socket: what it proves.

The venue's answer is written by its rig, in the venue's own form. A row that the connector reads
otherwise than its table says fails here, on a first send and on a copy of bytes sent before.
"""

from __future__ import annotations

import pytest

from domain.outcomes import Accepted, NotSent, Rejected, Unknown
from tests.conformance.rig import WireReply, rigs
from tests.conformance.stage import Stage
from tests.conformance.way import Broken, Way
from venues.error_table import ErrorRow, ErrorScope, OutcomeClass

UNREADABLE = {
    "nothing": b"",
    "half of it": b'{"status":"ok","respon',
    "a number": b"12",
    "another shape": b'{"hello":"world"}',
    "not text": b"\xff\xfe\x00",
    "null": b"null",
}


async def lost(stage: Stage, way: Way, row: ErrorRow) -> None:
    """Forget what was sent, so that the next order starts afresh."""
    way.script.clear()
    if row.spelled in stage.rig.closing:
        await stage.restart()
    await stage.settle_lanes()
    way.sent.clear()
    assert stage.records() == []


async def test_every_row_proves_what_the_table_says(scripted: tuple[Stage, Way]) -> None:
    stage, way = scripted
    command = await stage.resting()
    for row in stage.rig.error_table:
        # Whoever is told to come later may wait with all of the account's orders.
        account = await stage.open_account() if row.retryable else stage.account
        way.script.append(stage.rig.spell_error(row))
        _, outcome = await stage.send(command, account)
        assert len(way.sent) == 1, row
        assert outcome.kind == row.first, f"{row}: {outcome}"
        if isinstance(outcome, Rejected):
            assert outcome.code == row.code, row
            assert outcome.proof and outcome.reason, row
        if isinstance(outcome, NotSent):
            assert (outcome.reason, outcome.retryable) == (row.code, row.retryable), row
        await lost(stage, way, row)


async def test_every_row_as_the_answer_to_a_copy_decides_no_more_than_it_proves(
    scripted: tuple[Stage, Way],
) -> None:
    """The first copy got no answer. Only what proves that it never came may decide the second."""
    stage, way = scripted
    command = await stage.resting()
    protected = stage.connector.proofs.replay_protected
    for row in stage.rig.error_table:
        account = await stage.open_account() if row.retryable else stage.account
        way.script += [Broken.LOST, stage.rig.spell_error(row)]
        sent, outcome = await stage.send(command, account)
        assert isinstance(outcome, Unknown), outcome
        again = await stage.resend(sent)
        if protected:
            assert len({one.body for one in way.sent}) == 1, "a copy is the same bytes"
            assert len(way.sent) == 2
            assert again.kind == row.again, f"{row}: {again}"
        else:
            assert len(way.sent) == 1, "no copy is sent where nothing protects from it"
            assert isinstance(again, Unknown)
        await lost(stage, way, row)


async def test_where_orders_have_to_wait_a_cancel_passes(scripted: tuple[Stage, Way]) -> None:
    stage, way = scripted
    command = await stage.resting()
    for row in stage.rig.error_table:
        if not row.retryable:
            continue
        account = await stage.open_account()
        placed, _ = await stage.send(command, account)
        way.script.append(stage.rig.spell_error(row))
        _, outcome = await stage.send(command, account)
        assert isinstance(outcome, NotSent), row
        assert isinstance(await stage.cancel(placed), Accepted), row
        assert not stage.one_at_venue(placed).status.is_live
        if row.spelled in stage.rig.closing:
            await stage.restart()


@pytest.mark.parametrize("what", UNREADABLE)
async def test_an_answer_that_cannot_be_read_proves_nothing(
    scripted: tuple[Stage, Way], what: str
) -> None:
    stage, way = scripted
    way.script.append(WireReply(status=200, body=UNREADABLE[what]))
    _, outcome = await stage.send(await stage.resting())
    assert isinstance(outcome, Unknown), outcome


async def test_an_answer_to_a_cancel_that_cannot_be_read_proves_nothing(
    scripted: tuple[Stage, Way],
) -> None:
    stage, way = scripted
    placed, _ = await stage.send(await stage.resting())
    for number, body in enumerate(UNREADABLE.values()):
        await stage.settle_lanes()
        way.script.append(WireReply(status=200, body=body))
        assert isinstance(await stage.cancel(placed, number=number), Unknown), body
    assert stage.one_at_venue(placed).status.is_live


def test_the_table_is_whole() -> None:
    """What every venue has to have an answer to, and nothing twice."""
    for rig in rigs():
        spelled = [(row.scope, row.spelled) for row in rig.error_table]
        assert len(set(spelled)) == len(spelled)
        by_status = {row.spelled: row for row in rig.error_table if row.scope is ErrorScope.HTTP}
        for status in ("500", "502", "503", "504"):
            assert by_status[status].first is OutcomeClass.UNKNOWN, (rig.venue, status)
            assert by_status[status].again is OutcomeClass.UNKNOWN, (rig.venue, status)
        assert by_status["429"].again is OutcomeClass.UNKNOWN
        for row in rig.error_table:
            assert row.code and row.first is not OutcomeClass.ACKNOWLEDGED
            assert not row.retryable or row.first is OutcomeClass.NOT_SENT
