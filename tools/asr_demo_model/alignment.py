# SPDX-License-Identifier: GPL-3.0-or-later
"""From espeak-ng's phoneme events to frame labels and word pronunciations."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from .espeak import Spoken

SILENCE = "SIL"
FRAME = 0.03  # seconds between two outputs of the network
_FIRST_CENTRE = 0.0125  # seconds: middle of the first 25 ms window
_SHORTEST_PAUSE = 0.06  # seconds; a shorter pause belongs to the next phone
_STRESS = str.maketrans("", "", "',%=")
_VOWELS = "aeiouyAEIOUVQ@03&"

Pronunciation = tuple[str, ...]


class Unalignable(ValueError):
    """The events of this utterance cannot be turned into labels."""


@dataclass(frozen=True)
class Segment:
    """One phone, or silence, with its start in seconds."""

    name: str
    start: float
    position: int  # 0-based character position of the word in the text


def phone_name(name: str) -> str | None:
    """Phone without stress marks; ``None`` for a pause."""
    plain = name.translate(_STRESS)
    if plain.startswith("("):  # espeak-ng switches to another language's phonemes
        raise Unalignable(name)
    return None if not plain or plain[0] in "_;|" else plain


def segments(spoken: Spoken, sample_rate: int) -> tuple[list[Segment], float]:
    """Phones and pauses in order, and the second at which the last phone ends."""
    times = [phone.start / sample_rate for phone in spoken.phones]
    times.append(len(spoken.pcm) / sample_rate)
    found: list[Segment] = []
    carried: float | None = None  # start of a pause too short to be silence
    for index, phone in enumerate(spoken.phones):
        start, end = times[index], times[index + 1]
        name = phone_name(phone.name)
        if name is not None:
            begin = start if carried is None else carried
            found.append(Segment(name, begin, phone.position - 1))
            carried = None
        elif carried is None and end - start >= _SHORTEST_PAUSE:
            if not found or found[-1].name != SILENCE:
                found.append(Segment(SILENCE, start, phone.position - 1))
        elif carried is None and not (found and found[-1].name == SILENCE):
            carried = start
    finish = times[-1]
    if carried is not None:
        finish = carried
    elif found and found[-1].name == SILENCE:
        finish = found.pop().start
    if not found:
        raise Unalignable("no phones")
    return found, finish


def frame_labels(found: list[Segment], finish: float, lead: float, frames: int) -> list[str]:
    """One label for each third of ``frames`` 10 ms frames; every phone keeps at least one.

    ``lead`` is the number of seconds put before the speech.
    """
    total = (frames + 2) // 3
    names = [SILENCE, *(segment.name for segment in found), SILENCE]
    starts = [lead + segment.start for segment in found] + [lead + finish]
    edges = [0]
    for start in starts:
        edges.append(max(round((start - _FIRST_CENTRE) / FRAME), edges[-1] + 1))
    edges.append(total)
    for index in range(len(edges) - 2, 0, -1):
        edges[index] = min(edges[index], edges[index + 1] - 1)
    if min(b - a for a, b in itertools.pairwise(edges)) <= 0:
        raise Unalignable("more phones than frames")
    labels: list[str] = []
    for name, begin, end in zip(names, edges, edges[1:], strict=False):
        labels.extend([name] * (end - begin))
    return labels


def syllables(spoken: Spoken) -> list[Pronunciation]:
    """Mandarin syllables: each has one vowel, and ``n``, ``N`` or ``r`` may close it."""
    result: list[list[str]] = []
    current: list[str] = []
    has_vowel = False
    names = [phone_name(phone.name) for phone in spoken.phones]
    for index, name in enumerate(names):
        if name is None:
            if current and has_vowel:
                result.append(current)
                current, has_vowel = [], False
            continue
        is_vowel = name[0] in _VOWELS
        following = names[index + 1] if index + 1 < len(names) else None
        closes = (
            has_vowel
            and name in ("n", "N", "r")
            and (following is None or following[0] not in _VOWELS)
        )
        if has_vowel and not closes:
            result.append(current)
            current, has_vowel = [], False
        current.append(name)
        has_vowel = has_vowel or is_vowel
    if current:
        result.append(current)
    return [tuple(syllable) for syllable in result]


def mandarin_words(words: list[str], spoken: Spoken) -> list[tuple[str, Pronunciation]]:
    """Pronunciation of each word; empty if the syllables do not match the characters."""
    found = syllables(spoken)
    if len(found) != sum(len(word) for word in words):
        return []
    result = []
    position = 0
    for word in words:
        parts = found[position : position + len(word)]
        result.append((word, tuple(phone for part in parts for phone in part)))
        position += len(word)
    return result


def spaced_words(words: list[str], spoken: Spoken) -> list[tuple[str, Pronunciation]]:
    """Pronunciation of each word of a spaced language.

    Words espeak-ng runs together ("I am") come back as one pair with a space in the word.
    """
    starts: list[int] = []
    position = 0
    for word in words:
        starts.append(position)
        position += len(word) + 1
    groups: dict[int, list[str]] = {}
    for phone in spoken.phones:
        name = phone_name(phone.name)
        if name is None:
            continue
        place = phone.position - 1
        owner = max((k for k, start in enumerate(starts) if start <= place), default=0)
        groups.setdefault(owner, []).append(name)
    owners = sorted(groups)
    if not owners or owners[0] != 0:
        return []
    result = []
    for owner, after in zip(owners, [*owners[1:], len(words)], strict=True):
        result.append((" ".join(words[owner:after]), tuple(groups[owner])))
    return result
