# SPDX-License-Identifier: GPL-3.0-or-later
"""What the speech process reports about one call, and the stream that carries it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class Word:
    """One recognised word; ``start`` and ``end`` in samples since answer, confidence 0-1."""

    text: str = field(repr=False)
    start: int
    end: int
    confidence: float


@dataclass(frozen=True, slots=True)
class SpeechReady:
    """The recognizer is open; confidences from the model's calibration file."""

    language: str
    joiner: str
    refusal_confidence: float
    partial_confidence: float


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Voice began at ``position`` (samples since answer)."""

    position: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Voice stopped at ``position``; it was known at ``known_at``, the hang time later."""

    position: int
    known_at: int


@dataclass(frozen=True, slots=True)
class Partial:
    """Words so far of an utterance still going on, from the audio decoded up to ``position``."""

    position: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Final:
    """The words of a finished utterance; ``position`` is where its speech ended."""

    position: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """The recognizer lags ``backlog_ms`` behind this call's audio; 0: it caught up again."""

    backlog_ms: int
    dropped_ms: int = 0


@dataclass(frozen=True, slots=True)
class SpeechFailed:
    """This call's recognizer cannot go on (unknown language, decoder error)."""

    reason: str


@dataclass(frozen=True, slots=True)
class SpeechGone:
    """The speech process went away; nothing more will come from this stream."""


SpeechEvent: TypeAlias = (
    SpeechReady | SpeechStarted | SpeechEnded | Partial | Final | Behind | SpeechFailed | SpeechGone
)


class SpeechStream(Protocol):
    """One call's way to the speech process."""

    def feed(self, position: int, pcm: bytes) -> None:
        """Hand over callee audio (8 kHz int16 LE mono); never waits, drops when stuck."""
        ...

    async def next_event(self) -> SpeechEvent:
        """Wait for the next event; after ``SpeechGone`` every call returns it again."""
        ...

    def close(self) -> None:
        """Give up the stream; idempotent."""
        ...
