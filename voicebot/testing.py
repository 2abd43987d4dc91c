# SPDX-License-Identifier: GPL-3.0-or-later
"""A line and a recognizer on a virtual sample clock, for tests and dry runs.

:class:`ScriptedLine` implements :class:`voicebot.line.AudioLine` fully; each frame it
delivers moves its clock by 20 ms. :class:`ScriptedSpeech` reports what the callee's
:class:`Says` acts hold, with the delays of the real recognizer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from compliance.clock import VirtualClock
from voicebot import hearing
from voicebot.hearing import Word
from voicebot.line import (
    RATE_HZ,
    AudioIn,
    KeyPressed,
    LineEvent,
    LineGone,
    PlayCut,
    PlayEnded,
    PlayStarted,
    to_samples,
)

FRAME = 160


@dataclass(frozen=True, slots=True)
class Says:
    """The callee speaks ``text`` (words separated by spaces) for ``for_ms``.

    An act happens at ``at_ms`` since answer or, with ``after``, that long after the first
    prompt whose id is ``after`` has ended (``during``: has begun).
    """

    text: str
    at_ms: int = 0
    for_ms: int = 600
    after: str = ""
    during: str = ""
    confidence: float = 1.0
    noisy: bool = False  # the voice detector never closes: partials only
    pcm: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Presses:
    """The callee presses a key."""

    digit: str
    at_ms: int = 0
    after: str = ""
    during: str = ""


@dataclass(frozen=True, slots=True)
class HangsUp:
    """The callee ends the call."""

    at_ms: int = 0
    after: str = ""
    during: str = ""


@dataclass(frozen=True, slots=True)
class SpeechDies:
    """The speech process goes away."""

    at_ms: int = 0
    after: str = ""
    during: str = ""


Act: TypeAlias = Says | Presses | HangsUp | SpeechDies


class ScriptedLine:
    """An answered call with a scripted callee.

    ``sent`` holds every sample the bot sent; ``log`` every event delivered, without audio.
    """

    rate = RATE_HZ

    def __init__(
        self,
        acts: Iterable[Act] = (),
        *,
        clock: VirtualClock | None = None,
        deliver_gone: bool = True,
        limit_ms: int = 600_000,
    ) -> None:
        self.sent = bytearray()
        self.log: list[LineEvent] = []
        self.speech: deque[Says | SpeechDies] = deque()  # acts that came due, for the recognizer
        self._waiting = list(acts)
        self._due: list[Act] = [a for a in self._waiting if not (a.after or a.during)]
        self._waiting = [a for a in self._waiting if a.after or a.during]
        self._position = 0
        self._queue: deque[tuple[str, bytes]] = deque()
        self._played = 0  # samples of the head of the queue that were sent
        self._events: deque[LineEvent] = deque()
        self._over = False
        self._clock = clock
        self._deliver_gone = deliver_gone
        self._limit = to_samples(limit_ms)
        self._voice: deque[bytes] = deque()

    @property
    def position(self) -> int:
        return self._position

    @property
    def hung_up(self) -> bool:
        return self._over

    def play(self, pcm: bytes, tag: str) -> None:
        if not self._over:
            self._queue.append((tag, pcm))

    def stop(self) -> None:
        if self._queue and self._played:
            self._emit(PlayCut(self._queue[0][0], self._position, self._played))
        self._queue.clear()
        self._played = 0

    async def hangup(self) -> None:
        if not self._over and self._deliver_gone:
            self._end("bot")
        self._over = True

    async def next_event(self) -> LineEvent:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        while not self._events:
            if self._over:
                if self._clock is not None:
                    self._clock.advance(0.5)
                await asyncio.sleep(0.001)
                continue
            if self._position > self._limit:
                raise AssertionError("the conversation does not end")
            self._frame()
        event = self._events.popleft()
        if not isinstance(event, AudioIn):
            self.log.append(event)
        return event

    # ------------------------------------------------------------ one frame

    def _frame(self) -> None:
        self._emit(AudioIn(self._position, self._voice.popleft() if self._voice else bytes(320)))
        self._send()
        self._position += FRAME
        if self._clock is not None:
            self._clock.advance(FRAME / RATE_HZ)
        self._run_acts()

    def _send(self) -> None:
        room = FRAME
        while room and self._queue:
            tag, pcm = self._queue[0]
            at = self._position + FRAME - room
            if self._played == 0:
                self._emit(PlayStarted(tag, at))
                self._schedule("during", tag, at)
            chunk = pcm[2 * self._played : 2 * (self._played + room)]
            self.sent += chunk
            self._played += len(chunk) // 2
            room -= len(chunk) // 2
            if 2 * self._played >= len(pcm):
                self._queue.popleft()
                self._played = 0
                self._emit(PlayEnded(tag, at + len(chunk) // 2))
                self._schedule("after", tag, at + len(chunk) // 2)
        self.sent += bytes(2 * room)

    def _schedule(self, when: str, tag: str, position: int) -> None:
        prompt = tag.partition(":")[2]
        for act in list(self._waiting):
            if getattr(act, when) == prompt:
                self._waiting.remove(act)
                self._due.append(
                    replace(act, at_ms=act.at_ms + position * 1000 // RATE_HZ, after="", during="")
                )

    def _run_acts(self) -> None:
        for act in list(self._due):
            if self._over or to_samples(act.at_ms) >= self._position:
                continue
            self._due.remove(act)
            match act:
                case Presses(digit):
                    self._emit(KeyPressed(digit, self._position))
                case HangsUp():
                    self._over = True
                    if self._queue and self._played:
                        self._emit(PlayCut(self._queue[0][0], self._position, self._played))
                    self._end("callee")
                case Says():
                    self.speech.append(act)
                    for i in range(0, len(act.pcm), 320):
                        self._voice.append(act.pcm[i : i + 320].ljust(320, b"\0"))
                case SpeechDies():
                    self.speech.append(act)

    def _end(self, by: str) -> None:
        self._emit(LineGone(by, 200, "OK", self._position))

    def _emit(self, event: LineEvent) -> None:
        self._events.append(event)


class ScriptedSpeech:
    """The recognizer of a :class:`ScriptedLine`: onset after 120 ms, final 370 ms after the end."""

    ONSET_MS, HANG_MS, DECODE_MS, PARTIAL_MS = 120, 290, 80, 100

    def __init__(self, line: ScriptedLine) -> None:
        self._line = line
        self._planned: list[tuple[int, hearing.SpeechEvent]] = []
        self._queue: asyncio.Queue[hearing.SpeechEvent] = asyncio.Queue()
        self._gone = False
        self.closed = False
        self.fed = 0
        self._queue.put_nowait(hearing.SpeechReady("", "", 0.7, 0.7))

    def feed(self, position: int, pcm: bytes) -> None:
        self.fed = position + len(pcm) // 2
        while self._line.speech:
            act = self._line.speech.popleft()
            if isinstance(act, SpeechDies):
                self._gone = True
                self._queue.put_nowait(hearing.SpeechGone())
            else:
                self._plan(act)
        if self._gone:
            return
        due = [p for p in self._planned if p[0] <= self.fed]
        self._planned = [p for p in self._planned if p[0] > self.fed]
        for _, event in sorted(due, key=lambda p: p[0]):
            self._queue.put_nowait(event)

    async def next_event(self) -> hearing.SpeechEvent:
        if self._gone and self._queue.empty():
            await asyncio.sleep(0)
            return hearing.SpeechGone()
        return await self._queue.get()

    def close(self) -> None:
        self.closed = True

    def _plan(self, act: Says) -> None:
        start = to_samples(act.at_ms)
        texts = act.text.split() or [""]
        each = to_samples(act.for_ms) // len(texts)
        words = tuple(
            Word(t, start + i * each, start + (i + 1) * each, act.confidence)
            for i, t in enumerate(texts)
            if t
        )
        end = start + to_samples(act.for_ms)

        def at(ms: int, position: int) -> int:
            return position + to_samples(ms)

        self._planned.append((at(self.ONSET_MS, start), hearing.SpeechStarted(start)))
        last = end + to_samples(2000 if act.noisy else self.HANG_MS)
        for position in range(at(200, start), last, to_samples(self.PARTIAL_MS)):
            # The recognizer shows a word about 200 ms after it ended.
            shown = tuple(w for w in words if at(200, w.end) <= position)
            if shown:
                self._planned.append((position, hearing.Partial(position, shown)))
        if not act.noisy:
            known = at(self.HANG_MS, end)
            self._planned.append((known, hearing.SpeechEnded(end, known)))
            self._planned.append((at(self.DECODE_MS, known), hearing.Final(end, words)))
