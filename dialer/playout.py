# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call still has to say, cut into frames for the media clock.

``Playout`` is pure: the media port asks it for one frame per tick and it
answers from the queued prompts, gapless, and notes when each began and ended
to the sample. Nothing here knows pjsua2, SIP or asyncio.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

import numpy as np

RATE = 8000  # Hz
FRAME_SAMPLES = 160  # 20 ms
FRAME_BYTES = FRAME_SAMPLES * 2  # int16
SILENCE = bytes(FRAME_BYTES)
_FADE_SAMPLES = 80  # 10 ms: a cut without a click


@dataclass(frozen=True, slots=True)
class Mark:
    """A prompt began, ended or was cut at a sample of the media clock.

    ``sample`` counts every sample handed to the network since the port was
    made; ``played`` is how many samples of the prompt were sent.
    """

    kind: str  # "started", "ended", "cut"
    tag: str
    sample: int
    played: int


class Playout:
    """A queue of prompts read one frame at a time.

    ``play`` and ``stop`` come from the asyncio thread, ``next_frame`` from
    pjsua2's clock thread; the lock is held for a few microseconds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[tuple[str, bytes]] = deque()
        self._offset = 0  # bytes of the first entry already sent
        self._sent = 0  # samples
        self.marks: deque[Mark] = deque(maxlen=4096)

    @property
    def sent(self) -> int:
        """Samples handed to the network so far, silence included."""
        return self._sent

    @property
    def idle(self) -> bool:
        return not self._queue

    def play(self, pcm: bytes, tag: str) -> None:
        """Queue ``pcm`` (int16 LE mono, 8 kHz); an empty prompt ends where it starts."""
        if len(pcm) % 2:
            raise ValueError("int16 audio has an even number of bytes")
        with self._lock:
            self._queue.append((tag, bytes(pcm)))

    def stop(self) -> None:
        """Drop what is queued; the prompt being said is faded out over 10 ms."""
        with self._lock:
            if not self._queue:
                return
            tag, pcm = self._queue[0]
            played = self._offset // 2
            waiting = [t for t, _ in self._queue][1:]
            self._queue.clear()
            if self._offset:
                rest = np.frombuffer(pcm, "<i2", count=-1, offset=self._offset)[:_FADE_SAMPLES]
                if len(rest):
                    fade = np.linspace(1.0, 0.0, len(rest), endpoint=False)
                    self._queue.append(("", (rest * fade).astype("<i2").tobytes()))
                self.marks.append(Mark("cut", tag, self._sent, played))
            elif tag:
                self.marks.append(Mark("cut", tag, self._sent, 0))
            self._offset = 0
            for t in waiting:
                if t:
                    self.marks.append(Mark("cut", t, self._sent, 0))

    def next_frame(self) -> bytes:
        """The next 20 ms (320 bytes): queued audio, then silence."""
        with self._lock:
            if not self._queue:
                self._sent += FRAME_SAMPLES
                return SILENCE
            frame = bytearray()
            while len(frame) < FRAME_BYTES and self._queue:
                tag, pcm = self._queue[0]
                at = self._sent + len(frame) // 2
                if self._offset == 0 and tag:
                    self.marks.append(Mark("started", tag, at, 0))
                take = pcm[self._offset : self._offset + FRAME_BYTES - len(frame)]
                frame += take
                self._offset += len(take)
                if self._offset >= len(pcm):
                    if tag:
                        self.marks.append(
                            Mark("ended", tag, self._sent + len(frame) // 2, len(pcm) // 2)
                        )
                    self._queue.popleft()
                    self._offset = 0
            self._sent += FRAME_SAMPLES
            if len(frame) < FRAME_BYTES:
                frame += bytes(FRAME_BYTES - len(frame))
            return bytes(frame)
