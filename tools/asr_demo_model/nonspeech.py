# SPDX-License-Identifier: GPL-3.0-or-later
"""Sounds of a telephone line that are not speech: tones, DTMF, music, noise (8 kHz mono)."""

from __future__ import annotations

import random

import numpy as np

from .augment import Audio, coloured_noise, rms
from .features import SAMPLE_RATE

_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
# Call progress tones: frequencies in Hz, then the on and off times in seconds in turn.
TONES: dict[str, tuple[tuple[int, ...], tuple[float, ...]]] = {
    "ringback-cn": ((450,), (1.0, 4.0)),
    "busy-cn": ((450,), (0.35, 0.35)),
    "congestion-cn": ((450,), (0.7, 0.7)),
    "call-waiting-cn": ((450,), (0.4, 4.0)),
    "dial-cn": ((450,), (10.0, 0.1)),
    "ringback-eu": ((425,), (1.0, 4.0)),
    "busy-eu": ((425,), (0.5, 0.5)),
    "ringback-us": ((440, 480), (2.0, 4.0)),
    "busy-us": ((480, 620), (0.5, 0.5)),
    "reorder-us": ((480, 620), (0.25, 0.25)),
    "dial-us": ((350, 440), (10.0, 0.1)),
    "ringback-uk": ((400, 450), (0.4, 0.2, 0.4, 2.0)),
    "fax": ((1100,), (0.5, 3.0)),
    "answer-2100": ((2100,), (3.3, 0.5)),
    "beep-1000": ((1000,), (0.4, 2.0)),
    "beep-1400": ((1400,), (0.3, 1.5)),
}


def tone(frequencies: tuple[float, ...], count: int, phase: float = 0.0) -> Audio:
    """Sum of sines of ``count`` samples, peak about 1."""
    time = np.arange(count) / SAMPLE_RATE
    sines = [np.sin(2 * np.pi * hertz * time + phase) for hertz in frequencies]
    mix: Audio = np.sum(sines, axis=0) / len(frequencies)
    return mix


def cadence(name: str, count: int, offset: float = 0.0) -> Audio:
    """A call progress tone of ``TONES`` with its on and off times."""
    frequencies, times = TONES[name]
    position = (np.arange(count) / SAMPLE_RATE + offset) % sum(times)
    edges = np.cumsum(times)
    is_on = np.searchsorted(edges, position, side="right") % 2 == 0
    audio: Audio = tone(frequencies, count) * is_on
    return audio


def dtmf(digits: int, rng: random.Random) -> Audio:
    """A few keys pressed one after the other."""
    parts = []
    for _ in range(digits):
        pair = (rng.choice(_ROWS), rng.choice(_COLUMNS))
        parts.append(tone(pair, int(rng.uniform(0.06, 0.35) * SAMPLE_RATE)))
        parts.append(np.zeros(int(rng.uniform(0.05, 0.4) * SAMPLE_RATE)))
    return np.concatenate(parts)


def special_information(count: int) -> Audio:
    """The three rising tones before an announcement, then silence."""
    parts = [tone((hertz,), int(0.33 * SAMPLE_RATE)) for hertz in (950, 1400, 1800)]
    return np.resize(np.concatenate([*parts, np.zeros(SAMPLE_RATE)]), count)


def music(count: int, rng: random.Random) -> Audio:
    """Chords with a melody over them: harmonics, decay, a steady beat."""
    beat = int(rng.uniform(0.15, 0.6) * SAMPLE_RATE)
    audio = np.zeros(count + 4 * beat)
    scale = [0, 2, 4, 5, 7, 9, 11, 12]
    root = 110.0 * 2 ** (rng.randrange(18) / 12)
    decay = rng.uniform(1.0, 6.0)
    harmonics = rng.randrange(1, 8)
    for start in range(0, count, beat):
        notes = [root * 4 * 2 ** (rng.choice(scale) / 12)] if rng.random() < 0.8 else []
        if (start // beat) % 4 == 0:
            chord = rng.choice([(0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16)])
            notes += [root * 2 ** (step / 12) for step in chord]
        for note in notes:
            length = min(beat * rng.choice([1, 1, 2, 4]), len(audio) - start)
            time = np.arange(length) / SAMPLE_RATE
            envelope = np.minimum(1, time * rng.uniform(20, 400)) * np.exp(-decay * time)
            for order in range(1, harmonics + 1):
                if note * order < 3800:
                    wave = np.sin(2 * np.pi * note * order * time + rng.random() * 6)
                    audio[start : start + length] += envelope * wave / order
    return audio[:count]


def clicks(count: int, rng: random.Random) -> Audio:
    """Short knocks at random times."""
    generator = np.random.default_rng(rng.randrange(1 << 32))
    impulses = (generator.random(count) < rng.uniform(0.0002, 0.002)) * generator.normal(size=count)
    kernel = np.exp(-np.arange(60) / rng.uniform(2, 15)) * generator.normal(size=60)
    return np.convolve(impulses, kernel)[:count]


def random_sound(rng: random.Random, seconds: float) -> Audio:
    """Any of the sounds above, of no particular level."""
    count = int(seconds * SAMPLE_RATE)
    kind = rng.choice(
        [
            "tone",
            "tone",
            "tone",
            "dtmf",
            "sit",
            "music",
            "music",
            "music",
            "noise",
            "noise",
            "click",
        ]
    )
    if kind == "tone":
        return cadence(rng.choice(sorted(TONES)), count, rng.uniform(0, 3))
    if kind == "dtmf":
        return dtmf(rng.randrange(1, 8), rng)
    if kind == "sit":
        return special_information(count)
    if kind == "music":
        return music(count, rng)
    if kind == "click":
        return clicks(count, rng)
    noise = coloured_noise(rng.choice(["white", "pink", "brown"]), count, rng)
    if rng.random() < 0.4:  # comfort noise and wind: the level wanders
        slow = np.abs(coloured_noise("brown", count, rng))
        noise = noise * slow / rms(slow)
    return noise
