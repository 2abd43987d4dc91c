# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent says reaches the transcript on the callee's clock, their last words too."""

from __future__ import annotations

import asyncio

from compliance.errors import SpeechLost
from dialer.agent_ear import AgentEar
from voicebot.hearing import Final, SpeechEvent, SpeechGone, SpeechReady, Word

Heard = list[tuple[str, int, int, bool]]


class Recognizer:
    """Knows ``words`` once the audio reaches beyond them; implements ``SpeechStream``."""

    def __init__(self, *words: Word, hang: int = 2400) -> None:
        self._words = list(words)
        self._hang = hang
        self._events: asyncio.Queue[SpeechEvent] = asyncio.Queue()
        self._events.put_nowait(SpeechReady("zh", "", 0.7, 0.7))
        self.fed: list[int] = []
        self.closed = False

    def feed(self, position: int, pcm: bytes) -> None:
        self.fed.append(position)
        end = position + len(pcm) // 2
        while self._words and end >= self._words[0].end + self._hang:
            word = self._words.pop(0)
            self._events.put_nowait(Final(word.end, (word,)))

    async def next_event(self) -> SpeechEvent:
        return await self._events.get()

    def close(self) -> None:
        self.closed = True

    def die(self) -> None:
        self._events.put_nowait(SpeechGone())


def heard(recognizer: Recognizer, samples: int, *, die: bool = False) -> Heard:
    found: Heard = []

    async def run() -> None:
        async def opened() -> Recognizer:
            return recognizer

        ear = AgentEar(
            opened, 80_000, lambda text, start, end, _, sure: found.append((text, start, end, sure))
        )
        for _ in range(samples // 160):
            ear.hear(bytes(320))
            await asyncio.sleep(0)
        if die:
            recognizer.die()
        async with asyncio.timeout(5):
            await ear.close()
            await ear.close()  # harmless
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())
    return found


def test_words_are_on_the_callees_clock() -> None:
    recognizer = Recognizer(Word("您好", 1600, 6400, 0.9), Word("保本", 16_000, 20_000, 0.5))
    assert heard(recognizer, 32_000) == [
        ("您好", 81_600, 86_400, True),
        ("保本", 96_000, 100_000, False),
    ]
    assert recognizer.fed == [160 * n for n in range(len(recognizer.fed))]
    assert recognizer.closed


def test_last_words_are_known_after_the_telephone_is_down() -> None:
    recognizer = Recognizer(Word("稳赚不赔", 8000, 15_900, 0.9))
    assert [text for text, *_ in heard(recognizer, 16_000)] == ["稳赚不赔"]


def test_a_recognizer_that_goes_away_ends_the_listening() -> None:
    recognizer = Recognizer(Word("您好", 1600, 6400, 0.9))
    assert len(heard(recognizer, 16_000, die=True)) == 1
    assert recognizer.closed


def test_without_a_recognizer_nothing_is_heard_and_nothing_waits() -> None:
    async def run() -> None:
        async def lost() -> Recognizer:
            raise SpeechLost("nothing answers")

        ear = AgentEar(lost, 0, lambda *_: None)
        for _ in range(1000):
            ear.hear(bytes(320))
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await ear.close()

    asyncio.run(run())
