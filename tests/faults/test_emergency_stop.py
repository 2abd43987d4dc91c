# SPDX-License-Identifier: GPL-3.0-or-later
"""`candor stop-all` from outside while calls are live, judged by the callees' own records."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from compliance.facts import Actor
from console import homes
from storage.campaigns import CampaignState, TargetState
from tests.homes import Run, demo_run

ACTED_WITHIN = timedelta(seconds=1)
ENDED_WITHIN = timedelta(seconds=5)
SLACK = timedelta(seconds=1)  # the stop is acted on within one second, then the five begin


async def candor(it: Run, actor: Actor, *words: str) -> dict[str, Any]:
    """A `candor` process of its own, signed in as ``actor``."""
    root = it.it.home.root
    homes.remember(root, it.it.store.people.issue_session(actor, timedelta(hours=1)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "console.cli", *words, "--home", str(root), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    return dict(json.loads(out))


def when(record: dict[str, Any], stamp: str) -> datetime:
    return datetime.fromisoformat(record[stamp]["wall"])


async def _stopped_and_lifted(folder: Path, voices: Path) -> None:
    # 110 answers and stays silent; 105 rings until CANCEL; the others wait behind them.
    rest = ["103", "104", "115"]
    async with demo_run(
        folder, ["110", "105", *rest], voices=voices, max_calls=2, ring_timeout_s=30
    ) as it:
        dialing = asyncio.create_task(it.dial())
        await it.until("answered")
        await asyncio.sleep(1)
        said = await candor(it, it.staff.operator, "stop-all", "--reason", "drill")
        assert (said["stopped"], said["changed"]) == (True, True)
        stopped = it.it.store.stops.in_force()
        assert stopped is not None
        await asyncio.wait_for(dialing, 20)
        await asyncio.sleep(1)
        _only_the_first_two_were_called_and_let_go(it, stopped)

        await _nothing_is_dialed_meanwhile(it)

        said = await candor(it, it.staff.officer, "stop-all", "--lift")
        assert (said["stopped"], said["changed"]) == (False, True)
        await it.dial()
        await asyncio.sleep(1)
    first = {"110", "105"}
    outcomes = it.outcomes()
    assert {n: o for n, o in outcomes.items() if n not in first} == {
        "103": "refused",
        "104": "busy",
        "115": "rejected",
    }
    numbers = [record["number"][-3:] for record in it.records()]
    assert sorted(numbers) == sorted([*first, *rest])  # and nobody twice
    assert it.it.store.campaign_state(it.campaign) is CampaignState.DONE


def _only_the_first_two_were_called_and_let_go(it: Run, stopped: datetime) -> None:
    records = {record["number"][-3:]: record for record in it.records()}
    assert set(records) == {"110", "105"}
    cancelled, talked = records["105"], records["110"]
    assert cancelled["answered"] is None
    assert when(cancelled, "cancel") - stopped <= ACTED_WITHIN
    assert talked["bye_by"] == "bot"
    assert when(talked, "bye") - stopped <= ENDED_WITHIN + SLACK
    assert not cancelled["violations"]
    assert not talked["violations"]
    assert it.outcomes()["105"] == "cancelled"
    for call in it.it.store.calls(it.campaign):
        assert call.at < stopped
        assert call.outcome is not None
    counts = it.it.store.campaigns.campaign_counts(it.campaign)
    assert counts.targets == {TargetState.DONE: 2, TargetState.DUE: 3}
    assert it.it.store.gate_refusals(it.campaign) == []
    assert it.it.store.campaign_state(it.campaign) is CampaignState.RUNNING


async def _nothing_is_dialed_meanwhile(it: Run) -> None:
    """A run started under the stop ends by itself, and `candor dial` says why."""
    await asyncio.wait_for(it.dial(), 30)
    homes.remember(
        it.it.home.root, it.it.store.people.issue_session(it.staff.operator, timedelta(hours=1))
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "console.cli", "dial", "demo", "--home", str(it.it.home.root),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert "candor stop-all --lift" in errors.decode()
    assert len(it.records()) == 2


def test_stop_all_while_calls_are_live(
    tmp_path: Path, voices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert "CANDOR_PASSPHRASE" not in os.environ
    asyncio.run(asyncio.wait_for(_stopped_and_lifted(tmp_path, voices), 150))
