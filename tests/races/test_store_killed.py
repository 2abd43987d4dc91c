# SPDX-License-Identifier: GPL-3.0-or-later
"""Real workers are killed at every stage of a call (experiments 1, 2, 3)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from compliance.facts import Blame, Outcome
from tests.storage_home import TestHome

ROOT = Path(__file__).parents[2]

_VICTIM = """
import sys
from pathlib import Path
from tests.storage_home import open_home, permit_for
home = open_home(Path(sys.argv[1]), node="victim")
stage = sys.argv[3]
claim = home.claim(sys.argv[2], "victim")
if stage != "claimed":
    attempt = home.store.authorise(permit_for(claim, home.clock), claim, home.clock.wall())
if stage in ("answered", "recording"):
    home.store.mark_answered(attempt.id, home.clock.wall())
if stage == "recording":
    writer = home.recorder(attempt.id)
    writer.write(bytes(9000), bytes(9000))
if stage == "uncommitted":
    with home.store.people._context.write() as session:
        from sqlalchemy import text
        session.execute(text("UPDATE attempts SET outcome = 'accepted', finished_at = at"))
        session.execute(text("DELETE FROM leases"))
        print("ready", flush=True)
        sys.stdin.read()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("stage", "outcome"),
    [
        ("claimed", None),
        ("authorised", Outcome.UNKNOWN),
        ("uncommitted", Outcome.UNKNOWN),
        ("answered", Outcome.ABORTED),
        ("recording", Outcome.ABORTED),
    ],
)
def test_a_killed_worker_is_settled_and_its_number_not_redialed(
    home: TestHome, stage: str, outcome: Outcome | None
) -> None:
    campaign = home.campaign(["13900000001"])
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM, str(home.path), campaign, stage],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert victim.stdout is not None
    assert victim.stdin is not None
    assert victim.stdout.readline() == "ready\n"
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait(10) == -signal.SIGKILL
    victim.stdout.close()
    victim.stdin.close()

    # Until the lease ends nobody else gets the contact, nor is anything settled.
    assert home.store.claim(campaign, worker="w2", now=home.clock.wall()) is None
    assert home.store.settle_expired(home.clock.wall()) == []
    home.clock.advance(60)
    settled = home.store.settle_expired(home.clock.wall())
    if outcome is None:
        assert settled == []
        assert home.store.calls(campaign) == []
        assert home.permit(home.claim(campaign))  # not dialed: due as before
        return
    (call,) = home.store.calls(campaign)
    assert settled == [call.id]
    assert (call.outcome, call.blame) == (outcome, Blame.US)
    assert home.store.claim(campaign, worker="w2", now=home.clock.wall()) is None
    again = home.claim(home.campaign(["0086 13900000001"], name="again"))
    assert {f.rule for f in home.refusal(again).decision.refusing} == {"over_call_cap"}
    assert len(home.store.unsealed_recordings()) == (stage == "recording")
