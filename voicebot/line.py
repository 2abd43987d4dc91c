# SPDX-License-Identifier: GPL-3.0-or-later
"""The telephone line as a conversation sees it: audio, keys and the end, on one sample clock.

The dialer implements :class:`AudioLine` on pjsua2; ``voicebot.testing.ScriptedLine``
implements it on a virtual clock. Positions count samples since answer at ``rate`` (8 kHz).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

RATE_HZ = 8000


def to_ms(samples: int) -> int:
    """Samples since answer -> whole milliseconds, rounded to the nearest."""
    return (samples * 1000 + RATE_HZ // 2) // RATE_HZ


def to_samples(ms: float) -> int:
    """Milliseconds -> samples."""
    return round(ms * RATE_HZ / 1000)


@dataclass(frozen=True, slots=True)
class AudioIn:
    """The callee's audio: 8 kHz int16 little-endian mono; ``position`` of its first sample."""

    position: int
    pcm: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PlayStarted:
    """The first sample queued under ``tag`` was sent at ``position``."""

    tag: str
    position: int


@dataclass(frozen=True, slots=True)
class PlayEnded:
    """All of ``tag`` was sent; ``position`` is just after its last sample."""

    tag: str
    position: int


@dataclass(frozen=True, slots=True)
class PlayCut:
    """``tag`` was stopped at ``position`` after ``played`` of its samples were sent."""

    tag: str
    position: int
    played: int


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A DTMF digit: ``0``-``9``, ``*`` or ``#``."""

    digit: str
    position: int


@dataclass(frozen=True, slots=True)
class LineGone:
    """The call is over. ``by`` is ``callee``, ``bot`` or ``nobody`` (line or transport failed)."""

    by: str
    status: int
    reason: str
    position: int


LineEvent: TypeAlias = AudioIn | PlayStarted | PlayEnded | PlayCut | KeyPressed | LineGone


class AudioLine(Protocol):
    """One answered call's two directions of audio."""

    rate: int

    def play(self, pcm: bytes, tag: str) -> None:
        """Append ``pcm`` (8 kHz int16 LE mono) to what is queued, without a gap."""
        ...

    def stop(self) -> None:
        """Drop the queue and what is playing now, at once; ``PlayCut`` reports the latter."""
        ...

    @property
    def position(self) -> int:
        """Samples since answer by the media clock."""
        ...

    async def next_event(self) -> LineEvent:
        """Wait for the next event; events come in order and none is lost."""
        ...

    async def hangup(self) -> None:
        """Send BYE; :class:`LineGone` follows."""
        ...
