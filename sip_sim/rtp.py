# SPDX-License-Identifier: GPL-3.0-or-later
"""RTP packets and named telephone events (RFC 3550 section 5.1, RFC 4733 section 2.3)."""

import struct
from dataclasses import dataclass
from typing import Final

from sip_sim.errors import MalformedMessage

RATE: Final = 8000
"""Samples and timestamp units a second."""
FRAME: Final = 160
"""Samples in a 20 ms packet."""
FRAME_S: Final = FRAME / RATE

DIGITS: Final = "0123456789*#ABCD"
"""Key of each event code 0 to 15 (RFC 4733 section 3.2)."""

_HEADER: Final = struct.Struct("!BBHII")
_EVENT: Final = struct.Struct("!BBH")


@dataclass(frozen=True)
class RtpPacket:
    """One RTP packet; the timestamp counts samples of 1/8000 s."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False

    def serialize(self) -> bytes:
        """The datagram, without padding, extension or contributing sources."""
        return (
            _HEADER.pack(
                0x80,
                (0x80 if self.marker else 0) | self.payload_type,
                self.sequence & 0xFFFF,
                self.timestamp & 0xFFFFFFFF,
                self.ssrc,
            )
            + self.payload
        )


def parse(data: bytes) -> RtpPacket:
    """Take a datagram apart; MalformedMessage when it is not RTP version 2."""
    if len(data) < _HEADER.size:
        raise MalformedMessage("RTP packet too short")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise MalformedMessage("not RTP version 2")
    start = _HEADER.size + 4 * (first & 15)
    if first & 0x10:
        if len(data) < start + 4:
            raise MalformedMessage("RTP extension cut off")
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if first & 0x20 else 0)
    if start > end:
        raise MalformedMessage("RTP header longer than the packet")
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[start:end], bool(second & 0x80))


@dataclass(frozen=True)
class TelephoneEvent:
    """A key press in flight; duration in timestamp units of 1/8000 s since its start."""

    digit: str
    end: bool
    duration: int

    def serialize(self) -> bytes:
        """Event payload at a volume of -10 dBm0."""
        flags = (0x80 if self.end else 0) | 10
        return _EVENT.pack(DIGITS.index(self.digit), flags, min(self.duration, 0xFFFF))


def parse_event(payload: bytes) -> TelephoneEvent | None:
    """The key press in a payload; None for events that are no key."""
    if len(payload) < _EVENT.size:
        return None
    code, flags, duration = _EVENT.unpack_from(payload)
    if code >= len(DIGITS):
        return None
    return TelephoneEvent(DIGITS[code], bool(flags & 0x80), duration)
