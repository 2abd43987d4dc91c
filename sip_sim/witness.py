# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callee's audio proves: where a prompt is, how alike two recordings are, who spoke."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
Floats = NDArray[np.float64]

_SILENCE_RMS: Final = 4.0  # sample units: below this a window holds only G.711 idle noise


@dataclass(frozen=True)
class Match:
    """Where a prompt was found; times in ms from sample 0 of the recording searched."""

    start_ms: float
    end_ms: float
    score: float
    """Normalised correlation, 1.0 for the same waveform at any level."""


def find_prompt(heard: Pcm, prompt: Pcm, rate: int = 8000) -> Match:
    """The best place of `prompt` in `heard` by normalised cross-correlation.

    Level and G.711 do not matter; a prompt cut off at the end of the recording is found with
    the score of its part. An empty or silent input scores 0.
    """
    reference = _centred(prompt)
    energy = float(np.dot(reference, reference))
    if not len(heard) or energy <= _floor(len(prompt)):
        return Match(0.0, 1000 * len(prompt) / rate, 0.0)
    signal = np.concatenate([_centred(heard), np.zeros(len(reference))])
    products = _cross(signal, reference)[: len(heard)]
    windows = _window_energy(signal, len(reference))[: len(heard)]
    scores = products / np.sqrt(np.maximum(windows, _floor(len(prompt))) * energy)
    best = int(np.argmax(scores))
    start = 1000 * best / rate
    score = float(np.clip(scores[best], -1.0, 1.0))
    return Match(start, start + 1000 * len(prompt) / rate, score)


def correlation(a: Pcm, b: Pcm, max_shift_ms: float, rate: int = 8000) -> tuple[float, float]:
    """How alike two recordings are: (score, shift in ms by which `b` is later than `a`).

    The score is the normalised correlation of the overlapping parts at the best shift. Overlaps
    shorter than half of the shorter recording do not count.
    """
    x, y = _centred(a), _centred(b)
    if not len(x) or not len(y):
        return 0.0, 0.0
    limit = int(max_shift_ms * rate / 1000)
    size = _fft_size(len(x) + len(y))
    products = np.fft.irfft(np.fft.rfft(y, size) * np.conj(np.fft.rfft(x, size)), size)
    shifts = np.arange(-limit, limit + 1)
    start = np.maximum(shifts, 0)  # overlap in b: [shift, len(a) + shift) within [0, len(b))
    stop = np.minimum(len(x) + shifts, len(y))
    shifts = shifts[stop - start >= max(1, min(len(x), len(y)) // 2)]
    if not len(shifts):
        return 0.0, 0.0
    start, stop = np.maximum(shifts, 0), np.minimum(len(x) + shifts, len(y))
    sums_a, sums_b = _running(x), _running(y)
    energy_a = sums_a[stop - shifts] - sums_a[start - shifts]
    energy_b = sums_b[stop] - sums_b[start]
    floor = _floor(1) * (stop - start)
    scores = products[shifts % size] / np.sqrt(
        np.maximum(energy_a, floor) * np.maximum(energy_b, floor)
    )
    best = int(np.argmax(scores))
    return float(np.clip(scores[best], -1.0, 1.0)), 1000 * float(shifts[best]) / rate


def speech_intervals(
    samples: Pcm,
    rate: int = 8000,
    *,
    threshold_dbfs: float = -45.0,
    bridge_ms: float = 200.0,
    shortest_ms: float = 40.0,
) -> list[tuple[float, float]]:
    """Stretches louder than a threshold, as (start_ms, end_ms) in steps of 10 ms.

    Pauses up to `bridge_ms` are bridged; stretches shorter than `shortest_ms` are dropped.
    """
    step = rate // 100
    count = len(samples) // step
    if not count:
        return []
    blocks = samples[: count * step].astype(np.float64).reshape(count, step)
    loud = np.sqrt(np.mean(blocks**2, axis=1)) > 32768 * 10 ** (threshold_dbfs / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]]).astype(np.int8)))
    merged: list[tuple[float, float]] = []
    for start, end in zip(edges[::2] * 10.0, edges[1::2] * 10.0, strict=True):
        if merged and start - merged[-1][1] <= bridge_ms:
            merged[-1] = (merged[-1][0], float(end))
        else:
            merged.append((float(start), float(end)))
    return [(start, end) for start, end in merged if end - start >= shortest_ms]


def dbfs(samples: Pcm) -> float:
    """RMS level against full scale; -120 for silence or nothing."""
    if not len(samples):
        return -120.0
    rms = float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))
    return 20 * float(np.log10(max(rms / 32768, 1e-6)))


def _centred(samples: Pcm) -> Floats:
    values: Floats = np.asarray(samples, dtype=np.float64)
    return values - values.mean() if len(values) else values


def _floor(length: int) -> float:
    return _SILENCE_RMS**2 * length


def _fft_size(length: int) -> int:
    return 1 << max(1, length - 1).bit_length()


def _cross(signal: Floats, reference: Floats) -> Floats:
    size = _fft_size(len(signal) + len(reference))
    spectrum = np.fft.rfft(signal, size) * np.conj(np.fft.rfft(reference, size))
    return np.asarray(np.fft.irfft(spectrum, size)[: len(signal)], dtype=np.float64)


def _running(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values**2)])


def _window_energy(signal: Floats, width: int) -> Floats:
    sums = _running(signal)
    return np.maximum(sums[width:] - sums[:-width], 0.0)
