# SPDX-License-Identifier: GPL-3.0-or-later
"""The pump between an answered line and the dialogue: :func:`converse` runs one call.

Time is the line's sample clock; ``clock`` only notices a line that stopped delivering.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from compliance.clock import Clock
from compliance.facts import Blame, Evolve, KeyPress, Outcome, Speaker, TranscriptLine
from voicebot import dialogue, hearing, transcript, turns
from voicebot.hearing import SpeechStream
from voicebot.line import (
    AudioIn,
    AudioLine,
    KeyPressed,
    LineEvent,
    LineGone,
    PlayCut,
    PlayEnded,
    PlayStarted,
    to_ms,
    to_samples,
)
from voicebot.person import CallPerson, Person
from voicebot.prompts import RenderedPrompt, RenderedScript, safely
from voicebot.words import WordCheck

DISCLOSURE_LIMIT_MS = 3000  # S1
FAREWELL_END_MS = 1800  # after the refusing words; BYE must be out by 2.0 s (S11)
PLAY_LATENCY_MS = 40  # from play() to the first sample sent, at most two frames
STALL_S = 3.0  # a line silent for this long delivers no frames any more: our process is ill
HANGUP_S = 2.0  # how long LineGone may take after hangup()
TIME_LIMIT_GRACE_MS = 8000  # to say goodbye in

OnRefusal = Callable[[str, int], Awaitable[None] | None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Conversation(Evolve):
    """What one conversation leaves; times in milliseconds since answer."""

    outcome: Outcome
    blame: Blame
    ended_by: str  # bot, callee, nobody
    duration_ms: int
    transcript: tuple[TranscriptLine, ...] = field(default=(), repr=False)
    keys: tuple[KeyPress, ...] = ()
    disclosed_ms: int | None = None  # end of the audible robot-and-company words as sent
    notice_ms: int | None = None  # end of the recording notice; None: not completed (S4)
    refused: bool = False
    refused_ms: int | None = None  # end of the refusing words, or the key press
    farewell_ms: int | None = None  # first sample of the farewell
    transferred_ms: int | None = None  # the callee and a person of ours heard each other
    agent: str = ""  # who that was
    callback: bool = False
    complaint: bool = False
    feedback: str = ""
    violations: tuple[str, ...] = ()
    sip_status: int = 0
    sip_reason: str = ""


async def converse(
    line: AudioLine,
    script: RenderedScript,
    speech: SpeechStream | None,
    *,
    clock: Clock,
    on_refusal: OnRefusal,
    words: WordCheck,
    call_person: CallPerson | None = None,
    leave: asyncio.Event | None = None,
) -> Conversation:
    """Hold one conversation from answer to the end of the line.

    ``speech`` may be ``None`` (nobody recognises speech): the disclosure, then a safe goodbye.
    ``on_refusal(how, at_ms)`` is called at once, ``how`` is ``key`` or ``voice``; what it
    returns runs beside the farewell and is awaited before this returns. ``call_person`` rings a
    person of ours when the callee asks for one; without it, or with nobody free, a ticket is
    opened. ``leave`` being set asks for a polite goodbye. Closes ``speech``.

    Nothing is played whose text ``words`` objects to: the script's safe line is played in its
    place, or without one the call ends (S9). What people say is only flagged.
    """
    session = _Session(line, script, speech, clock, on_refusal, words, call_person, leave)
    try:
        return await session.run()
    finally:
        await session.close()


class _Session:
    def __init__(
        self,
        line: AudioLine,
        script: RenderedScript,
        speech: SpeechStream | None,
        clock: Clock,
        on_refusal: OnRefusal,
        words: WordCheck,
        call_person: CallPerson | None,
        leave: asyncio.Event | None,
    ) -> None:
        self._line = line
        self._script = script
        self._speech = speech
        self._clock = clock
        self._on_refusal = on_refusal
        self._words = words
        self._call_person = call_person
        self._leave = leave
        self._person: Person | None = None
        self._joined_at: int | None = None
        self._joined: str = ""
        self._talked: Person | None = None  # was joined; their last words may not be known yet
        self._state = dialogue.State(script.script)
        self._turns = turns.Turns(script.script.language)
        self._entries: list[transcript.Entry] = []
        self._started: dict[str, int] = {}  # tag -> position of its first sample
        self._queued: dict[str, RenderedPrompt] = {}
        self._plays = 0
        self._keys: list[KeyPress] = []
        self._disclosed: int | None = None
        self._noticed: int | None = None
        self._words_end: int | None = None  # of the turn that is being handled
        self._refused_at: int | None = None
        self._farewell_at: int | None = None
        self._listen_until: int | None = None
        self._tickets: set[str] = set()
        self._violations: list[str] = []
        self._end: dialogue.End | None = None
        self._gone: LineGone | None = None
        self._recording: asyncio.Task[None] | None = None
        self._time_limit = to_samples(script.script.max_call_ms)
        self._waiting: dict[str, asyncio.Task[Any]] = {}
        self._early_at: int | None = None  # index of an early utterance in the transcript

    # ------------------------------------------------------------ the loop

    async def run(self) -> Conversation:
        await self._feed(dialogue.Begin())
        if self._speech is None:
            await self._feed(dialogue.SpeechLost())
        heard_of = self._clock.monotonic()
        while self._gone is None:
            await self._wait()
            line_event, speech_event = self._take("line"), self._take("speech")
            now = self._clock.monotonic()
            if line_event is not None:
                heard_of = now
                await self._on_line(line_event)
            if speech_event is not None:
                await self._on_speech(speech_event)
            await self._on_person()
            if self._gone is None:
                await self._tick()
                limit = HANGUP_S if self._end else STALL_S
                if now - heard_of > limit:
                    await self._stalled()
        return await self._conversation()

    async def close(self) -> None:
        """Leave no task behind and give the speech stream back."""
        self._part()
        for task in self._waiting.values():
            task.cancel()
        await asyncio.gather(*self._waiting.values(), return_exceptions=True)
        if self._speech is not None:
            self._speech.close()

    async def _wait(self) -> None:
        """Until any source has something, half a second at most."""
        if "line" not in self._waiting:
            self._waiting["line"] = asyncio.ensure_future(self._line.next_event())
        if self._speech is not None and "speech" not in self._waiting:
            self._waiting["speech"] = asyncio.ensure_future(self._speech.next_event())
        await asyncio.wait(self._waiting.values(), timeout=0.5, return_when=asyncio.FIRST_COMPLETED)

    def _take(self, source: str) -> Any:
        task = self._waiting.get(source)
        if task is None or not task.done():
            return None
        del self._waiting[source]
        return task.result()

    async def _stalled(self) -> None:
        if self._end is None:
            self._violate("stalled")
            await self._finish(dialogue.End(Outcome.ABORTED, Blame.US))
            return
        self._gone = LineGone("bot", 0, "no answer to the hang-up", self._line.position)

    # ------------------------------------------------------------ events

    async def _on_line(self, event: LineEvent) -> None:
        match event:
            case AudioIn(position, pcm):
                if self._speech is not None:
                    self._speech.feed(position, pcm)
            case KeyPressed(digit, position):
                self._keys.append(KeyPress(digit, to_ms(position)))
                self._words_end = position
                await self._feed(dialogue.Key(digit))
            case PlayStarted(tag, position):
                self._started[tag] = position
                prompt = self._queued.get(tag)
                if prompt and prompt.id == "line.refusal":
                    self._farewell_at = position + prompt.audible[0]
            case PlayEnded(tag, position):
                prompt = self._queued.pop(tag, None)
                if prompt is not None:
                    self._said(prompt, position - prompt.samples, prompt.samples)
                    await self._feed(dialogue.PromptEnded(prompt.id))
            case PlayCut(tag, position, played):
                prompt = self._queued.pop(tag, None)
                if prompt is not None:
                    self._said(prompt, position - played, played)
            case LineGone(position=position):
                self._gone = event
                for tag, prompt in self._queued.items():  # playing when the line went
                    if tag in self._started:
                        played = min(prompt.samples, position - self._started[tag])
                        self._said(prompt, self._started[tag], played)
                await self._feed(dialogue.Gone(event.by))

    def _said(self, prompt: RenderedPrompt, start: int, played: int) -> None:
        cut = played < prompt.samples
        said = (prompt.text, prompt.mark, start, played, prompt.audible, cut, prompt.flags)
        self._entries.append(transcript.Said(*said))
        if played >= prompt.audible[1]:
            end = start + prompt.audible[1]
            if prompt.mark == "disclosure":
                self._disclosed = end
            elif prompt.mark == "recording_notice":
                self._noticed = end

    async def _on_person(self) -> None:
        """What became of the person the callee asked for, and of an operator who stops the run."""
        calling = self._waiting.get("person")
        if calling is not None and calling.done():
            del self._waiting["person"]
            self._person = None if calling.exception() else calling.result()
            if self._person is None:
                await self._feed(dialogue.NobodyFree())
            else:
                await self._feed(dialogue.PersonAnswered())
        talking = self._waiting.get("talking")
        if talking is not None and talking.done():
            del self._waiting["talking"]
            await self._feed(dialogue.PersonGone())
        if self._leave is not None and self._leave.is_set():
            self._leave = None
            await self._feed(dialogue.StopAsked())

    async def _join(self) -> None:
        assert self._person is not None
        self._joined_at, self._joined = self._line.position, self._person.id
        self._talked = self._person
        self._waiting["talking"] = asyncio.ensure_future(self._person.gone())
        await self._person.join(self._person_said)

    def _person_said(self, words: str, start: int, end: int, confidence: float, sure: bool) -> None:
        """A person of ours speaks for us: what they surely said wrongly is our violation."""
        flags = self._flags(words)
        self._entries.append(transcript.Caught(words, start, end, confidence, flags, Speaker.AGENT))
        for requirement in flags if sure else ():
            self._violate(requirement)

    def _part(self) -> None:
        for name in ("person", "talking"):
            task = self._waiting.pop(name, None)
            if task is not None:
                task.cancel()
                if name == "person" and task.done() and not task.exception():
                    self._person = task.result()  # answered in this very moment
        if self._person is not None:
            self._person.part()
            self._person = None

    async def _on_speech(self, event: hearing.SpeechEvent) -> None:
        if isinstance(event, hearing.SpeechGone | hearing.SpeechFailed):
            if self._speech is not None:
                self._speech.close()
                self._speech = None
                _log.warning("speech recognition lost", extra={"action": "speech_lost"})
                await self._feed(dialogue.SpeechLost())
            return
        self._turns, found = turns.hear(self._turns, event)
        if isinstance(event, hearing.SpeechEnded) and self._listen_until is not None:
            # The answer is being recognised: give its final result time to come.
            self._listen_until = max(self._listen_until, event.known_at + to_samples(1500))
        await self._take_turns(found)

    async def _take_turns(self, found: turns.TurnList) -> None:
        for turn in found:
            match turn:
                case turns.BargeIn():
                    await self._feed(dialogue.BargeIn())
                case turns.Machine():
                    await self._feed(dialogue.MachineAnswered())
                case turns.Utterance():
                    await self._utterance(turn)

    async def _utterance(self, turn: turns.Utterance) -> None:
        flags = self._flags(turn.text)
        caught = transcript.Caught(turn.text, turn.start, turn.end, turn.confidence, flags)
        if turn.acted and self._early_at is not None:
            self._entries[self._early_at] = caught
            self._early_at = None
            return
        self._early_at = len(self._entries) if turn.early else None
        self._entries.append(caught)
        self._words_end = turn.end
        await self._feed(dialogue.Heard(turn.result))

    async def _tick(self) -> None:
        position = self._line.position
        self._turns, found = turns.tick(self._turns, position)
        await self._take_turns(found)
        if self._end is not None:
            return
        if self._refused_at is not None:
            if position >= self._refused_at + to_samples(FAREWELL_END_MS):
                self._line.stop()
                await self._feed(dialogue.TimeUp())
            return
        if position >= self._time_limit and self._joined_at is None:
            self._time_limit = position + to_samples(TIME_LIMIT_GRACE_MS)
            await self._feed(dialogue.TimeUp())
        if (
            self._listen_until is not None
            and not self._turns.speaking
            and position >= self._listen_until
        ):
            self._listen_until = None
            await self._feed(dialogue.Silence())

    # ------------------------------------------------------------ actions

    async def _feed(self, event: dialogue.Event) -> None:
        self._state, actions = dialogue.step(self._state, event)
        for action in actions:
            await self._do(action)

    async def _do(self, action: dialogue.Action) -> None:
        match action:
            case dialogue.Say(prompts):
                self._listen_until = None
                await self._say(prompts)
            case dialogue.Stop():
                self._line.stop()
                # What was queued and never began was not heard; the one playing reports a cut.
                self._queued = {t: p for t, p in self._queued.items() if t in self._started}
            case dialogue.Listen(for_ms):
                self._listen_until = self._line.position + to_samples(for_ms)
            case dialogue.Refused(how):
                self._refused_at = (
                    self._words_end if self._words_end is not None else self._line.position
                )
                self._record_refusal(how, self._refused_at)
            case dialogue.SaidNo():
                self._record_refusal("voice", self._words_end)
            case dialogue.Connect():
                self._waiting["person"] = asyncio.ensure_future(self._ring_person())
            case dialogue.Join():
                await self._join()
            case dialogue.Part():
                self._part()
            case dialogue.Ticket(kind):
                self._tickets.add(kind)
            case dialogue.Violation(requirement):
                self._violate(requirement)
            case dialogue.End():
                await self._finish(action)

    async def _say(self, ids: tuple[str, ...]) -> None:
        prompts = [self._checked(id) for id in ids]
        for id, prompt in zip(ids, prompts, strict=True):
            if prompt is None:
                await self._feed(dialogue.AudioMissing(id))
                return
        whole = sum(p.samples for p in prompts if p)
        if self._refused_at is not None:
            ends = self._line.position + to_samples(PLAY_LATENCY_MS) + whole
            if ends > self._refused_at + to_samples(FAREWELL_END_MS):
                # No time to be polite: silence is better than staying on the line (S11).
                await self._feed(dialogue.PromptEnded(ids[-1]))
                return
        for prompt in prompts:
            if prompt is not None:
                self._plays += 1
                tag = f"{self._plays}:{prompt.id}"
                self._queued[tag] = prompt
                self._line.play(prompt.pcm, tag)

    def _checked(self, id: str) -> RenderedPrompt | None:
        """Prompt ``id``, or the safe line where its words must not be said; None: neither.

        Everything the bot says comes through here. It takes a fraction of a millisecond.
        """
        prompt = self._script.get(id)
        if prompt is None or prompt.flags or not (flags := self._flags(prompt.text)):
            return prompt
        _log.warning("not said", extra={"action": "wording.blocked", "prompt": id})
        safe = safely(self._script, id, flags)
        return safe if safe is not None and not self._flags(safe.text) else None

    def _flags(self, text: str) -> tuple[str, ...]:
        """Requirements the words of ``text`` touch."""
        return tuple(dict.fromkeys(f.requirement for f in self._words.findings(text)))

    async def _ring_person(self) -> Person | None:
        return None if self._call_person is None else await self._call_person()

    def _record_refusal(self, how: str, at: int | None) -> None:
        at_ms = to_ms(at or 0)
        try:
            pending = self._on_refusal(how, at_ms)
        except Exception:
            self._refusal_not_recorded()
            return
        if pending is not None:
            self._recording = asyncio.ensure_future(self._guard(pending))

    async def _guard(self, pending: Awaitable[None]) -> None:
        try:
            await pending
        except Exception:
            self._refusal_not_recorded()

    def _refusal_not_recorded(self) -> None:
        # The conversation still says refused=True: the caller's final write repeats it.
        self._violate("S12")
        _log.exception("refusal not recorded at once", extra={"action": "refusal_write_failed"})

    async def _finish(self, end: dialogue.End) -> None:
        if self._end is None:
            self._end = end
            if self._gone is None:
                await self._line.hangup()

    def _violate(self, requirement: str) -> None:
        if requirement not in self._violations:
            self._violations.append(requirement)

    async def _conversation(self) -> Conversation:
        assert self._gone is not None
        assert self._end is not None
        if self._recording is not None:
            await self._recording
        if self._talked is not None:
            self._part()
            await self._talked.heard_out()
        disclosed = None if self._disclosed is None else to_ms(self._disclosed)
        if disclosed is not None and disclosed > DISCLOSURE_LIMIT_MS:
            self._violate("S1")
        return Conversation(
            outcome=self._end.outcome,
            blame=self._end.blame,
            ended_by=self._gone.by,
            duration_ms=to_ms(self._gone.position),
            transcript=transcript.lines(self._entries),
            keys=tuple(self._keys),
            disclosed_ms=disclosed,
            notice_ms=None if self._noticed is None else to_ms(self._noticed),
            refused=self._state.refused,
            refused_ms=None if self._refused_at is None else to_ms(self._refused_at),
            farewell_ms=None if self._farewell_at is None else to_ms(self._farewell_at),
            transferred_ms=None if self._joined_at is None else to_ms(self._joined_at),
            agent=self._joined,
            callback="callback" in self._tickets,
            complaint="complaint" in self._tickets,
            feedback=self._state.feedback,
            violations=tuple(self._violations),
            sip_status=self._gone.status,
            sip_reason=self._gone.reason,
        )
