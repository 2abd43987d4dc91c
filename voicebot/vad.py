# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice activity: silero's probabilities, and a pure hysteresis that makes events of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from compliance.errors import SpeechError
from compliance.facts import Evolve
from voicebot.hearing import SpeechEnded, SpeechStarted
from voicebot.line import RATE_HZ, to_samples

WINDOW = 256  # samples silero takes at 8 kHz: 32 ms
_CONTEXT = 32  # samples of the window before; without them silero is deaf in noise


class VoiceDetector(Protocol):
    """Probability of voice of successive 256-sample windows of one call."""

    def probability(self, window: npt.NDArray[np.int16]) -> float: ...


class SileroModel:
    """The ONNX model, loaded once a process and shared by all calls."""

    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(_model_file()), options, providers=["CPUExecutionProvider"]
        )

    def detector(self) -> SileroDetector:
        """A detector with its own state, for one call."""
        return SileroDetector(self)


class SileroDetector:
    """silero's recurrent state for one call."""

    def __init__(self, model: SileroModel) -> None:
        self._session = model.session
        self._state = np.zeros((2, 1, 128), dtype=np.float32)
        self._context = np.zeros((1, _CONTEXT), dtype=np.float32)
        self._rate = np.array(RATE_HZ, dtype=np.int64)

    def probability(self, window: npt.NDArray[np.int16]) -> float:
        samples = window.astype(np.float32).reshape(1, WINDOW) / 32768.0
        audio = np.concatenate([self._context, samples], axis=1)
        out, self._state = self._session.run(
            None, {"input": audio, "state": self._state, "sr": self._rate}
        )
        self._context = samples[:, -_CONTEXT:]
        return float(out[0, 0])


def _model_file() -> Path:
    # The package imports torch; only its data file is wanted, and find_spec runs no package code.
    spec = importlib.util.find_spec("silero_vad")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "data" / "silero_vad.onnx"
        if file.is_file():
            return file
    raise SpeechError("the voice detector's model is missing", remedy="install silero-vad")


# ---------------------------------------------------------------- hysteresis


@dataclass(frozen=True, slots=True)
class VadSettings:
    """Thresholds on the probability and times in milliseconds."""

    start: float = 0.5
    stop: float = 0.35
    onset_ms: int = 90  # voice this long begins speech: a click does not
    hang_ms: int = 288  # silence this long ends it


@dataclass(frozen=True, slots=True)
class VadState(Evolve):
    """Where the hysteresis stands; positions are samples since answer."""

    speaking: bool = False
    voice_since: int | None = None  # first window of voice not yet called speech
    silence_since: int | None = None  # first window of silence within speech


def advance(
    state: VadState, probability: float, position: int, settings: VadSettings
) -> tuple[VadState, tuple[SpeechStarted | SpeechEnded, ...]]:
    """Take in the window of ``WINDOW`` samples that begins at ``position``."""
    end = position + WINDOW
    if not state.speaking:
        if probability < settings.start:
            return state.evolve(voice_since=None), ()
        since = position if state.voice_since is None else state.voice_since
        if end - since < to_samples(settings.onset_ms):
            return state.evolve(voice_since=since), ()
        return VadState(speaking=True), (SpeechStarted(since),)
    if probability >= settings.stop:
        return state.evolve(silence_since=None), ()
    since = position if state.silence_since is None else state.silence_since
    if end - since < to_samples(settings.hang_ms):
        return state.evolve(silence_since=since), ()
    return VadState(), (SpeechEnded(since, end),)
