# SPDX-License-Identifier: GPL-3.0-or-later
"""The media of one call: a sender on an absolute 20 ms schedule and a receiver that keeps all."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sip_sim import g711, rtp, sdp, sounds, witness
from sip_sim.errors import MalformedMessage
from sip_sim.heard import HeardAudio
from sip_sim.message import Address
from sip_sim.rtp import FRAME, FRAME_S, RtpPacket, TelephoneEvent
from sip_sim.udp import UdpSocket

Pcm = NDArray[np.int16]

_FRAME_NS: Final = 20_000_000
_SAMPLE_NS: Final = 125_000
_SKIP_FRAMES: Final = 25  # when the machine slept longer than this, do not burst


@dataclass
class Clip:
    """Something to send, and when it was really sent; ns on the monotonic clock."""

    samples: Pcm = field(default_factory=lambda: sounds.silence(0))
    text: str = ""
    digit: str = ""
    """A key press; `samples` is empty when it goes out as a telephone event (RFC 4733)."""
    method: str = ""
    duration_ms: float = 0.0
    refuses: bool = False
    means: str = ""
    start_ns: int = 0
    end_ns: int = 0
    cut: bool = False

    @property
    def is_event(self) -> bool:
        """Whether this goes out as RFC 4733 packets."""
        return self.method == "rfc4733"


@dataclass(frozen=True)
class Impairments:
    """What is wrong with the callee's media on purpose."""

    send: bool = True
    loss: float = 0.0
    """Part of the packets that is not sent."""
    foreign_ssrc: bool = False
    noise: Pcm | None = None
    """Background, repeated for ever."""


class CallMedia:
    """RTP of one call; start, play, press, close."""

    def __init__(
        self,
        open_socket: Callable[[Callable[[bytes, Address, int], None]], UdpSocket],
        chooser: random.Random,
        impairments: Impairments,
    ) -> None:
        self._socket = open_socket(self._received)
        self._chooser = chooser
        self._impairments = impairments
        self._ssrc, self._foreign_ssrc = chooser.getrandbits(32), chooser.getrandbits(32)
        self._sequence = chooser.getrandbits(16)
        self._timestamp = chooser.getrandbits(32)
        self.session: sdp.Session | None = None
        self.sdp_version = 1
        """Of the description we sent last (RFC 3264 section 8)."""
        self._queue: deque[Clip] = deque()
        self._clip: Clip | None = None
        self._position = 0
        self._frames = 0
        self._started_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._marker = True
        self.sending = True
        """False while on hold."""
        self.heard = HeardAudio()
        self.sent = HeardAudio()
        self.clips: list[Clip] = []
        """All that was begun, in order."""
        self.last_arrival_ns: int | None = None
        self.on_tick: Callable[[int], None] = lambda _now_ns: None
        self.on_level: Callable[[int, float], None] = lambda _now_ns, _dbfs: None
        self.on_clip_end: Callable[[Clip], None] = lambda _clip: None

    @property
    def address(self) -> Address:
        """Our own RTP socket."""
        return self._socket.address

    @property
    def busy(self) -> bool:
        """Whether something is being sent or waits for it."""
        return self._clip is not None or bool(self._queue)

    def adopt(self, session: sdp.Session) -> None:
        """Send to this peer from now on, unless its direction says not to."""
        self.session = session
        self.sending = session.direction in ("sendrecv", "recvonly")

    def start(self) -> None:
        """Start the 20 ms schedule; may be called again."""
        if self._started_at is None:
            self._started_at = asyncio.get_running_loop().time()
            self._tick()

    def stop(self) -> None:
        """Stop sending; the socket stays open to see what still comes in."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._started_at = None
        if self._clip and self._clip.start_ns:
            self._clip.cut = True
            self._finish_clip(self._clip.end_ns)
        self._clip = None
        self._queue.clear()

    def close(self) -> None:
        """Stop and free the port; may be called again."""
        self.stop()
        self._socket.close()

    def play(self, clip: Clip) -> None:
        """Queue a clip; it starts with the next packet that is free."""
        if clip.is_event and (self.session is None or self.session.event_type is None):
            clip.method = "inband"  # the peer offered no telephone-event
        if clip.method == "inband":
            clip.samples = sounds.key_tone(clip.digit, clip.duration_ms)
        self._queue.append(clip)

    def _tick(self) -> None:
        if self._started_at is None:
            return
        loop = asyncio.get_running_loop()
        self.on_tick(time.monotonic_ns())
        if self._started_at is None:  # the call ended in on_tick
            return
        self._send_frame()
        self._frames += 1
        behind = int((loop.time() - self._started_at) / FRAME_S) - self._frames
        if behind > _SKIP_FRAMES:
            self._frames += behind
            self._timestamp += behind * FRAME
        when = self._started_at + self._frames * FRAME_S
        self._timer = loop.call_at(when, self._tick)

    def _send_frame(self) -> None:
        if self._clip is None and self._queue:
            self._clip, self._position = self._queue.popleft(), 0
            self.clips.append(self._clip)
        clip = self._clip
        if clip and clip.is_event:
            self._send_event(clip)
        else:
            self._send_audio(clip)
        self._timestamp += FRAME

    def _send_audio(self, clip: Clip | None) -> None:
        frame = np.zeros(FRAME, dtype=np.int16)
        part = clip.samples[self._position : self._position + FRAME] if clip else frame[:0]
        frame[: len(part)] = part
        noise = self._impairments.noise
        if noise is not None and len(noise):
            index = (self._frames * FRAME + np.arange(FRAME)) % len(noise)
            mixed = frame.astype(np.int32) + noise[index]
            frame = np.clip(mixed, -32768, 32767).astype(np.int16)
        codec = self.session.codec if self.session else g711.PCMA
        sent_ns = self._transmit(codec, self._timestamp, g711.encode(frame, codec))
        if self._impairments.foreign_ssrc and self.session:
            self._send_foreign(codec)
        if clip:
            clip.start_ns = clip.start_ns or sent_ns
            clip.end_ns = sent_ns + len(part) * _SAMPLE_NS
            self._position += FRAME
            if self._position >= len(clip.samples):
                self._finish_clip(clip.end_ns)

    def _send_event(self, clip: Clip) -> None:
        """One packet of a key press: updates, then the end three times (RFC 4733 2.5.1.4)."""
        assert self.session is not None
        assert self.session.event_type is not None
        total = round(clip.duration_ms * 8)
        began = self._timestamp - self._position
        duration = min(self._position + FRAME, total)
        ended = self._position + FRAME >= total
        event = TelephoneEvent(clip.digit, ended, duration)
        self._marker = self._position == 0
        sent_ns = self._transmit(self.session.event_type, began, event.serialize())
        clip.start_ns = clip.start_ns or sent_ns
        if ended and not clip.end_ns:
            clip.end_ns = sent_ns
        self._position += FRAME
        if self._position >= total + 2 * FRAME:
            self._marker = True  # the audio that follows is a new talk spurt
            self._finish_clip(clip.end_ns)

    def _finish_clip(self, end_ns: int) -> None:
        clip, self._clip = self._clip, None
        if clip:
            clip.end_ns = end_ns or clip.start_ns
            self.on_clip_end(clip)

    def _transmit(self, payload_type: int, timestamp: int, payload: bytes) -> int:
        now = time.monotonic_ns()
        packet = RtpPacket(
            payload_type,
            self._sequence & 0xFFFF,
            timestamp & 0xFFFFFFFF,
            self._ssrc,
            payload,
            self._marker,
        )
        self._sequence += 1
        self._marker = False
        lost = self._impairments.loss and self._chooser.random() < self._impairments.loss
        if self.session and self.sending and self._impairments.send and not lost:
            self._socket.send(packet.serialize(), self.session.remote)
            self.sent.add(now, packet, self.session.event_type)
        return now

    def _send_foreign(self, codec: int) -> None:
        assert self.session is not None
        payload = g711.encode(sounds.tone((700.0,), 20, -15.0), codec)
        packet = RtpPacket(
            codec, self._frames & 0xFFFF, self._frames * FRAME, self._foreign_ssrc, payload
        )
        self._socket.send(packet.serialize(), self.session.remote)

    def _received(self, data: bytes, _source: Address, mono_ns: int) -> None:
        try:
            packet = rtp.parse(data)
        except MalformedMessage:
            return
        self.last_arrival_ns = mono_ns
        event_type = self.session.event_type if self.session else None
        if self.heard.add(mono_ns, packet, event_type):
            level = witness.dbfs(g711.decode(packet.payload, packet.payload_type))
            self.on_level(mono_ns, level)
