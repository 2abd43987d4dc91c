# SPDX-License-Identifier: GPL-3.0-or-later
"""A telephone channel: noise, band limit, level, G.711. All audio is 8 kHz mono."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import SAMPLE_RATE

Audio = NDArray[np.float64]  # [samples]


def _ulaw_levels() -> Audio:
    """The 256 decoded values of ITU-T G.711 mu-law, sorted."""
    code = np.arange(128)
    segment, step = code >> 4, code & 15
    magnitude = ((2 * step + 33) << segment) - 33
    values = 4.0 * magnitude  # 14 bit -> 16 bit
    return np.unique(np.concatenate([-values, values]))


def _alaw_levels() -> Audio:
    """The 256 decoded values of ITU-T G.711 A-law, sorted."""
    code = np.arange(128)
    segment, step = code >> 4, code & 15
    magnitude = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0))
    values = 8.0 * magnitude  # 13 bit -> 16 bit
    return np.unique(np.concatenate([-values, values]))


_LEVELS = {"u": _ulaw_levels(), "a": _alaw_levels()}
_MIDDLES = {law: (levels[1:] + levels[:-1]) / 2 for law, levels in _LEVELS.items()}


def g711(samples: Audio, law: str) -> NDArray[np.int16]:
    """Samples on the int16 scale after encoding and decoding with ``u`` or ``a`` law."""
    index = np.searchsorted(_MIDDLES[law], samples)
    return _LEVELS[law][index].astype(np.int16)


def rms(samples: Audio) -> float:
    """Root mean square of the samples, never zero."""
    return float(np.sqrt(np.mean(samples**2) + 1e-9))


def coloured_noise(kind: str, count: int, rng: random.Random) -> Audio:
    """``white``, ``pink`` or ``brown`` noise of no particular level."""
    generator = np.random.default_rng(rng.randrange(1 << 32))
    white = generator.standard_normal(count)
    if kind == "white":
        return white
    spectrum = np.fft.rfft(white)
    frequency = np.maximum(1.0, np.arange(len(spectrum)))
    spectrum /= np.sqrt(frequency) if kind == "pink" else frequency
    noise: Audio = np.fft.irfft(spectrum, count)
    return noise


def babble(count: int, bank: list[Audio], rng: random.Random) -> Audio:
    """Four other speakers at once, of no particular level."""
    mix = np.zeros(count)
    for _ in range(4):
        voice = bank[rng.randrange(len(bank))]
        start = rng.randrange(len(voice))
        mix += np.resize(np.roll(voice, -start), count)
    return mix


def band_limit(samples: Audio) -> Audio:
    """300 to 3400 Hz with soft edges, as an old telephone line passes."""
    spectrum = np.fft.rfft(samples)
    frequency = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE)
    gain = 1 / (1 + (250.0 / np.maximum(frequency, 1.0)) ** 8)
    gain /= 1 + (frequency / 3500.0) ** 24
    limited: Audio = np.fft.irfft(spectrum * gain, len(samples))
    return limited


@dataclass(frozen=True)
class Channel:
    """One setting of the telephone channel."""

    lead: float  # seconds before the speech
    tail: float  # seconds after it
    noise: str  # "none", "white", "pink", "brown" or "babble"
    snr: float  # dB, speech to noise
    level: float  # dBFS of the speech
    narrow: bool
    law: str  # "u", "a" or "n" for none

    @staticmethod
    def random(rng: random.Random) -> Channel:
        """A channel as used in training."""
        return Channel(
            lead=rng.uniform(0.05, 0.4),
            tail=rng.uniform(0.1, 0.5),
            noise=rng.choice(["white", "pink", "brown", "babble", "white", "none", "none"]),
            snr=rng.uniform(5, 35),
            level=rng.uniform(-34, -12),
            narrow=rng.random() < 0.4,
            law=rng.choice("uuaan"),
        )


def transmit(
    speech: Audio, channel: Channel, bank: list[Audio], rng: random.Random
) -> NDArray[np.int16]:
    """``speech`` (any scale) as the far end of a call hears it."""
    silence = [np.zeros(int(seconds * SAMPLE_RATE)) for seconds in (channel.lead, channel.tail)]
    audio = np.concatenate([silence[0], speech, silence[1]])
    loudness = rms(speech)
    if channel.noise != "none":
        if channel.noise == "babble" and bank:
            noise = babble(len(audio), bank, rng)
        else:
            kind = "pink" if channel.noise == "babble" else channel.noise
            noise = coloured_noise(kind, len(audio), rng)
        audio = audio + noise * (loudness / rms(noise) * 10 ** (-channel.snr / 20))
    if channel.narrow:
        audio = band_limit(audio)
    audio = np.clip(audio * (32768 * 10 ** (channel.level / 20) / loudness), -32767, 32767)
    return audio.astype(np.int16) if channel.law == "n" else g711(audio, channel.law)
