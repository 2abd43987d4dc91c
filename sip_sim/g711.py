# SPDX-License-Identifier: GPL-3.0-or-later
"""G.711 A-law and mu-law as table look-ups (ITU-T G.711, RFC 3551 section 4.5.14)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

PCMU: Final = 0
"""RTP payload type of mu-law (RFC 3551 table 4)."""
PCMA: Final = 8
"""RTP payload type of A-law (RFC 3551 table 4)."""


def _segment(magnitude: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the chord a biased magnitude falls in: 0 below 256, then one per octave."""
    return np.clip(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int64) - 7, 0, 7)


def _alaw_decode_table() -> Pcm:
    code = np.arange(256) ^ 0x55
    segment, mantissa = (code >> 4) & 7, code & 15
    magnitude = np.where(
        segment == 0,
        (mantissa << 4) + 8,
        ((mantissa << 4) + 0x108) << np.maximum(segment - 1, 0),
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _alaw_encode_table() -> NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.int64).astype(np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.where(sample >= 0, sample, -sample - 1)
    segment = _segment(magnitude)
    mantissa = (magnitude >> np.where(segment == 0, 4, segment + 3)) & 15
    code = (segment << 4) | mantissa | np.where(sample >= 0, 0x80, 0)
    return (code ^ 0x55).astype(np.uint8)


def _ulaw_decode_table() -> Pcm:
    code = ~np.arange(256) & 0xFF
    segment, mantissa = (code >> 4) & 7, code & 15
    magnitude = (((mantissa << 3) + 132) << segment) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _ulaw_encode_table() -> NDArray[np.uint8]:
    sample = np.arange(65536, dtype=np.int64).astype(np.uint16).view(np.int16).astype(np.int64)
    magnitude = np.minimum(np.abs(sample), 32635) + 132
    segment = _segment(magnitude)
    mantissa = (magnitude >> (segment + 3)) & 15
    code = np.where(sample < 0, 0x80, 0) | (segment << 4) | mantissa
    table: NDArray[np.uint8] = (~code & 0xFF).astype(np.uint8)
    return table


_DECODE: Final = {PCMA: _alaw_decode_table(), PCMU: _ulaw_decode_table()}
_ENCODE: Final = {PCMA: _alaw_encode_table(), PCMU: _ulaw_encode_table()}


def decode(payload: bytes, payload_type: int) -> Pcm:
    """PCM16 samples of a PCMA or PCMU payload; KeyError for any other payload type."""
    return _DECODE[payload_type][np.frombuffer(payload, dtype=np.uint8)]


def encode(samples: Pcm, payload_type: int) -> bytes:
    """PCMA or PCMU payload of PCM16 samples; KeyError for any other payload type."""
    index = np.ascontiguousarray(samples, dtype=np.int16).view(np.uint16)
    return _ENCODE[payload_type][index].tobytes()
