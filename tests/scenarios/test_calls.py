# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole calls over real SIP and RTP, judged by what the callees recorded themselves."""

from __future__ import annotations

import asyncio
from pathlib import Path

from console import demo_proof, run
from dialer.checking import CallChecker
from storage import ledger
from storage.calls import AccessReason
from tests.homes import QUESTION, Run, demo_run

OTHER_QUESTION = "请问您愿意听一下会员的好处吗？"
# In the order of dialing: who takes longest comes first.
EXPECTED = {
    "120": "no_decision",  # talks all the time
    "119": "accepted",  # after 12 s of ringing
    "107": "accepted",  # asks the price first
    "110": "no_decision",  # says nothing
    "101": "accepted",
    "102": "refused",  # over the disclosure, by voice
    "103": "refused",  # by key
    "104": "busy",
    "105": "no_answer",
    "106": "gate_refused",
    "108": "refused",  # at the question
    "109": "callback",  # asks for a person
    "111": "hung_up",  # in mid-disclosure
    "112": "voicemail",
    "113": "unavailable",  # the carrier says "switched off"
    "114": "invalid_number",  # the carrier says "vacant number"
    "115": "rejected",
    "116": "unavailable",
    "117": "invalid_number",
    "118": "line_failed",
    "121": "refused",  # by key inside the disclosure
    "122": "line_failed",  # redirected: never followed
}


async def _dial(folder: Path, voices: Path) -> None:
    async with demo_run(
        folder,
        list(EXPECTED),
        without_consent=["106"],
        voices=voices,
        processes=2,
        max_calls=6,
        ring_timeout_s=15,
        checks=True,
        other_question=OTHER_QUESTION,
    ) as it:
        await it.dial()
        await asyncio.sleep(1.0)
    _outcomes(it)
    _every_recording_was_checked_and_passed(it)
    _each_number_heard_the_script_of_its_arm(it)
    _both_sides_agree(it)
    _refusals_are_on_the_list(it)
    _nobody_was_dialed_twice_or_without_consent(it)
    _ledger_verifies(it, folder)


def _every_recording_was_checked_and_passed(it: Run) -> None:
    checks = it.it.store.checks
    checker = CallChecker(it.it.home, it.it.store)
    for left in checks.due():  # a loaded machine leaves some to later
        checker.check(left)
    counts = checks.counts(it.campaign)
    found = {call: checks.check(call) for call in checks.calls(campaign=it.campaign)}
    assert counts.recorded == counts.passed == len(found) == 12, counts
    assert {check.by for check in found.values() if check is not None} == {"system"}


def _each_number_heard_the_script_of_its_arm(it: Run) -> None:
    """What was asked is the question of the version that the attempt keeps (G6)."""
    first, second = it.it.store.arms.scripts(it.campaign)
    counts = it.it.store.arms.counts(it.campaign)
    assert all(counted.attempts for counted in counts)
    assert sum(counted.attempts for counted in counts) == len(it.records())
    asked = set()
    for call in it.it.store.checks.calls(campaign=it.campaign):
        check = it.it.store.checks.check(call)
        assert check is not None
        version = check.versions["script"]
        said = it.it.store.transcript(it.staff.auditor, call, AccessReason.QUALITY)
        whole = [ln.text for ln in said if ln.mark == "question" and ln.interrupted_at_ms is None]
        asked |= {(version, text) for text in whole}
    assert asked <= {(first.id, QUESTION), (second.id, OTHER_QUESTION)}
    assert asked


def _outcomes(it: Run) -> None:
    assert it.outcomes() == EXPECTED


def _both_sides_agree(it: Run) -> None:
    joined = demo_proof.join_both(
        it.it, it.staff.auditor, it.it.store.invites(it.campaign), it.records(), it.rendered
    )
    faults = [fault for entry in joined for fault in entry.faults]
    assert not faults
    refused = [e.refusal_to_bye_ms for e in joined if e.refusal_to_bye_ms is not None]
    assert len(refused) == 4
    disclosed = [e for e in joined if e.ours is not None and e.ours.disclosed_ms is not None]
    assert len(disclosed) >= 4
    for entry in joined:
        assert entry.ours is not None
        if entry.ours.farewell_ms is not None and entry.ours.refused_ms is not None:
            assert entry.ours.farewell_ms - entry.ours.refused_ms <= 700


def _refusals_are_on_the_list(it: Run) -> None:
    """Each refusal was durable before the call's own end (S11, S12)."""
    for name, facts in it.events:
        if name == "ended" and facts["refused"]:
            refusal = ("refusal", facts["attempt"])
            seen = [(n, f.get("attempt")) for n, f in it.events]
            assert seen.index(refusal) < seen.index(("ended", facts["attempt"]))


def _nobody_was_dialed_twice_or_without_consent(it: Run) -> None:
    numbers = [record["number"] for record in it.records()]
    assert len(numbers) == len(set(numbers))
    assert not any(number.endswith("106") for number in numbers)


def _ledger_verifies(it: Run, folder: Path) -> None:
    sequencer = it.it.sequencer()
    sequencer.run_once(it.it.clock.wall())
    sequencer.checkpoint(it.it.clock.wall(), force=True)
    ledger.export(it.it.engine, folder / "ledger")
    key = it.it.keyring.fingerprint()
    objects = ("--objects", str(it.it.home.objects))
    assert run.verify(folder / "ledger", key, *objects, quiet=True) == 0
    assert run.verify(folder / "ledger", "", *objects, quiet=True) == 3


def test_every_behaviour_ends_as_it_should(tmp_path: Path, voices: Path) -> None:
    asyncio.run(asyncio.wait_for(_dial(tmp_path, voices), 170))
