# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person of ours says to a callee, heard for the transcript and the wording check (S9)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from compliance.errors import SpeechError
from voicebot.hearing import Final, SpeechFailed, SpeechGone, SpeechReady, SpeechStream
from voicebot.line import RATE_HZ, to_samples
from voicebot.person import PersonSaid

log = structlog.get_logger("dialer.agent_ear")

_HELD = 250  # pieces of audio kept until the recognizer is open: 5 s
_CLOSING_MS = 600  # of silence after the last word: the recognizer takes it for the end
_LAST_WORDS_S = 1.5


class AgentEar:
    """One joined person's ear; without a recognizer nothing is heard, and the talk goes on.

    ``at`` is where on the callee's clock (samples since answer) the first audio was said.
    """

    def __init__(
        self, open_stream: Callable[[], Awaitable[SpeechStream]], at: int, said: PersonSaid
    ) -> None:
        self._open = open_stream
        self._at = at
        self._said = said
        self._fed = 0
        self._audio: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(_HELD)
        self._task = asyncio.create_task(self._listen(), name="agent's words")
        self._closing = False
        self._silent_since: int | None = None

    def hear(self, pcm: bytes) -> None:
        """Take in what came next; never waits, drops what does not fit."""
        if not self._task.done() and not self._audio.full():
            self._audio.put_nowait((self._fed, pcm))
        self._fed += len(pcm) // 2

    async def close(self) -> None:
        """Give the last words time to be known; the telephone is down already."""
        if not self._closing:
            self._closing = True
            for _ in range(_CLOSING_MS // 20):
                self.hear(bytes(2 * RATE_HZ // 50))
            await asyncio.wait([self._task], timeout=_LAST_WORDS_S)
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            stream = await self._open()
        except SpeechError as error:
            log.warning("an agent is not heard", action="agent.deaf", cause=type(error).__name__)
            return
        feeding = asyncio.create_task(self._feed(stream))
        try:
            await self._until_gone(stream)
        finally:
            feeding.cancel()
            stream.close()

    async def _feed(self, stream: SpeechStream) -> None:
        while True:
            stream.feed(*await self._audio.get())

    async def _until_gone(self, stream: SpeechStream) -> None:
        joiner, least = "", 0.7
        while True:
            match await stream.next_event():
                case SpeechReady() as ready:
                    joiner, least = ready.joiner, ready.refusal_confidence
                case Final(words=words) if words:
                    confidence = sum(word.confidence for word in words) / len(words)
                    start, end = (self._at + at for at in (words[0].start, words[-1].end))
                    text = joiner.join(word.text for word in words)
                    self._said(text, start, end, confidence, confidence >= least)
                    if self._closing and self._fed - words[-1].end <= to_samples(2 * _CLOSING_MS):
                        return  # these were the last
                case SpeechGone() | SpeechFailed():
                    return
