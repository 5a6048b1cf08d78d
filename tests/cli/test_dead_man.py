"""`perp-dex account dead-man`: shown, armed, disarmed, refused."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

from cli.exit_codes import ExitCode
from domain.dead_man import DeadManState
from tests.api.serving import Api
from tests.api.test_dead_man import answer
from tests.cli.conftest import Terminal


async def test_it_is_armed_and_its_effect_is_said(api: Api, desk: Terminal) -> None:
    until = datetime.now(UTC) + timedelta(seconds=60)
    worker = asyncio.create_task(answer(api, DeadManState.ARMED, armed_until=until))
    armed = await desk("account", "dead-man", "paper", "--after", "60")
    await worker
    assert armed.code == ExitCode.DONE
    assert "cancels every open order" in armed.err
    shown = await desk("account", "dead-man", "paper", "--json")
    assert json.loads(shown.out)["armed"] is True
    worker = asyncio.create_task(answer(api, DeadManState.OFF, armed_until=None))
    off = await desk("account", "dead-man", "paper", "--off")
    await worker
    assert off.code == ExitCode.DONE
    assert "OFF" in off.out


async def test_refused_and_unconfirmed_are_not_done(api: Api, desk: Terminal) -> None:
    worker = asyncio.create_task(answer(api, DeadManState.REFUSED, reason="enough volume"))
    refused = await desk("account", "dead-man", "paper", "--after", "60")
    await worker
    assert refused.code == ExitCode.REFUSED
    assert "enough volume" in refused.err
    worker = asyncio.create_task(answer(api, DeadManState.UNCERTAIN, reason="no answer"))
    uncertain = await desk("account", "dead-man", "paper", "--after", "60")
    await worker
    assert uncertain.code == ExitCode.UNKNOWN


async def test_wrong_arguments(api: Api, desk: Terminal) -> None:
    for arguments in (("--after", "5"), ("--after", "60", "--off")):
        assert (await desk("account", "dead-man", "paper", *arguments)).code == ExitCode.USAGE
    assert (await desk("account", "dead-man", "nobody")).code == ExitCode.NOT_FOUND
