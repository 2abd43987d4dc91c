# SPDX-License-Identifier: GPL-3.0-or-later
"""Listening to early media: a carrier's voice that says nobody will answer (RFC 3960).

Ringing tones wake no recognizer. Once the words are clear the carrier gets a few
seconds to send its final status; then we CANCEL instead of listening to it for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from compliance.errors import SpeechError
from compliance.facts import Announcement
from dialer.call import Why
from dialer.leg import CallLeg
from voicebot.answer import announcement
from voicebot.hearing import Final, Partial, SpeechFailed, SpeechGone, SpeechReady
from voicebot.speech import SpeechStream

log = structlog.get_logger("dialer.early")

_PATIENCE_S = 6.0  # from the words to our CANCEL; carriers say it once or twice
_HELD = 100  # pieces of audio kept until the recognizer is open: 2 s


class EarlyEar:
    """One ringing call's ear. ``found`` is what the carrier said, as far as is known."""

    def __init__(
        self,
        leg: CallLeg,
        open_stream: Callable[[], Awaitable[SpeechStream]],
        report: Callable[[Announcement], None],
    ) -> None:
        self.found: Announcement | None = None
        self._leg = leg
        self._open = open_stream
        self._report = report
        self._audio: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(_HELD)
        self._task: asyncio.Task[None] | None = None
        leg.early = self._hear

    def _hear(self, position: int, pcm: bytes) -> None:
        if self._task is None:  # no recognizer is opened for a call without early media
            self._task = asyncio.create_task(self._listen(), name="early media")
        if not self._audio.full():
            self._audio.put_nowait((position, pcm))

    async def close(self) -> None:
        """Stop listening: answered or over."""
        self._leg.early = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        try:
            stream = await self._open()
        except SpeechError as error:
            log.warning("early media not heard", action="early.deaf", cause=type(error).__name__)
            return
        feeding = asyncio.create_task(self._feed(stream))
        try:
            await self._until_found(stream)
        finally:
            feeding.cancel()
            stream.close()
        if self.found is not None:
            self._report(self.found)
            await asyncio.sleep(_PATIENCE_S)
            self._leg.withdraw(Why.ANNOUNCED)

    async def _feed(self, stream: SpeechStream) -> None:
        while True:
            stream.feed(*await self._audio.get())

    async def _until_found(self, stream: SpeechStream) -> None:
        joiner, least = "", 0.7
        while self.found is None:
            match await stream.next_event():
                case SpeechReady() as ready:
                    joiner, least = ready.joiner, ready.partial_confidence
                case Partial(words=words) | Final(words=words):
                    sure = (word.text for word in words if word.confidence >= least)
                    self.found = announcement(joiner.join(sure))
                case SpeechGone() | SpeechFailed():
                    return
