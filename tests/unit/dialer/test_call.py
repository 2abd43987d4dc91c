# SPDX-License-Identifier: GPL-3.0-or-later
"""The signalling state machine: one final state whatever arrives, in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialer.call import (
    Action,
    Answered,
    Disconnected,
    Event,
    Phase,
    Ringing,
    RingTimeout,
    State,
    Stop,
    Why,
    step,
)

EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(Ringing, st.sampled_from([180, 183])),
    st.just(Answered()),
    st.just(RingTimeout()),
    st.builds(Stop, st.sampled_from(Why)),
    st.builds(
        Disconnected, st.sampled_from([200, 486, 487, 503]), st.just("reason"), st.booleans()
    ),
)


def run(*events: Event) -> tuple[State, list[Action]]:
    state, done = State(), []
    for event in events:
        state, actions = step(state, event)
        done += actions
    return state, done


def test_a_call_that_is_answered_and_talked_out() -> None:
    state, done = run(Ringing(180), Answered(), Stop(Why.TALK_OVER), Disconnected(200, "OK", False))
    assert done == [Action.TALK, Action.BYE, Action.SETTLE]
    assert state.phase is Phase.ENDED
    assert state.ended_by == "bot"


def test_ringing_out_is_cancelled() -> None:
    state, done = run(Ringing(180), RingTimeout(), Disconnected(487, "Request Terminated", True))
    assert done == [Action.CANCEL, Action.SETTLE]
    assert state.withdrawn is Why.RANG_OUT
    assert state.rang


def test_a_200_that_crosses_our_cancel_is_no_conversation() -> None:
    _, done = run(Ringing(180), RingTimeout(), Answered())
    assert done == [Action.CANCEL, Action.BYE]


def test_the_ring_timer_that_loses_against_the_answer_does_nothing() -> None:
    state, done = run(Ringing(180), Answered(), RingTimeout())
    assert done == [Action.TALK]
    assert state.phase is Phase.ANSWERED


def test_callee_hangs_up() -> None:
    state, _ = run(Answered(), Disconnected(200, "OK", True))
    assert state.ended_by == "callee"


@given(st.lists(EVENTS, max_size=12))
def test_an_ended_call_never_changes_again(events: list[Event]) -> None:
    state, actions = run(*events, Disconnected(200, "OK", True))
    assert state.phase is Phase.ENDED
    assert actions.count(Action.SETTLE) == 1
    for event in events:
        again, more = step(state, event)
        assert again == state
        assert not more


@given(st.lists(EVENTS, max_size=12))
def test_talk_starts_at_most_once_and_never_after_a_withdrawal(events: list[Event]) -> None:
    _, actions = run(*events)
    assert actions.count(Action.TALK) <= 1
    withdrawn = [i for i, a in enumerate(actions) if a in (Action.CANCEL, Action.BYE)]
    if withdrawn and Action.TALK in actions:
        assert actions.index(Action.TALK) < withdrawn[0]
