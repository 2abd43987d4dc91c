# SPDX-License-Identifier: GPL-3.0-or-later
"""The transcript of what reached an ear, from the samples that were sent. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from compliance.facts import Speaker, TranscriptLine
from voicebot.line import to_ms
from voicebot.redaction import strike


@dataclass(frozen=True, slots=True)
class Said:
    """A prompt or part of one: ``played`` of its samples were sent from ``position`` on.

    ``audible`` is the sample range of the prompt that holds speech.
    """

    text: str = field(repr=False)
    mark: str
    position: int
    played: int
    audible: tuple[int, int]
    cut: bool
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Caught:
    """Words of a person; samples since answer."""

    text: str = field(repr=False)
    start: int
    end: int
    confidence: float
    flags: tuple[str, ...] = ()
    speaker: Speaker = Speaker.CALLEE  # or a person of ours


Entry: TypeAlias = Said | Caught


def lines(entries: Iterable[Entry]) -> tuple[TranscriptLine, ...]:
    """Entries -> timed lines in the order they began, long numbers of people struck out (D6)."""
    made = [line for entry in _struck(entries) if (line := _line(entry)) is not None]
    return tuple(sorted(made, key=lambda line: line.start_ms))


def _struck(entries: Iterable[Entry]) -> list[Entry]:
    known = list(entries)
    for speaker in (Speaker.CALLEE, Speaker.AGENT):
        places = [i for i, e in enumerate(known) if isinstance(e, Caught) and e.speaker is speaker]
        places.sort(key=lambda i: _caught(known[i]).start)
        for i, text in zip(places, strike([_caught(known[i]).text for i in places]), strict=True):
            caught = _caught(known[i])
            if text != caught.text:
                flags = tuple(dict.fromkeys((*caught.flags, "D6")))
                known[i] = replace(caught, text=text, flags=flags)
    return known


def _caught(entry: Entry) -> Caught:
    assert isinstance(entry, Caught)
    return entry


def _line(entry: Entry) -> TranscriptLine | None:
    if isinstance(entry, Caught):
        return TranscriptLine(
            entry.speaker,
            entry.text,
            to_ms(entry.start),
            to_ms(max(entry.start, entry.end)),
            confidence=round(entry.confidence, 3),
            flags=entry.flags,
        )
    start, end = entry.audible
    heard = min(entry.played, end)
    if heard <= start:
        return None  # cut before its first sound
    begin = to_ms(entry.position + start)
    if heard == end:  # cut in the closing silence, if at all: all of it was heard
        finish = to_ms(entry.position + end)
        return TranscriptLine(
            Speaker.BOT, entry.text, begin, finish, mark=entry.mark, flags=entry.flags
        )
    # Which letter the knife met is estimated from the share of the speech that was sent.
    letters = round(len(entry.text) * (heard - start) / (end - start))
    at = to_ms(entry.position + heard)
    return TranscriptLine(
        Speaker.BOT,
        entry.text[:letters],
        begin,
        at,
        interrupted_at_ms=at,
        mark=entry.mark,
        flags=entry.flags,
    )
