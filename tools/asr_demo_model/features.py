# SPDX-License-Identifier: GPL-3.0-or-later
"""Kaldi's MFCC in numpy: 40 coefficients every 10 ms of 8 kHz audio, no dither.

The values written to ``conf/mfcc.conf`` are the ones used here, so training and libvosk see
the same numbers (the numeric test compares the two).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8000  # Hz
DIMENSION = 40  # mel bins and cepstra
_WINDOW = 200  # samples: 25 ms
_SHIFT = 80  # samples: 10 ms
_FFT = 256
_LOW, _HIGH = 40.0, 3800.0  # Hz
_PREEMPHASIS = 0.97
_LIFTER = 22.0
_FLOOR = float(np.finfo(np.float32).eps)

MFCC_CONF = f"""\
--sample-frequency={SAMPLE_RATE}
--use-energy=false
--num-mel-bins={DIMENSION}
--num-ceps={DIMENSION}
--low-freq=40
--high-freq=-200
--dither=0.0
--allow-upsample=true
--allow-downsample=true
"""


def _mel(frequency: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(frequency, np.float64) / 700.0)


def _mel_bank() -> NDArray[np.float64]:
    """Triangles over the power spectrum, [FFT/2, DIMENSION]."""
    low, high = float(_mel(_LOW)), float(_mel(_HIGH))
    step = (high - low) / (DIMENSION + 1)
    centres = _mel(np.arange(_FFT // 2) * SAMPLE_RATE / _FFT)[:, None]
    left = low + step * np.arange(DIMENSION)[None]
    rising = (centres - left) / step
    falling = (left + 2 * step - centres) / step
    return np.maximum(0.0, np.minimum(rising, falling))


def _cosine() -> NDArray[np.float64]:
    """Orthonormal DCT-II with liftering, [DIMENSION, DIMENSION]."""
    index = np.arange(DIMENSION)
    matrix = np.cos(np.pi / DIMENSION * (index[:, None] + 0.5) * index[None])
    matrix *= np.sqrt(2.0 / DIMENSION)
    matrix[:, 0] = np.sqrt(1.0 / DIMENSION)
    liftered: NDArray[np.float64] = matrix * (1.0 + 0.5 * _LIFTER * np.sin(np.pi * index / _LIFTER))
    return liftered


_POVEY = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_WINDOW) / (_WINDOW - 1))) ** 0.85
_BANK = _mel_bank()
_COSINE = _cosine()


def mfcc(samples: NDArray[np.generic]) -> NDArray[np.float32]:
    """Features [frames, DIMENSION] of 8 kHz samples on the int16 scale."""
    audio = np.asarray(samples, np.float64)
    count = 1 + (len(audio) - _WINDOW) // _SHIFT if len(audio) >= _WINDOW else 0
    if count == 0:
        return np.zeros((0, DIMENSION), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio, _WINDOW)[::_SHIFT][:count]
    frames = frames - frames.mean(axis=1, keepdims=True)
    previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - _PREEMPHASIS * previous) * _POVEY
    spectrum = np.fft.rfft(frames, _FFT)[:, : _FFT // 2]
    power = spectrum.real**2 + spectrum.imag**2
    energies = np.log(np.maximum(power @ _BANK, _FLOOR))
    result: NDArray[np.float32] = (energies @ _COSINE).astype(np.float32)
    return result
