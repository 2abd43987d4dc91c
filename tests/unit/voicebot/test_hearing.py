# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice activity, the ear and the frames, without models."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.errors import ConfigError
from voicebot import speech_wire as wire
from voicebot.asr import Calibration
from voicebot.ear import PRE_ROLL_MS, Ear
from voicebot.hearing import (
    Behind,
    Final,
    Partial,
    SpeechEnded,
    SpeechEvent,
    SpeechFailed,
    SpeechReady,
    SpeechStarted,
    Word,
)
from voicebot.line import to_samples
from voicebot.vad import WINDOW, VadSettings, VadState, advance


class LoudDetector:
    """Voice is what is loud; implements ``VoiceDetector``."""

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        return 0.9 if int(np.abs(window).max()) > 1000 else 0.05


class CountingRecognizer:
    """One word as long as the audio it was given; implements ``Recognizer``."""

    def __init__(self) -> None:
        self.calibration = Calibration("zh", "")
        self.utterances: list[tuple[int, bytes]] = []

    def start(self, position: int) -> None:
        self.utterances.append((position, b""))

    def accept(self, pcm: bytes) -> None:
        position, before = self.utterances[-1]
        self.utterances[-1] = (position, before + pcm)

    def partial(self) -> tuple[Word, ...]:
        return self._words()

    def finish(self) -> tuple[Word, ...]:
        return self._words()

    def _words(self) -> tuple[Word, ...]:
        position, pcm = self.utterances[-1]
        return (Word("啊", position, position + len(pcm) // 2, 1.0),)


def speech(ms: int) -> bytes:
    return b"\x00\x20" * to_samples(ms)


def silence(ms: int) -> bytes:
    return bytes(2 * to_samples(ms))


def hear(audio: bytes, chunk: int = 320) -> tuple[list[SpeechEvent], CountingRecognizer]:
    recognizer = CountingRecognizer()
    ear = Ear(LoudDetector, recognizer)
    events: list[SpeechEvent] = []
    for at in range(0, len(audio), chunk):
        events += ear.take(at // 2, audio[at : at + chunk])
    return events, recognizer


def test_one_utterance_with_positions() -> None:
    audio = silence(1000) + speech(800) + silence(600)
    events, recognizer = hear(audio)
    started = next(e for e in events if isinstance(e, SpeechStarted))
    ended = next(e for e in events if isinstance(e, SpeechEnded))
    final = events[-1]
    assert isinstance(final, Final)
    assert abs(started.position - 8000) <= WINDOW
    assert abs(ended.position - 14400) <= WINDOW
    assert to_samples(288) <= ended.known_at - ended.position <= to_samples(288) + WINDOW
    position, pcm = recognizer.utterances[0]
    assert pcm == audio[2 * position : 2 * position + len(pcm)]  # nothing lost, nothing twice
    assert 8000 - to_samples(PRE_ROLL_MS) <= position <= 8000 - to_samples(PRE_ROLL_MS - 100)
    assert any(isinstance(e, Partial) for e in events)


def test_click_is_no_speech() -> None:
    events, recognizer = hear(silence(500) + speech(20) + silence(500))
    assert events == []
    assert recognizer.utterances == []


def test_short_pause_does_not_split() -> None:
    events, recognizer = hear(
        silence(500) + speech(400) + silence(200) + speech(400) + silence(500)
    )
    assert len(recognizer.utterances) == 1
    assert sum(isinstance(e, Final) for e in events) == 1


def test_endless_speech_is_closed_every_20_s() -> None:
    events, recognizer = hear(speech(45_000), chunk=3200)
    assert sum(isinstance(e, Final) for e in events) == 2
    assert len(recognizer.utterances) == 3
    ends = [p + len(a) // 2 for p, a in recognizer.utterances]
    assert [p for p, _ in recognizer.utterances[1:]] == ends[:-1]


def test_long_hole_ends_the_utterance_and_a_short_one_is_silence() -> None:
    recognizer = CountingRecognizer()
    ear = Ear(LoudDetector, recognizer)
    ear.take(0, speech(500))
    assert ear.take(4000 + to_samples(100), speech(100)) is not None
    assert len(recognizer.utterances) == 1
    events = ear.take(40_000, silence(20))
    assert [type(e) for e in events[-2:]] == [SpeechEnded, Final]


def test_repeated_audio_is_heard_once() -> None:
    recognizer = CountingRecognizer()
    ear = Ear(LoudDetector, recognizer)
    for position in (0, 0, 160, 320, 320, 480):
        ear.take(position, speech(20))
    ear.take(640, speech(500))
    total = sum(len(a) // 2 for _, a in recognizer.utterances)
    assert total <= 4640


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_chunking_does_not_change_what_is_heard(sizes: list[int]) -> None:
    audio = silence(200) + speech(500) + silence(400)
    ear = Ear(LoudDetector, CountingRecognizer())
    events: list[SpeechEvent] = []
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(audio):
            break
        events += ear.take(at // 2, audio[at : at + 2 * size])
        at += 2 * size
    assert events == hear(audio)[0]


@given(st.lists(st.floats(0, 1), max_size=200))
def test_hysteresis_alternates_and_moves_forward(probabilities: list[float]) -> None:
    state = VadState()
    found: list[SpeechStarted | SpeechEnded] = []
    for i, probability in enumerate(probabilities):
        state, events = advance(state, probability, i * WINDOW, VadSettings())
        found += events
    kinds = [type(e) for e in found]
    assert kinds == [SpeechStarted if i % 2 == 0 else SpeechEnded for i in range(len(kinds))]
    positions = [e.position for e in found]
    assert positions == sorted(positions)


# ---------------------------------------------------------------- frames

WORDS = (Word("不需要", 10, 20, 0.5), Word("谢谢", 20, 30, 1.0))


@pytest.mark.parametrize(
    "event",
    [
        SpeechReady("zh", "", 0.7, 0.8),
        SpeechStarted(1),
        SpeechEnded(2, 3),
        Partial(4, WORDS),
        Final(5, ()),
        Behind(1200, 40),
        SpeechFailed("no model for this language"),
    ],
)
def test_events_survive_the_wire(event: SpeechEvent) -> None:
    frame = read(wire.pack_event(7, event))
    assert frame is not None
    assert (frame.kind, frame.stream) == (wire.Kind.EVENT, 7)
    assert wire.unpack_event(frame.body) == event


@given(st.integers(0, 2**63), st.binary(max_size=2000))
def test_audio_survives_the_wire(position: int, pcm: bytes) -> None:
    frame = read(wire.pack_audio(1, position, pcm))
    assert frame is not None
    assert wire.unpack_audio(frame.body) == (position, pcm)


@given(st.binary(max_size=200))
def test_garbage_is_a_bad_frame_or_the_end(data: bytes) -> None:
    try:
        frame = read(data)
        if frame is not None and frame.kind is wire.Kind.EVENT:
            wire.unpack_event(frame.body)
    except wire.BadFrame:
        pass


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"event":"x"}', b'{"event":"final","words":[[1]]}']
)
def test_broken_events_are_refused(body: bytes) -> None:
    with pytest.raises(wire.BadFrame):
        wire.unpack_event(body)


def read(data: bytes) -> wire.Frame | None:
    async def go() -> wire.Frame | None:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await wire.read_frame(reader)

    return asyncio.run(go())


# ---------------------------------------------------------------- calibration


def test_calibration_file(tmp_path: Path) -> None:
    assert Calibration.read(tmp_path, "zh").joiner == ""
    assert Calibration.read(tmp_path, "en").joiner == " "
    (tmp_path / "calibration.toml").write_text(
        'schema = 1\nlanguage = "zh"\nsample_rate = 8000\njoiner = "-"\nignore = ["x"]\n'
        "min_confidence = 0.1\nrefusal_confidence = 0.2\npartial_confidence = 0.3\n"
    )
    assert Calibration.read(tmp_path, "zh") == Calibration(
        "zh", "-", frozenset({"x"}), 0.1, 0.2, 0.3
    )
    with pytest.raises(ConfigError, match="language"):
        Calibration.read(tmp_path, "en")


@pytest.mark.parametrize(
    "text",
    ["schema = 2", "sample_rate = 16000", "min_confidence = 3", "ignore = 4", "joiner = 1", "= ="],
)
def test_bad_calibration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.toml").write_text(text)
    with pytest.raises(ConfigError):
        Calibration.read(tmp_path, "zh")
