# SPDX-License-Identifier: GPL-3.0-or-later
"""The signalling life of one call, as a pure transition function.

``step(state, event)`` is the only place where a call changes state. What SIP
reports goes in as events, what must be done on the wire comes out as actions;
late and repeated messages (CANCEL/200 glare, a second BYE) change nothing once
a call has ended, so there is exactly one final state.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace


class Phase(enum.StrEnum):
    """Where a call stands."""

    DIALING = "dialing"  # INVITE sent, nothing heard yet
    RINGING = "ringing"  # 180 or 183
    CANCELLING = "cancelling"  # CANCEL sent, 487 or a crossing 200 awaited
    ANSWERED = "answered"  # 200 received, ACK sent
    CLOSING = "closing"  # our BYE sent
    ENDED = "ended"


class Why(enum.StrEnum):
    """Why our side ended or withdrew the call."""

    RANG_OUT = "rang_out"
    ANNOUNCED = "announced"  # the carrier said in words that nobody will answer
    STOPPED = "stopped"  # operator's stop, end of hours, refusal while ringing
    TALK_OVER = "talk_over"


@dataclass(frozen=True, slots=True)
class Ringing:
    status: int


@dataclass(frozen=True, slots=True)
class Answered:
    pass


@dataclass(frozen=True, slots=True)
class RingTimeout:
    pass


@dataclass(frozen=True, slots=True)
class Stop:
    why: Why


@dataclass(frozen=True, slots=True)
class Disconnected:
    status: int  # SIP status of the final response; 200 after a BYE
    reason: str
    by_peer: bool  # the peer sent BYE or the final response


Event = Ringing | Answered | RingTimeout | Stop | Disconnected


class Action(enum.StrEnum):
    CANCEL = "cancel"
    BYE = "bye"
    TALK = "talk"  # start the conversation
    SETTLE = "settle"  # the call is over: write it down


@dataclass(frozen=True, slots=True)
class State:
    phase: Phase = Phase.DIALING
    rang: bool = False
    answered: bool = False
    withdrawn: Why | None = None
    status: int = 0
    reason: str = ""
    ended_by: str = ""  # bot, callee, nobody


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """Apply one event; returns the new state and what to do on the wire."""
    if state.phase is Phase.ENDED:
        return state, ()
    match event:
        case Ringing():
            if state.phase is Phase.DIALING:
                return replace(state, phase=Phase.RINGING, rang=True), ()
            return replace(state, rang=True), ()
        case Answered():
            return _answered(state)
        case RingTimeout():
            return _withdraw(state, Why.RANG_OUT)
        case Stop(why=why):
            return _withdraw(state, why)
        case Disconnected():
            return _ended(state, event)


def _answered(state: State) -> tuple[State, tuple[Action, ...]]:
    if state.phase in (Phase.ANSWERED, Phase.CLOSING):
        return state, ()
    if state.phase is Phase.CANCELLING:
        # A 200 that crossed our CANCEL: the callee must not be left on a silent line.
        return replace(state, phase=Phase.CLOSING, answered=True), (Action.BYE,)
    return replace(state, phase=Phase.ANSWERED, answered=True), (Action.TALK,)


def _withdraw(state: State, why: Why) -> tuple[State, tuple[Action, ...]]:
    match state.phase:
        case Phase.DIALING | Phase.RINGING:
            return replace(state, phase=Phase.CANCELLING, withdrawn=why), (Action.CANCEL,)
        case Phase.ANSWERED:
            if why is Why.RANG_OUT:  # the timer lost the race against the answer
                return state, ()
            closing = replace(state, phase=Phase.CLOSING, withdrawn=why)
            return closing, (Action.BYE,)
        case _:
            return state, ()


def _ended(state: State, event: Disconnected) -> tuple[State, tuple[Action, ...]]:
    if state.phase in (Phase.CLOSING, Phase.CANCELLING):
        by = "bot"
    elif state.answered:
        by = "callee" if event.by_peer else "nobody"
    else:
        by = "callee" if event.by_peer and event.status else "nobody"
    ended = replace(state, phase=Phase.ENDED, status=event.status, reason=event.reason, ended_by=by)
    return ended, (Action.SETTLE,)
