# SPDX-License-Identifier: GPL-3.0-or-later
"""pjsua2 media port: frames in and out, nothing else.

The callbacks run on pjsua2's native clock thread, every 20 ms for every call,
so they only copy: what the callee said and what was sent to them, in pairs on
one sample clock. Frame bytes are reached through ctypes because the SWIG
vector costs 150 µs a copy (1.5 µs this way).
"""

from __future__ import annotations

import ctypes
import time
from collections import deque

import pjsua2 as pj

from dialer.playout import FRAME_BYTES, SILENCE, Playout

# 4 s of frames: more than any pause of the asyncio side that a call survives.
_FRAME_S = 0.02
_BACKLOG_FRAMES = 200


class _StdVector(ctypes.Structure):
    """libstdc++'s std::vector<unsigned char>: three pointers."""

    _fields_ = (
        ("begin", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
        ("capacity", ctypes.c_void_p),
    )


_HAS_ASSIGN = hasattr(pj.ByteVector, "assign_from_bytes")
_HAS_COPY = hasattr(pj.ByteVector, "copy_to_bytearray")


def read_frame(buf: pj.ByteVector) -> bytes:
    """The bytes of a pjsua2 frame buffer; empty when it holds nothing."""
    if _HAS_COPY:
        out = bytearray(buf.size())
        buf.copy_to_bytearray(out)
        return bytes(out)
    vector = _StdVector.from_address(int(buf.this))
    if not vector.begin or not vector.end:
        return b""
    return ctypes.string_at(vector.begin, vector.end - vector.begin)


def write_frame(buf: pj.ByteVector, data: bytes) -> None:
    """Replace a pjsua2 frame buffer's content with ``data``."""
    if _HAS_ASSIGN:
        buf.assign_from_bytes(data)
        return
    buf.resize(len(data))
    vector = _StdVector.from_address(int(buf.this))
    if vector.begin:
        ctypes.memmove(vector.begin, data, len(data))


class Tape:
    """What one call's audio left behind; plain data, outlives the pjsua2 port.

    ``frames`` fills with (sent, heard) pairs of 20 ms on one sample clock.
    ``clock`` and ``first_tick`` are monotonic seconds; ``max_gap_s`` is the
    longest time between two ticks: a hole the callee would hear. ``start`` is
    when the first frame was due: a clock thread that is late catches up, so
    the earliest that any tick allows is the truth.
    """

    __slots__ = (
        "broken",
        "clock",
        "dropped",
        "first_tick",
        "frames",
        "heard",
        "max_gap_s",
        "sent",
        "start",
        "ticks",
    )

    def __init__(self) -> None:
        self.frames: deque[tuple[bytes, bytes]] = deque(maxlen=_BACKLOG_FRAMES)
        self.dropped = 0
        self.first_tick = 0.0
        self.start = 0.0
        self.ticks = 0
        self.clock = 0.0
        self.max_gap_s = 0.0
        self.broken = ""
        self.sent: bytes | None = None
        self.heard: bytes | None = None

    def tick(self, now: float) -> None:
        """The bridge's clock asks for a frame."""
        if self.ticks == 0:
            self.first_tick = self.start = now
        else:
            self.start = min(self.start, now - self.ticks * _FRAME_S)
            self.max_gap_s = max(self.max_gap_s, now - self.clock)
        self.ticks += 1
        self.clock = now


class MediaPort(pj.AudioMediaPort):
    """One call's port on the conference bridge: 8 kHz mono int16, 20 ms."""

    def __init__(self, playout: Playout, tape: Tape) -> None:
        super().__init__()
        self._playout = playout
        self._tape = tape

    def open(self, name: str) -> None:
        """Create the port on the bridge."""
        fmt = pj.MediaFormatAudio()
        fmt.type = pj.PJMEDIA_TYPE_AUDIO
        fmt.clockRate = 8000
        fmt.channelCount = 1
        fmt.bitsPerSample = 16
        fmt.frameTimeUsec = 20000
        self.createPort(name, fmt)

    def onFrameRequested(self, frame: pj.MediaFrame) -> None:
        tape = self._tape
        try:
            now = time.monotonic()
            if tape.sent is not None:
                if len(tape.frames) == _BACKLOG_FRAMES:
                    tape.dropped += 1
                tape.frames.append((tape.sent, tape.heard or SILENCE))
            tape.tick(now)
            tape.heard = None
            tape.sent = self._playout.next_frame()
            frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
            write_frame(frame.buf, tape.sent)
        except Exception as error:  # a SWIG director would print and swallow it
            tape.broken = type(error).__name__

    def onFrameReceived(self, frame: pj.MediaFrame) -> None:
        try:
            if frame.type == pj.PJMEDIA_FRAME_TYPE_AUDIO and frame.size == FRAME_BYTES:
                self._tape.heard = read_frame(frame.buf)
        except Exception as error:
            self._tape.broken = type(error).__name__
