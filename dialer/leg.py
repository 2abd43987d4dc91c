# SPDX-License-Identifier: GPL-3.0-or-later
"""One call leg as the asyncio side sees it: signalling to wait for, audio to talk over.

``on_*`` methods are called on the SIP thread and only hand over; everything
else runs on the event loop. Positions are samples (8 kHz) since answer, on
the media clock that also cuts the recording.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dialer import call
from dialer.audio import Tape
from dialer.playout import FRAME_BYTES, FRAME_SAMPLES, RATE, Mark, Playout
from voicebot.line import (
    AudioIn,
    KeyPressed,
    LineEvent,
    LineGone,
    PlayCut,
    PlayEnded,
    PlayStarted,
)

_THIRD_LEAD = 2 * FRAME_BYTES  # 40 ms: so much of a joined person waits, and so none is missing
_THIRD_BACKLOG = 4 * FRAME_BYTES
_SETTLED_TICKS = 10  # 200 ms
_EVENTS = 2048  # 20 ms frames and marks: about 40 s before anything is lost


class Hangs(Protocol):
    """What a leg needs of its endpoint."""

    def hangup(self, leg: CallLeg) -> None: ...


@dataclass(frozen=True, slots=True)
class Times:
    """Monotonic seconds; None: did not happen."""

    invited: float
    ringing: float | None
    answered: float | None
    ended: float | None


class CallLeg:
    """Implements ``voicebot.line.AudioLine`` over one pjsua2 call."""

    rate = RATE

    def __init__(self, endpoint: Hangs, loop: asyncio.AbstractEventLoop, line_id: str) -> None:
        self.line_id = line_id
        self.playout = Playout()
        self.tape = Tape()
        self.sip_call_id = ""
        self.answer_message = ""  # the 200 as received: names the dialog (RFC 3261 §12)
        self.invited_at_monotonic = 0.0
        self.ringing_at_monotonic: float | None = None
        self.answered_at_monotonic: float | None = None
        self.ended_at_monotonic: float | None = None
        self.state = call.State()
        self.tap: Callable[[bytes, bytes], None] | None = None  # (heard, sent) from answer on
        # (position, heard) of early media, before the answer; positions from its first frame
        self.early: Callable[[int, bytes], None] | None = None
        self.lost_events = 0
        self._early_samples = 0
        self._joined: CallLeg | None = None
        self._third = bytearray()  # what the joined person said, not yet in the recording
        self._third_began = False
        self._endpoint = endpoint
        self._loop = loop
        self._events: asyncio.Queue[LineEvent] = asyncio.Queue(maxsize=_EVENTS)
        self._changed = asyncio.Event()
        self._drained = 0  # frames taken from the tape
        self._base: int | None = None  # sample of the media clock at answer

    # ------------------------------------------------------------ from the SIP thread

    def on_ringing(self, status: int, now: float) -> None:
        if self.ringing_at_monotonic is None and status in (180, 181, 182, 183):
            self.ringing_at_monotonic = now
        self._hand(call.Ringing(status))

    def on_answered(self, now: float, message: str) -> None:
        if self.answered_at_monotonic is None:
            self.answered_at_monotonic = now
            self.answer_message = message
            if self.tape.clock:
                ahead = round((now - self.tape.clock) * RATE)
                self._base = self.playout.sent - FRAME_SAMPLES + max(0, min(ahead, FRAME_SAMPLES))
        self._hand(call.Answered())

    def on_ended(self, status: int, reason: str, by_peer: bool, now: float) -> None:
        self.ended_at_monotonic = now
        self._hand(call.Disconnected(status, reason, by_peer))

    def on_digit(self, digit: str) -> None:
        sent = self.playout.sent
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(
                lambda: self._emit(KeyPressed(digit, self._position_of(sent)))
            )

    def _hand(self, event: call.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is leaving
            self._loop.call_soon_threadsafe(self._apply, event)

    # ------------------------------------------------------------ signalling

    def _apply(self, event: call.Event) -> None:
        self.state, actions = call.step(self.state, event)
        for action in actions:
            match action:
                case call.Action.CANCEL | call.Action.BYE:
                    self._endpoint.hangup(self)
                case call.Action.SETTLE:
                    self.drain(last=True)
                    self._emit(
                        LineGone(
                            self.state.ended_by,
                            self.state.status,
                            self.state.reason,
                            self.position,
                        )
                    )
        self._changed.set()

    async def wait_answer(self, ring_timeout_s: float) -> bool:
        """True once answered, False once ended; CANCELs after ``ring_timeout_s`` seconds."""
        timer = self._loop.call_later(ring_timeout_s, self._apply, call.RingTimeout())
        try:
            while not self.state.answered and self.state.phase is not call.Phase.ENDED:
                self._changed.clear()
                await self._changed.wait()
        finally:
            timer.cancel()
        return self.state.answered

    async def wait_ended(self, timeout_s: float) -> bool:
        """Wait for the final state; False when it did not come in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.state.phase is not call.Phase.ENDED:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def withdraw(self, why: call.Why) -> None:
        """End it from our side: CANCEL while it rings, BYE once answered."""
        self._apply(call.Stop(why))

    @property
    def times(self) -> Times:
        return Times(
            self.invited_at_monotonic,
            self.ringing_at_monotonic,
            self.answered_at_monotonic,
            self.ended_at_monotonic,
        )

    # ------------------------------------------------------------ AudioLine

    def play(self, pcm: bytes, tag: str) -> None:
        self.playout.play(pcm, tag)

    def stop(self) -> None:
        self.playout.stop()

    @property
    def position(self) -> int:
        return self._position_of(self.playout.sent)

    async def next_event(self) -> LineEvent:
        return await self._events.get()

    async def hangup(self) -> None:
        self.withdraw(call.Why.TALK_OVER)

    # ------------------------------------------------------------ media pump

    def drain(self, last: bool = False) -> None:
        """Hand on what the clock thread copied since the last time."""
        if self.answered_at_monotonic is None:
            if not last:
                self._hear_early_media()
            return
        if self._base is None:
            # One tick alone may be late; after some it is known when the first was due.
            if not self.tape.ticks or (self.tape.ticks < _SETTLED_TICKS and not last):
                return
            # The port began after the answer: the recording starts with that much silence.
            late = round((self.tape.start - self.answered_at_monotonic) * RATE)
            self._base = -max(0, late)
            if self.tap is not None and late > 0:
                self.tap(bytes(2 * late), bytes(2 * late))
        if self._joined is not None:
            self._joined.drain()  # first: what they said by now is there, however late we are
        heard = bytearray()
        sent = bytearray()
        start: int | None = None
        while self.tape.frames:
            out, back = self.tape.frames.popleft()
            at = (self._drained + self.tape.dropped) * FRAME_SAMPLES - self._base
            self._drained += 1
            if at <= -FRAME_SAMPLES:
                continue
            if at < 0:
                out, back, at = out[-2 * at :], back[-2 * at :], 0
            if start is None:
                start = at
            heard += back
            sent += out
        if start is not None:
            if self.tap is not None:
                self.tap(bytes(heard), self._with_third(bytes(sent)))
            self._emit(AudioIn(start, bytes(heard)))
        self._hand_on_marks()

    def _hear_early_media(self) -> None:
        """Frames before the answer are no part of the call; a carrier's voice may be in them."""
        heard = bytearray()
        while self.tape.frames:
            heard += self.tape.frames.popleft()[1]
            self._drained += 1
        if heard and self.early is not None:
            self.early(self._early_samples, bytes(heard))
        self._early_samples += len(heard) // 2

    def join(self, person: CallLeg) -> None:
        """Record what ``person`` says too: from now on the callee hears it (S6)."""
        self._third.clear()
        self._third_began = False
        self._joined = person
        person.tap = self._hear_third

    def _hear_third(self, heard: bytes, _sent: bytes) -> None:
        self._third += heard

    def _with_third(self, sent: bytes) -> bytes:
        self._third_began = self._third_began or len(self._third) >= _THIRD_LEAD
        if not self._third_began:
            return sent
        voice = bytes(self._third[: len(sent)])
        del self._third[: len(sent)]
        # Both legs run on one clock; what piles up is the start of theirs before ours was read.
        del self._third[: max(0, len(self._third) - _THIRD_BACKLOG)]
        mixed = np.frombuffer(sent, "<i2").astype(np.int32)
        mixed[: len(voice) // 2] += np.frombuffer(voice, "<i2")
        return np.clip(mixed, -32768, 32767).astype("<i2").tobytes()

    def _hand_on_marks(self) -> None:
        while self.playout.marks:
            mark = self.playout.marks.popleft()
            self._emit(self._event_of(mark))

    def _event_of(self, mark: Mark) -> LineEvent:
        position = self._position_of(mark.sample)
        match mark.kind:
            case "started":
                return PlayStarted(mark.tag, position)
            case "ended":
                return PlayEnded(mark.tag, position)
            case _:
                return PlayCut(mark.tag, position, mark.played)

    def _position_of(self, sample: int) -> int:
        return max(0, sample - (self._base or 0))

    def _emit(self, event: LineEvent) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.lost_events += 1
            if not isinstance(event, AudioIn):
                with contextlib.suppress(asyncio.QueueEmpty):
                    self._events.get_nowait()
                self._events.put_nowait(event)
