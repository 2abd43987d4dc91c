# SPDX-License-Identifier: GPL-3.0-or-later
"""A-law companding of ITU-T G.711, both directions, as two baked tables.

One byte is one sample of 8 kHz telephone audio. Even bits are inverted on the
wire (XOR 0x55); the top bit set means a positive sample. Silence is ``0xD5``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

SAMPLE_RATE_HZ = 8000
SILENCE = 0xD5  # the code nearest above zero

_TOGGLE = 0x55
_POSITIVE = 0x80


def _expand_table() -> Pcm:
    """256 int16 values: the middle of each quantising interval (G.711 table 1a, column 8)."""
    code = np.arange(256, dtype=np.int32) ^ _TOGGLE
    segment = (code >> 4) & 0x07
    step = (code & 0x0F) * 16
    # Segment 0 is linear; from segment 1 on a hidden leading bit doubles per segment.
    magnitude = np.where(segment == 0, step + 8, (step + 264) << np.maximum(segment - 1, 0))
    return np.where(code & _POSITIVE, magnitude, -magnitude).astype(np.int16)


def _compress_table() -> npt.NDArray[np.uint8]:
    """65,536 codes, indexed by the sample's bits read as an unsigned 16-bit number."""
    sample = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    # G.711 works on 12 bits of magnitude; one's complement makes both halves symmetric.
    magnitude = np.where(sample < 0, ~sample, sample) >> 4
    segment = np.zeros_like(magnitude)
    for power in range(5, 12):
        segment += magnitude >= (1 << (power - 1))
    interval = (magnitude >> np.maximum(segment - 1, 0)) & 0x0F
    code = (segment << 4) | interval
    code = np.where(sample >= 0, code | _POSITIVE, code)
    table: npt.NDArray[np.uint8] = (code ^ _TOGGLE).astype(np.uint8)
    return table


_EXPAND = _expand_table()
_COMPRESS = _compress_table()


def alaw_to_linear(alaw: bytes) -> Pcm:
    """A-law bytes -> int16 samples, same count."""
    return _EXPAND[np.frombuffer(alaw, dtype=np.uint8)]


def linear_to_alaw(pcm: npt.ArrayLike) -> bytes:
    """int16 samples (any shape, read in order) -> A-law bytes, one a sample.

    Raises:
        TypeError: the array is not int16: scaling is the caller's business.
    """
    samples = np.asarray(pcm)
    if samples.dtype != np.int16:
        raise TypeError(f"A-law needs int16 samples, not {samples.dtype}")
    return _COMPRESS[np.ascontiguousarray(samples).view(np.uint16)].tobytes()
