# SPDX-License-Identifier: GPL-3.0-or-later
"""Callees who ask for a person: connected, called back, or gone while it rings (S10)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np

from compliance.facts import Speaker
from console.witness import alike, read_wav
from sip_sim import witness
from storage.objects import FolderObjects
from storage.recordings import open_recording
from storage.store import AccessReason, CallRow
from tests.homes import Run, demo_run


async def _two_ask_for_one_agent(folder: Path, voices: Path) -> Run:
    async with demo_run(folder, ["109", "1109"], voices=voices) as it:
        it.it.store.agents.add_agent(it.staff.administrator, "agent1", f"sip:140@{it.address}")
        await it.dial()
        await asyncio.sleep(1.0)
    return it


def test_one_is_connected_and_the_other_gets_a_ticket(tmp_path: Path, voices: Path) -> None:
    it = asyncio.run(asyncio.wait_for(_two_ask_for_one_agent(tmp_path, voices), 120))
    calls = it.it.store.calls(it.campaign)
    assert sorted(str(call.outcome) for call in calls) == ["callback", "transferred"]
    connected = next(call for call in calls if call.transferred)
    other = next(call for call in calls if not call.transferred)
    assert (other.callback, connected.callback) == (True, False)
    (leg,) = it.it.store.agent_legs(it.campaign)
    assert (leg.attempt_id, leg.agent, leg.connected) == (connected.id, "agent1", True)
    _both_heard_each_other(it, connected.id, connected.sip_call_id, leg.sip_call_id)
    _the_agents_words_are_in_the_transcript(it, connected)
    (agent,) = it.it.store.agents.agents()
    assert agent.busy_with == ""
    assert agent.free_from is not None  # the wrap-up time runs
    kinds = [name for name, _ in it.events]
    assert kinds.count("transferred") == kinds.count("no_agent") == 1


def _the_agents_words_are_in_the_transcript(it: Run, call: CallRow) -> None:
    said = it.it.store.transcript(it.staff.auditor, call.id, AccessReason.AUDIT)
    lines = [line for line in said if line.speaker is Speaker.AGENT]
    assert "人工" in lines[0].text
    assert lines[0].start_ms >= (call.transferred_ms or 0)
    assert lines[-1].end_ms <= call.duration_ms
    assert [line.flags for line in lines] == [()] * len(lines)


def _both_heard_each_other(it: Run, attempt: str, lead_id: str, agent_id: str) -> None:
    stems = {r["call_id"]: str(r["_file"]).removesuffix(".json") for r in it.records()}
    assert set(stems) >= {lead_id, agent_id}
    audio = {
        (who, what): read_wav(Path(f"{stems[call]}.{what}.wav"))
        for who, call in (("callee", lead_id), ("agent", agent_id))
        for what in ("said", "heard")
    }
    # The agent's greeting reached the callee's ear, seconds into the call.
    assert _likeness(audio["agent", "said"], audio["callee", "heard"]) > 0.9
    # And it is in our recording, in the channel of what the callee was told.
    sealed = it.it.store.recording(it.staff.auditor, attempt, AccessReason.AUDIT)
    callee, bot = open_recording(FolderObjects(it.it.home.objects), it.it.keyring, sealed)
    assert _likeness(audio["agent", "said"], bot) > 0.9
    assert alike(bot, audio["callee", "heard"])[0] > 0.9
    assert callee is not None


def _likeness(words: np.ndarray, where: np.ndarray) -> float:
    """Of the first thing said to where it is heard, piece by piece: RTP comes unevenly."""
    start, end = witness.speech_intervals(words)[0]
    phrase = words[int(8 * start) : int(8 * end)]
    at = int(8 * witness.find_prompt(where, phrase).start_ms)
    return alike(phrase, where[max(0, at) :])[0]


async def _ask_and_be_refused(folder: Path, voices: Path) -> Run:
    async with demo_run(folder, ["109"], voices=voices) as it:
        # The agent's telephone is busy, and nobody else is there.
        it.it.store.agents.add_agent(it.staff.administrator, "agent1", f"sip:141@{it.address}")
        await it.dial()
        await asyncio.sleep(1.0)
    return it


def test_a_busy_agent_leads_to_a_ticket(tmp_path: Path, voices: Path) -> None:
    it = asyncio.run(asyncio.wait_for(_ask_and_be_refused(tmp_path, voices), 120))
    assert it.outcomes() == {"109": "callback"}
    (leg,) = it.it.store.agent_legs(it.campaign)
    assert (leg.connected, leg.sip_status) == (False, 486)


async def _announcements(folder: Path, voices: Path) -> Run:
    async with demo_run(folder, ["113", "114", "112"], voices=voices, ring_timeout_s=15) as it:
        await it.dial()
        await asyncio.sleep(1.0)
    return it


def test_a_carrier_says_why_nobody_answers(tmp_path: Path, voices: Path) -> None:
    it = asyncio.run(asyncio.wait_for(_announcements(tmp_path, voices), 120))
    assert it.outcomes() == {"113": "unavailable", "114": "invalid_number", "112": "voicemail"}
    said = {facts["announcement"] for name, facts in it.events if name == "announcement"}
    assert said == {"switched_off", "vacant"}
