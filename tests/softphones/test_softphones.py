# SPDX-License-Identifier: GPL-3.0-or-later
"""The robot on real softphones: sound both ways, and the way out by voice and by key.

Not part of the plain collection: it needs two packages of Debian and several minutes
of real time. ``make softphones`` runs it.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from console.witness import alike
from sip_sim import witness
from sip_sim.rtp import RATE
from tests.labs import CALL_S, Lab
from tests.softphones.phones import PHONES, Pcm, Softphone, speech

pytestmark = [pytest.mark.softphone, pytest.mark.timeout(2 * CALL_S)]

DISCLOSURE_MS = 3000  # S1
PHONE_MS = 200  # a softphone's own jitter buffer lies before its recording
REFUSAL_S = 2.0  # S11: from the end of the words, or the key, to the BYE
ALIKE = 0.9


def phone(name: str, folder: Path, voices: Path, user: str, words: str, at_s: float) -> Softphone:
    """A softphone whose owner says ``words`` that long after the answer."""
    spoken = speech(folder / "words.wav", words, at_s, voices)
    return PHONES[name](folder, user, folder / "words.wav", len(spoken) / RATE)


def check_prompt_reached(lab: Lab, heard: Pcm, prompt_id: str) -> float:
    """The prompt is in what the softphone recorded; ms from its beginning to the prompt's end."""
    prompt = lab.rendered().get(prompt_id)
    assert prompt is not None
    start, end = prompt.audible
    audio = np.frombuffer(prompt.pcm, "<i2")[start:end]
    place = witness.find_prompt(heard, audio)
    # In blocks, because a jitter buffer may drop or insert some milliseconds in the middle.
    before = RATE // 5
    begin = int(RATE * place.start_ms / 1000)
    around = heard[max(0, begin - before) :]
    lead = np.zeros(min(before, begin), np.int16)
    score, _ = alike(np.concatenate([lead, audio]), around)
    assert score >= ALIKE, f"{prompt_id}: {score:.2f}"
    return place.end_ms


@pytest.mark.parametrize("name", PHONES)
def test_a_spoken_yes(name: str, lab: Lab, tmp_path: Path, voices: Path) -> None:
    callee = phone(name, tmp_path, voices, "yes", "好的，可以", 17.0)  # after the question
    with callee.running(), lab.calling(callee.uri) as call:
        code, result = lab.result(call)
        callee.wait_for(callee.over)
    assert (code, result["outcome"], result["blame"]) == (0, "accepted", "callee")
    assert result["disclosed_ms"] <= DISCLOSURE_MS
    assert check_prompt_reached(lab, callee.heard(), "disclosure") <= DISCLOSURE_MS + PHONE_MS
    check_prompt_reached(lab, callee.heard(), "node.ask")
    check_prompt_reached(lab, callee.heard(), "node.explain")
    words = lab.heard(result["id"])
    assert "好的" in words or "可以" in words


@pytest.mark.parametrize("name", PHONES)
def test_a_spoken_no(name: str, lab: Lab, tmp_path: Path, voices: Path) -> None:
    at_s = 9.5  # over the words on the way out
    callee = phone(name, tmp_path, voices, "no", "不需要，别打了", at_s)
    with callee.running(), lab.calling(callee.uri) as call:
        code, result = lab.result(call)
        callee.wait_for(callee.over)
    assert (code, result["outcome"], result["refused"]) == (0, "refused", True)
    heard = callee.heard()
    assert check_prompt_reached(lab, heard, "disclosure") <= DISCLOSURE_MS + PHONE_MS
    check_prompt_reached(lab, heard, "line.refusal")
    words = lab.heard(result["id"])
    assert "不需要" in words or "别打了" in words
    # By the softphone's own clock: its file and its recording begin together, with the answer.
    said_s = at_s + callee.spoken_s
    assert 0 < len(heard) / RATE - said_s <= REFUSAL_S


@pytest.mark.parametrize("name", PHONES)
def test_key_1(name: str, lab: Lab, tmp_path: Path, voices: Path) -> None:
    callee = phone(name, tmp_path, voices, "key", "喂", 80.0)
    with callee.running(), lab.calling(callee.uri) as call:
        callee.wait_for(callee.talking)
        time.sleep(4.0)  # the robot has said who it is
        pressed = time.monotonic()
        callee.press("1")
        over = callee.wait_for(callee.over)
        code, result = lab.result(call)
    assert over - pressed <= REFUSAL_S
    assert (code, result["outcome"], result["feedback"]) == (0, "refused", "key:1")
    assert check_prompt_reached(lab, callee.heard(), "disclosure") <= DISCLOSURE_MS + PHONE_MS
    # The refusal list holds: the same telephone is not called again, however often asked.
    with callee.running(), lab.calling(callee.uri) as call:
        code, result = lab.result(call)
    assert (code, result["outcome"]) == (1, "gate_refused")
    assert "number_on_refusal_list" in result["rules"]
    assert callee.talking not in callee.log.read_text("utf-8", "replace")
