"""What a worker says of its sessions, over a simulated exchange, real storage and a real Valkey."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bus.connection import Bus
from bus.session_states import SessionStatesOnBus
from domain.accounts import Network
from domain.circuits import UNANSWERED_MAX
from domain.outcomes import Unknown
from process.metrics import registry_of
from serving.metrics import SessionMeter
from serving.session_news import say_sessions
from serving.settings import now
from tests.bus.valkey import running_valkey
from tests.conformance.rig import VenueRig, rigs
from tests.conformance.stage import open_stage, running
from venues.connector import TellsBudget

ENDS = datetime(2027, 1, 1, tzinfo=now().tzinfo)


@pytest.mark.parametrize("rig", rigs(), ids=lambda rig: rig.venue)
async def test_a_worker_tells_what_it_knows_of_every_venue(
    rig: VenueRig, database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running(rig) as simulator,
        open_stage(rig, simulator, database_template, tmp_path, monkeypatch) as stage,
    ):
        connectors, accounts = stage.connectors, stage.storage.accounts
        place = {"venue": rig.venue, "network": "paper"}
        registry = registry_of([SessionMeter(connectors)])
        with running_valkey() as valkey:
            bus = Bus(valkey.url)
            states = SessionStatesOnBus(bus)
            await say_sessions(connectors, accounts, states)
            first = await states.read(stage.account)
            assert first.place is not None
            assert (first.place.clock, first.trading) == (None, None)
            assert not first.place.circuit.is_open and first.place.circuit.retry_in_s is None
            await connectors.measure_clock(await accounts.all_active())
            check = await stage.connector.check_signer(await stage.trading())
            connectors.rights.note(stage.account.account_id, check)
            for _ in range(UNANSWERED_MAX):
                connectors.note_outcome(rig.venue, Network.PAPER, Unknown(reason="silence"))
            await say_sessions(connectors, accounts, states)
            said = await states.read(stage.account)
            await bus.close()
        assert said.place is not None and said.place.clock is not None
        assert abs(said.place.clock.offset_s) < 5
        assert said.place.circuit.is_open and (said.place.circuit.retry_in_s or 0) > 0
        if isinstance(stage.connector, TellsBudget):
            budget = said.place.budget
            assert budget is not None and 0 < budget.left <= budget.capacity
            told = {**place, "unit": budget.unit}
            assert registry.get_sample_value("perp_dex_venue_budget_left", told)
        assert registry.get_sample_value("perp_dex_venue_clock_offset_seconds", place) is not None
        assert said.trading is not None and said.trading.rights is not None
        rights = said.trading.rights
        assert (rights.signer, rights.refusal) == (check.signer, None)
        assert abs(now() - rights.proved_at) < timedelta(seconds=30)


async def test_tokens_are_told_by_when_they_end(
    database_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = rigs()[0]

    def expiries(self: Any, account_id: str) -> Mapping[str, datetime]:
        return {"access": ENDS}

    said: list[Any] = []

    class News:
        async def say_trading(self, places: Any, accounts: Any) -> None:
            said.extend(accounts)

    async with (
        running(rig) as simulator,
        open_stage(rig, simulator, database_template, tmp_path, monkeypatch) as stage,
    ):
        kind = type(stage.connector)
        monkeypatch.setattr(kind, "token_expiries", expiries, raising=False)
        await say_sessions(stage.connectors, stage.storage.accounts, News())
        assert [each.tokens for each in said] == [{"access": ENDS}]
