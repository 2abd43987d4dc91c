# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds our recordings against the audio the callees kept, channel by channel."""

from __future__ import annotations

import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.facts import Actor, CallRecord
from console.homes import Opened
from console.join import Bridged, Witnessed
from sip_sim import witness
from storage.recordings import open_recording
from storage.store import AccessReason
from voicebot.prompts import RenderedScript

_MAX_SHIFT_MS = 300.0
_FOUND = 0.9  # normalised correlation from which a prompt counts as heard whole
# A jitter buffer inserts or drops 10 or 20 ms after a stall, in the middle of a word too. Blocks
# this short lose little by it, and foreign speech still reaches 0.5 at most.
_BLOCK_MS = 80.0


def read_wav(path: Path) -> NDArray[np.int16]:
    """Mono PCM16 samples of a WAV file; empty if there is none."""
    if not path.exists():
        return np.zeros(0, np.int16)
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def compare(
    it: Opened, auditor: Actor, call: CallRecord, theirs: Mapping[str, Any], script: RenderedScript
) -> Witnessed:
    """Measure one answered call in the callee's audio; opening our recording is ledgered (S5)."""
    heard, said = audio_of(theirs)
    disclosure = _end_of(heard, script, "disclosure")
    farewell = _start_of(heard, script, "line.refusal") if call.farewell_ms is not None else None
    if not call.recording:
        return Witnessed(disclosure, None, None, farewell_ms=farewell)
    sealed = it.store.recording(auditor, call.attempt_id, AccessReason.AUDIT)
    callee, bot = open_recording(it.home.open_objects(), it.keyring, sealed)
    bot_score, bot_shift = alike(bot, heard)
    if callee is None:
        return Witnessed(disclosure, None, bot_score, 0.0, bot_shift, farewell)
    if not np.any(said):  # a callee who never spoke: both sides must be silent
        silent = float(np.abs(callee.astype(np.int32)).max(initial=0) < 256)
        return Witnessed(disclosure, silent, bot_score, 0.0, bot_shift, farewell)
    score, shift = alike(said, callee)
    return Witnessed(disclosure, score, bot_score, shift, bot_shift, farewell)


def bridged(
    it: Opened,
    auditor: Actor,
    call: CallRecord,
    callee: Mapping[str, Any],
    agent: Mapping[str, Any],
) -> Bridged:
    """Measure a connected call: each telephone's sound in the other's ear, and in our recording."""
    callee_heard, callee_said = audio_of(callee)
    agent_heard, agent_said = audio_of(agent)
    later = round(8 * (agent["answered"]["mono_ns"] - callee["answered"]["mono_ns"]) / 1e6)
    sealed = it.store.recording(auditor, call.attempt_id, AccessReason.AUDIT)
    _, told = open_recording(it.home.open_objects(), it.keyring, sealed)
    return Bridged(
        agent_at_callee=_alike_later(agent_said, callee_heard, later),
        callee_at_agent=_alike_later(callee_said, agent_heard, -later),
        agent_in_recording=_alike_later(agent_said, told, later),
    )


def _alike_later(source: NDArray[np.int16], copy: NDArray[np.int16], later: int) -> float:
    """Likeness of what both hold, when ``source`` began ``later`` samples after ``copy``."""
    copy = copy[max(0, later) :]
    source = source[max(0, -later) :][: len(copy)]
    return alike(source, copy)[0]


def audio_of(theirs: Mapping[str, Any]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """(heard, said) of a telephone's record, from its answer on."""
    stem = str(theirs["_file"]).removesuffix(".json")
    return read_wav(Path(f"{stem}.heard.wav")), read_wav(Path(f"{stem}.said.wav"))


def alike(source: NDArray[np.int16], copy: NDArray[np.int16]) -> tuple[float, float]:
    """How much of the speech in ``source`` is in ``copy``: (correlation, shift in ms).

    Measured in blocks, each within ±300 ms of its place, because a jitter buffer
    rightly inserts or drops a frame after a stall; energy-weighted, so that the
    score is that of the whole.
    """
    scores, shifts, weights = [], [], []
    block, slack = int(8 * _BLOCK_MS), int(8 * _MAX_SHIFT_MS)
    for start_ms, end_ms in witness.speech_intervals(source):
        for at in range(int(8 * start_ms), max(int(8 * start_ms) + 1, int(8 * end_ms)), block):
            piece = source[at : at + block]
            if len(piece) < block // 4:
                continue
            begin = max(0, at - slack)
            match = witness.find_prompt(copy[begin : at + len(piece) + slack], piece)
            scores.append(match.score)
            shifts.append(match.start_ms - (at - begin) / 8)
            weights.append(float(np.sum(piece.astype(np.float64) ** 2)))
    if not scores:
        return 0.0, 0.0
    return float(np.average(scores, weights=weights)), float(np.median(shifts))


def _audible(script: RenderedScript, prompt_id: str) -> NDArray[np.int16] | None:
    prompt = script.get(prompt_id)
    if prompt is None:
        return None
    start, end = prompt.audible
    return np.frombuffer(prompt.pcm, "<i2")[start:end]


def _end_of(heard: NDArray[np.int16], script: RenderedScript, prompt_id: str) -> float | None:
    audio = _audible(script, prompt_id)
    if audio is None:
        return None
    match = witness.find_prompt(heard, audio)
    return match.end_ms if match.score >= _FOUND else None


def _start_of(heard: NDArray[np.int16], script: RenderedScript, prompt_id: str) -> float | None:
    audio = _audible(script, prompt_id)
    if audio is None:
        return None
    match = witness.find_prompt(heard, audio)
    return match.start_ms if match.score >= _FOUND else None
