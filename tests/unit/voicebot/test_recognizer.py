# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Vosk and the turns together, with a voice detector that noise keeps open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from voicebot import turns
from voicebot.asr import VoskModel
from voicebot.ear import Ear
from voicebot.hearing import Final, Partial, SpeechEvent
from voicebot.line import to_samples
from voicebot.prompts import shape
from voicebot.tts import PyttsxSynthesizer
from voicebot.vad import SileroModel

MODEL = Path(__file__).parents[3] / "voicebot" / "models" / "zh-demo"


class AlwaysVoice:
    """A detector that noise never lets close; implements ``VoiceDetector``."""

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        return 1.0


@pytest.fixture(scope="module")
def model() -> VoskModel:
    return VoskModel(MODEL, "zh")


@pytest.fixture(scope="module")
def say() -> Iterator[Callable[[str], bytes]]:
    with PyttsxSynthesizer() as synthesizer:
        yield lambda text: shape(synthesizer.synthesize(text, "sit/cmn", 180))


def events_of(ear: Ear, audio: bytes) -> Iterator[tuple[int, SpeechEvent]]:
    """(samples heard, event)."""
    for at in range(0, len(audio), 320):
        for event in ear.take(at // 2, audio[at : at + 320]):
            yield (at + 320) // 2, event


def noisy(pcm: bytes, after_ms: int, level: int = 200) -> bytes:
    audio = np.frombuffer(bytes(8000) + pcm + bytes(16 * after_ms), "<i2")
    noise = np.random.default_rng(4).normal(0, level, audio.size)
    return np.clip(audio + noise, -32768, 32767).astype("<i2").tobytes()


@pytest.mark.parametrize("words", ["不需要", "别打了", "好的，不用了", "不感兴趣", "不要再打了"])
def test_refusal_in_noise_is_acted_upon_within_700_ms(
    model: VoskModel, say: Callable[[str], bytes], words: str
) -> None:
    pcm = say(words)
    end = 4000 + len(pcm) // 2
    state = turns.Turns("zh")
    acted: list[int] = []
    for heard, event in events_of(Ear(AlwaysVoice, model.recognizer()), noisy(pcm, 3000)):
        state, found = turns.hear(state, event)
        acted += [heard for t in found if isinstance(t, turns.Utterance) and t.result.refused]
        if acted:
            break
    assert end <= acted[0] <= end + to_samples(700)


def test_refusal_of_somebody_who_talks_on_is_confirmed_before_the_end(
    model: VoskModel, say: Callable[[str], bytes]
) -> None:
    pcm = say("不需要不需要我现在没有时间我在开会请不要再打电话")
    state = turns.Turns("zh")
    for heard, event in events_of(Ear(AlwaysVoice, model.recognizer()), noisy(pcm, 0, 30)):
        state, found = turns.hear(state, event)
        if any(isinstance(t, turns.Utterance) and t.result.refused for t in found):
            assert heard < 4000 + len(pcm) // 2
            return
    pytest.fail("never acted upon")


def test_word_times_stay_on_the_call_clock_over_utterances(
    model: VoskModel, say: Callable[[str], bytes]
) -> None:
    pcm = say("不需要")
    one = bytes(16000) + pcm + bytes(16000)
    length = len(one) // 2
    finals = [
        e
        for _, e in events_of(Ear(SileroModel().detector, model.recognizer()), one * 3)
        if isinstance(e, Final)
    ]
    assert len(finals) == 3
    for i, final in enumerate(finals):
        assert "".join(w.text for w in final.words) == "不需要"
        assert abs(final.words[-1].end - (i * length + 8000 + len(pcm) // 2)) <= to_samples(150)


def test_partial_words_gain_confidence(model: VoskModel, say: Callable[[str], bytes]) -> None:
    ear = Ear(AlwaysVoice, model.recognizer())
    audio = noisy(say("好的，不用了"), 1000)
    partials = [e.words for _, e in events_of(ear, audio) if isinstance(e, Partial)]
    assert any(words[-1].confidence == 0.0 for words in partials)
    assert [w.text for w in partials[-1]] == ["好的", "不用", "了"]
    assert all(w.confidence > 0.9 for w in partials[-1])
