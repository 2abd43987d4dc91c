# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts found in a recorded channel, whole and damaged, with the demo script's real voice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import soxr

from compliance.callcheck import LIMITS, Likeness
from storage.g711 import Pcm, alaw_to_linear, linear_to_alaw
from tests.unit.voicebot.builders import EXAMPLES
from voicebot import likeness
from voicebot.line import to_samples
from voicebot.prompts import PAUSE_MS, PromptCache
from voicebot.script import OPENING, load
from voicebot.tts import PyttsxSynthesizer

LEAD_MS = 120


@pytest.fixture(scope="module")
def speech() -> dict[str, Pcm]:
    """The audible part of each section of the opening, and of two other sentences."""
    script = load(EXAMPLES / "script.zh.yaml")
    with PyttsxSynthesizer() as synthesizer:
        cache = PromptCache(None, synthesizer)
        return {
            name: np.frombuffer(
                cache.pcm(script.prompt(name).text, script.voice, script.rate), "i2"
            )
            for name in (*OPENING, "line.refusal", "line.complaint")
        }


def channel(speech: dict[str, Pcm], *names: str, lead_ms: float = LEAD_MS) -> Pcm:
    """The sentences one after another, as the robot says them."""
    pause = np.zeros(to_samples(PAUSE_MS), np.int16)
    parts = [np.zeros(to_samples(lead_ms), np.int16)]
    for name in names:
        parts += [speech[name], pause]
    return np.concatenate([*parts, np.zeros(4000, np.int16)])


def companded(audio: np.ndarray) -> Pcm:
    """What a recording keeps of it: A-law there and back."""
    return alaw_to_linear(linear_to_alaw(np.clip(audio, -32768, 32767).astype(np.int16)))


def look(speech: dict[str, Pcm], audio: np.ndarray, name: str = "disclosure") -> Likeness:
    return likeness.find(companded(audio), speech[name])


def is_good(found: Likeness) -> bool:
    return (
        found.score >= LIMITS.score
        and found.share == 1.0
        and found.worst >= LIMITS.worst
        and found.hole_ms < LIMITS.hole_ms
        and found.clipped <= LIMITS.clipped
        and found.level_dbfs >= LIMITS.level_dbfs
    )


def test_every_section_is_found_where_it_was_said(speech: dict[str, Pcm]) -> None:
    audio = channel(speech, *OPENING)
    at = LEAD_MS
    for name in OPENING:
        found = look(speech, audio, name)
        length = len(speech[name]) / 8
        assert is_good(found), name
        assert found.start_ms == pytest.approx(at, abs=1)
        assert found.end_ms == pytest.approx(at + length, abs=1)
        at += length + PAUSE_MS


def resampled(audio: Pcm) -> np.ndarray:
    up = soxr.resample(audio.astype(np.float32), 8000, 16000)
    return np.asarray(soxr.resample(up, 16000, 8000))


def noisy(audio: Pcm) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 3276.8 * 10 ** (-20 / 20), len(audio))
    return audio + noise  # 20 dB under the speech


@pytest.mark.parametrize(
    "line",
    [
        lambda x: x * 10 ** (-20 / 20),
        lambda x: companded(companded(x)),
        resampled,
        noisy,
    ],
    ids=["20 dB quieter", "companded thrice", "resampled", "noise"],
)
def test_what_a_line_does_to_sound_does_not_matter(
    speech: dict[str, Pcm], line: Callable[[Pcm], np.ndarray]
) -> None:
    found = look(speech, line(channel(speech, *OPENING)))
    assert is_good(found)
    assert found.start_ms == pytest.approx(LEAD_MS, abs=2)


def muted(audio: Pcm, start_ms: float, length_ms: float) -> Pcm:
    changed = audio.copy()
    changed[to_samples(start_ms) : to_samples(start_ms + length_ms)] = 0
    return changed


@pytest.mark.parametrize("hole_ms", [60, 200, 500])
def test_a_muted_hole_is_found(speech: dict[str, Pcm], hole_ms: int) -> None:
    found = look(speech, muted(channel(speech, *OPENING), LEAD_MS + 1000, hole_ms))
    assert found.share == 1.0
    assert LIMITS.hole_ms <= found.hole_ms <= hole_ms


def test_a_disclosure_that_was_cut_is_found_by_its_beginning(speech: dict[str, Pcm]) -> None:
    for kept_ms in (800, 1400, 2000):
        found = look(speech, muted(channel(speech, *OPENING), LEAD_MS + kept_ms, 60_000))
        assert not is_good(found)
        assert found.start_ms == pytest.approx(LEAD_MS, abs=1)
        assert found.share * len(speech["disclosure"]) / 8 == pytest.approx(kept_ms, abs=90)


def test_a_late_disclosure_tells_when_it_ended(speech: dict[str, Pcm]) -> None:
    found = look(speech, channel(speech, *OPENING, lead_ms=LEAD_MS + 700))
    assert is_good(found)
    assert found.end_ms > LIMITS.within_ms


def test_another_script_s_words_are_not_the_approved_ones(speech: dict[str, Pcm]) -> None:
    others = channel(speech, "line.complaint", *OPENING[1:], "line.refusal")
    found = look(speech, others)
    assert found.share == 0.0
    assert found.score < 0.4


def test_other_sound_in_the_middle_is_not_averaged_away(speech: dict[str, Pcm]) -> None:
    audio = channel(speech, *OPENING).copy()
    begin, length = to_samples(LEAD_MS + 1000), to_samples(250)
    audio[begin : begin + length] = speech["way_out"][8000 : 8000 + length]
    found = look(speech, audio)
    assert found.score > 0.8
    assert found.worst < LIMITS.worst


@pytest.mark.parametrize("peak", [0.3, 0.1])
def test_clipping_is_found_at_any_level(speech: dict[str, Pcm], peak: float) -> None:
    audio = channel(speech, *OPENING)
    limit = peak * float(np.abs(audio).max())
    found = look(speech, np.clip(audio, -limit, limit) * 0.5)
    assert found.clipped > LIMITS.clipped


def test_silence_and_nothing_hold_no_prompt(speech: dict[str, Pcm]) -> None:
    for empty in (np.zeros(0, np.int16), np.zeros(40_000, np.int16)):
        found = look(speech, empty)
        assert (found.share, found.level_dbfs) == (0.0, -120.0)
    assert likeness.find(channel(speech, *OPENING), np.zeros(800, np.int16)) == likeness.ABSENT
