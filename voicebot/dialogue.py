# SPDX-License-Identifier: GPL-3.0-or-later
"""The conversation as a pure machine: ``step(state, event) -> (state, actions)``.

A refusal, key 1 and the wish for a person work in every state, the disclosure included
(S10, S11). After a refusal nothing but the farewell is said. Every call ends in one
:class:`End`; after it the machine stays in ``Phase.OVER``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from compliance.facts import Blame, Evolve, Outcome
from voicebot.acts import (
    Action,
    Actions,
    AudioMissing,
    BargeIn,
    Begin,
    Connect,
    End,
    Event,
    Gone,
    Heard,
    Join,
    Key,
    Listen,
    MachineAnswered,
    NobodyFree,
    Part,
    PersonAnswered,
    PersonGone,
    PromptEnded,
    Refused,
    SaidNo,
    Say,
    Silence,
    SpeechLost,
    Stop,
    StopAsked,
    Ticket,
    TimeUp,
    Violation,
)
from voicebot.intents import Intent, IntentResult
from voicebot.script import OPENING, WAY_OUT_KEY, Fallback, Node, Script, line_id

__all__ = [
    "DISCLOSURE",
    "MAX_REPEATS",
    "WAY_OUT",
    "Action",
    "Actions",
    "AudioMissing",
    "BargeIn",
    "Begin",
    "Closing",
    "Connect",
    "End",
    "Event",
    "Gone",
    "Heard",
    "Join",
    "Key",
    "Listen",
    "MachineAnswered",
    "NobodyFree",
    "Part",
    "PersonAnswered",
    "PersonGone",
    "Phase",
    "PromptEnded",
    "Refused",
    "SaidNo",
    "Say",
    "Silence",
    "SpeechLost",
    "State",
    "Stop",
    "StopAsked",
    "Ticket",
    "TimeUp",
    "Violation",
    "step",
]

DISCLOSURE, WAY_OUT = OPENING[0], OPENING[-1]


class Phase(enum.StrEnum):
    """Where the call is; changed by :func:`step` only."""

    IDLE = "idle"  # answered, nothing said
    DISCLOSURE = "disclosure"  # cut by a refusal only
    OPENING = "opening"  # purpose, recording notice, way out
    TALKING = "talking"  # a node's prompt is playing
    LISTENING = "listening"  # waiting for the answer
    CONNECTING = "connecting"  # a person's telephone rings
    BRIDGED = "bridged"  # the callee talks with a person
    ENDING = "ending"  # the last words; only a refusal changes them
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Closing(Evolve):
    """How the call will end: the last line to say, then this outcome."""

    line: str
    outcome: Outcome
    blame: Blame = Blame.CALLEE


@dataclass(frozen=True, slots=True)
class State(Evolve):
    """Everything the conversation remembers."""

    script: Script
    phase: Phase = Phase.IDLE
    node: str = ""
    last_prompt: str = ""  # the phase changes when this one ends
    interruptible: bool = False
    silences: int = 0
    misheard: int = 0
    repeats: int = 0
    closing: Closing | None = None  # decided; waits for the disclosure to end or is being said
    robot_asked: bool = False  # answered truthfully after the opening
    human_asked: bool = False  # to be connected once the disclosure is over
    connecting_said: bool = False  # the line before a person was said to its end
    person_ready: bool = False  # a person waits for that line to end
    refused: bool = False
    disclosed: bool = False
    feedback: str = ""


_WITH_PERSON = (Phase.CONNECTING, Phase.BRIDGED)
EVERYTHING = "voice_everything"  # how somebody refused who wants no call of any kind (S12)
MAX_REPEATS = 2  # times a callee may ask to hear a prompt again


def step(state: State, event: Event) -> tuple[State, Actions]:
    """The one transition function of a conversation. Total: no event raises."""
    if state.phase is Phase.OVER:
        return state, ()
    match event:
        case Begin():
            return _begin(state)
        case Gone(by):
            return _gone(state, by)
        case Key(digit):
            return _key(state, digit)
        case Heard(result):
            return _heard(state, result)
        case PromptEnded(prompt):
            return _prompt_ended(state, prompt)
        case AudioMissing():
            return _audio_missing(state)
        case PersonAnswered():
            return _person_answered(state)
        case NobodyFree():
            if state.phase is not Phase.CONNECTING:
                return state, ()
            return _close(state, Closing("human", Outcome.CALLBACK), Ticket("callback"))
        case PersonGone():
            if state.phase is not Phase.BRIDGED:
                return state, ()
            return _over(state, Outcome.TRANSFERRED, Blame.NOBODY, stop=True)
        case StopAsked():
            if state.phase in (Phase.ENDING, Phase.BRIDGED):
                return state, ()
            return _close(state, Closing("goodbye", Outcome.CANCELLED, Blame.US))
        case MachineAnswered():
            if state.refused or state.phase in _WITH_PERSON or state.phase is Phase.ENDING:
                return state, ()
            return _over(state, Outcome.VOICEMAIL, Blame.NOBODY, stop=True)
        case SpeechLost():
            if state.refused or state.phase in _WITH_PERSON or state.phase is Phase.ENDING:
                return state, ()
            return _close(state, Closing("lost", Outcome.ABORTED, Blame.US))
        case TimeUp():
            return _time_up(state)
        case BargeIn():
            if state.phase is Phase.TALKING and state.interruptible:
                node = state.script.node(state.node)
                return _listen(state, node, (Stop(),))
            return state, ()
        case Silence():
            if state.phase is not Phase.LISTENING:
                return state, ()
            node = state.script.node(state.node)
            again = state.evolve(silences=state.silences + 1)
            return _fall_back(again, node.on_silence, again.silences, ())


# ---------------------------------------------------------------- transitions


def _begin(state: State) -> tuple[State, Actions]:
    if state.phase is not Phase.IDLE:
        return state, ()
    return (
        state.evolve(phase=Phase.DISCLOSURE, last_prompt=WAY_OUT, interruptible=False),
        (Say(OPENING, interruptible=False),),
    )


def _heard(state: State, result: IntentResult) -> tuple[State, Actions]:
    if result.intent is not Intent.UNKNOWN and not state.refused:
        state = state.evolve(feedback=result.intent.value)
    if state.phase is Phase.BRIDGED:
        # Two people talk: a "no" goes on the list, but cutting them off is not for a robot.
        said_no = result.refused and not state.refused
        return (state.evolve(refused=True), (SaidNo(),)) if said_no else (state, ())
    if result.refused:
        return _refuse(state, EVERYTHING if result.everything else "voice")
    if state.refused or state.phase in (Phase.IDLE, Phase.ENDING):
        return state, ()
    match result.intent:
        case Intent.HUMAN:
            return _connect(state)
        case Intent.COMPLAINT:
            return _close(state, Closing("complaint", Outcome.CALLBACK), Ticket("complaint"))
        case Intent.WRONG_NUMBER:
            return _close(state, Closing("wrong_number", Outcome.WRONG_NUMBER))
        case Intent.ROBOT_QUESTION if state.phase not in _WITH_PERSON:
            if state.phase in (Phase.DISCLOSURE, Phase.OPENING):
                return state.evolve(robot_asked=True), ()
            return _enter(state, state.script.node(state.node), (Stop(),), ("robot",))
    small_talk = (Phase.DISCLOSURE, Phase.OPENING, *_WITH_PERSON)
    if state.phase in small_talk or state.closing is not None:
        return state, ()  # over the opening or while a person is called: it goes on
    return _answer(state, result.intent)


def _answer(state: State, intent: Intent) -> tuple[State, Actions]:
    node = state.script.node(state.node)
    if not node.expect:
        return state, ()
    target = node.target(intent)
    if target is not None:
        return _enter(_fresh(state), state.script.node(target), (Stop(),))
    if intent is Intent.LATER:
        return _close(state, Closing("later", Outcome.LATER))
    if intent is Intent.BACKCHANNEL and state.phase is Phase.TALKING:
        return state, ()  # "mhm" while the bot talks asks for nothing
    if intent is Intent.REPEAT and state.repeats < MAX_REPEATS:
        return _enter(state.evolve(repeats=state.repeats + 1), node, (Stop(),))
    again = state.evolve(misheard=state.misheard + 1)
    apology = () if intent in (Intent.GREETING, Intent.BACKCHANNEL) else ("unclear",)
    return _fall_back(again, node.on_unknown, again.misheard, apology)


def _key(state: State, digit: str) -> tuple[State, Actions]:
    if not state.refused:
        state = state.evolve(feedback=f"key:{digit}")
    if digit == WAY_OUT_KEY:
        return _refuse(state, "key")
    if state.phase in (Phase.TALKING, Phase.LISTENING) and state.closing is None:
        target = state.script.node(state.node).target(digit)
        if target is not None:
            return _enter(_fresh(state), state.script.node(target), (Stop(),))
    return state, ()


def _refuse(state: State, how: str) -> tuple[State, Actions]:
    """Whatever goes on: stop, record, one farewell (S11)."""
    if state.refused and state.phase is not Phase.BRIDGED:
        return state, ()
    first: Actions = (Part(), Stop()) if state.phase in _WITH_PERSON else (Stop(),)
    farewell = line_id("refusal")
    return (
        state.evolve(
            phase=Phase.ENDING,
            refused=True,
            last_prompt=farewell,
            interruptible=False,
            closing=Closing("refusal", Outcome.REFUSED),
        ),
        (*first, Refused(how), Say((farewell,), interruptible=False)),
    )


def _connect(state: State) -> tuple[State, Actions]:
    """Call a person, and say so; the disclosure is never cut short for it (S1)."""
    if state.closing is not None or state.phase in _WITH_PERSON:
        return state, ()
    if state.phase in (Phase.IDLE, Phase.DISCLOSURE):
        return state.evolve(human_asked=True), ()
    line = line_id("connecting")
    return (
        state.evolve(phase=Phase.CONNECTING, last_prompt=line, interruptible=False),
        (Stop(), Connect(), Say((line,), interruptible=False)),
    )


def _person_answered(state: State) -> tuple[State, Actions]:
    if state.phase is not Phase.CONNECTING:
        return state, (Part(),)  # the callee said no or left in the meantime
    if not state.connecting_said:
        return state.evolve(person_ready=True), ()
    return state.evolve(phase=Phase.BRIDGED, last_prompt=""), (Join(),)


def _close(state: State, closing: Closing, *first: Action) -> tuple[State, Actions]:
    """End with ``closing``: at once, or after the disclosure if that is still being said (S1)."""
    if state.closing is not None:
        return state, ()
    state = state.evolve(closing=closing)
    if state.phase in (Phase.IDLE, Phase.DISCLOSURE):
        return state, first
    return _say_closing(state, first)


def _say_closing(state: State, first: Actions) -> tuple[State, Actions]:
    assert state.closing is not None
    prompt = line_id(state.closing.line)
    leave: Actions = (Part(), Stop()) if state.phase in _WITH_PERSON else (Stop(),)
    return (
        state.evolve(phase=Phase.ENDING, last_prompt=prompt, interruptible=False),
        (*first, *leave, Say((prompt,), interruptible=False)),
    )


def _prompt_ended(state: State, prompt: str) -> tuple[State, Actions]:
    if prompt == DISCLOSURE and state.phase is Phase.DISCLOSURE:
        state = state.evolve(phase=Phase.OPENING, disclosed=True)
        if state.closing is not None:
            return _say_closing(state, ())
        return _connect(state) if state.human_asked else (state, ())
    if prompt != state.last_prompt:
        return state, ()
    match state.phase:
        case Phase.CONNECTING:
            said = state.evolve(connecting_said=True)
            return _person_answered(said) if state.person_ready else (said, ())
        case Phase.OPENING:
            lead = ("robot",) if state.robot_asked else ()
            return _enter(state, state.script.node(state.script.start), (), lead)
        case Phase.TALKING:
            node = state.script.node(state.node)
            if node.next:
                return _enter(_fresh(state), state.script.node(node.next), ())
            return _listen(state, node, ())
        case Phase.ENDING:
            assert state.closing is not None
            return _over(state, state.closing.outcome, state.closing.blame)
    return state, ()


def _enter(
    state: State, node: Node, first: Actions, lead: tuple[str, ...] = ()
) -> tuple[State, Actions]:
    """Say ``lead`` lines and the node's prompt."""
    if state.closing is not None:
        return state, ()
    prompts = (*(line_id(name) for name in lead), node.prompt)
    ending = node.end is not None
    return (
        state.evolve(
            phase=Phase.ENDING if ending else Phase.TALKING,
            node=node.id,
            last_prompt=node.prompt,
            interruptible=node.interruptible and not ending,
            robot_asked=False,
            closing=Closing("", node.end) if node.end is not None else None,
        ),
        (*first, Say(prompts, interruptible=node.interruptible and not ending)),
    )


def _listen(state: State, node: Node, first: Actions) -> tuple[State, Actions]:
    if not node.expect:  # a statement cut short: go on to what follows it
        return _enter(_fresh(state), state.script.node(node.next), first)
    return state.evolve(phase=Phase.LISTENING), (*first, Listen(node.listen_ms))


def _fall_back(
    state: State, fallback: Fallback | None, count: int, lead: tuple[str, ...]
) -> tuple[State, Actions]:
    if fallback is None:
        return state, ()
    if count <= fallback.repeat:
        return _enter(state, state.script.node(state.node), (Stop(),), lead)
    return _enter(_fresh(state), state.script.node(fallback.then), (Stop(),))


def _fresh(state: State) -> State:
    """Counters start anew in another node; a question answered keeps the silence count."""
    return state.evolve(misheard=0, repeats=0)


def _audio_missing(state: State) -> tuple[State, Actions]:
    """Never stay on a call without the words for it; before the disclosure that breaks S1."""
    broken = () if state.disclosed else (Violation("S1"),)
    if state.refused:
        return _over(state, Outcome.REFUSED, Blame.CALLEE, stop=True)
    state, actions = _over(state, Outcome.ABORTED, Blame.US, stop=True)
    return state, (*broken, *actions)


def _time_up(state: State) -> tuple[State, Actions]:
    if state.phase is Phase.BRIDGED:
        return state, ()  # people end their own talk
    if state.phase is Phase.ENDING:  # even the farewell took too long
        closing = state.closing or Closing("", Outcome.NO_DECISION)
        return _over(state, closing.outcome, closing.blame, stop=True)
    if state.phase in (Phase.IDLE, Phase.DISCLOSURE):
        return _over(state, Outcome.ABORTED, Blame.US, stop=True)
    return _close(state, Closing("goodbye", Outcome.NO_DECISION, Blame.NOBODY))


def _gone(state: State, by: str) -> tuple[State, Actions]:
    if state.phase is Phase.BRIDGED:
        return _over(state, Outcome.TRANSFERRED, Blame.NOBODY, first=(Part(),))
    if by == "callee" and (state.phase is Phase.CONNECTING or state.human_asked):
        # They asked for a person and did not get one in time: somebody calls them back.
        waited = (Part(), Ticket("callback"))
        return _over(state, Outcome.CALLBACK, Blame.CALLEE, first=waited)
    if state.phase is Phase.CONNECTING:
        state, (end,) = _gone(state.evolve(phase=Phase.TALKING), by)
        return state, (Part(), end)
    if state.closing is not None:
        return _over(state, state.closing.outcome, state.closing.blame)
    if by == "callee":
        return _over(state, Outcome.HUNG_UP, Blame.CALLEE)
    if by == "bot":  # the dialer withdrew it: operator's stop, end of hours
        return _over(state, Outcome.CANCELLED, Blame.US)
    return _over(state, Outcome.LINE_FAILED, Blame.CARRIER)


def _over(
    state: State, outcome: Outcome, blame: Blame, *, stop: bool = False, first: Actions = ()
) -> tuple[State, Actions]:
    end = End(outcome, blame)
    return state.evolve(phase=Phase.OVER), (*first, *((Stop(), end) if stop else (end,)))
