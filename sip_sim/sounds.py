# SPDX-License-Identifier: GPL-3.0-or-later
"""Sounds that are no words: tones, key tones and background noise, 8 kHz PCM16."""

import random
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sip_sim.rtp import DIGITS, RATE

Pcm = NDArray[np.int16]

_ROWS: Final = (697, 770, 852, 941)
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_KEYPAD: Final = "123A456B789C*0#D"

assert sorted(_KEYPAD) == sorted(DIGITS)


def silence(ms: float) -> Pcm:
    """Digital silence."""
    return np.zeros(round(RATE * ms / 1000), dtype=np.int16)


def tone(frequencies_hz: tuple[float, ...], ms: float, dbfs: float = -20.0) -> Pcm:
    """Sines of equal level, `dbfs` RMS together, with 5 ms ramps against clicks."""
    t = np.arange(round(RATE * ms / 1000)) / RATE
    wave = np.sum([np.sin(2 * np.pi * f * t) for f in frequencies_hz], axis=0)
    wave *= 32768 * 10 ** (dbfs / 20) * np.sqrt(2 / len(frequencies_hz))
    ramp = np.minimum(1.0, np.minimum(t, t[::-1]) / 0.005) if len(t) else t
    samples: Pcm = np.clip(np.rint(wave * ramp), -32768, 32767).astype(np.int16)
    return samples


def ringback(ms: float) -> Pcm:
    """Chinese ringback: 450 Hz, 1 s on and 4 s off."""
    cycle = np.concatenate([tone((450,), 1000), silence(4000)])
    length = round(RATE * ms / 1000)
    return np.asarray(np.resize(cycle, length), dtype=np.int16)


def key_tone(digit: str, ms: float) -> Pcm:
    """The DTMF dual tone of a key (ITU-T Q.23)."""
    position = _KEYPAD.index(digit)
    return tone((_ROWS[position // 4], _COLUMNS[position % 4]), ms, -13.0)


def white_noise(ms: float, dbfs: float, seed: str) -> Pcm:
    """Gaussian noise of a level in dBFS RMS."""
    values = np.random.default_rng(_number(seed)).standard_normal(round(RATE * ms / 1000))
    return _at_level(values, dbfs)


def babble(voices: list[Pcm], ms: float, dbfs: float, seed: str) -> Pcm:
    """Several people talking at once, made of the given recordings laid over each other."""
    chooser = random.Random(seed)
    length = round(RATE * ms / 1000)
    mixed = np.zeros(length)
    for _ in range(6):
        chosen = np.concatenate(chooser.sample(voices, len(voices))) if voices else silence(ms)
        mixed += np.resize(np.roll(chosen, chooser.randrange(max(1, len(chosen)))), length)
    return _at_level(mixed, dbfs)


def _at_level(values: NDArray[np.float64], dbfs: float) -> Pcm:
    rms = float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
    if rms:
        values = values * (32768 * 10 ** (dbfs / 20) / rms)
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def _number(seed: str) -> int:
    return random.Random(seed).getrandbits(64)
