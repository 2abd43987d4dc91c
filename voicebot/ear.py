# SPDX-License-Identifier: GPL-3.0-or-later
"""One call's hearing: audio in, speech events out. No I/O; runs on a worker thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from voicebot.asr import Recognizer
from voicebot.hearing import Final, Partial, SpeechEnded, SpeechEvent, SpeechStarted
from voicebot.line import RATE_HZ, to_samples
from voicebot.vad import WINDOW, VadSettings, VadState, VoiceDetector, advance

PRE_ROLL_MS = 400  # voice is noticed late; the first consonant lies before
DECODE_WINDOWS = 3  # decode in pieces of 96 ms
FILL_MS = 200  # a shorter hole in the audio is silence, a longer one a new beginning
UTTERANCE_S = 20  # one that goes on longer is closed and begun anew: bounded memory


class Ear:
    """Voice detection and recognition of one call.

    The recognizer hears only speech with 400 ms before it, so silence costs no decoding and
    ringing tones make no words.
    """

    def __init__(
        self,
        make_detector: Callable[[], VoiceDetector],
        recognizer: Recognizer,
        settings: VadSettings | None = None,
    ) -> None:
        self._make_detector = make_detector
        self._detector = make_detector()
        self._recognizer = recognizer
        self._settings = settings or VadSettings()
        self._vad = VadState()
        self._next: int | None = None  # position expected next
        self._rest = b""  # less than a window
        self._history = bytearray()
        self._pending = bytearray()  # speech not yet decoded
        self._began = 0

    def take(self, position: int, pcm: bytes) -> list[SpeechEvent]:
        """Hear ``pcm`` (8 kHz int16 LE mono) that begins at ``position``; returns what was heard.

        Repeated samples are skipped; a hole up to 200 ms is taken as silence, a longer one
        ends the utterance.
        """
        pcm = pcm[: len(pcm) // 2 * 2]
        if self._next is None:
            self._next = position
        events: list[SpeechEvent] = []
        missing = position - self._next
        if missing < 0:
            pcm = pcm[-2 * missing :]
        elif 0 < missing <= to_samples(FILL_MS):
            pcm = bytes(2 * missing) + pcm
        elif missing > 0:
            events += self._break_off(position)
        audio = self._rest + pcm
        start = self._next - len(self._rest) // 2
        self._next += len(pcm) // 2
        used = 0
        while len(audio) - used >= 2 * WINDOW:
            window = audio[used : used + 2 * WINDOW]
            events += self._window(start + used // 2, window)
            used += 2 * WINDOW
        self._rest = audio[used:]
        return events

    def _window(self, position: int, window: bytes) -> list[SpeechEvent]:
        samples = np.frombuffer(window, dtype="<i2")
        probability = self._detector.probability(samples)
        self._vad, changes = advance(self._vad, probability, position, self._settings)
        self._history += window
        del self._history[: -2 * to_samples(PRE_ROLL_MS)]
        events: list[SpeechEvent] = []
        for change in changes:
            if isinstance(change, SpeechStarted):
                self._begin(position + WINDOW - len(self._history) // 2, bytes(self._history))
                return [change]
            self._pending += window
            return [change, self._end(change.position)]
        if self._vad.speaking:
            self._pending += window
            if len(self._pending) >= 2 * WINDOW * DECODE_WINDOWS:
                self._decode()
                end = position + WINDOW
                if words := self._recognizer.partial():
                    events.append(Partial(end, words))
                if end - self._began >= UTTERANCE_S * RATE_HZ:
                    events += [self._end(end), SpeechStarted(end)]
                    self._begin(end, b"")
        return events

    def _begin(self, position: int, pcm: bytes) -> None:
        self._began = position
        self._recognizer.start(position)
        self._pending[:] = pcm

    def _decode(self) -> None:
        if self._pending:
            self._recognizer.accept(bytes(self._pending))
            self._pending.clear()

    def _end(self, position: int) -> Final:
        self._decode()
        return Final(position, self._recognizer.finish())

    def _break_off(self, position: int) -> list[SpeechEvent]:
        """Audio was lost: close what was being said and listen anew at ``position``."""
        assert self._next is not None
        events: list[SpeechEvent] = []
        if self._vad.speaking:
            events = [SpeechEnded(self._next, self._next), self._end(self._next)]
        self._vad = VadState()
        self._detector = self._make_detector()
        self._next = position
        self._rest = b""
        self._history.clear()
        return events
