# SPDX-License-Identifier: GPL-3.0-or-later
"""From speech events to turns: what the callee said, and when it must be acted upon. Pure.

A refusal must be answered within 0.7 s of its last word (S11), yet not cut a sentence that
goes on harmlessly. It is acted upon at the first of:

* the final result, which the speech process asks for ~290 ms after the voice stops (the
  usual way: ~0.4 s after the words);
* the end of voice while a refusing partial stands (the final is on its way or lost);
* a refusing partial whose words have not changed for 300 ms and ended 200 ms ago (noise keeps
  the voice detector open; Vosk shows words in steps of 0.25 s, sometimes before they are over);
* a refusal that has stood in every partial for 1.2 s while the callee simply talks on.

Partials count only with words at the model's calibrated ``partial_confidence``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from compliance.facts import Evolve
from voicebot import hearing
from voicebot.answer import Answer, judge
from voicebot.hearing import Word
from voicebot.intents import UNKNOWN, Intent, IntentResult, classify
from voicebot.line import to_samples

STABLE_MS = 300
OVER_MS = 200  # the last word ended at least this long ago: Vosk may write it before it is over
TALKS_ON_MS = 1200
BARGE_IN_MS = 400
ANSWER_MS = 15_000  # a greeting that begins later is somebody talking


@dataclass(frozen=True, slots=True)
class Utterance:
    """Words of the callee with their meaning; times in samples since answer.

    ``early``: from a partial; the same words come again as ``acted`` once they are final.
    """

    text: str = field(repr=False)
    start: int
    end: int
    confidence: float
    result: IntentResult
    early: bool = False
    acted: bool = False


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The callee talks long or clearly enough to stop an interruptible prompt."""

    position: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Not a person: ``answer`` says what."""

    answer: Answer
    position: int


Turn: TypeAlias = Utterance | BargeIn | Machine
TurnList: TypeAlias = tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Turns(Evolve):
    """What is known of the utterance going on; positions in samples since answer."""

    language: str
    joiner: str = ""
    refusal_confidence: float = 0.7
    partial_confidence: float = 0.7
    speaking_since: int | None = None
    barged: bool = False
    acted: bool = False  # this utterance's refusal was acted upon
    partial: tuple[Word, ...] = ()
    unchanged_since: int = 0
    refusing_since: int | None = None
    person: bool = False

    @property
    def speaking(self) -> bool:
        return self.speaking_since is not None


def hear(state: Turns, event: hearing.SpeechEvent) -> tuple[Turns, TurnList]:
    """Take in one speech event."""
    match event:
        case hearing.SpeechReady(_, joiner, refusal, partial):
            ready = state.evolve(
                joiner=joiner, refusal_confidence=refusal, partial_confidence=partial
            )
            return ready, ()
        case hearing.SpeechStarted(position):
            return _fresh(state).evolve(speaking_since=position), ()
        case hearing.SpeechEnded(position, _):
            state = state.evolve(speaking_since=None)
            if state.refusing_since is not None and not state.acted:
                return _act(state, min(position, state.partial[-1].end))
            return state, ()
        case hearing.Partial(position, words):
            return _partial(state, position, words)
        case hearing.Final(position, words):
            return _final(state, position, words)
    return state, ()


def tick(state: Turns, position: int) -> tuple[Turns, TurnList]:
    """Let the media clock reach ``position``: speech over a prompt becomes a barge-in."""
    since = state.speaking_since
    if since is None or state.barged or position - since < to_samples(BARGE_IN_MS):
        return state, ()
    return state.evolve(barged=True), (BargeIn(position),)


def _partial(state: Turns, position: int, words: tuple[Word, ...]) -> tuple[Turns, TurnList]:
    if state.acted or not words:
        return state, ()
    state, machine = _judge(state, words, position)
    if machine:
        return state, machine
    same = [w.text for w in words] == [w.text for w in state.partial]
    state = state.evolve(partial=words, unchanged_since=state.unchanged_since if same else position)
    turns: TurnList = ()
    if not state.barged and _meaning(state, words).intent is not Intent.BACKCHANNEL:
        state, turns = state.evolve(barged=True), (BargeIn(position),)
    if not _refuses(state, words, state.partial_confidence):
        return state.evolve(refusing_since=None), turns
    since = position if state.refusing_since is None else state.refusing_since
    state = state.evolve(refusing_since=since)
    if position - since >= to_samples(TALKS_ON_MS):
        state, acted = _act(state, position)
        return state, turns + acted
    over = words[-1].end <= position - to_samples(OVER_MS)
    if over and position - state.unchanged_since >= to_samples(STABLE_MS):
        state, acted = _act(state, words[-1].end)
        return state, turns + acted
    return state, turns


def _final(state: Turns, position: int, words: tuple[Word, ...]) -> tuple[Turns, TurnList]:
    acted = state.acted
    state = _fresh(state)
    if not words:
        return state, ()
    state, machine = _judge(state, words, position)
    if machine and not acted:
        return state, machine
    result = _meaning(state, words)
    if result.refused and not _refuses(state, words, state.refusal_confidence):
        result = UNKNOWN  # heard too badly to hang up on; the bot asks again
    end = min(position, words[-1].end) if words[-1].end > words[0].start else position
    return state, (_utterance(state, words, end, result, acted=acted),)


def _act(state: Turns, end: int) -> tuple[Turns, TurnList]:
    result = _meaning(state, state.partial)
    turn = _utterance(state, state.partial, end, result, early=True)
    return state.evolve(acted=True, refusing_since=None), (turn,)


def _judge(state: Turns, words: tuple[Word, ...], position: int) -> tuple[Turns, TurnList]:
    if state.person or words[0].start > to_samples(ANSWER_MS):
        return state, ()
    answer = judge(_text(state, words), state.language)
    if answer in (Answer.MACHINE, Answer.ANNOUNCEMENT):
        return _fresh(state), (Machine(answer, position),)
    return state, ()


def _fresh(state: Turns) -> Turns:
    return state.evolve(
        speaking_since=None, barged=False, acted=False, partial=(), refusing_since=None
    )


def _utterance(
    state: Turns,
    words: tuple[Word, ...],
    end: int,
    result: IntentResult,
    *,
    early: bool = False,
    acted: bool = False,
) -> Utterance:
    confidence = sum(w.confidence for w in words) / len(words)
    text = _text(state, words)
    return Utterance(text, words[0].start, end, confidence, result, early, acted)


def _text(state: Turns, words: tuple[Word, ...]) -> str:
    return state.joiner.join(w.text for w in words)


def _meaning(state: Turns, words: tuple[Word, ...]) -> IntentResult:
    return classify(_text(state, words), state.language)


def _refuses(state: Turns, words: tuple[Word, ...], confidence: float) -> bool:
    """Do all words refuse, and do the words that were heard well refuse by themselves?"""
    sure = tuple(w for w in words if w.confidence >= confidence)
    return bool(sure) and _meaning(state, words).refused and _meaning(state, sure).refused
