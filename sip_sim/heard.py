# SPDX-License-Identifier: GPL-3.0-or-later
"""What the callee received, laid on the time line of the call."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sip_sim import g711
from sip_sim.rtp import RATE, RtpPacket, parse_event

Pcm = NDArray[np.int16]

DRIFT_LIMIT: Final = 320
"""Samples (40 ms) of lasting difference between arrival and timestamps that move the anchor."""
_WINDOW: Final = 12  # packets on either side that tell lasting drift from jitter
_IDLE: Final = {g711.PCMA: 0xD5, g711.PCMU: 0xFF}
_NEVER: Final = -(1 << 62)


@dataclass(frozen=True)
class Arrival:
    """A packet and when it came, in ns on the monotonic clock."""

    mono_ns: int
    packet: RtpPacket


@dataclass
class Reception:
    """Counts over the received audio stream; times in ms from the origin."""

    packets: int = 0
    lost: int = 0
    first_packet_ms: float | None = None
    max_gap_ms: float = 0.0
    ssrcs: int = 0


class HeardAudio:
    """Collects packets; `timeline` and `reception` work them out afterwards."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.event_arrivals: list[Arrival] = []

    def add(self, mono_ns: int, packet: RtpPacket, event_type: int | None) -> bool:
        """Keep a packet; True when it is audio we can decode."""
        if event_type is not None and packet.payload_type == event_type:
            self.event_arrivals.append(Arrival(mono_ns, packet))
            return False
        if packet.payload_type not in (g711.PCMA, g711.PCMU) or not packet.payload:
            return False
        self.arrivals.append(Arrival(mono_ns, packet))
        return True

    def timeline(self, origin_ns: int, end_ns: int) -> Pcm:
        """PCM16 at 8 kHz whose sample 0 is `origin_ns`; what did not arrive is silence."""
        length = max(0, (end_ns - origin_ns) * RATE // 1_000_000_000)
        audio = np.zeros(length, dtype=np.int16)
        for arrivals in self._streams().values():
            for arrival, position in zip(arrivals, place(arrivals, origin_ns), strict=True):
                packet = arrival.packet
                samples = _samples(packet)
                start, stop = max(0, position), min(length, position + len(samples))
                if start < stop:
                    audio[start:stop] = samples[start - position : stop - position]
        return audio

    def reception(self, origin_ns: int, end_ns: int) -> Reception:
        """Packet counts of the call from `origin_ns` to `end_ns`."""
        times = [a.mono_ns for a in self.arrivals if origin_ns <= a.mono_ns <= end_ns]
        result = Reception(packets=len(times), ssrcs=len(self._streams()))
        if times:
            result.first_packet_ms = (times[0] - origin_ns) / 1e6
            gaps = np.diff(np.array(times, dtype=np.int64))
            result.max_gap_ms = float(gaps.max()) / 1e6 if len(gaps) else 0.0
        for ssrc, arrivals in self._streams().items():
            # Key presses use up sequence numbers of the same stream.
            events = [a for a in self.event_arrivals if a.packet.ssrc == ssrc]
            in_order = sorted((*arrivals, *events), key=lambda a: a.mono_ns)
            numbers = _unwrap([a.packet.sequence for a in in_order], 16)
            expected = int(numbers.max() - numbers.min()) + 1
            result.lost += max(0, expected - len(set(numbers.tolist())))
        return result

    def digits(self, origin_ns: int) -> list[tuple[str, float, float]]:
        """Key presses received (RFC 4733): key, start and end in ms from the origin."""
        presses: dict[tuple[int, int], tuple[str, float, float]] = {}
        ended: set[tuple[int, int]] = set()
        for arrival in self.event_arrivals:
            event = parse_event(arrival.packet.payload)
            key = (arrival.packet.ssrc, arrival.packet.timestamp)
            if event is None or key in ended:
                continue
            at = (arrival.mono_ns - origin_ns) / 1e6
            start = presses[key][1] if key in presses else at
            presses[key] = (event.digit, start, at)
            if event.end:
                ended.add(key)
        return list(presses.values())

    def _streams(self) -> dict[int, list[Arrival]]:
        streams: dict[int, list[Arrival]] = {}
        for arrival in self.arrivals:
            streams.setdefault(arrival.packet.ssrc, []).append(arrival)
        return streams


def _samples(packet: RtpPacket) -> Pcm:
    """PCM16 of a packet; pure idle code, which A-law decodes to 8, counts as silence."""
    idle = _IDLE[packet.payload_type]
    if packet.payload.count(idle) == len(packet.payload):
        return np.zeros(len(packet.payload), dtype=np.int16)
    return g711.decode(packet.payload, packet.payload_type)


def _unwrap(values: list[int], bits: int) -> NDArray[np.int64]:
    """Extend wrapping counters (RFC 3550 appendix A.1), in the order given."""
    numbers = np.array(values, dtype=np.int64)
    half, whole = 1 << (bits - 1), 1 << bits
    steps = (np.diff(numbers) + half) % whole - half
    return np.concatenate([numbers[:1], numbers[0] + np.cumsum(steps)])


def place(arrivals: list[Arrival], origin_ns: int) -> list[int]:
    """Sample position of every packet of one stream.

    The first packet's arrival is the anchor and timestamps do the rest, so jitter does not
    show. Where the least delay of the packets before or after differs from the anchor for good
    (more than 40 ms), the anchor moves.
    """
    if not arrivals:
        return []
    came = np.array([a.mono_ns - origin_ns for a in arrivals], dtype=np.int64)
    came = came * RATE // 1_000_000_000
    stamps = _unwrap([a.packet.timestamp for a in arrivals], 32)
    delay = came - (stamps - stamps[0])
    padded = np.pad(delay, _WINDOW, constant_values=_NEVER)
    least = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW + 1).min(axis=1)
    least = np.maximum(least[: len(delay)], least[_WINDOW:])  # packets before, packets after
    least = np.where(least == _NEVER, delay, least)
    positions, anchor = [], int(delay[0])
    for stamp, settled in zip(stamps - stamps[0], least, strict=True):
        if abs(int(settled) - anchor) > DRIFT_LIMIT:
            anchor = int(settled)
        positions.append(anchor + int(stamp))
    return positions
